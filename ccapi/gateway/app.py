"""The gateway: routes, and how it starts and ends."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from ccapi.agent.launch import Launch, child_environment, child_secrets, find_claude
from ccapi.agent.run import Agent
from ccapi.errors import SettingInvalid, port_busy
from ccapi.gateway import security
from ccapi.gateway.chat import ChatHandler
from ccapi.gateway.http import Runner
from ccapi.gateway.models import Models
from ccapi.gateway.settings import GatewaySettings
from ccapi.settings import PERMISSION_MODES
from ccapi.gateway.slots import RunSlots, default_slots

log = logging.getLogger(__name__)

SHUTDOWN_TIMEOUT = 1.0  # seconds for open requests; aiohttp's own default is 60


def create_app(settings: GatewaySettings) -> web.Application:
    """The application. Raises `ClaudeNotFound` and `SettingInvalid` before anything is served."""
    agent = create_agent(settings)
    models = Models(settings.model_map)
    app = web.Application(middlewares=[security.errors, security.guard], client_max_size=settings.max_body)
    app.on_response_prepare.append(security.set_headers)
    app.on_shutdown.append(lambda _: agent.close())
    started = int(time.time())

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"status": "healthy", "service": "claude-code-api"})

    async def list_models(_: web.Request) -> web.Response:
        data = [models.describe(name, started) for name in models.names()]
        return web.json_response({"object": "list", "data": data})

    async def retrieve_model(request: web.Request) -> web.Response:
        return web.json_response(models.describe(request.match_info["id"], started))

    app.router.add_get("/health", health, allow_head=False)
    app.router.add_get("/v1/models", list_models, allow_head=False)
    app.router.add_get("/v1/models/{id:.+}", retrieve_model, allow_head=False)
    slots = RunSlots(settings.max_runs or default_slots(), settings.max_queue)
    chat = ChatHandler(agent, models, slots, heartbeat=settings.heartbeat)
    app.router.add_post("/v1/chat/completions", chat.handle)
    return app


def create_agent(settings: GatewaySettings) -> Agent:
    """The agent as the settings want it. Raises `ClaudeNotFound` and `SettingInvalid`."""
    mode = settings.permission_mode or "default"
    if mode not in PERMISSION_MODES:
        raise SettingInvalid(f"CCAPI_PERMISSION_MODE: expected one of {', '.join(PERMISSION_MODES)}, not {mode!r}")
    if not settings.workspace.is_dir():
        raise SettingInvalid(f"The workspace {settings.workspace} is not a directory")
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    environment = child_environment(
        settings.environ, max_retries=settings.max_retries, sandboxed_root=root and mode == "bypassPermissions"
    )
    claude = find_claude(settings.claude, settings.environ.get("PATH"))
    launch = Launch(claude, settings.workspace, environment, child_secrets(settings.environ), mode)
    return Agent(
        launch,
        idle_timeout=settings.run_timeout,
        background_grace=settings.background_grace,
        model_fallback=settings.model_fallback,
    )


@asynccontextmanager
async def serve(settings: GatewaySettings) -> AsyncIterator[int]:
    """The gateway, listening; the value is its port (the bound one when `settings.port` is 0). Raises `PortBusy`."""
    runner = Runner(
        create_app(settings),
        handler_cancellation=True,  # a client that leaves ends its run
        shutdown_timeout=SHUTDOWN_TIMEOUT,
        access_log=None,  # it would print query strings
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, settings.host, settings.port).start()
        except OSError as error:
            raise port_busy(settings.host, settings.port, error) from error
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def run(settings: GatewaySettings, ready: Callable[[int], None]) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is told the port."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    async with serve(settings) as port:
        log.info("gateway on %s:%d, workspace %s", settings.host, port, settings.workspace)
        ready(port)
        await ended.wait()
        log.info("gateway ends")


def rehearsed(settings: GatewaySettings, url: str, scratch: Path) -> dict[str, str]:
    """The environment in which Claude Code talks to the scripted model at `url`, and to nothing else.

    No account of this machine is used, and what it writes beside its work goes into the directory `scratch`.
    """
    dropped = {"ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}
    environ = {name: value for name, value in settings.environ.items() if name.upper() not in dropped}
    ours = {"CLAUDE_CONFIG_DIR": str(scratch / "claude-config"), "TMPDIR": str(scratch)}
    return {**environ, **ours, "ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "rehearsal"}
