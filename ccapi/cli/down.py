"""`ccapi down`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ccapi import settings as host_settings
from ccapi.cli import context, output, prompt
from ccapi.cli.options import Json
from ccapi.cli.progress import ProgressView

if TYPE_CHECKING:
    from ccapi.commands.teardown import Down, Ended, Volume
    from ccapi.paths import Home


def register(app: typer.Typer) -> None:
    app.command()(down)


def down(
    *,
    volumes: Annotated[
        bool, typer.Option("--volumes", help="Remove the volumes too, with all that is on them: sign-ins, files.")
    ] = False,
    rmi: Annotated[
        bool, typer.Option("--rmi", help="Remove the images too that `ccapi up` built; the next one builds anew.")
    ] = False,
    remove_orphans: Annotated[
        bool,
        typer.Option("--remove-orphans", help="Remove the containers too that others added to the compose project."),
    ] = False,
    timeout: Annotated[
        int | None, typer.Option("--timeout", "-t", min=0, help="Seconds until the container is stopped by force.")
    ] = None,
    drain: Annotated[
        float | None,
        typer.Option(min=0, metavar="SECONDS", help="Let answers that are being written end, for as long as that."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All stacks on this machine.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Stop the container and the OAuth proxy; the volumes stay.

    The container is removed. With --volumes the volumes go too, and with them the sign-in and the agent's files.
    """
    from ccapi.commands import stacks, teardown

    docker, home = host_settings.docker_environment(), context.home()
    if not every:
        stacks.sure(home, docker, host_settings.passed_over(context.mode.project, context.mode.config))
    homes = stacks.homes(home, docker) if every else [home]
    if volumes and not yes and not _agreed([one for here in homes for one in teardown.volumes(here, docker)], every):
        output.note("Nothing was removed")
        raise typer.Exit(1)
    losses = teardown.Losses(volumes, rmi, remove_orphans, timeout)
    ended = []
    for here in homes:
        with ProgressView() as view:
            ended.append(teardown.end(here, docker=docker, losses=losses, drain=drain, report=view))
        if not as_json:
            _say_down(ended[-1].down, here, several=every)
    if as_json:
        documents = [_document(one) for one in ended]
        output.write_json({"stacks": documents} if every else documents[0])
    elif not homes:
        output.note("Already stopped: there is no stack on this machine")


def _agreed(volumes: list[Volume], every: bool) -> bool:
    if not volumes:
        return True
    losses = _describe(volumes)
    shown = f"These volumes and all that is on them will be gone:\n{losses}"
    hint = f"{losses}\nIf they may go: ccapi down {'--all ' if every else ''}--volumes --yes"
    return prompt.agreed("removing the volumes", shown, "Remove them?", hint=hint)


def _document(ended: Ended) -> dict[str, Any]:
    return {**asdict(ended.down), "oauth_proxy_stopped": ended.proxy_stopped}


def _say_down(result: Down, home: Home, *, several: bool) -> None:
    which = f" --project {home.project}" if home.project else ""
    if several:
        output.note(f"{result.stack}:")
    if not result.removed:
        output.note("Already stopped: there was no container")
    removed = {**_rows(result.removed_volumes), **dict.fromkeys(result.removed_images, "image")}
    removed |= dict.fromkeys(result.removed_orphans, "container of somebody else")
    if removed:
        output.note(f"Removed:\n{output.table(removed).rstrip()}")
    if result.kept:
        output.note(f"Kept:\n{_describe(result.kept)}\nRemove them with: ccapi down{which} --volumes")
    if result.orphans:
        names = ", ".join(result.orphans)
        output.note(f"Left alone, as others added them: {names}\nRemove them with: ccapi down{which} --remove-orphans")


def _describe(volumes: list[Volume]) -> str:
    return output.table(_rows(volumes)).rstrip()


def _rows(volumes: list[Volume]) -> dict[str, str]:
    from ccapi.commands.teardown import HOLDS

    return {volume.name: HOLDS.get(volume.role, "") for volume in volumes}
