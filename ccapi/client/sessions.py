"""The gateway's public API, as far as it is not about a question: the caller's sessions, and the models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

from ccapi.client.endpoint import NEW_KEY, SERVICE
from ccapi.client.http import JsonClient
from ccapi.errors import KeyInvalid
from ccapi.wire.typed import count, number, text

PAGE = 100  # sessions; more are not given at once
_PATIENCE = 60.0  # seconds: a session may be long, and others may read theirs


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation. Times are Unix seconds; `workspace` is `.` for the whole of it."""

    id: str
    created_at: int
    last_used_at: int
    title: str
    model: str
    workspace: str
    turns: int
    cost_usd: float


@dataclass(frozen=True, slots=True)
class Model:
    """A name that may be asked for, and what Claude Code is asked for then."""

    name: str
    model: str


class ApiClient:
    """Asks the gateway at `base_url`, for the holder of a key (None: for who has none).

    Raises what its envelope says (`KeyInvalid`, `SessionNotFound`, `SessionInUse`, …), or `GatewayUnreachable`. An
    answer of another form raises `GatewayProtocol`.
    """

    def __init__(self, base_url: str, api_key: str | None) -> None:
        self._api = JsonClient(SERVICE, base_url, api_key)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open between two requests."""

    def sessions(self) -> Iterator[Session]:
        """The last used first; as many are fetched as are taken. None comes twice."""
        after: dict[str, str] = {}
        seen: set[str] = set()
        while True:
            document = self._call("GET", "/v1/sessions", query={"limit": str(PAGE), **after})
            with self._as_agreed():
                page = [_session(entry) for entry in document["data"]]
                more = document["has_more"]
            new = [session for session in page if session.id not in seen]
            yield from new
            if not new or not more:  # a page that brings nothing new would come again and again
                return
            seen.update(session.id for session in new)
            after = {"after": page[-1].id}

    def session(self, session_id: str) -> dict[str, Any]:
        """The session's document, with `items`: what was said and done in it, as the Responses API says it."""
        document = self._call("GET", _path(session_id))
        with self._as_agreed():
            found: dict[str, Any] = {**document, "items": [*document["items"]]}
        return found

    def delete(self, session_id: str) -> None:
        """The session, its files and its responses."""
        self._call("DELETE", _path(session_id))

    def models(self) -> list[Model]:
        """Those that have a name of their own; any claude-* id can be asked for as well."""
        document = self._call("GET", "/v1/models")
        with self._as_agreed():
            return [Model(text(entry, "id"), text(entry["ccapi"], "model")) for entry in document["data"]]

    def _call(self, method: str, path: str, *, query: Mapping[str, str] | None = None) -> Any:
        try:
            return self._api.call(method, path, query=query, patience=_PATIENCE)
        except KeyInvalid as error:
            raise KeyInvalid(error.message, hint=NEW_KEY) from None

    @contextmanager
    def _as_agreed(self) -> Iterator[None]:
        try:
            yield
        except (TypeError, LookupError, AttributeError, ValueError):
            raise self._api.foreign() from None


def _session(entry: Mapping[str, Any]) -> Session:
    return Session(
        text(entry, "id"),
        count(entry, "created_at"),
        count(entry, "last_used_at"),
        text(entry, "title"),
        text(entry, "model"),
        text(entry, "workspace"),
        count(entry, "turns"),
        number(entry, "cost_usd"),
    )


def _path(session_id: str) -> str:
    return f"/v1/sessions/{quote(session_id, safe='')}"
