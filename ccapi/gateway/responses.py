"""`/v1/responses`: a run as items, streamed or whole, on a connection or in the background.

Source: OpenAI API reference, "Responses".
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from aiohttp import web

from ccapi.errors import CcapiError, InvalidRequest, ResponseNotFound
from ccapi.gateway.access import CALLER
from ccapi.gateway.responses_background import Backgrounds
from ccapi.gateway.responses_conversations import ConversationsHandler
from ccapi.gateway.responses_input import kept
from ccapi.gateway.responses_request import ResponsesRequest, parse_responses
from ccapi.gateway.responses_runs import Pending, ResponseRuns
from ccapi.gateway.responses_stream import ResponseStream
from ccapi.gateway.runs import Answer, Runs
from ccapi.gateway.security import body, log_detail
from ccapi.gateway.store import Store, StoredResponse
from ccapi.redact import redact
from ccapi.wire.events import Notice, RunFailed
from ccapi.wire.responseitems import Object
from ccapi.wire.responses import Encoder

_MODEL_HEADER, _SESSION_HEADER = "X-CCAPI-Model", "X-Session-Id"
_TRANSCRIPT_HEADER, _IGNORED_HEADER = "X-CCAPI-Transcript", "X-CCAPI-Ignored"
_TASK_HEADER = "X-OpenWebUI-Task"
_MAX_PAGE = 100


class ResponsesHandler:
    """The routes. `heartbeat` is in seconds. Another key's response is as if it were not there."""

    def __init__(self, runs: Runs, store: Store, data_dir: Path, *, heartbeat: float) -> None:
        self._runs = runs
        self._store = store
        self._heartbeat = heartbeat
        self._responses = ResponseRuns(runs, store)
        self._background = Backgrounds(self._responses, data_dir / "responses", heartbeat)
        self._conversations = ConversationsHandler(store)

    def register(self, app: web.Application) -> None:
        """To be called after whatever opens the store."""
        one = "/v1/responses/{id}"
        app.router.add_post("/v1/responses", self.create)
        app.router.add_get(one, self.retrieve, allow_head=False)
        app.router.add_delete(one, self.delete)
        app.router.add_post(f"{one}/cancel", self.cancel)
        app.router.add_get(f"{one}/input_items", self.input_items, allow_head=False)
        self._conversations.register(app.router)
        app.cleanup_ctx.append(self._life)

    async def _life(self, app: web.Application) -> AsyncIterator[None]:
        del app
        await self._background.open()
        yield
        await self._background.close()

    # --- routes

    async def create(self, request: web.Request) -> web.StreamResponse:
        asked = parse_responses(await body(request))
        pending, ignored = await self._pending(request, asked)
        headers = {_IGNORED_HEADER: ", ".join(ignored)} if ignored else {}
        if asked.background:
            document = await self._background.start(pending)
            return await self._follow(request, pending.id, -1, headers) if asked.stream else _json(document, headers)
        if asked.stream:
            return await self._streamed(self._stream(request, headers), pending)
        return await self._whole(pending, headers)

    async def retrieve(self, request: web.Request) -> web.StreamResponse:
        document = await self._document(request)
        after = _number(request, "starting_after", -1)
        if not _flag(request, "stream"):
            return _json(document)
        if not document["background"]:
            message = "'stream': only the stream of a response with 'background' can be read again"
            raise InvalidRequest(message, param="stream")
        return await self._follow(request, document["id"], after, {})

    async def cancel(self, request: web.Request) -> web.Response:
        document = await self._document(request)
        if not document["background"]:
            message = "Only a response with 'background' can be cancelled: leave the connection of any other"
            raise InvalidRequest(message)
        await self._background.cancel(document["id"], request[CALLER].owner)
        return _json(await self._document(request))

    async def delete(self, request: web.Request) -> web.Response:
        """Its session stays: it is deleted as one."""
        response_id, owner = (await self._document(request))["id"], request[CALLER].owner
        await self._background.cancel(response_id, owner)
        self._background.remove(response_id, owner)  # first: where the disk is full, there is room again
        await self._store.delete_response(response_id, owner)
        self._background.forget(response_id)
        return _json({"id": response_id, "object": "response", "deleted": True})

    async def input_items(self, request: web.Request) -> web.Response:
        items = [dict(item) for item in (await self._stored(request)).input_items]
        order = request.query.get("order", "desc")
        limit = _number(request, "limit", 20)
        if order not in {"asc", "desc"}:
            raise InvalidRequest("'order' must be asc or desc", param="order")
        if not 1 <= limit <= _MAX_PAGE:
            raise InvalidRequest(f"'limit' must be between 1 and {_MAX_PAGE}", param="limit")
        if order == "desc":
            items.reverse()
        page = _after(items, request.query.get("after"))
        data = page[:limit]
        first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
        more = len(page) > limit
        return _json({"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": more})

    # --- what a request asks for

    async def _pending(self, request: web.Request, asked: ResponsesRequest) -> tuple[Pending, tuple[str, ...]]:
        caller, headers = request[CALLER], request.headers
        question = asked.question(session_id=headers.get(_SESSION_HEADER), transcript=headers.get(_TRANSCRIPT_HEADER))
        response_id = f"resp_{uuid.uuid4().hex}"
        checkpoint = None
        if asked.previous_response_id is not None:
            before = await self._before(asked.previous_response_id, caller.owner)
            question = replace(question, session_id=before.session_id)
            checkpoint = before.checkpoint
        pending = Pending(
            response_id,
            caller,
            question,
            asked.response(response_id),
            kept(asked.input),
            asked.stored,
            checkpoint,
            asked.conversation_id,
            headers.get(_TASK_HEADER),
            asked.abandon_after,
        )
        return pending, asked.ignored(question)

    async def _before(self, response_id: str, owner: str) -> StoredResponse:
        """The response to go on from."""
        param = "previous_response_id"
        before = await self._store.response(response_id, owner)
        if before is None:
            raise ResponseNotFound("There is no such response, or it was not stored", param=param)
        if not before.session_id or not before.checkpoint:
            raise InvalidRequest(f"'{param}': nothing can follow a response that is {before.status}", param=param)
        return before

    # --- answers

    async def _whole(self, pending: Pending, headers: dict[str, str]) -> web.StreamResponse:
        encoder = pending.encoder()
        async with self._responses.open(pending, encoder, _nothing, self._heartbeat) as answer:
            due: list[Object] = []
            while not answer.ended:
                due = self._responses.encode(encoder, answer, await answer.next(self._heartbeat))
            if encoder.error:
                raise encoder.error
            document = due[-1]["response"]
            await self._responses.keep(pending, answer, document)
            return _json(document, {**headers, **_about(answer)})

    async def _streamed(self, stream: ResponseStream, pending: Pending) -> web.StreamResponse:
        encoder = pending.encoder()
        due = encoder.begin()
        try:
            async with self._responses.open(pending, encoder, stream.comment, self._heartbeat) as answer:
                while not answer.ended:
                    due += await self._next(stream, encoder, answer)
                    # While nothing was said yet, a failure can still be a status.
                    if not answer.ended and (stream.started or not encoder.empty):
                        await stream.events(due)
                        due = []
                if encoder.error:
                    if not stream.started:
                        raise encoder.error
                    log_detail(encoder.error)
                await self._responses.keep(pending, answer, due[-1]["response"])
                await stream.events(due)
                return await stream.finish()
        except CcapiError as error:
            if not stream.started or encoder.ended:
                raise
            log_detail(error)
            await stream.events([*due, *encoder.feed([RunFailed(error)])])
            return await stream.finish()

    async def _next(self, stream: ResponseStream, encoder: Encoder, answer: Answer) -> list[Object]:
        """What comes next is said by comments, or returned."""
        events = await answer.next(max(0.05, self._heartbeat - stream.silent_for))
        if not stream.started:
            stream.headers.update(_about(answer))
        for event in events:
            if type(event) is Notice:
                await stream.comment(redact(event.message))
        due = self._responses.encode(encoder, answer, events)
        if not due and stream.silent_for >= self._heartbeat:
            await stream.comment()
        return due

    async def _follow(
        self, request: web.Request, response_id: str, after: int, headers: dict[str, str]
    ) -> web.StreamResponse:
        stream = self._stream(request, headers)
        await self._background.follow(response_id, request[CALLER].owner, stream, after)
        if not stream.started:  # there is nothing behind that event
            await stream.comment()
        return await stream.finish()

    def _stream(self, request: web.Request, headers: dict[str, str]) -> ResponseStream:
        return ResponseStream(request, headers, timeout=self._runs.agent.idle_timeout)

    # --- what is there

    async def _document(self, request: web.Request) -> Object:
        response_id, owner = request.match_info["id"], request[CALLER].owner
        live = await self._background.document(response_id, owner)
        return live if live is not None else dict((await self._stored(request)).document)

    async def _stored(self, request: web.Request) -> StoredResponse:
        found = await self._store.response(request.match_info["id"], request[CALLER].owner)
        if found is None:
            raise ResponseNotFound("There is no such response, or it was not stored", param="response_id")
        return found


def _about(answer: Answer) -> dict[str, str]:
    """The headers that say what answers."""
    session = {_SESSION_HEADER: answer.session_id} if answer.session_id and answer.question.persist else {}
    return {_MODEL_HEADER: answer.model, **session}


def _json(document: Object, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(document, headers=headers)


def _flag(request: web.Request, name: str) -> bool:
    value = request.query.get(name, "false").lower()
    if value not in {"true", "false", "1", "0"}:
        raise InvalidRequest(f"'{name}' must be true or false", param=name)
    return value in {"true", "1"}


def _number(request: web.Request, name: str, default: int) -> int:
    value = request.query.get(name)
    if value is None:
        return default
    if not value.isascii() or not value.isdigit() or len(value) > 9:
        raise InvalidRequest(f"'{name}' must be a whole number", param=name)
    return int(value)


def _after(items: list[Object], after: str | None) -> list[Object]:
    if after is None:
        return items
    for place, item in enumerate(items):
        if item["id"] == after:
            return items[place + 1 :]
    raise InvalidRequest("'after': there is no such item", param="after")


async def _nothing() -> None:
    """A client that is not streamed to learns nothing while it waits."""
