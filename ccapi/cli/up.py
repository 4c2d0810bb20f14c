"""`ccapi up`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ccapi import settings as host_settings
from ccapi.cli import context, output
from ccapi.cli.options import OptionalScenario
from ccapi.cli.progress import ProgressView
from ccapi.redact import redact

if TYPE_CHECKING:
    from ccapi.commands.stack import Up
    from ccapi.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]

_LOGIN = "ccapi auth claude"


def register(app: typer.Typer) -> None:
    app.command(cls=OptionalScenario)(up)


def up(
    *,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the API on 127.0.0.1.")] = None,
    workspace: Annotated[
        Path | None, typer.Option(help="Directory of this machine the agent works in. Default: a Docker volume.")
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option(help="Extra CA certificates (PEM), for the image's build and in the container.")
    ] = None,
    rehearsal: Annotated[
        str | None,
        typer.Option(metavar="[SCENARIO]", help="Answer with a scripted model instead of Anthropic's. No account."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds to wait for the container to be healthy, once its image is there.")
    ] = 120,
    as_json: Json = False,
) -> None:
    """Start the container and the OAuth proxy.

    Builds the image if need be, and waits until the container is healthy. Run it again at any time: it changes only
    what is not as wanted.
    """
    from ccapi.commands import proxy, stack

    settings = context.settings({"gateway.port": port, "stack.workspace": workspace, "stack.ca_file": ca_file})
    network = host_settings.network_environment()
    with ProgressView() as view:
        result = stack.up(
            settings,
            docker=host_settings.docker_environment(),
            network=network,
            rehearsal=rehearsal,
            timeout=timeout,
            report=view,
        )
        callback_url = proxy.ensure(settings, view)
    if as_json:
        output.write_json({**asdict(result), "url": f"{result.url}/v1", "oauth_proxy": callback_url})
    else:
        _say_up(result, settings, rehearsal, network.get("ANTHROPIC_BASE_URL"), callback_url)


def _say_up(
    result: Up, settings: Settings, rehearsal: str | None, model_api: str | None, callback_url: str | None
) -> None:
    if result.already:
        output.note("Already running and healthy")
    rows = {
        "API": f"{result.url}/v1",
        "OAuth proxy": callback_url or "not running",
        "Workspace": str(settings.workspace or "a Docker volume"),
    }
    if rehearsal:
        rows["Model"] = f"scripted (rehearsal scenario {rehearsal}), no account needed"
    else:
        if model_api:  # taken over from this shell's environment: that must not happen unseen
            rows["Model API"] = redact(model_api)
        if not result.signed_in:
            rows["Sign in"] = _LOGIN
    rows["Next"] = 'ccapi ask "hello"'
    output.write("\n" + output.table(rows))
