"""How the stack is, and what its container logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, cast

from ccapi.stack.engine import Container, Engine, Volume

State = Literal["healthy", "starting", "unhealthy", "restarting", "paused", "stopped", "absent"]

_CLAUDE_VERSION = "/opt/ccapi/claude-version"  # in the image: what `claude --version` said when it was built

_STATUS_TIMEOUT = 0.8  # seconds for each of the two or three calls: an answer within two, also when Docker hangs
_GONE_AFTER = 3.0  # seconds without a running container until following its log ends


@dataclass(frozen=True, slots=True)
class Status:
    """`container` is None when there is none; `verdict` is the one line that says it all."""

    state: State
    verdict: str
    container: Container | None
    volumes: list[Volume]

    @property
    def uptime(self) -> float | None:
        """Seconds since the container's process started; None when it does not run."""
        container = self.container
        if container is None or container.started is None or container.ended:
            return None
        return (datetime.now(UTC) - container.started).total_seconds()


def status(environ: Mapping[str, str], stack: str) -> Status:
    """Raises `DockerUnavailable`. Starts nothing, and takes two seconds at most."""
    with Engine(environ, stack, timeout=_STATUS_TIMEOUT) as engine:
        container = engine.own()
        volumes = engine.volumes()
    if container is None:
        return Status("absent", "stopped", None, volumes)
    state = _state(container)
    return Status(state, _verdict(state, container), container, volumes)


def _state(container: Container) -> State:
    if container.state == "running":
        return cast("State", container.health or "starting")
    if container.state in {"restarting", "paused"}:
        return cast("State", container.state)
    return "stopped"


def _verdict(state: State, container: Container) -> str:
    match state:
        case "healthy":
            return "running (healthy)"
        case "starting":
            return "starting"
        case "unhealthy":
            return "degraded: the gateway is unhealthy"
        case "restarting":
            return f"degraded: the container ends again and again (exit code {container.exit_code})"
        case "paused":
            return "degraded: the container is paused"
        case _ if container.oom_killed:
            return "stopped (ran out of memory)"
        case _:
            return f"stopped (exit code {container.exit_code})"


def claude_version(engine: Engine) -> str | None:
    """Of Claude Code in the container, running or not; None where that is not known."""
    said = (engine.file(_CLAUDE_VERSION) or b"").decode("utf-8", "replace").split()
    return said[0] if said else None


def base_url(container: Container) -> str:
    """Where the gateway of a running container answers on this machine, by what Docker has published."""
    host, _, port = (container.published or "127.0.0.1:0").rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host.strip("[]"), host.strip("[]"))  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
