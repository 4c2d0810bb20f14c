"""The gateway: its routes, and how it starts and ends."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from ccapi.errors import CcapiError, port_busy
from ccapi.gateway import access, docs, internal, logs, openapi, security
from ccapi.gateway.chat import ChatHandler
from ccapi.gateway.http import Runner
from ccapi.gateway.models import Models
from ccapi.gateway.parts import Parts
from ccapi.gateway.responses import ResponsesHandler
from ccapi.gateway.sessions import SessionsHandler
from ccapi.gateway.settings import GatewaySettings

log = logging.getLogger(__name__)

SHUTDOWN_TIMEOUT = 1.0  # seconds for open requests after their runs have ended; aiohttp's own default is 60


def create_app(parts: Parts) -> web.Application:
    """The application: from the outside in, what every request passes, and then the routes."""
    settings = parts.settings
    app = web.Application(
        middlewares=[
            logs.request_context(parts.metrics.request),
            security.errors,
            security.guard(any_name=settings.key_required),
        ],
        client_max_size=settings.max_body,
    )
    app.on_response_prepare.append(security.set_headers)
    app.on_response_prepare.append(logs.set_request_id)
    access.install(app, parts.keyring, required=settings.key_required)
    app.cleanup_ctx.append(parts.life)

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"status": "healthy", "service": "claude-code-api"})

    for path, handler in {
        "/health": health,
        "/ready": parts.readiness.handle,
        "/metrics": parts.metrics.handle,
        "/openapi.json": openapi.handle,
        "/docs": docs.handle,
    }.items():
        app.router.add_get(path, handler, allow_head=False)
    _add_models(app, parts)
    app.router.add_post("/v1/chat/completions", ChatHandler(parts.runs, heartbeat=settings.heartbeat).handle)
    ResponsesHandler(parts.runs, parts.store, settings.data_dir, heartbeat=settings.heartbeat).register(app)
    SessionsHandler(parts.store, parts.files, parts.runs).register(app.router)
    app.add_subapp(internal.PREFIX, parts.internal.app())
    return app


def _add_models(app: web.Application, parts: Parts) -> None:
    started = int(time.time())

    def models() -> Models:
        return parts.runs.models  # another one after a reload

    async def list_models(_: web.Request) -> web.Response:
        data = [models().describe(name, started) for name in models().names()]
        return web.json_response({"object": "list", "data": data})

    async def retrieve_model(request: web.Request) -> web.Response:
        return web.json_response(models().describe(request.match_info["id"], started))

    app.router.add_get("/v1/models", list_models, allow_head=False)
    app.router.add_get("/v1/models/{id:.+}", retrieve_model, allow_head=False)


@asynccontextmanager
async def serve(settings: GatewaySettings) -> AsyncIterator[int]:
    """The gateway, listening; the value is its port (the bound one when `settings.port` is 0).

    At the end it stops listening, and gives the runs `settings.shutdown_grace` seconds. Raises `PortBusy`.
    """
    async with _serving(Parts(settings)) as port:
        yield port


@asynccontextmanager
async def _serving(parts: Parts) -> AsyncIterator[int]:
    settings = parts.settings
    runner = Runner(
        create_app(parts),
        handler_cancellation=True,  # a client that leaves ends its run
        shutdown_timeout=SHUTDOWN_TIMEOUT,
        access_log=None,  # it would print query strings
        auto_decompress=False,  # a few compressed bytes may be gigabytes
        keepalive_timeout=settings.idle_connection,
        lingering_time=1.0,  # seconds for the rest of a body that nobody wants
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port)
        try:
            await site.start()
        except OSError as error:
            raise port_busy(settings.host, settings.port, error) from error
        yield runner.addresses[0][1]
        await site.stop()
        await parts.drained(settings.shutdown_grace)
        await parts.agent.close()  # before the requests are cancelled: each run says why it ended
    finally:
        await runner.cleanup()


async def run(settings: GatewaySettings, ready: Callable[[int], None], reread: Callable[[], GatewaySettings]) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is told the port. On SIGHUP the settings are those of `reread`.

    A second SIGINT or SIGTERM ends the runs at once.
    """
    parts = Parts(settings)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        if ended.is_set():
            parts.hurry()
        ended.set()

    def reload() -> None:
        try:
            parts.reload(reread())
        except CcapiError as error:
            log.error("the settings stay as they were: %s", error.message)  # noqa: TRY400 -- a traceback says no more

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(signal.SIGHUP, reload)
    async with _serving(parts) as port:
        log.info("gateway on %s:%d, workspace %s", settings.host, port, settings.workspace)
        ready(port)
        await ended.wait()
        log.info("gateway ends")


def rehearsed(settings: GatewaySettings, url: str, scratch: Path) -> dict[str, str]:
    """The environment in which Claude Code talks to the scripted model at `url`, and to nothing else.

    No account of this machine is used, and what it writes beside its work goes into the directory `scratch`. In the
    container its configuration is the real one: the MCP servers, and the logins to them, are no part of the model.
    """
    dropped = {"ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}
    environ = {name: value for name, value in settings.environ.items() if name.upper() not in dropped}
    ours = {"TMPDIR": str(scratch)}
    if not settings.in_container:
        ours["CLAUDE_CONFIG_DIR"] = str(scratch / "claude-config")
    return {**environ, **ours, "ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "rehearsal"}
