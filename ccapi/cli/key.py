"""`ccapi key create`, `list` and `revoke`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ccapi import settings as host_settings
from ccapi.cli import context, output, values
from ccapi.cli.options import Json
from ccapi.errors import CcapiError, OutputFailed

if TYPE_CHECKING:
    from ccapi.commands.keys import Created, KeyRecord, Policy


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="API keys: make, list and revoke them.")
    group.command()(create)
    group.command(name="list")(list_)
    group.command()(revoke)
    app.add_typer(group, name="key")


def create(
    *,
    name: Annotated[str | None, typer.Option(help="What you call it, to tell it from others.")] = None,
    model: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A model it may ask for. Repeatable. Default: any.")
    ] = None,
    transcript: Annotated[
        Literal["full", "text", "final"] | None,
        typer.Option(help="The most it is shown: every step, all text, or the last text."),
    ] = None,
    tool: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A tool the agent may use for it. Repeatable. Default: any."),
    ] = None,
    no_tools: Annotated[bool, typer.Option("--no-tools", help="The agent may use no tool.")] = False,
    workspace: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A workspace it may name. Repeatable. Default: any.")
    ] = None,
    rate: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Questions it may ask in any minute. Default: no limit.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make an API key, and show it this once.

    The key alone goes to standard output: KEY=$(ccapi key create). Only its hash is kept. What it may do can be
    limited here; a request can ask for less than that, never for more. It works at once, without a restart.
    """
    from ccapi.commands import keys

    allowed = keys.policy(
        models=model or (),
        transcript=transcript,
        tools=tool or (),
        no_tools=no_tools,
        workspaces=workspace or (),
        rate=rate,
    )
    home = context.home()
    created = keys.create(home, name, allowed, output.waiting)
    try:
        if as_json:
            output.write_json(_document(created.record) | {"key": created.key})
        else:
            output.write(f"{created.key}\n")
    except (OutputFailed, BrokenPipeError):
        keys.revoke(home, created.record.id, output.waiting)  # a key that nobody has seen
        raise
    _explain(created)


def _explain(created: Created) -> None:
    record = created.record
    called = f" {record.name!r}" if record.name else ""
    output.note(f"Key {record.id}{called}: {_allows(record.policy)}. It is not shown again.")
    output.note("Send it as the header `Authorization: Bearer KEY`: what clients of OpenAI's API do with their key.")
    if _open_without():
        output.note(f"Requests without a key are answered as before. To end that: {_to_end_that()}")


def _to_end_that() -> str:
    if host_settings.in_container():  # the folder of `ccapi compose export` makes its keys there
        return "CCAPI_API_REQUIRE_KEY=on in .env, then docker compose up -d --wait"
    return "ccapi config set api.require_key true"


def _open_without() -> bool:
    """Whether a key is needed by nobody. Keys can be made, and revoked, also while some setting is wrong."""
    try:
        settings = context.settings()
    except CcapiError:
        return False
    return not settings.key_required


def list_(as_json: Json = False) -> None:
    """List the API keys, without the keys themselves."""
    from ccapi.commands import keys

    records = keys.listed(context.home())
    if as_json:
        output.write_json({"keys": [_document(record) for record in records]})
    elif records:
        heads = ("ID", "NAME", "CREATED", "MAY DO")
        output.write(output.columns([heads, *(_row(record) for record in records)]))
    else:
        output.note("There are no API keys. Make one: ccapi key create")


def revoke(
    key: Annotated[
        str,
        typer.Argument(
            metavar="ID|NAME", help="Of the key; the key itself is understood as well.", autocompletion=values.keys
        ),
    ],
    as_json: Json = False,
) -> None:
    """End an API key for good.

    A running gateway refuses it within a second; what it is doing for the key goes on to its end.
    """
    from ccapi.commands import keys

    done = keys.revoke(context.home(), key, output.waiting)
    if as_json:
        output.write_json(asdict(done))
        return
    called = output.printable(f" {done.name!r}" if done.name else "")
    output.note(f"Key {done.id}{called} was already revoked" if done.already else f"Revoked key {done.id}{called}")


def _document(record: KeyRecord) -> dict[str, Any]:
    created = record.created.isoformat()
    return {"id": record.id, "name": record.name, "created": created, "policy": asdict(record.policy)}


def _row(record: KeyRecord) -> tuple[str, ...]:
    created = record.created.astimezone().strftime("%Y-%m-%d %H:%M")
    return record.id, record.name or "", created, _allows(record.policy)


def _allows(policy: Policy) -> str:
    parts = [
        f"{what} {', '.join(names) or 'none'}"
        for what, names in (("models", policy.models), ("tools", policy.tools), ("workspaces", policy.workspaces))
        if names is not None
    ]
    if policy.transcript:
        parts.append(f"transcript {policy.transcript}")
    if policy.rate:
        parts.append(f"{policy.rate} a minute")
    return output.printable("; ".join(parts) or "everything")
