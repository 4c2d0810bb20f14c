"""`/v1/sessions`: the conversations that Claude Code keeps for a caller, and the whole of what their tools returned.

Everything is the caller's own: another's session is one that does not exist. A key that is shown less than everything
(`transcript` of its policy) is shown no more here.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import PurePath
from typing import Any, BinaryIO, Protocol

from aiohttp import web

from ccapi.agent.decoder import Decoder
from ccapi.agent.sessionfiles import Entry, SessionFiles
from ccapi.errors import CcapiError, InvalidRequest, NotFound, NotPermitted, SessionInUse, SessionNotFound, StoreFailed
from ccapi.gateway.access import CALLER
from ccapi.gateway.store import Session, Store
from ccapi.wire.events import RunFinished
from ccapi.wire.responseitems import Object, response_object
from ccapi.wire.responses import Encoder, Show

log = logging.getLogger(__name__)

_LIMIT = 20
_MAX_LIMIT = 100
_MAX_READ = 32 * 1024 * 1024  # bytes of a transcript, from its end
_READERS = 2  # transcripts read at once: each takes several times its size in memory
_CHUNK = 256 * 1024
_INTERRUPTED = ("[Request interrupted by user]", "[Request interrupted by user for tool use]")  # says the CLI, not he


class _Conversations(Protocol):
    def claimed(self, session_id: str) -> AbstractContextManager[bool]: ...


class Live(Protocol):
    """What is done with sessions at the moment (`ccapi.gateway.runs.Runs`)."""

    @property
    def conversations(self) -> _Conversations: ...

    def forget(self, session_id: str) -> Awaitable[None]:
        """End the process that is kept for the session's next turn, if there is one; it is gone after that."""


class SessionsHandler:
    """The routes."""

    def __init__(self, store: Store, files: SessionFiles, live: Live) -> None:
        self._store = store
        self._files = files
        self._live = live
        self._readers = asyncio.Semaphore(_READERS)

    def register(self, router: web.UrlDispatcher) -> None:
        """Add the routes."""
        router.add_get("/v1/sessions", self.list, allow_head=False)
        router.add_get("/v1/sessions/{id}", self.retrieve, allow_head=False)
        router.add_delete("/v1/sessions/{id}", self.delete)
        router.add_get("/v1/sessions/{id}/tool-results/{tool_use_id}", self.tool_result, allow_head=False)

    async def list(self, request: web.Request) -> web.StreamResponse:
        """In the shape of OpenAI's lists, the last used first."""
        owner, limit, after = request[CALLER].owner, _limit(request), request.query.get("after")
        if after is not None and await self._store.session(after, owner) is None:
            raise InvalidRequest("'after': there is no such session", param="after")
        found = await self._store.sessions(owner, limit=limit + 1, after=after)
        data = [_object(session) for session in found[:limit]]
        return web.json_response(
            {
                "object": "list",
                "data": data,
                "first_id": data[0]["id"] if data else None,
                "last_id": data[-1]["id"] if data else None,
                "has_more": len(found) > limit,
            }
        )

    async def retrieve(self, request: web.Request) -> web.StreamResponse:
        """The session with `items`: what was said in it, as the Responses API says it."""
        session, show = await self._session(request), request[CALLER].policy.transcript or "full"
        async with self._readers:
            body = await asyncio.to_thread(self._document, session, show)
        return web.Response(body=body, content_type="application/json", charset="utf-8")

    def _document(self, session: Session, show: Show) -> bytes:
        try:
            entries = self._files.conversation(session.id, session.head, limit=_MAX_READ)
            truncated = self._files.size(session.id) > _MAX_READ
        except OSError as error:
            raise StoreFailed("The session cannot be read", detail=str(error)) from error
        said = list(items(entries, session.model, show))
        return json.dumps({**_object(session), "items": said, "truncated": truncated}).encode()

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """The session, its files, its responses and all that is known about it. Not while a run uses it."""
        session = await self._session(request)
        with self._live.conversations.claimed(session.id) as free:
            if not free:
                raise SessionInUse("The session is in use; cancel the run, or wait until it has ended")
            await self._live.forget(session.id)
            if not await asyncio.to_thread(self._files.delete, session.id):
                raise StoreFailed("The session's files cannot be deleted; the gateway's log says why")
            await self._store.delete_session(session.id, session.owner)
        return web.json_response({"id": session.id, "object": "session", "deleted": True})

    async def tool_result(self, request: web.Request) -> web.StreamResponse:
        """The whole of an output that was too large for the transcript, from the file that Claude Code named for it."""
        session = await self._session(request)
        if request[CALLER].policy.transcript not in {None, "full"}:
            raise NotPermitted("This API key is not shown what tools return")
        tool_use_id = request.match_info["tool_use_id"]
        path = await self._store.tool_result(session.id, session.owner, tool_use_id)
        # Opened and closed here: in a thread, a client that leaves in that moment would leave the file open.
        file = self._files.open_result(session.id, path) if path else None
        if file is None:
            raise NotFound("There is no such output: only those too large for the conversation are kept as files")
        with file:
            return await _send(request, file, PurePath(str(path)).name)

    async def _session(self, request: web.Request) -> Session:
        session = await self._store.session(request.match_info["id"], request[CALLER].owner)
        if session is None:
            raise SessionNotFound("There is no such session")
        return session


