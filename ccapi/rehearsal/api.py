"""The routes: `POST /v1/messages`, streaming or not, `POST /v1/messages/count_tokens`, and Claude Code's `/api/hello`.

No key is checked: the server says what its scenario says, to whoever asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import secrets
from collections import deque
from typing import TYPE_CHECKING, Any

from aiohttp import web

from ccapi.rehearsal.conversation import Conversation
from ccapi.rehearsal.failures import ERRORS, error_body
from ccapi.rehearsal.received import Received
from ccapi.rehearsal.reply import Reply, Wait
from ccapi.rehearsal.script import Attempts, choose
from ccapi.rehearsal.side import side_turn
from ccapi.rehearsal.turns import Cut, Failure, Pause, Scenario, Turn
from ccapi.rehearsal.usage import input_usage, total_input

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

REQUESTS = web.AppKey("REQUESTS", deque[Received])
_SCENARIO = web.AppKey("_SCENARIO", Scenario)
_SPEED = web.AppKey("_SPEED", float)
_ATTEMPTS = web.AppKey("_ATTEMPTS", Attempts)

_REQUESTS_KEPT = 1000
_LARGEST_BODY = 32 * 1024 * 1024  # as the real API
_BEFORE_CUT = 0.5  # seconds; a client drops what arrives together with the end of the connection, unread
_SESSION = "X-Claude-Code-Session-Id"


class Refused(Exception):
    """The whole answer is an API error, or a cut connection. `_refusals` sends it."""

    def __init__(self, end: Failure | Cut) -> None:
        self.end = end


def create_app(scenario: Scenario, *, speed: float = 1.0) -> web.Application:
    """The server's app. Every pause of the scenario is multiplied by `speed`: 0 means no pauses at all."""
    app = web.Application(client_max_size=_LARGEST_BODY, middlewares=[_refusals])
    app[_SCENARIO] = scenario
    app[_SPEED] = speed
    app[_ATTEMPTS] = Attempts()
    app[REQUESTS] = deque(maxlen=_REQUESTS_KEPT)
    app.router.add_get("/api/hello", _hello)  # answers HEAD too, which is what Claude Code sends
    app.router.add_post("/v1/messages", _messages)
    app.router.add_post("/v1/messages/count_tokens", _count_tokens)
    return app


@web.middleware
async def _refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as refused:
        if isinstance(refused.end, Failure):
            return _error(refused.end)
        _cut(request)
        return web.Response()  # goes nowhere


async def _hello(_: web.Request) -> web.Response:
    return web.Response()


async def _count_tokens(request: web.Request) -> web.Response:
    return web.json_response({"input_tokens": total_input(await _read(request))}, headers=_request_id())


async def _messages(request: web.Request) -> web.StreamResponse:
    conversation = await _read(request)
    side = side_turn(conversation)
    request.app[REQUESTS].append(Received.of(request, conversation, side=side is not None))
    turn = side or _scripted(request, conversation)
    await _refuse_at_once(turn, request.app[_SPEED])
    reply = Reply(conversation.model, turn, input_usage(conversation))
    send = _stream if conversation.body.get("stream") is True else _whole
    return await send(request, reply, request.app[_SPEED])


async def _read(request: web.Request) -> Conversation:
    try:
        return Conversation(json.loads(await request.read()))
    except web.HTTPRequestEntityTooLarge as error:
        raise Refused(Failure(413, ERRORS[413].message)) from error
    except ValueError as error:
        raise Refused(Failure(400, str(error))) from error


def _scripted(request: web.Request, conversation: Conversation) -> Turn:
    scenario = request.app[_SCENARIO]
    attempt = request.app[_ATTEMPTS].count(request.headers.get(_SESSION, ""), conversation)
    turn = choose(scenario, conversation, attempt)
    if turn is None:
        asked = f"prompt {conversation.prompt[:200]!r}, {len(conversation.results)} tool results, attempt {attempt}"
        problem = f"rehearsal scenario {scenario.name!r} has no turn for {asked}, model {conversation.model!r}"
        raise Refused(Failure(400, problem))
    return turn


async def _refuse_at_once(turn: Turn, speed: float) -> None:
    """Raises `Refused` for a turn that fails before it says anything: that is an HTTP status, not an event."""
    *before, last = turn.steps
    if isinstance(last, Failure | Cut) and all(isinstance(step, Pause) for step in before):
        await asyncio.sleep(speed * sum(step.seconds for step in before if isinstance(step, Pause)))
        raise Refused(last)


async def _whole(_: web.Request, reply: Reply, speed: float) -> web.StreamResponse:
    """One JSON message, after as long as streaming it would have taken."""
    for event in reply.events():
        match event:
            case Wait(seconds):
                await asyncio.sleep(seconds * speed)
            case Failure() | Cut():
                raise Refused(event)
    return web.json_response(reply.message(), headers=_request_id())


async def _stream(request: web.Request, reply: Reply, speed: float) -> web.StreamResponse:
    request_id = _request_id()
    headers = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"} | request_id
    response = web.StreamResponse(headers=headers)
    with contextlib.suppress(ConnectionError):  # Claude Code left
        await response.prepare(request)
        for event in reply.events():
            match event:
                case Wait(seconds):
                    await asyncio.sleep(seconds * speed)
                case Failure(status, message):
                    await response.write(_sse(error_body(status, message, *request_id.values())))
                case Cut():
                    await asyncio.sleep(_BEFORE_CUT)
                    _cut(request)
                case dict():
                    await response.write(_sse(event))
    return response


def _sse(event: dict[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode("ascii")


def _cut(request: web.Request) -> None:
    """Closes the connection without ending the response; what was written before still goes out."""
    if request.transport is not None:
        request.transport.close()


def _error(failure: Failure) -> web.Response:
    headers = _request_id()
    body = error_body(failure.status, failure.message, *headers.values())
    if failure.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(failure.retry_after))  # the header takes whole seconds
    return web.json_response(body, status=failure.status, headers=headers)


def _request_id() -> dict[str, str]:
    return {"request-id": f"req_{secrets.token_hex(12)}"}
