"""The stack's use cases: from settings to what the Docker side is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ccapi import paths
from ccapi.commands import secret
from ccapi.errors import CcapiError, StackSecretInvalid, UsageError
from ccapi.paths import Home
from ccapi.settings import Settings
from ccapi.stack import lifecycle
from ccapi.stack import status as stack_status
from ccapi.stack.engine import Engine, Volume
from ccapi.stack.lifecycle import Down, Host, Up
from ccapi.stack.progress import Report
from ccapi.stack.spec import StackSpec
from ccapi.stack.status import Status

__all__ = ["Down", "Status", "Up", "Volume", "down", "follow", "logs", "status", "up", "volumes"]


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
    host = _host(settings.home, docker)
    return lifecycle.up(spec, host, timeout=timeout, report=report, knows_us=lambda: _knows(settings.base_url, key))


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


def down(home: Home, *, docker: Mapping[str, str], volumes: bool, report: Report) -> Down:
    """Stop and remove the container; the volumes with what is on them only if asked to. Needs no valid settings."""
    return lifecycle.down(_host(home, docker), volumes=volumes, report=report)


def volumes(home: Home, docker: Mapping[str, str]) -> list[Volume]:
    """The stack's volumes that exist."""
    with Engine(docker, home.stack) as engine:
        return engine.volumes()


def status(home: Home, docker: Mapping[str, str]) -> Status:
    return stack_status.status(docker, home.stack)


def logs(home: Home, docker: Mapping[str, str], *, tail: int, timestamps: bool) -> bytes:
    return stack_status.logs(docker, home.stack, tail=tail, timestamps=timestamps)


def follow(
    home: Home, docker: Mapping[str, str], *, tail: int, timestamps: bool, note: Callable[[str], None]
) -> Iterator[bytes]:
    return stack_status.follow(docker, home.stack, tail=tail, timestamps=timestamps, note=note)


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


def _host(home: Home, docker: Mapping[str, str]) -> Host:
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
