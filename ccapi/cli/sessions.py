"""`ccapi sessions`: the conversations that the gateway keeps."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ccapi.cli import context, output, prompt, values
from ccapi.cli.options import Json, Port
from ccapi.errors import CcapiError, UsageError

if TYPE_CHECKING:
    from ccapi.client.sessions import Session
    from ccapi.commands.sessions import Deleted
    from ccapi.settings import Settings
    from ccapi.wire.itemevents import Item, Turn

SHORT = 8  # characters of an id
_MINUTE, _HOUR, _DAY = 60, 3600, 86400  # seconds
_NAMED = 10  # sessions that a question names, at most


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Conversations: list, show and remove them.")
    group.command(name="list")(list_)
    group.command()(show)
    group.command()(rm)
    app.add_typer(group, name="sessions")


def list_(
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="The most that are listed.")] = 20,
    every: Annotated[bool, typer.Option("--all", help="List all of them.")] = False,
    port: Port = None,
    as_json: Json = False,
) -> None:
    """List the sessions, the last used first.

    The arrow is at the one that `ccapi ask -c` goes on with: the last one of this directory. The API's price is what
    the tokens cost there; under a subscription nobody is sent that bill.
    """
    from ccapi.commands import sessions

    settings = _settings(port)
    found = sessions.listed(settings, None if every else limit)
    last = _last(settings)
    if as_json:
        document = {"sessions": [asdict(session) for session in found.sessions], "last": last, "more": found.more}
        output.write_json(document)
    elif found.sessions:
        table = output.columns(_table(found.sessions, last, time.time()))
        output.write(_cut(table) if output.on_screen() else table)
        if found.more:
            output.note("There are more: ccapi sessions list --all")
    else:
        output.note('There are no sessions. Begin one: ccapi ask "..."')


def show(
    session: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="Of the session, or how it begins.", autocompletion=values.sessions),
    ] = None,
    *,
    last: Annotated[bool, typer.Option("--last", "-c", help="The last session of this directory.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Do not fold what tools put out.")] = False,
    thinking: Annotated[bool, typer.Option("--thinking", help="Show what the model thought.")] = False,
    port: Port = None,
    as_json: Json = False,
) -> None:
    """Show what was asked in a session, and every step of the answers.

    In a pipe it is Markdown: the questions as quotes, the answers as `ccapi ask` gives them.
    """
    from ccapi.commands import sessions
    from ccapi.wire import itemevents

    if last == (session is not None):
        raise UsageError("Name one session, or --last", hint=sessions.LIST)
    settings = _settings(port)
    if session is None:
        session_id = sessions.last(settings, context.directory())
    else:
        session_id = sessions.resolve(settings, session)
    document = sessions.document(settings, session_id)
    turns = list(itemevents.turns(document["items"]))
    if as_json:
        output.write_json(document)
        return
    if document.get("truncated"):
        output.note("The session is very long: its beginning is left out")
    for number, turn in enumerate(turns):
        if number:
            output.write("\n")
        _show(turn, full=full, thinking=thinking)


def rm(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Of the sessions, or how they begin.", autocompletion=values.sessions),
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    port: Port = None,
    as_json: Json = False,
) -> None:
    """Remove sessions for good.

    Their responses and what their tools returned go too; files in the workspace stay. A session in which something
    runs is left alone.
    """
    from ccapi.commands import sessions

    if every == bool(ids):
        raise UsageError("Name sessions, or --all", hint=sessions.LIST)
    settings = _settings(port)
    chosen = sessions.listed(settings, None).sessions if every else sessions.found(settings, ids or ())
    if chosen and not yes and not _agreed(chosen, every=every):
        output.note("Nothing was removed")
        raise typer.Exit(1)
    deleted = sessions.delete(settings, [session.id for session in chosen])
    if as_json:
        output.write_json(_outcome(deleted), ok=not deleted.problems)
    else:
        output.note(f"Removed {_count(len(deleted.ids))}")
    if deleted.problems:
        raise typer.Exit(1) if as_json else _problem(deleted)


def _settings(port: int | None) -> Settings:
    return context.settings({"gateway.port": port})


def _last(settings: Settings) -> str | None:
    from ccapi.commands import sessions

    with suppress(CcapiError):  # it is a mark, no more
        return sessions.last(settings, context.directory())
    return None


# --- listing


def _table(sessions: Sequence[Session], last: str | None, now: float) -> list[tuple[str, ...]]:
    """The title is at the end, as it is of any width. Columns that say nothing are left out."""
    rows: list[tuple[str, ...]] = [("", "ID", "USED", "QUESTIONS", "MODEL", "API PRICE", "WORKSPACE", "TITLE")]
    rows += [_row(session, "→" if session.id == last else "", now) for session in sessions]
    empty = {
        0: all(session.id != last for session in sessions),
        5: all(session.cost_usd <= 0 for session in sessions),
        6: all(session.workspace == "." for session in sessions),
    }
    return [tuple(cell for number, cell in enumerate(row) if not empty.get(number)) for row in rows]


def _row(session: Session, mark: str, now: float) -> tuple[str, ...]:
    from ccapi.cli.answer.figures import dollars

    return (
        mark,
        session.id[:SHORT],
        used(session.last_used_at, now),
        str(session.turns),
        _one_line(session.model),
        dollars(session.cost_usd) if session.cost_usd > 0 else "",  # of an answer that was cut off nothing is known
        _one_line(session.workspace),
        _one_line(session.title),
    )


def _cut(text: str) -> str:
    """Each line not longer than the terminal is wide."""
    from ccapi.cli.answer.cells import fit

    width = shutil.get_terminal_size().columns
    return "\n".join(fit(output.printable(line), width) for line in text.split("\n"))


def used(moment: float, now: float) -> str:
    """How long ago, or the day of what is longer ago than a month. Both in Unix seconds."""
    ago = now - moment
    if ago < _MINUTE:
        return "just now"
    for unit, name, limit in ((_MINUTE, "min", _HOUR), (_HOUR, "h", _DAY), (_DAY, "d", 30 * _DAY)):
        if ago < limit:
            return f"{int(ago // unit)} {name} ago"
    return datetime.fromtimestamp(moment).astimezone().strftime("%Y-%m-%d")


def _one_line(text: str) -> str:
    return output.printable(" ".join(text.split()))


# --- showing


def _show(turn: Turn, *, full: bool, thinking: bool) -> None:
    from ccapi.cli.answer.choose import Wanted
    from ccapi.commands.ask import Summary

    if turn.asked:
        output.write(f"{_quoted(turn.asked)}\n\n")
    with Wanted("full", "answer", full=full, thinking=thinking, past=True).view(Summary("")) as view:
        for event in turn.events:
            view.feed(event)


def _quoted(asked: Iterable[Item]) -> str:
    """What was asked as a Markdown quote; dim where the answer is rendered, and clean of what commands a terminal."""
    lines = [f"> {line}".rstrip() for part in asked for line in _part(part).split("\n")]
    if not output.on_screen():
        return "\n".join(lines)
    return "\n".join(output.tinted(output.printable(line), "2") for line in lines)


def _part(part: Item) -> str:
    match part["type"]:
        case "input_text":
            return str(part["text"])
        case "input_image":
            return "[image]"
        case _:
            return f"[file {part['filename']}]" if part.get("filename") else "[file]"


# --- removing


def _agreed(chosen: Sequence[Session], *, every: bool) -> bool:
    rows = [f"  {session.id[:SHORT]}  {_one_line(session.title)}" for session in chosen[:_NAMED]]
    if len(chosen) > _NAMED:
        rows.append(f"  and {len(chosen) - _NAMED} more")
    named = "\n".join(rows)
    again = "--all" if every else " ".join(session.id[:SHORT] for session in chosen)
    hint = f"{named}\nIf they may go: ccapi sessions rm {again} --yes"
    question = f"Remove {'all ' if every and len(chosen) > 1 else ''}{_count(len(chosen))}, for good?"
    return prompt.agreed(f"removing {_count(len(chosen))}", _cut(named), question, hint=hint)


def _outcome(deleted: Deleted) -> dict[str, Any]:
    failed = [{"id": name, "code": error.code, "message": error.message} for name, error in deleted.problems.items()]
    return {"deleted": deleted.ids, "failed": failed}


def _problem(deleted: Deleted) -> CcapiError:
    """What came in between, as one failure."""
    (name, first), *others = deleted.problems.items()
    if not others:
        return type(first)(f"{name[:SHORT]}: {first.message}", hint=first.hint)
    rows = [f"{name[:SHORT]}  {error.message}" for name, error in deleted.problems.items()]
    return type(first)(f"{_count(len(rows))} could not be removed", hint="\n".join(rows))


def _count(number: int) -> str:
    return f"{number} session{'' if number == 1 else 's'}"
