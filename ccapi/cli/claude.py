"""`ccapi claude`."""

from __future__ import annotations

import typer

from ccapi import settings as host_settings
from ccapi.cli import context, output
from ccapi.cli.frame import PassingOn


def register(app: typer.Typer) -> None:
    app.command(cls=PassingOn)(claude)


def claude(arguments: typer.Context) -> None:
    """Run Claude Code itself in the container, as if it were on this machine.

    All that follows is its own: `ccapi claude`, `ccapi claude mcp list`, `ccapi claude --help`. Options of ccapi stand
    before it: `ccapi --project web claude`.
    """
    from ccapi.commands import terminal

    docker = {**host_settings.docker_environment(), **host_settings.terminal_environment()}
    raise typer.Exit(terminal.claude(context.home(), arguments.args, terminal=output.whole_terminal(), docker=docker))
