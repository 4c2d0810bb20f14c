"""`ccapi config show`, `get`, `set`, `unset` and `path`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ccapi.cli import context, output

if TYPE_CHECKING:
    from ccapi.commands.config import Change
    from ccapi.settings import Resolved

Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Key = Annotated[str, typer.Argument(help="The setting, such as gateway.port.")]
Local = Annotated[
    bool, typer.Option("--local", help="In ./ccapi.toml, for this directory, not in the user's own file.")
]


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Settings: look at them and change them.")
    group.command()(show)
    group.command()(get)
    group.command(name="set")(set_)
    group.command()(unset)
    group.command()(path)
    app.add_typer(group, name="config")


def show(
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value comes from.")] = False,
    as_json: Json = False,
) -> None:
    """Show every setting as it counts here and now, in TOML.

    The first that has a value wins: a command's own option, the environment (CCAPI_GATEWAY_PORT), ./ccapi.toml, the
    user's file, the default.
    """
    values = context.settings().resolved
    if as_json:
        output.write_json({key: _document(resolved) for key, resolved in values.items()})
        return
    lines = {key: _line(key, resolved.value) for key, resolved in values.items()}
    width = min(40, max(map(len, lines.values())))
    for key, line in lines.items():
        output.write(f"{line:<{width}}  # {output.printable(values[key].origin)}\n" if origin else f"{line}\n")


def get(key: Key, as_json: Json = False) -> None:
    """Print one setting's value; an empty line where there is none."""
    from ccapi.commands import config

    resolved = config.value(context.settings(), key)
    if as_json:
        output.write_json({"key": key, **_document(resolved)})
    else:
        output.write(_plain(resolved.value) + "\n")


def set_(
    key: Key,
    value: Annotated[str, typer.Argument(help="Its value; a table as name=value,name=value.")],
    local: Local = False,
) -> None:
    """Set a setting. Comments in the file stay."""
    from ccapi.commands import config

    change = config.set_value(context.home(), key, value, local=local, waiting=_waiting)
    _say(change, f"{key} is set in {change.file}", f"{key} was already so in {change.file}")


def unset(key: Key, local: Local = False) -> None:
    """Take a setting out of the file again.

    Then the next place that has a value counts, or the default.
    """
    from ccapi.commands import config

    change = config.unset(context.home(), key, local=local, waiting=_waiting)
    _say(change, f"{key} is taken out of {change.file}", f"{key} was not set in {change.file}")


def path(local: Local = False) -> None:
    """Print the path of the settings file."""
    from ccapi.commands import config

    output.write(f"{config.file(context.home(), local=local)}\n")


def _say(change: Change, done: str, nothing: str) -> None:
    output.note(done if change.changed else nothing)
    if change.problem:
        output.note(f"warning: {output.printable(change.problem.message)}")
    if change.value and change.overridden:
        place = output.printable(_place(change.value.origin))
        output.note(f"But what counts here is {_plain(change.value.value)!r}, from the {place}")
    elif change.changed and change.restart:
        output.note("A running stack takes it over with: ccapi up (a `ccapi gateway` when it is started again)")
    _warn_of_no_key(change)


def _warn_of_no_key(change: Change) -> None:
    """Before a setting keeps everybody out."""
    from ccapi import settings
    from ccapi.commands import keys
    from ccapi.errors import CcapiError

    if change.key not in {"api.require_key", "gateway.host"}:
        return
    try:
        wanted = context.settings()
        needed = wanted.value("api.require_key") or wanted.host not in settings.LOOPBACK
        if needed and not keys.listed(wanted.home):
            output.note("Every request needs an API key then, and there is none yet. Make one: ccapi key create")
    except CcapiError as error:
        output.note(f"warning: {output.printable(error.message)}")


def _waiting(holder: str) -> None:
    output.note(f"Waiting for another ccapi to finish (PID {holder})")


def _place(origin: str) -> str:
    return origin if origin == "environment" else f"file {origin}"


def _document(resolved: Resolved) -> dict[str, Any]:
    value = resolved.value
    return {"value": str(value) if isinstance(value, Path) else value, "origin": resolved.origin}


def _plain(value: Any) -> str:
    """As the environment has it."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ",".join(f"{name}={_plain(inner)}" for name, inner in value.items())
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _line(key: str, value: Any) -> str:
    return f"# {key} is not set" if value is None else f"{key} = {_toml(value)}"


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(name)} = {_toml(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False)
    return _plain(value)
