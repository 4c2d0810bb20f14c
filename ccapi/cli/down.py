"""`ccapi down`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ccapi import settings as host_settings
from ccapi.cli import context, output, prompt
from ccapi.cli.progress import ProgressView
from ccapi.errors import InputNeeded

if TYPE_CHECKING:
    from ccapi.commands.teardown import Down, Volume

Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]

_HOLDS = {
    "claude-config": "Claude's sign-in, its sessions and MCP logins",
    "workspace": "the files the agent works on",
}


def register(app: typer.Typer) -> None:
    app.command()(down)


def down(
    volumes: Annotated[
        bool, typer.Option("--volumes", help="Remove the volumes too, with all that is on them.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Stop the container and the OAuth proxy; the volumes stay.

    The container is removed. With --volumes the volumes go too, and with them the sign-in and the agent's files.
    """
    from ccapi.commands import proxy, teardown

    docker = host_settings.docker_environment()
    home = context.home()
    if volumes and not yes and not _agreed(teardown.volumes(home, docker)):
        output.note("Nothing was removed")
        raise typer.Exit(1)
    with ProgressView() as view:
        proxy_stopped = proxy.end(home, view)
        result = teardown.down(home, docker=docker, volumes=volumes, report=view)
        proxy_stopped |= proxy.end(home, view)  # a login that was waiting until now has started it once more
    if as_json:
        output.write_json({**asdict(result), "oauth_proxy_stopped": proxy_stopped})
    else:
        _say_down(result)


def _agreed(volumes: list[Volume]) -> bool:
    if not volumes:
        return True
    losses = _describe(volumes)
    if not output.interactive():
        raise InputNeeded(
            "removing the volumes needs a yes", hint=f"{losses}\nIf they may go: ccapi down --volumes --yes"
        )
    output.note(f"These volumes and all that is on them will be gone:\n{losses}")
    return prompt.confirm("Remove them?")


def _say_down(result: Down) -> None:
    if not result.removed:
        output.note("Already stopped: there was no container")
    if result.removed_volumes:
        output.note(f"Removed:\n{_describe(result.removed_volumes)}")
    if result.kept:
        output.note(f"Kept:\n{_describe(result.kept)}\nRemove them with: ccapi down --volumes")


def _describe(volumes: list[Volume]) -> str:
    return output.table({volume.name: _HOLDS.get(volume.role, "") for volume in volumes}).rstrip()
