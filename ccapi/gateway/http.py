"""aiohttp's server, but for what it answers itself, before any application sees the request.

A request that is no HTTP (two Host headers, an over-long line, a bad chunk) is answered by aiohttp itself with a plain
text that repeats what was sent, and names the server's version. Here it gets the error envelope as well.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from ccapi.errors import CcapiError, InvalidRequest
from ccapi.gateway import logs
from ccapi.gateway.security import HEADERS
from ccapi.wire import envelope

log = logging.getLogger(__name__)


def _most_connections() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 500
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1000 if descriptors == resource.RLIM_INFINITY else min(1000, descriptors // 2)


_MOST_CONNECTIONS = _most_connections()


class _Nameless(web.Response):
    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.pop("Server", None)


class _Protocol(RequestHandler):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As the base class, up to a number that leaves descriptors for the runs."""
        super().connection_made(transport)
        if self._manager is not None and len(self._manager.connections) > _MOST_CONNECTIONS:
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """As the base class (it closes the connection), without its words."""
        del message
        log.debug("refused a request with %d: %s", status, type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun; another cannot follow")
        error = InvalidRequest("The request is not valid HTTP") if status < 500 else CcapiError("The gateway failed")
        body = json.dumps(envelope.dump(error))
        headers = {**HEADERS, logs.HEADER: logs.new_request_id()}
        response = _Nameless(text=body, status=status, headers=headers, content_type="application/json")
        response.force_close()
        return response


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """`web.AppRunner` with the protocol above; aiohttp has no public way to name another one."""

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = _Server
        make_request = server.request_factory

        def without_expectations(message: Any, *rest: Any) -> web.BaseRequest:
            """Unknown ones may be ignored (RFC 9110, 10.1.1); aiohttp would repeat them in a 417."""
            if message.headers.get("Expect", "100-continue").lower() != "100-continue":
                headers = message.headers.copy()
                headers.popall("Expect")
                message = message._replace(headers=headers)
            return make_request(message, *rest)

        server.request_factory = without_expectations
        return server
