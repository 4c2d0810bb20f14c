"""The OAuth proxy's server. The supervisor starts it when somebody comes, and it ends when nobody needs it any more.

    python -m ccapi.oauth.server --config FILE [--sockets 3,4]

With `--sockets` (descriptors of listening sockets) it ends by itself, and with whoever started it (the end of its
standard input); without, it binds the port and stays.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from aiohttp import web

from ccapi.errors import CcapiError
from ccapi.oauth import app, config, gateway, guard, ownport
from ccapi.oauth.config import ProxyConfig
from ccapi.oauth.listeners import Listeners
from ccapi.oauth.log import Log
from ccapi.oauth.registration import Registration
from ccapi.oauth.relay import Relay
from ccapi.oauth.watch import Watch

log = logging.getLogger(__name__)

_STDIN = 0
_POLL = 0.5  # seconds between two looks at whether anybody is there
_SETTLE = 0.05  # seconds in which what was accepted shows as a connection


class Proxy:
    """A proxy that takes requests on `port`."""

    def __init__(self, port: int, relay: Relay, own: web.Server, redirects: web.Server) -> None:
        self.port = port
        self.relay = relay
        self._own = own
        self._servers = (own, redirects)

    @property
    def in_use(self) -> bool:
        """A login waits, or somebody is connected."""
        return bool(self.relay.registry.pending or any(server.connections for server in self._servers))

    @asynccontextmanager
    async def accepting(self, sockets: Sequence[socket.socket]) -> AsyncIterator[None]:
        """Take connections. At the end of it the sockets go on to listen; what then comes waits in their backlog."""
        loop = asyncio.get_running_loop()
        taking = [await loop.create_server(self._own, sock=one.dup()) for one in sockets]
        try:
            yield
        finally:
            for server in taking:
                server.close()

    async def quiet(self, seconds: float) -> None:
        """Return when nobody was there for so long."""
        loop = asyncio.get_running_loop()
        served, since = -1, loop.time()
        while loop.time() - since < seconds:
            if self.in_use or served != self._served:
                served, since = self._served, loop.time()
            await asyncio.sleep(min(_POLL, seconds / 4))

    @property
    def _served(self) -> int:
        return sum(server.requests_count for server in self._servers)


@asynccontextmanager
async def running(wanted: ProxyConfig, sockets: Sequence[socket.socket] | None = None) -> AsyncIterator[Proxy]:
    """The proxy, on its port; with `sockets`, which listen already, on theirs. Raises `PortBusy`, `ProxyFailed`."""
    async with _ready(wanted, listening := list(sockets or _listen(wanted.port))) as proxy, proxy.accepting(listening):
        yield proxy


async def serve(wanted: ProxyConfig, sockets: Sequence[socket.socket] | None = None) -> None:
    """As `running`, until cancelled; with `sockets` at the latest until nobody was there for `wanted.idle` seconds."""
    if not sockets:
        async with running(wanted):
            await asyncio.Event().wait()
    async with _ready(wanted, sockets or ()) as proxy:
        while True:
            async with proxy.accepting(sockets or ()):
                await proxy.quiet(wanted.idle)
            await asyncio.sleep(_SETTLE)
            if not proxy.in_use:  # nobody came at the last moment
                return


@asynccontextmanager
async def _ready(wanted: ProxyConfig, sockets: Sequence[socket.socket]) -> AsyncIterator[Proxy]:
    """All but the listening on the own port."""
    port = int(sockets[0].getsockname()[1])
    async with AsyncExitStack() as stack:
        for one in sockets:
            stack.callback(one.close)
        client = await stack.enter_async_context(gateway.connected(wanted))
        relay = Relay(port, client, listeners := Listeners())
        stack.callback(listeners.close)
        redirects = await stack.enter_async_context(_served(app.redirects(relay)))
        own = await stack.enter_async_context(_served(app.own(wanted, relay, client, port)))
        listeners.serve = redirects
        stack.callback(relay.registry.close)
        watch = Watch(client, relay, Registration(wanted, port), wanted.open_browser)
        await stack.enter_async_context(_background(watch.run()))
        yield Proxy(port, relay, own, redirects)


@asynccontextmanager
async def _served(application: web.Application) -> AsyncIterator[web.Server]:
    runner = app.runner(application)
    await runner.setup()
    try:
        assert runner.server is not None
        yield runner.server
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _listen(port: int) -> list[socket.socket]:
    try:
        return ownport.listen(port)
    except OSError as error:
        raise ownport.explained(port, error) from None


# --- as a program


def main(argv: Sequence[str]) -> int:
    """The exit code: 0 when nobody needs it any more, or it was told to end."""
    parser = argparse.ArgumentParser(prog="python -m ccapi.oauth.server")
    parser.add_argument("--config", required=True)
    parser.add_argument("--sockets", default="", help="descriptors of listening sockets, with commas")
    options = parser.parse_args(argv)
    wanted = config.load(options.config)
    write = Log(wanted.log_file)
    _log_to(write)
    sockets = [socket.socket(fileno=int(number)) for number in options.sockets.split(",") if number]
    try:
        asyncio.run(_until_told(wanted, sockets))
    except CcapiError as error:
        write(f"error: {error.message}")
        return error.exit_code
    except KeyboardInterrupt:
        return 0
    return 0


async def _until_told(wanted: ProxyConfig, sockets: Sequence[socket.socket]) -> None:
    loop = asyncio.get_running_loop()
    serving = asyncio.create_task(serve(wanted, sockets))
    with suppress(NotImplementedError):  # Windows: Ctrl-C only, by KeyboardInterrupt
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, serving.cancel)
    if sockets:
        loop.add_reader(_STDIN, _end_of_input, serving)
    with suppress(asyncio.CancelledError):
        await serving


def _end_of_input(serving: asyncio.Task[None]) -> None:
    with suppress(OSError):
        if os.read(_STDIN, 1024):
            return
    asyncio.get_running_loop().remove_reader(_STDIN)
    serving.cancel()


def _log_to(write: Log) -> None:
    root = logging.getLogger()
    root.handlers[:] = [_Handler(write)]
    root.setLevel(logging.WARNING)
    logging.getLogger("ccapi").setLevel(logging.INFO)


class _Handler(logging.Handler):
    """No exception's words, and of what others log the first line only, without values: they may be a request's."""

    def __init__(self, write: Log) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        ours = record.name.startswith("ccapi.")
        text = record.getMessage() if ours else f"{record.name}: {str(record.msg).partition(chr(10))[0]}"
        level = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        error = record.exc_info[1] if record.exc_info else None
        self._write(f"{level}{text}{f' ({guard.place(error)})' if error else ''}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
