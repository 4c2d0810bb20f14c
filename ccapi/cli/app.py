"""The command `ccapi`: the table of its commands, each in a module that is imported only when it is needed."""

from __future__ import annotations

from functools import cache

import typer

from ccapi import __version__
from ccapi.cli import output
from ccapi.cli.frame import Root, Row

_HELP = """Claude Code in a container behind an OpenAI-compatible API.

Start with `ccapi demo` (needs no account), then `ccapi up` and `ccapi ask "..."`.
"""

# Name: module, and the first line of the command's own help (a test compares them).
TABLE: dict[str, Row] = {
    "ask": Row("ccapi.cli.ask", "Ask Claude Code and see every step of its answer."),
    "demo": Row("ccapi.cli.ask", "See it work: no account, no Docker, half a minute."),
    "sessions": Row("ccapi.cli.sessions", "Conversations: list, show and remove them."),
    "models": Row("ccapi.cli.models", "List the models that may be asked for."),
    "up": Row("ccapi.cli.up", "Start the container and the OAuth proxy."),
    "down": Row("ccapi.cli.down", "Stop the container and the OAuth proxy; the volumes stay."),
    "status": Row("ccapi.cli.status", "Say how the container is, and whether the OAuth proxy runs."),
    "logs": Row("ccapi.cli.logs", "Show the container's log."),
    "restart": Row("ccapi.cli.restart", "Stop the container and the OAuth proxy, and start them again."),
    "upgrade": Row("ccapi.cli.upgrade", "Put a newer Claude Code into the container, or the one before."),
    "shell": Row("ccapi.cli.shell", "Open a shell in the container, or run a command there."),
    "claude": Row("ccapi.cli.claude", "Run Claude Code itself in the container, as if it were on this machine."),
    "uninstall": Row("ccapi.cli.uninstall", "Remove all that ccapi has made: every stack, or that of --project."),
    "doctor": Row("ccapi.cli.doctor", "Say what is wrong, and how to mend it."),
    "auth": Row("ccapi.cli.auth", "Sign in to MCP servers: `ccapi auth notion`, or any with --url."),
    "proxy": Row("ccapi.cli.proxy", "The OAuth proxy: it brings MCP sign-ins into the container."),
    "key": Row("ccapi.cli.key", "API keys: make, list and revoke them."),
    "config": Row("ccapi.cli.config", "Settings: look at them and change them."),
    "compose": Row("ccapi.cli.compose", "The stack for plain `docker compose`, without ccapi."),
    "completion": Row("ccapi.cli.completion", "Complete commands, options and names in your shell."),
    "gateway": Row("ccapi.cli.serve", "Run the API on this machine, in the foreground, without Docker."),
    "rehearsal": Row("ccapi.cli.serve", "Run the scripted model, a stand-in for Anthropic's API."),
}


def _version(context: object, parameter: object, value: bool) -> None:
    del context, parameter
    if value:
        output.write(f"ccapi {__version__}\n")
        raise typer.Exit


@cache
def root() -> Root:
    """The command `ccapi`, with all others behind it."""
    from typer.core import TyperOption

    version = TyperOption(
        param_decls=["--version", "-V"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_version,
        help="Show the version and exit.",
    )
    return Root(
        TABLE,
        name="ccapi",
        params=[version],
        help=_HELP,
        no_args_is_help=True,
        rich_markup_mode=None,
    )


def run(args: list[str]) -> int:
    """Run one command; the exit code.

    `CcapiError`s and what typer raises for a mistyped command line (`TyperException`) pass through.
    """
    try:
        code = root().main(args=args, prog_name="ccapi", standalone_mode=False)
    except SystemExit as end:
        code = end.code
        return code if isinstance(code, int) else 1
    return code if isinstance(code, int) else 0
