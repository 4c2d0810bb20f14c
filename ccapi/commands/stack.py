"""The stack's use cases: from settings to what the Docker side is told."""

from __future__ import annotations

from collections.abc import Mapping

from ccapi import paths
from ccapi.commands import secret
from ccapi.errors import UsageError
from ccapi.paths import Home
from ccapi.settings import Settings
from ccapi.stack import lifecycle
from ccapi.stack.lifecycle import Host, Plan, Secrets, Up
from ccapi.stack.progress import Report
from ccapi.stack.spec import Options, Pull, StackSpec
from ccapi.stack.task import Decide, Decision

__all__ = ["Decision", "Options", "Plan", "Pull", "Up", "host", "plan", "stop", "up", "wanted"]


def up(
    settings: Settings,
    *,
    docker: Mapping[str, str],
    network: Mapping[str, str],
    rehearsal: str | None,
    report: Report,
    options: Options = Options(),  # noqa: B008 -- it is frozen
    decide: Decide | None = None,
) -> Up:
    """`docker` and `network` are `settings.docker_environment` and `network_environment`."""
    task = _task(wanted(settings, network, rehearsal), settings, docker, options, report)
    return lifecycle.up(task, secrets=_secrets(settings), decide=decide)


def plan(
    settings: Settings,
    *,
    docker: Mapping[str, str],
    network: Mapping[str, str],
    rehearsal: str | None,
    report: Report,
    options: Options,
) -> Plan:
    """What `up` would do; nothing is made or changed."""
    task = _task(wanted(settings, network, rehearsal), settings, docker, options, report)
    return lifecycle.plan(task, secrets=_secrets(settings))


def stop(home: Home, *, docker: Mapping[str, str], report: Report) -> None:
    """Stop the container, which stays. Raises `DockerUnavailable`, `StackFailed`."""
    lifecycle.stop(host(home, docker), report=report)


def _task(
    spec: StackSpec, settings: Settings, docker: Mapping[str, str], options: Options, report: Report
) -> lifecycle.Task:
    def proxy_port() -> int | None:
        from ccapi.oauth import daemon

        port = settings.oauth_port
        return None if daemon.found(settings.home, port) else port

    return lifecycle.Task(spec, host(settings.home, docker), options, report, proxy_port)


def _secrets(settings: Settings) -> Secrets:
    def known() -> bool:
        from ccapi.client import knock

        ours = secret.known(settings.home)
        return ours is not None and knock.is_known(settings.base_url, ours)

    return Secrets(known, lambda: secret.ensure(settings.home))


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
        claude=settings.value("stack.claude_version"),
    )


def host(home: Home, docker: Mapping[str, str]) -> Host:
    """This machine's side of the stack that is meant."""
    return Host(home.stack, docker, paths.state_dir(home), paths.cache_dir(home))


def _scenario(name: str) -> str:
    """The container has the shipped scenarios, not this machine's files."""
    shipped = paths.scenarios()
    if name not in shipped:
        raise UsageError(
            f"no rehearsal scenario is called {name!r}",
            hint=f"Known: {', '.join(shipped)}\nA file of your own: ccapi gateway --rehearsal FILE, without Docker",
        )
    return name
