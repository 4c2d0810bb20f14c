"""What an MCP endpoint says of itself: whether it takes a token, and if it wants a login, which ways in it has.

Asked from here, since from here Claude Code will connect: with the container's network, proxies and CA certificates.
Nothing is followed anywhere (a redirect is reported), and the token goes to the endpoint alone.

Source: Model Context Protocol, "Lifecycle", "Transports" (Streamable HTTP), "Tools".
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
from yarl import URL

from ccapi import __version__
from ccapi.errors import InvalidRequest
from ccapi.gateway import waysin
from ccapi.gateway.waysin import Object, as_object, word
from ccapi.wire.internal import Probed

MAX_TOKEN = 4096  # characters
SECONDS = 20.0  # for all of it
_MAX_ANSWER = 4_000_000  # bytes; hundreds of tools describe themselves at length
_MAX_PAGES, _MAX_TOOLS = 10, 1000
_VERSION = "2025-06-18"  # of the protocol; a server that has another one only answers with that
_TOKEN = re.compile(r"[!-~]+")
_END_OF_EVENT = re.compile(rb"\r?\n\r?\n")  # WHATWG HTML, "Server-sent events"


class _Over(Exception):
    """The end of the probe, with what it found."""

    def __init__(self, found: Probed) -> None:
        super().__init__(found.outcome)
        self.found = found


async def probe(url: str, token: str | None, *, seconds: float = SECONDS) -> Probed:
    """Ask as an MCP client does: `initialize`, and which tools there are. Raises `InvalidRequest`."""
    endpoint = _endpoint(url, token)
    try:
        async with asyncio.timeout(seconds), _session() as session, _initialized(session, endpoint, token) as server:
            return Probed("ok", server=server.name, tools=tuple(await server.tools()))
    except _Over as over:
        return over.found
    except TimeoutError:
        return Probed("unreachable", f"it does not answer within {seconds:g} s")
    except aiohttp.ClientError as error:
        return Probed("unreachable", _reason(error))
    except (ValueError, RecursionError):
        return Probed("no_mcp", "what it answers is not MCP")


def _endpoint(text: str, token: str | None) -> URL:
    """Raises `InvalidRequest`, which repeats nothing."""
    if not _TOKEN.fullmatch(text) or not (url := waysin.address(text)):
        raise InvalidRequest("'url' must be an http or https URL without a user name", param="url")
    if token is not None and not _TOKEN.fullmatch(token):
        raise InvalidRequest("'token' must be visible ASCII", param="token")
    if token is not None and url.scheme != "https" and not waysin.is_local(url):
        raise InvalidRequest("'url' must be https: a token is not sent in the clear", param="url")
    return url.with_fragment(None)


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        trust_env=True,  # proxies
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,  # a few compressed bytes may be gigabytes
        headers={"User-Agent": f"ccapi/{__version__}", "Accept-Encoding": "identity"},
    )


class _Server:
    """An MCP server, as its client sees it. What is no answer of MCP's raises `_Over` or `ValueError`."""

    def __init__(self, session: aiohttp.ClientSession, url: URL, token: str | None) -> None:
        self.name: str | None = None
        self.url = url
        self.headers = {"Accept": "application/json, text/event-stream"}
        if token:
            self.headers["Authorization"] = f"Bearer {token}"
        self._session = session
        self._has_tools = False

    async def initialize(self) -> None:
        about = {"name": "ccapi", "version": __version__}
        found = await self._call("initialize", protocolVersion=_VERSION, capabilities={}, clientInfo=about)
        self.name = word(as_object(found.get("serverInfo")).get("name"))
        self._has_tools = "tools" in as_object(found.get("capabilities"))
        self.headers["MCP-Protocol-Version"] = word(found.get("protocolVersion")) or _VERSION
        await self._send({"method": "notifications/initialized"})

    async def tools(self) -> list[str]:
        names: list[str] = []
        cursor: dict[str, Any] | None = {} if self._has_tools else None
        for _ in range(_MAX_PAGES):
            if cursor is None:
                break
            page = await self._call("tools/list", **cursor)
            tools = page.get("tools")
            names += filter(None, (word(as_object(tool).get("name")) for tool in tools or ()))
            cursor = {"cursor": page["nextCursor"]} if page.get("nextCursor") else None
        return names[:_MAX_TOOLS]

    async def _call(self, method: str, **params: Any) -> Object:
        answer = await self._send({"id": 1, "method": method, "params": params})
        if "result" not in answer:
            said = word(as_object(answer.get("error")).get("message"))
            raise _Over(Probed("no_mcp", f"it refuses {method}: {said}" if said else f"it refuses {method}"))
        return as_object(answer["result"])

    async def _send(self, message: Object) -> Object:
        """The answer; an empty one to what has no id."""
        body = {"jsonrpc": "2.0", **message}
        async with self._session.post(self.url, json=body, headers=self.headers, allow_redirects=False) as response:
            await self._check(response)
            if session := response.headers.get("Mcp-Session-Id"):
                self.headers["Mcp-Session-Id"] = session
            return await _answer(response) if "id" in message else {}

    async def _check(self, response: aiohttp.ClientResponse) -> None:
        """Raises `_Over` for a status that is no success."""
        if response.status == 401:
            detail = "the token is not accepted" if "Authorization" in self.headers else "it wants a login or a token"
            raise _Over(await waysin.ways_in(self._session, response, Probed("unauthorized", detail)))
        if response.status == 403:
            raise _Over(Probed("forbidden", "a permission is missing"))
        if not 200 <= response.status < 300:
            raise _Over(Probed("no_mcp", _status(response)))


