"""`ccapi logs`."""

from __future__ import annotations

import codecs
from typing import Annotated

import typer

from ccapi import settings as host_settings
from ccapi.cli import context, output


def register(app: typer.Typer) -> None:
    app.command()(logs)


def logs(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    tail: Annotated[int, typer.Option("--tail", "-n", min=0, help="Lines to begin with.")] = 100,
    timestamps: Annotated[bool, typer.Option("--timestamps", "-t", help="Docker's time before each line.")] = False,
) -> None:
    """Show the container's log."""
    from ccapi.commands import logs as stack

    home, docker = context.home(), host_settings.docker_environment()
    if not follow:
        output.write(
            output.printable(stack.logs(home, docker, tail=tail, timestamps=timestamps).decode("utf-8", "replace"))
        )
        return
    decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a chunk may end within a character
    for chunk in stack.follow(home, docker, tail=tail, timestamps=timestamps, note=output.note):
        output.write(output.printable(decoder.decode(chunk)))
