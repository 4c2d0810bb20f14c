"""The sessions of whoever asks, and the models: what the gateway says of them, and what is known here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ccapi import settings as host_settings
from ccapi.commands import lastsession
from ccapi.errors import OutputFailed, SessionInUse, SessionNotFound, UsageError

if TYPE_CHECKING:
    from ccapi.client.sessions import ApiClient, Model, Session
    from ccapi.settings import Settings

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAMED = 5  # sessions that a message names, at most
LIST = "See which there are: ccapi sessions list"


@dataclass(frozen=True, slots=True)
class Listed:
    """`more`: there are others."""

    sessions: list[Session]
    more: bool


@dataclass(frozen=True, slots=True)
class Deleted:
    """`problems`: what came in between, by id."""

    ids: list[str]
    problems: dict[str, SessionInUse | SessionNotFound]


def listed(settings: Settings, limit: int | None) -> Listed:
    """The sessions, the last used first. None: all of them. Raises as `ApiClient` does."""
    with _client(settings) as api:
        found = list(islice(api.sessions(), None if limit is None else limit + 1))
    shown = found[:limit]
    with suppress(OutputFailed):  # it is for the completion in the shell, which does without
        lastsession.learn(settings.home, settings.base_url, {session.id: session.title for session in shown})
    return Listed(shown, len(found) > len(shown))


def found(settings: Settings, prefixes: Sequence[str]) -> list[Session]:
    """The sessions whose ids begin so, each once.

    Raises `SessionNotFound`, `UsageError` when several begin so, and as `ApiClient` does.
    """
    with _client(settings) as api:
        every = list(api.sessions())
    chosen = [_one(every, prefix) for prefix in prefixes]
    return list({session.id: session for session in chosen}.values())


def resolve(settings: Settings, prefix: str) -> str:
    """The whole id of the one session that begins so. What is a whole id is not looked up. Raises as `found` does."""
    wanted = _typed(prefix)
    return wanted if _ID.fullmatch(wanted) else found(settings, [prefix])[0].id


def document(settings: Settings, session_id: str) -> dict[str, Any]:
    """A session with `items`: what was said and done in it. Raises as `ApiClient` does."""
    with _client(settings) as api:
        return api.session(session_id)


def delete(settings: Settings, session_ids: Sequence[str]) -> Deleted:
    """One after the other; those that cannot go keep none of the others from going. Raises as `ApiClient` does."""
    deleted = Deleted([], {})
    with _client(settings) as api:
        for session_id in session_ids:
            try:
                api.delete(session_id)
            except (SessionInUse, SessionNotFound) as error:
                deleted.problems[session_id] = error
            else:
                deleted.ids.append(session_id)
    gone = [*deleted.ids, *(name for name, error in deleted.problems.items() if isinstance(error, SessionNotFound))]
    with suppress(OutputFailed):
        lastsession.forget(settings.home, settings.base_url, gone)
    return deleted


def models(settings: Settings) -> list[Model]:
    """Raises as `ApiClient` does."""
    with _client(settings) as api:
        return api.models()


def last(settings: Settings, directory: Path) -> str:
    """The id of the session that was used last in this directory. Raises `SessionNotFound`, `OutputFailed`."""
    session_id = lastsession.last(settings.home, settings.base_url, directory)
    if session_id is None:
        raise SessionNotFound("There is no session of this directory", hint=LIST)
    return session_id


def _typed(prefix: str) -> str:
    return prefix.strip().lower()


def _one(sessions: Sequence[Session], prefix: str) -> Session:
    wanted = _typed(prefix)
    if not wanted:
        raise UsageError("The session's id is empty", hint=LIST)
    matching = [session for session in sessions if session.id.startswith(wanted)]
    if not matching:
        raise SessionNotFound(f"There is no session {prefix!r}", hint=LIST)
    if len(matching) > 1:
        raise UsageError(f"{len(matching)} sessions begin with {prefix!r}", hint=_several(matching))
    return matching[0]


def _several(sessions: Sequence[Session]) -> str:
    rows = [f"{session.id}  {session.title}" for session in sessions[:_NAMED]]
    return "\n".join([*rows, f"and {len(sessions) - _NAMED} more"] if len(sessions) > _NAMED else rows)


@contextmanager
def _client(settings: Settings) -> Iterator[ApiClient]:
    from ccapi.client.sessions import ApiClient  # late: a question in a session whose id is whole needs no such client

    try:
        with ApiClient(settings.base_url, host_settings.api_key()) as api:
            yield api
    except SessionNotFound as error:
        raise SessionNotFound(error.message, hint=LIST) from None
