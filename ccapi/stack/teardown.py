"""Takes the stack down: by our label, whatever is left of it and whoever removed the rest."""

from __future__ import annotations

from dataclasses import dataclass

from ccapi import paths
from ccapi.stack import compose, templates
from ccapi.stack.engine import Engine, Volume
from ccapi.stack.lifecycle import Host, locked
from ccapi.stack.progress import Progress, Report


@dataclass(frozen=True, slots=True)
class Down:
    """What `down` did. `kept` are the volumes that are still there."""

    removed: bool
    kept: list[Volume]
    removed_volumes: list[Volume]


def down(host: Host, *, volumes: bool, report: Report) -> Down:
    """Remove container and network, by our label, whatever is left of them; the volumes only if asked to.

    Raises `DockerUnavailable`, `StackFailed`.
    """
    with Engine(host.environ, host.stack) as engine, locked(host, report):
        there = engine.volumes()
        removed = bool(engine.leftovers())
        if removed or (volumes and there):
            report(Progress("phase", "Stopping the container"))
            _compose_down(host, volumes=volumes)
            engine.remove_leftovers(volumes=volumes)
            report(Progress("done", "Stopped and removed"))
        kept = engine.volumes()
        return Down(removed, kept, [volume for volume in there if volume not in kept])


def _compose_down(host: Host, *, volumes: bool) -> None:
    compose.run(
        "down",
        "--remove-orphans",
        *(["--volumes"] if volumes else []),
        stack=host.stack,
        text=templates.compose_text(start_interval=False),
        environ=host.environ,
        variables={"CCAPI_STACK": host.stack},
        directory=paths.templates_dir() / "compose",
    )
