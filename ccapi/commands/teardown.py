"""`down`: the stack is stopped and removed, and its OAuth proxy with it. Needs no valid settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ccapi.commands import proxy, work
from ccapi.commands.stack import host
from ccapi.paths import Home
from ccapi.stack import teardown
from ccapi.stack.engine import Engine, Volume
from ccapi.stack.progress import Progress, Report
from ccapi.stack.teardown import Down, Losses

__all__ = ["HOLDS", "Down", "Ended", "Losses", "Volume", "down", "end", "volumes"]

# What is on each volume, by its role; for the question before it goes.
HOLDS: Mapping[str, str] = {
    "claude-config": "the sign-ins of Claude and of MCP servers, and the sessions",
    "workspace": "the files that the agent works on",
}


@dataclass(frozen=True, slots=True)
class Ended:
    """A stack that is down, and whether its OAuth proxy ran until now."""

    down: Down
    proxy_stopped: bool


def end(home: Home, *, docker: Mapping[str, str], losses: Losses, drain: float | None = None, report: Report) -> Ended:
    """Stop the proxy and the container. What goes on in it ends, which is told; with `drain` seconds are waited."""
    going_on = work.look(home, docker) if drain is None else work.drain(home, docker, seconds=drain, report=report)
    if going_on.any:
        report(Progress("warning", f"{going_on}; that ends with the container"))
        if drain is None and going_on.answers:
            report(Progress("note", "To let answers end first: ccapi down --drain SECONDS"))
    stopped = proxy.end(home, report)
    if drain is not None:  # they have had their time
        losses = replace(losses, grace=False)
    result = down(home, docker=docker, losses=losses, report=report)
    stopped |= proxy.end(home, report)  # a login that was waiting until now has started it once more
    return Ended(result, stopped)


def down(home: Home, *, docker: Mapping[str, str], losses: Losses, report: Report) -> Down:
    """Stop and remove the container, and what else shall go. Raises `DockerUnavailable`, `StackFailed`."""
    return teardown.down(host(home, docker), losses=losses, report=report)


def volumes(home: Home, docker: Mapping[str, str]) -> list[Volume]:
    """The stack's volumes that exist."""
    with Engine(docker, home.stack) as engine:
        return engine.volumes()
