"""The two applications: the one on the proxy's own port, and the one on the redirect ports of logins."""

from __future__ import annotations

from aiohttp import web

from ccapi.errors import NotFound
from ccapi.oauth import guard, pages, query
from ccapi.oauth.config import ProxyConfig
from ccapi.oauth.control import Control
from ccapi.oauth.gateway import GatewayClient
from ccapi.oauth.guard import Guard
from ccapi.oauth.login import Entry
from ccapi.oauth.registration import LISTENER_PATH, OWN_PATH, Registration
from ccapi.oauth.relay import Relay
from ccapi.web.headers import set_headers
from ccapi.web.runner import Runner

_LARGEST_BODY = 16384
_IDLE_CONNECTION = 5.0  # seconds, also for one that does not come to the end of its request
_LONGEST_FIELD = 65536  # a browser sends the cookies that every server on this host's name has ever set
_LONGEST_LINE = 2 * query.LONGEST  # what is longer than a query may be gets a page of its own, up to here


def own(config: ProxyConfig, relay: Relay, gateway: GatewayClient, own_port: int) -> web.Application:
    """Landing page, health, the proxy's own redirect URI, and the control API."""
    app = _app(config.secret_file)
    receive = _Callbacks(relay).receive

    async def landing(_: web.Request) -> web.Response:
        return pages.response(pages.LANDING)

    async def health(_: web.Request) -> web.Response:
        return web.json_response(
            {
                "status": "degraded" if await gateway.problem() else "healthy",
                "service": "oauth-proxy",
                "container_host": "localhost" if config.gateway_host == "127.0.0.1" else config.gateway_host,
                "container_port": config.gateway_port,
                "active_sessions": relay.registry.pending,
            }
        )

    app.router.add_get("/", landing, allow_head=False)
    app.router.add_get("/health", health, allow_head=False)
    app.router.add_get(OWN_PATH, receive, allow_head=False)
    if config.callback_port == own_port:
        app.router.add_get(LISTENER_PATH, receive, allow_head=False)
    Control(relay, Registration(config, own_port), gateway).add_to(app.router)
    return app


def redirects(relay: Relay) -> web.Application:
    """Callbacks, on whatever path the login has; nothing else."""
    app = _app()
    app.router.add_route("*", "/{path:.*}", _Callbacks(relay).receive_or_refuse)
    return app


def runner(app: web.Application) -> Runner:
    return Runner(
        app,
        refuse=guard.no_http,
        handler_cancellation=True,  # a client that leaves does not wait any longer
        shutdown_timeout=0.5,  # seconds for a delivery that goes on
        access_log=None,  # it would print query strings
        auto_decompress=False,
        keepalive_timeout=_IDLE_CONNECTION,
        lingering_time=1.0,  # seconds for the rest of a body that nobody wants
        max_line_size=_LONGEST_LINE,
        max_field_size=_LONGEST_FIELD,
    )


class _Callbacks:
    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    async def receive(self, request: web.Request) -> web.Response:
        path, _, sent = request.raw_path.partition("?")
        if len(sent) > query.LONGEST:
            return pages.response(pages.refused(414))
        return pages.response(await self._relay.receive(guard.local_port(request), path, sent))

    async def receive_or_refuse(self, request: web.Request) -> web.Response:
        path = request.raw_path.partition("?")[0]
        if not self._relay.listens(Entry(guard.local_port(request), path)):
            raise NotFound("There is nothing at this path")
        if request.method != "GET":
            raise web.HTTPMethodNotAllowed(request.method, ["GET"])
        return await self.receive(request)


def _app(secret_file: str | None = None) -> web.Application:
    app = web.Application(middlewares=Guard(secret_file).middlewares, client_max_size=_LARGEST_BODY)
    app.on_response_prepare.append(set_headers)
    return app
