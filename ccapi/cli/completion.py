"""`ccapi completion`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from ccapi.cli import context, output


def register(app: typer.Typer) -> None:
    app.command()(completion)


def completion(
    shell: Annotated[
        Literal["bash", "zsh", "fish", "powershell"] | None,
        typer.Argument(metavar="[SHELL]", help="bash, zsh, fish or powershell. Default: yours, by $SHELL."),
    ] = None,
    install: Annotated[bool, typer.Option("--install", help="Put the script where your shell reads it.")] = False,
) -> None:
    """Complete commands, options and names in your shell.

    Prints the script: eval "$(ccapi completion bash)". With --install new shells have it by themselves.
    """
    from ccapi.commands import completion as scripts
    from ccapi.settings import environment

    environ = environment.own()
    shell = shell or scripts.known(environ)
    if not install:
        output.write(scripts.script(shell))
        return
    done = scripts.install(shell, environ, context.home())
    output.note(f"Written: {done.script}")
    if done.read_from:
        output.note(f"A line in {done.read_from} reads it")
    output.note("New shells complete ccapi's commands")
