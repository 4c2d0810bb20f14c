"""`ccapi uninstall`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ccapi import settings as host_settings
from ccapi.cli import context, output, prompt
from ccapi.cli.options import Json
from ccapi.cli.progress import ProgressView

if TYPE_CHECKING:
    from ccapi.commands.uninstall import Artefact, Found, Scope

_HEADINGS = {"image": "Images", "completion": "Completion in your shell", "files": "Files of ccapi"}


def register(app: typer.Typer) -> None:
    app.command()(uninstall)


def uninstall(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    keep_volumes: Annotated[
        bool, typer.Option("--keep-volumes", help="Keep the volumes: the sign-ins, and the files of the agent.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Remove all that ccapi has made: every stack, or that of --project.

    It lists all of it first, and asks. What belongs to anybody else stays, as do files that are not ccapi's own.
    """
    from ccapi.commands import uninstall as command
    from ccapi.settings.values import DEFAULT_PROJECT

    project = context.mode.project
    # Whatever the files of settings say: all stacks are meant, or the one that was named.
    home = host_settings.find_home(project or DEFAULT_PROJECT)
    docker = host_settings.docker_environment()
    scope = command.Scope(home, docker, every=project is None, keep_volumes=keep_volumes)
    found = command.look(scope)
    if dry_run:
        if as_json:
            output.write_json(_document(found, found, scope, dry_run=True))
        else:
            output.write(_listed(found) + _by_hand(found, scope))
        return
    if not yes and not _agreed(found, scope):
        output.note("Nothing was removed")
        raise typer.Exit(1)
    left = _remove(scope)
    fine = not left.artefacts and not left.unseen
    if as_json:
        output.write_json(_document(found, left, scope, dry_run=False), ok=fine)
    else:
        _say(found, left, scope)
    if not fine:
        raise typer.Exit(1)


def _agreed(found: Found, scope: Scope) -> bool:
    if not found.artefacts:
        return True
    shown = (_listed(found) + _by_hand(found, scope)).rstrip()
    hint = f"{_listed(found).rstrip()}\nIf it may go: ccapi uninstall --yes"
    return prompt.agreed("removing all of this", shown, "Remove all of it?", hint=hint)


def _remove(scope: Scope) -> Found:
    from ccapi.commands import uninstall as command

    try:
        with ProgressView() as view:
            command.remove(scope, view)
    except (KeyboardInterrupt, SystemExit):
        left = command.look(scope)
        output.say(f"Interrupted. Still there:\n{_listed(left).rstrip()}\nIt goes with another: ccapi uninstall")
        raise
    return command.look(scope)


def _say(found: Found, left: Found, scope: Scope) -> None:
    there = {(one.kind, one.name) for one in left.artefacts}
    gone = [one for one in found.artefacts if (one.kind, one.name) not in there]
    if gone:
        output.note(f"Removed:\n{_rows(gone)}")
    elif not left.artefacts:
        output.note("There is nothing of ccapi on this machine" if scope.every else "There is nothing of this stack")
    if left.artefacts:
        output.say(f"Could not be removed:\n{_rows(left.artefacts)}\nBy hand:")
        for one in left.artefacts:
            output.say(f"  {one.command}")
    if notes := _notes(left, found.revoke):
        output.note(notes.rstrip())
    if text := _by_hand(left, scope):
        output.say(text.rstrip())
    if scope.every:
        from ccapi.commands import updates

        output.note(f"The command itself: {updates.removal()}")


def _document(found: Found, left: Found, scope: Scope, *, dry_run: bool) -> dict[str, Any]:
    from ccapi.commands import updates

    there = {(one.kind, one.name) for one in left.artefacts}
    return {
        "dry_run": dry_run,
        "artefacts": [asdict(one) for one in found.artefacts],
        "removed": [] if dry_run else [asdict(o) for o in found.artefacts if (o.kind, o.name) not in there],
        "left": [asdict(one) for one in left.artefacts],
        "kept": [*left.volumes, *map(str, left.kept)],
        "revoke": found.revoke,
        "not_looked_at": [error.message for error in left.unseen],
        "by_hand": scope.by_hand if left.docker else [],
        "remove_command": updates.removal(),
    }


def _listed(found: Found) -> str:
    """What goes, stack by stack, then what they share."""
    if not found.artefacts:
        return "There is nothing to remove\n" + _notes(found, found.revoke)
    lines = []
    for heading, artefacts in groupby(found.artefacts, key=_heading):
        lines.append(f"{heading}\n{_rows(artefacts)}\n")
    return "".join(lines) + _notes(found, found.revoke)


def _heading(artefact: Artefact) -> str:
    return f"Stack {artefact.stack}" if artefact.stack else _HEADINGS[artefact.kind]


def _rows(artefacts: Iterable[Artefact]) -> str:
    """A line each; what there is to say of one stands below it, as names are long."""
    lines = []
    for one in artefacts:
        lines.append(f"  {one.kind:<10}  {one.name}")
        if one.detail:
            lines.append(f"  {'':<10}  ({one.detail})")
    return output.printable("\n".join(lines))


def _notes(found: Found, revoke: list[str]) -> str:
    text = ""
    if found.kept:
        text += "Stays, as it is not ccapi's:\n" + "".join(f"  {file}\n" for file in found.kept)
    if found.volumes:
        text += "Stays, as --keep-volumes says:\n" + "".join(f"  {name}\n" for name in found.volumes)
    if revoke:
        text += "To be revoked by you, at the vendor; it stays valid otherwise:\n"
        text += "".join(f"  {one}\n" for one in revoke)
    return output.printable(text)


def _by_hand(found: Found, scope: Scope) -> str:
    text = "".join(f"Not looked at: {error.message}\n" for error in found.unseen)
    if found.docker:
        text += "What Docker may still have goes, when it runs again, with another `ccapi uninstall`, or by hand:\n"
        text += "".join(f"  {command}\n" for command in scope.by_hand)
    return text
