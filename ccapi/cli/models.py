"""`ccapi models`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from ccapi.cli import context, output
from ccapi.cli.options import DEFAULT_MODEL, Json, Port

if TYPE_CHECKING:
    from ccapi.client.sessions import Model

_FAMILY = "the current Claude {}"


def register(app: typer.Typer) -> None:
    app.command()(models)


def models(port: Port = None, as_json: Json = False) -> None:
    """List the models that may be asked for.

    Any claude-* id may be asked for as well. The setting models.map adds names of your own.
    """
    from ccapi.commands import sessions

    found = sessions.models(context.settings({"gateway.port": port}))
    if as_json:
        rows = [{"name": one.name, "model": one.model, "default": one.name == DEFAULT_MODEL} for one in found]
        output.write_json({"models": rows})
        return
    output.write(output.columns([("NAME", "MEANS"), *((output.printable(one.name), _means(one)) for one in found)]))
    output.note("Any claude-* id may be asked for as well")


def _means(model: Model) -> str:
    """What the CLI makes of an alias changes with its releases: the family is all that can be said."""
    own = output.printable(model.model)
    means = _FAMILY.format(own.capitalize()) if model.name == model.model else own
    return f"{means} (default)" if model.name == DEFAULT_MODEL else means
