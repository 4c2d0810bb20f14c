"""aiohttp's server, but for what it answers itself, before any application sees the request.

A request that is no HTTP (two Host headers, an over-long line, a bad chunk) is answered by aiohttp itself with a plain
text that repeats what was sent, and names the server's version. Here it gets what the application says instead.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

log = logging.getLogger(__name__)

Refuse = Callable[[int], web.Response]  # the answer with this status; it sees nothing of the request


def _most_connections() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 500
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1000 if descriptors == resource.RLIM_INFINITY else min(1000, descriptors // 2)


_MOST_CONNECTIONS = _most_connections()


class Nameless(web.Response):
    """A response that does not say which server it is from; `on_response_prepare` sees none outside of an app."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.pop("Server", None)


class _Protocol(RequestHandler):
    _manager: _Server | None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As the base class, up to a number that leaves descriptors for the work itself."""
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
        if self._manager is None or request.writer.output_size > 0:
            raise ConnectionError("an answer has begun, or nobody is there to read it; another cannot follow")
        response = self._manager.refuse(status)
        response.force_close()
        return response


class _Server(web.Server):
    refuse: Refuse

    def __call__(self) -> RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """`web.AppRunner` with the protocol above; aiohttp has no public way to name another one.

    `refuse` answers what is no HTTP.
    """

    __slots__ = ("_refuse",)

    def __init__(self, app: web.Application, *, refuse: Refuse, **kwargs: Any) -> None:
        super().__init__(app, **kwargs)
        self._refuse = refuse

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = _Server
        assert isinstance(server, _Server)
        server.refuse = self._refuse
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
