"""`ccapi restart`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from ccapi import settings as host_settings
from ccapi.cli import context, output
from ccapi.cli.options import Json
from ccapi.cli.progress import ProgressView


def register(app: typer.Typer) -> None:
    app.command()(restart)


def restart(
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for the container to be healthy.")] = 120,
    as_json: Json = False,
) -> None:
    """Stop the container and the OAuth proxy, and start them again.

    Nothing is made anew: what changed in the settings takes `ccapi up`. Answers that are being written get a while to
    end, see gateway.shutdown_grace.
    """
    from ccapi.commands import restart as restarting

    docker, network = host_settings.docker_environment(), host_settings.network_environment()
    with ProgressView() as view:
        result = restarting.restart(context.settings(), docker=docker, network=network, timeout=timeout, report=view)
    if as_json:
        output.write_json(asdict(result))
        return
    if result.changed:
        output.note(f"Not as in the settings: {', '.join(result.changed)}. To take them over: ccapi up")
    rows = {"API": f"{result.url}/v1" if result.url else "not published"}
    output.write(output.table({**rows, "OAuth proxy": result.callback_url or "not running"}))
