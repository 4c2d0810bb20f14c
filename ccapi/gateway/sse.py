"""Server-sent events, written as ASCII JSON so that no client can split a line at U+2028 or U+0085.

Source: WHATWG HTML, "Server-sent events".
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from ccapi.wire.sse import KEEP_ALIVE


class EventStream:
    """An SSE response that starts with its first write, so that a failure before it can still choose the status."""

    def __init__(self, request: web.Request, headers: Mapping[str, str], *, timeout: float) -> None:
        """A client that takes nothing for `timeout` seconds is given up: it holds a run."""
        self._request = request
        self._timeout = timeout
        self._response = web.StreamResponse(headers={"X-Accel-Buffering": "no", **headers})
        self._response.content_type = "text/event-stream"
        self._response.charset = "utf-8"
        self._last_write = time.monotonic()

    @property
    def started(self) -> bool:
        return self._response.prepared

    @property
    def headers(self) -> Any:
        """To be set before the first write."""
        return self._response.headers

    @property
    def silent_for(self) -> float:
        """Seconds since the last write, or since there could have been one."""
        return time.monotonic() - self._last_write

    async def data(self, *documents: Mapping[str, Any] | str) -> None:
        """One event each, in one write. Waits while the client does not read, which holds the run back."""
        texts = (document if isinstance(document, str) else json.dumps(document) for document in documents)
        await self._write("".join(f"data: {text}\n\n" for text in texts))

    async def comment(self, text: str = KEEP_ALIVE) -> None:
        """A line that clients ignore and that keeps idle connections open."""
        await self._write(f": {' '.join(text.split())}\n\n")

    async def finish(self) -> web.StreamResponse:
        await self._response.write_eof()
        return self._response

    async def _write(self, text: str) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                if not self._response.prepared:
                    await self._response.prepare(self._request)
                await self._response.write(text.encode("ascii", "backslashreplace"))
        except TimeoutError:
            if self._request.transport:
                self._request.transport.abort()
            raise ConnectionResetError("the client does not read") from None
        self._last_write = time.monotonic()
