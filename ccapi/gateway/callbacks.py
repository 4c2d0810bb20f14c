"""A callback is handed to the listener of the login it belongs to, on the loopback interface of the container.

Over a plain socket: the query is a secret that must arrive byte for byte, and a client library would parse it, write it
anew, follow redirects, ask a proxy, or put the URL into the text of an exception.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Collection
from dataclasses import dataclass

from ccapi.errors import InvalidRequest
from ccapi.wire import authorization
from ccapi.wire.authorization import Redirect
from ccapi.wire.internal import Callback, Delivery

log = logging.getLogger(__name__)

SECONDS = 10.0  # for all of it
MAX_QUERY = 8192  # characters
_MAX_ANSWER = 256 * 1024  # bytes that are read of it, so that the listener can finish; nobody sees them
_QUERY = re.compile(r"[!-\"$-~]*")  # visible ASCII without the #
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r\n]")
# The listener has one of the two, and which one `localhost` means is the resolver's choice.
_ADDRESSES = {
    "localhost": ("127.0.0.1", "::1"),
    "127.0.0.1": ("127.0.0.1", "::1"),
    "[::1]": ("::1", "127.0.0.1"),
}


@dataclass(frozen=True, slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


async def deliver(callback: Callback, *, reserved: Collection[int], seconds: float = SECONDS) -> Delivery:
    """What became of it. It is sent once at most, and nothing of the answer is used but whether it is a 2xx.

    `reserved` are ports that no login may have. Raises `InvalidRequest`, and `LoginRefused` for a target that no login
    has.
    """
    target = authorization.redirect(f"http://{callback.host}:{callback.port}{callback.path}", reserved)
    if len(callback.query) > MAX_QUERY or not _QUERY.fullmatch(callback.query):
        raise InvalidRequest(f"'query' must be visible ASCII, {MAX_QUERY} characters at most", param="query")
    try:
        async with asyncio.timeout(seconds):
            outcome = await _deliver(target, callback.query)
    except TimeoutError:
        outcome = "timeout"
    log.info("a callback for port %d: %s", target.port, outcome)
    return outcome


async def _deliver(target: Redirect, query: str) -> Delivery:
    if not (connection := await _connected(target)):
        return "unreachable"
    head = (
        f"GET {target.path}{'?' if query else ''}{query} HTTP/1.1\r\n"
        f"Host: {target.host}:{target.port}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
    try:
        connection.writer.write(head.encode("ascii"))
        await connection.writer.drain()
        status = await connection.reader.readline()
        if not status:
            return "unreachable"  # it ended before it said anything
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await _discard(connection.reader)
    except OSError:
        return "unreachable"
    except ValueError:  # a line without an end
        return "refused"
    finally:
        connection.writer.transport.abort()
    found = _STATUS.match(status)
    return "accepted" if found and found[1].startswith(b"2") else "refused"


async def _connected(target: Redirect) -> _Connection | None:
    for address in _ADDRESSES[target.host]:
        with contextlib.suppress(OSError):
            return _Connection(*await asyncio.open_connection(address, target.port))
    return None


async def _discard(reader: asyncio.StreamReader) -> None:
    left = _MAX_ANSWER
    while left > 0 and (chunk := await reader.read(65_536)):
        left -= len(chunk)
