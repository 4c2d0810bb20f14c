"""The typer application: one place where all commands are registered."""

from __future__ import annotations

from typing import Annotated

import typer

from ccapi import __version__
from ccapi.cli import ask, auth, config, down, key, logs, output, proxy, serve, status, up

app = typer.Typer(
    name="ccapi",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # `main` is the boundary; tracebacks with locals would print secrets
    rich_markup_mode=None,  # plain help is there in half the time
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        output.write(f"ccapi {__version__}\n")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of a failure.")] = False,
) -> None:
    """Claude Code in a container behind an OpenAI-compatible API.

    Start with `ccapi demo` (needs no account), then `ccapi up` and `ccapi ask "..."`.
    """
    del version, debug  # handled before: --debug by `main`, wherever it stands


def run(args: list[str]) -> int:
    """Run one command; the exit code. `CcapiError`s pass through to `main`."""
    try:
        app(args=args, prog_name="ccapi")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


ask.register(app)
up.register(app)
down.register(app)
status.register(app)
logs.register(app)
auth.register(app)
proxy.register(app)
key.register(app)
config.register(app)
serve.register(app)
