"""Takes the stack down: by our label, whatever is left of it and whoever removed the rest."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from ccapi.errors import StackFailed
from ccapi.stack.census import Census
from ccapi.stack.engine import Volume
from ccapi.stack.lifecycle import Host, locked
from ccapi.stack.progress import Progress, Report

_LATE, _POLL = 15.0, 0.2  # seconds


@dataclass(frozen=True, slots=True)
class Losses:
    """What shall go beside the container and its network.

    `images`: what `up` built, unless another stack uses it. `orphans`: containers that others added to the same compose
    project. `timeout`: seconds until the container is stopped by force; None: what it was made with. `grace`: answers
    that are being written get the time that the gateway gives them (gateway.shutdown_grace), else none.
    """

    volumes: bool = False
    images: bool = False
    orphans: bool = False
    timeout: int | None = None
    grace: bool = True
    again: str = "ccapi down"


@dataclass(frozen=True, slots=True)
class Down:
    """What `down` did. `kept` are the volumes that are still there, `orphans` the containers of others."""

    stack: str
    removed: bool
    kept: list[Volume] = field(default_factory=list)
    removed_volumes: list[Volume] = field(default_factory=list)
    removed_images: list[str] = field(default_factory=list)
    removed_orphans: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)


def down(host: Host, *, losses: Losses, report: Report) -> Down:
    """Remove container and network, by our label, and what else shall go.

    Raises `DockerUnavailable`, `StackFailed`.
    """
    with Census(host.environ, host.stack) as engine, locked(host, report):
        volumes, orphans = engine.volumes(), engine.orphans()
        removed = bool(engine.containers() or engine.networks())
        try:
            if removed or (losses.volumes and volumes) or (losses.orphans and orphans):
                report(Progress("phase", "Stopping the container"))
                _remove(engine, losses, orphans if losses.orphans else [], report)
                report(Progress("done", "Stopped and removed"))
            images = engine.remove_images() if losses.images else []
        except KeyboardInterrupt:
            report(Progress("note", f"Interrupted; what is left goes with another: {losses.again}"))
            raise
        kept, left = engine.volumes(), engine.orphans()
        return Down(
            stack=host.stack,
            removed=removed,
            kept=kept,
            removed_volumes=[volume for volume in volumes if volume not in kept],
            removed_images=images,
            removed_orphans=[name for name in orphans if name not in left],
            orphans=left,
        )


def _remove(engine: Census, losses: Losses, orphans: Iterable[str], report: Report) -> None:
    if not losses.grace:  # the gateway takes a second signal, which is part of the stop, for haste
        with suppress(StackFailed):
            engine.signal(engine.stack, "TERM")
    for name in [*engine.containers(), *orphans]:
        engine.take_away(name, losses.timeout)
    for name in engine.networks():
        if not engine.remove_network(name):
            report(Progress("note", f"The network {name} stays: other containers are attached to it"))
    if losses.volumes:
        _remove_volumes(engine, losses)


def _remove_volumes(engine: Census, losses: Losses) -> None:
    """An engine may only now be making the container that an interrupted `up` has asked it for."""
    deadline = time.monotonic() + _LATE
    while True:
        try:
            for volume in engine.volumes():
                engine.remove_volume(volume.name)
        except StackFailed:
            if time.monotonic() > deadline or any(engine.is_used_by_others(one.name) for one in engine.volumes()):
                raise
            time.sleep(_POLL)
            for name in engine.containers():
                engine.take_away(name, losses.timeout)
        else:
            return
