"""Running the scripted Messages API: for the length of a block, or until a signal."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from ccapi.rehearsal.api import REQUESTS, create_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from ccapi.rehearsal.turns import Scenario

__all__ = ["REQUESTS", "create_app", "serve", "serve_app", "serve_forever"]

_SHUTDOWN_TIMEOUT = 1.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@asynccontextmanager
async def serve(
    scenario: Scenario, *, host: str = "127.0.0.1", port: int = 0, speed: float = 1.0
) -> AsyncIterator[str]:
    """Serves while the block runs; yields the base URL. Port 0 takes a free port, a busy one raises `OSError`."""
    async with serve_app(create_app(scenario, speed=speed), host=host, port=port) as url:
        yield url


@asynccontextmanager
async def serve_app(app: web.Application, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """The same for an app that the caller made, and whose `REQUESTS` it wants to read."""
    # Without handler_cancellation a scripted pause would go on after its client has left.
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield f"http://{f'[{host}]' if ':' in host else host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def serve_forever(
    scenario: Scenario, *, host: str, port: int, ready: Callable[[str], None], speed: float = 1.0
) -> None:
    """Serves until SIGINT or SIGTERM; `ready` is called once, with the base URL, when requests are accepted."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop.set)
    try:
        async with serve(scenario, host=host, port=port, speed=speed) as url:
            ready(url)
            await stop.wait()
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