async def _send(request: web.Request, file: BinaryIO, name: str) -> web.StreamResponse:
    """A tool's output is nothing that a browser should make sense of."""
    response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
    response.headers["Content-Disposition"] = f'attachment; filename="{_plain(name)}"'
    await response.prepare(request)
    while chunk := await asyncio.to_thread(file.read, _CHUNK):
        await response.write(chunk)
    await response.write_eof()
    return response


def _plain(name: str) -> str:
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "_" for letter in name)


def _limit(request: web.Request) -> int:
    given = request.query.get("limit", str(_LIMIT))
    if not (given.isascii() and given.isdigit() and len(given) < 6 and 1 <= int(given) <= _MAX_LIMIT):
        raise InvalidRequest(f"'limit': a whole number from 1 to {_MAX_LIMIT}", param="limit")
    return int(given)


def _object(session: Session) -> Object:
    return {
        "id": session.id,
        "object": "session",
        "created_at": int(session.created),
        "last_used_at": int(session.updated),
        "title": session.title,
        "model": session.model,
        "workspace": session.workspace,
        "turns": session.turns,
        "cost_usd": session.cost_usd,
    }


# --- a transcript as items


def items(entries: Sequence[Entry], model: str, show: Show = "full") -> Iterator[Object]:
    """What was said, as items of the Responses API. What subagents said among themselves is in files of their own."""
    turn = _Turn(model, show)
    for entry in entries:
        if entry["type"] == "user" and (content := _prompt(entry)):
            yield from turn.end()
            item_id = f"msg_{str(entry['uuid']).replace('-', '')}"
            yield {"id": item_id, "type": "message", "role": "user", "status": "completed", "content": content}
            turn = _Turn(model, show)
        else:
            turn.feed(entry)
    yield from turn.end()


class _Turn:
    """An answer, made again from what the CLI wrote down of it."""

    def __init__(self, model: str, show: Show) -> None:
        self._decoder = Decoder()
        self._encoder = Encoder(response_object("", model), show=show, names_session=False)
        self._encoder.begin()

    def feed(self, entry: Entry) -> None:
        line = {
            "type": entry["type"],
            "message": entry["message"],
            "tool_use_result": entry.get("toolUseResult"),
            "parent_tool_use_id": None,
        }
        try:
            self._encoder.feed(self._decoder.feed(json.dumps(line).encode()))
        except (CcapiError, RecursionError) as error:
            log.debug("left out an entry of a transcript: %s", getattr(error, "detail", error))

    def end(self) -> list[Object]:
        self._encoder.feed([RunFinished("", "stop")])
        output: list[Object] = self._encoder.response["output"]
        return output


def _prompt(entry: Entry) -> list[Object]:
    """The content of what a user said; nothing if it is what a tool returned, or what the CLI said itself."""
    if entry.get("isMeta") or entry.get("isSynthetic") or entry.get("isCompactSummary") or entry.get("origin"):
        return []
    content = entry["message"].get("content")
    if isinstance(content, str):
        return [_text(content)]
    blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    if len(blocks) == 1 and blocks[0].get("text") in _INTERRUPTED:
        return []
    return [_part(block) for block in blocks if block.get("type") != "tool_result"]


def _part(block: dict[str, Any]) -> Object:
    """Attachments are named and not repeated: a client that sent them has them."""
    match block.get("type"):
        case "text":
            return _text(str(block.get("text", "")))
        case "image":
            return {"type": "input_image", "detail": "auto", "file_id": None, "image_url": None}
        case _:
            return {"type": "input_file", "file_id": None, "filename": str(block.get("title") or "")}


def _text(text: str) -> Object:
    return {"type": "input_text", "text": text}