@asynccontextmanager
async def _initialized(session: aiohttp.ClientSession, url: URL, token: str | None) -> AsyncIterator[_Server]:
    """Ends the server's session, if it began one."""
    server = _Server(session, url, token)
    try:
        await server.initialize()
        yield server
    finally:
        if "Mcp-Session-Id" in server.headers:
            with suppress(aiohttp.ClientError):
                async with session.delete(url, headers=server.headers, allow_redirects=False):
                    pass


async def _answer(response: aiohttp.ClientResponse) -> Object:
    """The JSON-RPC response: the body, or one event of it. Raises `ValueError` when there is none."""
    if response.content_type != "text/event-stream":
        return as_object(json.loads(await waysin.read(response, _MAX_ANSWER)))
    held, size = b"", 0
    async for chunk in response.content.iter_any():
        *events, held = _END_OF_EVENT.split(held + chunk)
        for message in map(_message, events):
            if message.get("id") == 1 and "method" not in message:
                return message
        size += len(chunk)
        if size > _MAX_ANSWER:
            break
    raise ValueError("no answer")


def _message(event: bytes) -> Object:
    data = [line.removeprefix(b"data:") for line in event.splitlines() if line.startswith(b"data:")]
    return as_object(json.loads(b"\n".join(data))) if any(map(bytes.strip, data)) else {}


def _status(response: aiohttp.ClientResponse) -> str:
    location = waysin.address(response.headers.get("Location")) if 300 <= response.status < 400 else None
    if location:
        return f"HTTP {response.status}: it redirects to {word(str(location.with_query(None).with_fragment(None)))}"
    return f"HTTP {response.status}"


def _reason(error: aiohttp.ClientError) -> str:
    """Why there is no connection. Never in the words of the library: they may hold a header."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "its host is not known"
        case aiohttp.ClientSSLError() | aiohttp.ClientConnectorCertificateError():
            return "its TLS certificate is not trusted, or it does not speak TLS"
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return "the proxy cannot be reached, or refuses"
        case aiohttp.ClientConnectorError(os_error=OSError(errno=int(number))):
            return os.strerror(number)
        case _:
            return "the connection broke off, or it does not speak HTTP"
