"""The gateway's log: text or JSON, one line an event, with the id of the request it belongs to.

What is logged may hold what a client sent. So every line is redacted (`ccapi.redact`), control characters are written
as escapes (no value can look like a line of its own), and many exceptions are named without their text: that of
aiohttp's parser repeats the request, that of pydantic the value at fault.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import re
import sys
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

from aiohttp import web
from aiohttp.typedefs import Middleware

from ccapi.gateway import access
from ccapi.redact import redact
from ccapi.wire.internal import LOGINS, OVERVIEW

log = logging.getLogger(__name__)

Format = Literal["text", "json"]
Observe = Callable[[str, str, int, float], None]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADER = "X-Request-Id"
CLIENT_LEFT = 499  # as nginx counts a request whose client did not wait for the answer
UNMATCHED = "unmatched"

_ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PROBES = frozenset({"/health", "/ready", "/metrics", LOGINS, f"{LOGINS}/{{id}}", OVERVIEW})
# Packages whose exceptions may speak: an operator must know what they say, and they do not quote a request at length.
_SPEAKING = frozenset({"ccapi", "builtins", "sqlite3", "socket", "ssl", "asyncio"})
_LONGEST_MESSAGE, _LONGEST_REASON = 8000, 500  # characters
_REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")


def configure(level: str, format: Format) -> None:  # noqa: A002 -- the setting's own name
    """Send the log of this process to stderr, and nowhere else."""
    handler = _Stderr()
    handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter())
    handler.addFilter(_NowAndThen("socket.accept() out of system resource", every=10.0))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))  # others' DEBUG shows what was sent
    logging.getLogger("ccapi").setLevel(level)


class _NowAndThen(logging.Filter):
    """Out of descriptors, asyncio says so thousands of times a second."""

    def __init__(self, beginning: str, every: float) -> None:
        super().__init__()
        self._beginning, self._every, self._last = beginning, every, -math.inf

    def filter(self, record: logging.LogRecord) -> bool:
        if not str(record.msg).startswith(self._beginning):
            return True
        now = time.monotonic()
        due = now - self._last >= self._every
        self._last = now if due else self._last
        return due


def request_id() -> str:
    """Of the request at hand; tasks that it starts inherit it. Empty outside of one."""
    return _REQUEST_ID.get()


def new_request_id() -> str:
    return uuid.uuid4().hex


def fields(**values: Any) -> dict[str, Any]:
    """`log.info(..., extra=fields(session=...))`: members of their own in a JSON line. None is left out."""
    return {"fields": {name: value for name, value in values.items() if value is not None}}


# --- requests


def request_context(observe: Observe) -> Middleware:
    """The outermost middleware: gives the request its id, and leaves a line and a number when it is over.

    `observe` is told method, route, status and seconds; none of them is the client's own wording.
    """

    @web.middleware
    async def context(request: web.Request, handler: Handler) -> web.StreamResponse:
        _REQUEST_ID.set(_accepted(request.headers.get(HEADER)) or new_request_id())  # aiohttp: a task per request
        began, status = time.monotonic(), 500
        try:
            response = await handler(request)
        except (asyncio.CancelledError, ConnectionError):
            status = CLIENT_LEFT
            raise
        else:
            status = response.status
            return response
        finally:
            method = request.method if request.method in _METHODS else "other"
            route, seconds = _route(request), time.monotonic() - began
            observe(method, route, status, seconds)
            _request_ended(method, route, status, seconds, request.get(access.CALLER))

    return context


async def set_request_id(request: web.Request, response: web.StreamResponse) -> None:
    """The header of every response, streamed ones and errors included (signal `on_response_prepare`)."""
    del request
    response.headers[HEADER] = request_id() or new_request_id()


def _accepted(given: str | None) -> str | None:
    """A client's id is taken as it is or not at all."""
    return given if given and _ACCEPTED_ID.fullmatch(given) else None


def _route(request: web.Request) -> str:
    """The route's template: a path may hold ids, a query secrets, and both whatever a client likes."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else UNMATCHED


def _request_ended(method: str, route: str, status: int, seconds: float, caller: access.Caller | None) -> None:
    owner = caller.owner if caller else None
    level = logging.WARNING if status >= 500 else logging.INFO
    if status < 400 and route in _PROBES:
        level = logging.DEBUG  # every few seconds, and nothing happened
    facts = fields(method=method, route=route, status=status, ms=round(seconds * 1000, 1), caller=owner)
    message = "%s %s %d %.1f ms caller=%s"
    log.log(level, message, method, route, status, seconds * 1000, owner or "-", extra=facts)


# --- how a line is written


def one_line(text: str) -> str:
    """`text` without anything that a terminal or a reader of lines takes for more than text."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


class _Formatter(logging.Formatter):
    def message(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if _package(record.name) != "ccapi":
            text = text.partition("\n")[0]  # asyncio's further lines show the exception, and whose it is
        if len(text) > _LONGEST_MESSAGE:
            text = f"{text[:_LONGEST_MESSAGE]}… ({len(text)} characters)"
        return one_line(redact(text))

    def traceback(self, record: logging.LogRecord) -> list[str]:
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return []
        return [one_line(redact(line)) for line in _described(error, with_text=_package(record.name) == "ccapi")]


class TextFormatter(_Formatter):
    """`time LEVEL logger [request id] message`; a traceback's lines follow, each behind a bar."""

    def format(self, record: logging.LogRecord) -> str:
        head = (
            f"{_time(record)} {record.levelname} {record.name} [{redact(request_id()) or '-'}] {self.message(record)}"
        )
        return "\n".join([head, *(f"  | {line}" for line in self.traceback(record))])


class JsonFormatter(_Formatter):
    """An object a line, ASCII only. `logs.fields` become members of it."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {"time": _time(record), "level": record.levelname, "logger": record.name}
        if given := request_id():
            line["request_id"] = redact(given)
        line["message"] = self.message(record)
        line |= {name: _plain(value) for name, value in getattr(record, "fields", {}).items() if name not in line}
        if lines := self.traceback(record):
            line["traceback"] = "\n".join(lines)
        return json.dumps(line)


class _Stderr(logging.Handler):
    """`logging.StreamHandler` on a failure prints the record with all its arguments, as they are."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001 -- what is logged must not fail for how it is logged
            line = f"a line of {record.name} could not be logged: {type(error).__name__}"
        with contextlib.suppress(OSError, ValueError):  # nobody reads
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float) else one_line(redact(str(value)))


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _package(module: str) -> str:
    return module.partition(".")[0]


def _described(error: BaseException, *, with_text: bool) -> Iterator[str]:
    """A traceback's lines, causes first; `with_text`: with the words of those exceptions that may speak."""
    if cause := error.__cause__ or (None if error.__suppress_context__ else error.__context__):
        yield from _described(cause, with_text=with_text)
        yield "which led to:"
    for entry in traceback.format_tb(error.__traceback__):
        yield from entry.rstrip("\n").split("\n")
    kind = type(error)
    reason = str(error)[:_LONGEST_REASON] if with_text and _package(kind.__module__) in _SPEAKING else ""
    yield f"{kind.__qualname__}: {reason}" if reason else kind.__qualname__
    if isinstance(error, BaseExceptionGroup):
        for number, one in enumerate(error.exceptions, 1):
            yield f"{number} of {len(error.exceptions)}:"
            yield from _described(one, with_text=with_text)
