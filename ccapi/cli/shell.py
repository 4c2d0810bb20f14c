"""`ccapi shell`."""

from __future__ import annotations

from typing import Annotated

import typer
from typer.core import TyperCommand

from ccapi import settings as host_settings
from ccapi.cli import context, output


class _CommandLast(TyperCommand):
    """What stands behind the command's name is the command's."""

    allow_interspersed_args = False


def register(app: typer.Typer) -> None:
    app.command(cls=_CommandLast)(shell)


def shell(
    command: Annotated[
        list[str] | None, typer.Argument(metavar="[COMMAND [ARGUMENT]...]", help="What to run. Default: bash.")
    ] = None,
) -> None:
    """Open a shell in the container, or run a command there.

    It is the shell of the user that the agent is, in the workspace. Without a terminal it reads its standard input:
    echo "ls -l" | ccapi shell
    """
    from ccapi.commands import terminal

    docker = {**host_settings.docker_environment(), **host_settings.terminal_environment()}
    raise typer.Exit(terminal.shell(context.home(), command or [], terminal=output.whole_terminal(), docker=docker))
