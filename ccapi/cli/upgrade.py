"""`ccapi upgrade`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ccapi import settings as host_settings
from ccapi.cli import context, output, prompt
from ccapi.cli.options import Json
from ccapi.cli.progress import ProgressView
from ccapi.errors import UsageError

if TYPE_CHECKING:
    from ccapi.commands.upgrade import Plan, Release
    from ccapi.settings import Settings


def register(app: typer.Typer) -> None:
    app.command()(upgrade)


def upgrade(
    *,
    version: Annotated[
        str | None,
        typer.Option(
            metavar="X.Y.Z", help="This release of claude-agent-sdk, which carries Claude Code; an older one too."
        ),
    ] = None,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Go back to the release before the last upgrade.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for the container to be healthy.")] = 120,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, also if answers are being written.")] = False,
    as_json: Json = False,
) -> None:
    """Put a newer Claude Code into the container, or the one before.

    The image is built while the container goes on. Then it is replaced, and tried with a question to a scripted model;
    if anything fails, or on Ctrl-C, the one before runs again. The volumes stay as they are. A release that works is
    kept as the setting stack.claude_version.
    """
    from ccapi.commands import upgrade as upgrading

    if rollback and version:
        raise UsageError("--rollback and --version exclude each other")
    settings = context.settings()
    docker, network = host_settings.docker_environment(), host_settings.network_environment()
    with ProgressView() as view:
        plan = upgrading.plan(settings, docker=docker, network=network, version=version, rollback=rollback, report=view)
    if plan.nothing or dry_run:
        _say(plan, None, as_json=as_json, dry_run=dry_run)
        return
    if not yes and not _agreed(settings):
        output.note("Nothing was changed")
        raise typer.Exit(1)
    with ProgressView() as view:
        after = upgrading.run(
            settings, plan, docker=docker, network=network, timeout=timeout, report=view, waiting=output.waiting
        )
    _say(plan, after, as_json=as_json, dry_run=False)


def _agreed(settings: Settings) -> bool:
    """Whether what goes on in the container may end, if anything does."""
    from ccapi.commands import work

    going_on = work.look(settings.home, host_settings.docker_environment())
    if not going_on.any:
        return True
    what = f"{going_on}; that ends with the container"
    return prompt.agreed(f"{what}, which", f"{what}.", "Replace it?", hint="Once it has ended, or: ccapi upgrade --yes")


def _say(plan: Plan, after: Release | None, *, as_json: bool, dry_run: bool) -> None:
    """`after`: what runs now; None: nothing was done."""
    if as_json:
        output.write_json(_document(plan, after, dry_run=dry_run))
        return
    before = plan.before
    if plan.nothing:
        output.note("Nothing to do: that is what runs")
        output.write(output.table({"Claude Code": before.claude or "unknown", "claude-agent-sdk": plan.sdk}))
        return
    claude = after.claude if after else "known once it is built"
    output.write(
        output.table(
            {
                "Claude Code": f"{before.claude or 'unknown'} → {claude}",
                "claude-agent-sdk": f"{before.sdk or 'unknown'} → {plan.sdk}",
            }
        )
    )
    output.note("Nothing was changed" if dry_run else "Back again: ccapi upgrade --rollback")


def _document(plan: Plan, after: Release | None, *, dry_run: bool) -> dict[str, Any]:
    wanted = {"sdk": plan.sdk, "claude": plan.before.claude if plan.nothing else None}
    return {
        "changed": after is not None,
        "dry_run": dry_run,
        "before": asdict(plan.before),
        "after": asdict(after) if after else wanted,
    }
