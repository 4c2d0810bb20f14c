"""How the stack is, and what its container logs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, cast

from ccapi.errors import StackFailed
from ccapi.stack.engine import Container, Engine, Volume

State = Literal["healthy", "starting", "unhealthy", "restarting", "paused", "stopped", "absent"]

CLAUDE_VERSION = "/opt/ccapi/claude-version"  # in the image: what `claude --version` said when it was built

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
        container = engine.container()
        volumes = engine.volumes()
    if container is None or not container.ours:
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


def base_url(container: Container) -> str:
    """Where the gateway of a running container answers on this machine, by what Docker has published."""
    host, _, port = (container.published or "127.0.0.1:0").rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host.strip("[]"), host.strip("[]"))  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def logs(environ: Mapping[str, str], stack: str, *, tail: int, timestamps: bool) -> bytes:
    """The last lines. Raises `StackFailed` when there is no container."""
    with Engine(environ, stack) as engine:
        _present(engine)
        return engine.logs(tail, timestamps=timestamps)


def follow(
    environ: Mapping[str, str], stack: str, *, tail: int, timestamps: bool, note: Callable[[str], None]
) -> Iterator[bytes]:
    """The last lines and all that come, across restarts, until the container is stopped or removed."""
    with Engine(environ, stack) as engine:
        _present(engine)
        yield from engine.follow(tail, timestamps=timestamps)
        while _runs_again(engine, note):
            note("The container was started again")
            yield from engine.follow("all", timestamps=timestamps, since=_since(engine))


def _present(engine: Engine) -> Container:
    container = engine.container()
    if container is None or not container.ours:
        raise StackFailed("there is no container", hint="Start it: ccapi up")
    return container


def _runs_again(engine: Engine, note: Callable[[str], None]) -> bool:
    """Wait for the container to come back; one that Docker is about to restart is waited for as long as it takes."""
    deadline = time.monotonic() + _GONE_AFTER
    while (container := engine.container()) and (container.state == "restarting" or time.monotonic() < deadline):
        if container.state == "running":
            return True
        time.sleep(0.2)
    note(f"The container stopped (exit code {container.exit_code})" if container else "The container was removed")
    return False


def _since(engine: Engine) -> float | None:
    container = engine.container()
    return container.started.timestamp() if container and container.started else None
