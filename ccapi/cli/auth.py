"""`ccapi auth`: the group, which takes any server's name, and the options of a login."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from ccapi.cli import auth_claude, auth_manage, output, values
from ccapi.cli.frame import first_word
from ccapi.cli.options import JsonLines
from ccapi.errors import InputNeeded, UsageError

_LOGIN = "NAME"  # the command behind every word that is no subcommand
_HELP = ("-h", "--help")


class AuthGroup(TyperGroup):
    """`ccapi auth notion` signs in to notion: what is no subcommand is a server's name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        args = ["--paste" if arg == "--paste=-" else arg for arg in args]
        args = [arg for before, arg in zip(["", *args], args, strict=False) if (before, arg) != ("--paste", "-")]
        word = first_word(args)
        subcommand = word in self.commands and word != _LOGIN
        completing = ctx.resilient_parsing and word is None
        if not subcommand and not completing and (word is not None or not set(args) & set(_HELP)):
            args = [_LOGIN, *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """The subcommands, and all that can stand behind `ccapi auth` when it is a login."""
        login = self.commands[_LOGIN]
        names = login.params[0].shell_complete(ctx, incomplete)
        found = [*super().shell_complete(ctx, incomplete), *login.shell_complete(ctx, incomplete), *names]
        return list({item.value: item for item in found}.values())

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        formatter.write_usage(ctx.command_path, "[NAME] [OPTIONS]")
        formatter.write_usage(ctx.command_path, "COMMAND [ARGS]...", prefix="       ")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Those of the login, then the subcommands."""
        self.commands[_LOGIN].format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


class _LoginCommand(TyperCommand):
    """Its name is not for typing."""

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        formatter.write_usage(ctx.parent.command_path, "NAME [OPTIONS]")


def register(app: typer.Typer) -> None:
    group = typer.Typer(cls=AuthGroup, help=login.__doc__, subcommand_metavar="NAME|COMMAND ...")
    group.command(name=_LOGIN, hidden=True, cls=_LoginCommand)(login)
    auth_manage.register(group)
    auth_claude.register(group)
    app.add_typer(group, name="auth")


def login(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="The MCP server. Without it: a menu of those that are known.",
            autocompletion=values.servers,
        ),
    ] = None,
    *,
    url: Annotated[str | None, typer.Option(metavar="URL", help="Its address, if it is none that ccapi knows.")] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Only show the page to sign in at; do not open it.")
    ] = False,
    paste: Annotated[
        bool,
        typer.Option(
            "--paste", help="Read the address that the browser ends on from standard input (also: --paste -)."
        ),
    ] = False,
    qr: Annotated[bool, typer.Option("--qr", help="Show the page's address as a QR code, too.")] = False,
    timeout: Annotated[
        float, typer.Option(min=1, max=3600, metavar="SECONDS", help="How long you may take in the browser.")
    ] = 300,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Sign in again without asking, also where a login works.")
    ] = False,
    client_id: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Of an OAuth app of your own. Its secret is asked for, or the first line of standard input.",
        ),
    ] = None,
    callback_port: Annotated[
        int | None,
        typer.Option(min=1024, max=65535, metavar="PORT", help="The port that the login must come back to."),
    ] = None,
    with_token: Annotated[
        bool, typer.Option("--with-token", help="Use a token, from standard input, instead of the browser.")
    ] = False,
    from_gh: Annotated[bool, typer.Option("--from-gh", help="github only: use the token that gh has.")] = False,
    trust_url: Annotated[
        bool,
        typer.Option(
            "--trust-url",
            help="Take an --url without https, or in a private network. Without https no token is sent to it.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; the same as --force.")] = False,
    as_json: JsonLines = False,
) -> None:
    """Sign in to MCP servers: `ccapi auth notion`, or any with --url.

    The browser opens, you allow access, and the server's tools are there, in the container, for good.
    """
    from ccapi.cli import authmenu, authways

    if with_token + from_gh + bool(client_id) > 1 or (with_token and paste):
        raise UsageError("--with-token, --from-gh, --client-id and --paste exclude each other")
    name = name or _chosen()
    if name == authmenu.CLAUDE:
        auth_claude.claude(no_browser=no_browser, force=force or yes)
        return
    wishes = authways.Wishes(
        name=name,
        url=url,
        trust_url=trust_url,
        browser=not (no_browser or paste),
        paste=paste,
        qr=qr,
        timeout=timeout,
        replace=force or yes,
        client_id=client_id,
        callback_port=callback_port,
        with_token=with_token,
        from_gh=from_gh,
        as_json=as_json,
    )
    authways.sign_in(wishes)


def _chosen() -> str:
    """The menu."""
    from ccapi.cli import authmenu

    if not output.interactive():
        hint = "Name it: ccapi auth NAME\nSee which there are: ccapi auth list"
        raise InputNeeded("which MCP server? Nobody can be asked here", hint=hint)
    return authmenu.choose()
