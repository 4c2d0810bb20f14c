"""`ccapi compose export` and `ccapi compose show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ccapi import settings as host_settings
from ccapi.cli import context, output
from ccapi.cli.options import Json

if TYPE_CHECKING:
    from ccapi.commands.export import Exported


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="The stack for plain `docker compose`, without ccapi.")
    group.command()(export)
    group.command()(show)
    app.add_typer(group, name="compose")


def _names(incomplete: str) -> list[str]:
    from ccapi.stack import overlays

    return [name for name in overlays.NAMES if name.startswith(incomplete)]


def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The folder; new, empty, or with --force renewed.")],
    overlays: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="OVERLAY",
            help="Also open-webui, or tls (HTTPS, by Caddy); repeatable.",
            autocompletion=_names,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Renew an exported folder. Its .env, keys and overlays stay.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a folder from which `docker compose up -d` runs the stack.

    For a server where ccapi is not installed. The folder has all that the image is made of, the settings as they count
    here in a file .env with comments, and a README.md that says how to go on.
    """
    from ccapi.commands import export as command

    done = command.export_to(_settings(), directory, overlays or (), force=force)
    if as_json:
        output.write_json(_document(done))
    else:
        _say(done)


def show() -> None:
    """Print the compose file that `ccapi up` runs.

    Every value is in its place. It needs the command `docker`, and no running engine.
    """
    from ccapi.commands import export as command

    docker, network = host_settings.docker_environment(), host_settings.network_environment()
    output.write(command.show(_settings(), docker, network))


def _settings() -> host_settings.Settings:
    """Those that count here. A stack that has no ports yet gets those that most have."""
    found = context.settings()
    usual = {row.key: row.default for row in host_settings.TABLE if row.key in {"gateway.port", "oauth.port"}}
    missing = {key: value for key, value in usual.items() if found.value(key) is None}
    return context.settings(missing) if missing else found


def _document(done: Exported) -> dict[str, Any]:
    return {
        "directory": str(done.directory),
        "image": done.image,
        "overlays": list(done.overlays),
        "keys": list(done.keys),
        "to_set": list(done.to_set),
        "renewed": done.renewed,
    }


def _say(done: Exported) -> None:
    directory = output.printable(str(done.directory))
    output.note(f"{'Renewed' if done.renewed else 'Wrote'} {directory}")
    for name in done.keys:
        output.note(f"An API key was made for {name}: it is in .env, and its hash in keys/keys.json")
    if done.workspace:
        output.note(f"The agent works in {output.printable(str(done.workspace))}: see CCAPI_STACK_WORKSPACE in .env")
    if done.to_set:
        output.note(f"Still to be set in .env, where it says what for: {', '.join(done.to_set)}")
    output.note("Copy it to its server, and there: docker compose up -d --wait. README.md has the rest.")
