"""`down`: the stack is stopped and removed. Needs no valid settings."""

from __future__ import annotations

from collections.abc import Mapping

from ccapi.commands.stack import host
from ccapi.paths import Home
from ccapi.stack import teardown
from ccapi.stack.engine import Engine, Volume
from ccapi.stack.progress import Report
from ccapi.stack.teardown import Down

__all__ = ["Down", "Volume", "down", "volumes"]


def down(home: Home, *, docker: Mapping[str, str], volumes: bool, report: Report) -> Down:
    """Stop and remove the container; the volumes with what is on them only if asked to."""
    return teardown.down(host(home, docker), volumes=volumes, report=report)


def volumes(home: Home, docker: Mapping[str, str]) -> list[Volume]:
    """The stack's volumes that exist."""
    with Engine(docker, home.stack) as engine:
        return engine.volumes()
