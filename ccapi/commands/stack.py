"""The stack's use cases: from settings to what the Docker side is told."""

from __future__ import annotations

from collections.abc import Mapping

from ccapi import paths
from ccapi.commands import secret
from ccapi.errors import CcapiError, StackSecretInvalid, UsageError
from ccapi.paths import Home
from ccapi.settings import Settings
from ccapi.stack import lifecycle
from ccapi.stack.lifecycle import Host, Up
from ccapi.stack.progress import Report
from ccapi.stack.spec import StackSpec

__all__ = ["Up", "host", "up"]


def up(
    settings: Settings,
    *,
    docker: Mapping[str, str],
    network: Mapping[str, str],
    rehearsal: str | None,
    timeout: float,
    report: Report,
) -> Up:
    """`docker` and `network` are `settings.docker_environment` and `network_environment`; `timeout` in seconds."""
    key = secret.ensure(settings.home)  # also makes the directory of the keys, before Docker does, as root's
    spec = wanted(settings, network, rehearsal)
    here = host(settings.home, docker)
    return lifecycle.up(spec, here, timeout=timeout, report=report, knows_us=lambda: _knows(settings.base_url, key))


def wanted(settings: Settings, network: Mapping[str, str], rehearsal: str | None) -> StackSpec:
    """What the settings ask for; nothing is made. `network`: as of `up`. Raises what `Settings.port` raises."""
    environment = {**network, **settings.gateway_environment(), "OAUTH_PROXY_HOST": "localhost"}
    environment["CCAPI_GATEWAY_HOST"] = settings.host
    if settings.workspace:  # what the person named is worked in as it is
        environment.setdefault("CCAPI_GATEWAY_DEFAULT_WORKSPACE", ".")
    environment["OAUTH_PROXY_PORT"] = str(settings.oauth_port)
    environment["MCP_OAUTH_CALLBACK_PORT"] = str(settings.callback_port or "")
    if rehearsal:
        environment["CCAPI_REHEARSAL"] = _scenario(rehearsal)
    return StackSpec(
        stack=settings.home.stack,
        port=settings.port,
        host=settings.host,
        keys=paths.keys_dir(settings.home),
        base_image=settings.base_image,
        environment={name: value for name, value in environment.items() if value},
        workspace=settings.workspace,
        ca_file=settings.ca_file,
    )


def _knows(base_url: str, key: str) -> bool:
    """Whether the gateway takes the secret that we have. One that cannot be asked is not blamed for it."""
    from ccapi.client.internal import InternalClient

    try:
        with InternalClient(base_url, key) as gateway:
            gateway.check()
    except StackSecretInvalid:
        return False
    except CcapiError:
        pass
    return True


def host(home: Home, docker: Mapping[str, str]) -> Host:
    """This machine's side of the stack that is meant."""
    return Host(home.stack, docker, paths.state_dir(home), paths.cache_dir(home))


def _scenario(name: str) -> str:
    """The container has the shipped scenarios, not this machine's files."""
    shipped = sorted(file.stem for file in (paths.package_dir() / "rehearsal" / "scenarios").glob("*.toml"))
    if name not in shipped:
        raise UsageError(
            f"no rehearsal scenario is called {name!r}",
            hint=f"Known: {', '.join(shipped)}\nA file of your own: ccapi gateway --rehearsal FILE, without Docker",
        )
    return name
