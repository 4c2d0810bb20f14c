"""`ccapi up`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

import typer

from ccapi import settings as host_settings
from ccapi.cli import context, output, upview, values
from ccapi.cli.options import JsonLines, OptionalScenario
from ccapi.cli.progress import ProgressView
from ccapi.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccapi.commands.stack import Options
    from ccapi.commands.stackports import Chosen
    from ccapi.settings import Settings


_LOG_LINES = 20


def register(app: typer.Typer) -> None:
    app.command(cls=OptionalScenario)(up)


def up(
    *,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of the API; 0: one that is free, from now on.")
    ] = None,
    bind: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Address of the API. Any but 127.0.0.1 or ::1 needs an API key."),
    ] = None,
    workspace: Annotated[
        Path | None, typer.Option(help="Directory of this machine the agent works in. Default: a Docker volume.")
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option(help="Extra CA certificates (PEM), for the image's build and in the container.")
    ] = None,
    rehearsal: Annotated[
        str | None,
        typer.Option(
            metavar="[SCENARIO]",
            help="Answer with a scripted model instead of Anthropic's. No account.",
            autocompletion=values.scenarios,
        ),
    ] = None,
    build: Annotated[
        bool | None, typer.Option("--build/--no-build", help="Build the image, or never. Default: if it is missing.")
    ] = None,
    pull: Annotated[
        Literal["always", "missing", "never"],
        typer.Option(help="Pull the base image of a build. `always` looks for a newer one."),
    ] = "missing",
    recreate: Annotated[bool, typer.Option("--recreate", help="Make the container anew; the volumes stay.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the container is healthy.")] = True,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds to wait for the container to be healthy, once its image is there.")
    ] = 120,
    detach: Annotated[
        bool,
        typer.Option("--detach/--no-detach", "-d", help="Return; or show the log, and stop the stack on Ctrl-C."),
    ] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    as_json: JsonLines = False,
) -> None:
    """Start the container and the OAuth proxy.

    Builds the image if need be, and waits until the container is healthy. Run it again at any time: it changes only
    what is not as wanted, says what that is, and keeps the volumes.
    """
    from ccapi.commands import proxy, stack, stackports

    if as_json and not detach:
        raise UsageError(
            "--json and --no-detach exclude each other", hint="The log as JSON: ccapi logs --follow --json"
        )
    flags = {
        "gateway.port": port or None,
        "gateway.host": bind,
        "stack.workspace": workspace,
        "stack.ca_file": ca_file,
    }
    settings, docker = context.settings(flags), host_settings.docker_environment()
    ask: Ask = {
        "docker": docker,
        "network": host_settings.network_environment(),
        "rehearsal": rehearsal,
        "options": stack.Options(timeout=timeout, wait=wait, build=build, pull=pull, recreate=recreate),
    }
    view: upview.JsonView | ProgressView = upview.JsonView() if as_json else ProgressView()
    with view:
        settings, chosen = _with_ports(settings, port, docker, keep=not dry_run)
        _say_ports(chosen, view, kept=not dry_run)
        if dry_run:
            plan = stack.plan(settings, **ask, report=view)
        else:
            result = stack.up(settings, **ask, report=view, decide=upview.decision(view))
            if given := stackports.remember(settings, stackports.GATEWAY, waiting=output.waiting):
                _say_ports([given], view, kept=True)
            callback_url = proxy.ensure(settings, view)
    if dry_run:
        upview.say_plan(plan, chosen, as_json=as_json)
        return
    summary = upview.Summary(result, settings, rehearsal, ask["network"].get("ANTHROPIC_BASE_URL"), callback_url)
    if as_json:
        output.write_result(summary.document())
    else:
        summary.say()
    if not detach:
        _attend(settings, docker)


class Ask(TypedDict):
    """What `stack.up` and `stack.plan` are asked alike."""

    docker: Mapping[str, str]
    network: Mapping[str, str]
    rehearsal: str | None
    options: Options


def _with_ports(
    settings: Settings, port: int | None, docker: Mapping[str, str], *, keep: bool
) -> tuple[Settings, list[Chosen]]:
    """Ports for a named stack that has none yet, and for `--port 0`."""
    from ccapi.commands import stackports

    wanted = stackports.missing(settings)
    if port == 0 and stackports.GATEWAY not in wanted:
        wanted = [stackports.GATEWAY, *wanted]
    if not wanted:
        return settings, []
    return stackports.choose(settings, wanted, docker=docker, waiting=output.waiting, keep=keep)


def _say_ports(chosen: list[Chosen], view: upview.View, *, kept: bool) -> None:
    for one in chosen:
        view(upview.note(f"{one.key}: {one.port}, {'kept' if kept else 'would be kept'} in {one.file}"))
        if one.overridden:
            view(upview.warning(f"{one.key} in {one.file} does not count next time: {one.overridden} says otherwise"))


def _attend(settings: Settings, docker: Mapping[str, str]) -> None:
    """Show the log until Ctrl-C, which stops what `up` has started, as `docker compose up` does."""
    from ccapi.commands import logs, proxy, stack

    output.note("\nThe container's log; Ctrl-C stops the stack")
    try:
        for line in logs.follow(settings.home, docker, logs.Wanted(tail=_LOG_LINES), output.note):
            output.write(f"{output.printable(line.text)}\n")
    except (KeyboardInterrupt, SystemExit):
        with ProgressView() as view:
            proxy.end(settings.home, view)
            stack.stop(settings.home, docker=docker, report=view)
        raise
