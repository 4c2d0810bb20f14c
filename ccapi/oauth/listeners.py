"""The redirect ports: each is listened on for as long as a login needs it."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable

from ccapi import portowner
from ccapi.errors import PortBusy
from ccapi.oauth import loopback

log = logging.getLogger(__name__)


class Listeners:
    """A port that several logins share is closed with the last of them. `serve` makes the protocol of a connection."""

    def __init__(self) -> None:
        self.serve: Callable[[], asyncio.BaseProtocol] = asyncio.Protocol
        self._servers: dict[int, list[asyncio.Server]] = {}
        self._users: dict[int, int] = {}
        self._opening = asyncio.Lock()

    async def open(self, port: int) -> None:
        """One more needs the port. Raises `PortBusy`, with the name of who has it."""
        async with self._opening:
            if port not in self._servers:
                self._servers[port] = await self._listen(port)
            self._users[port] = self._users.get(port, 0) + 1

    def release(self, port: int) -> None:
        """One less needs it. Nothing happens after `close`."""
        if port not in self._users:
            return
        self._users[port] -= 1
        if not self._users[port]:
            del self._users[port]
            _close(self._servers.pop(port))
            log.debug("port %d is closed", port)

    def close(self) -> None:
        for port in tuple(self._servers):
            _close(self._servers.pop(port))
        self._users.clear()

    async def _listen(self, port: int) -> list[asyncio.Server]:
        loop = asyncio.get_running_loop()
        try:
            sockets = loopback.listen(port)  # at once: in a thread it would go on after a cancel
        except OSError as error:
            raise await asyncio.to_thread(_busy, port, error) from None
        log.debug("port %d is open", port)
        servers = [await loop.create_server(self.serve, sock=one, start_serving=False) for one in sockets]
        try:
            for server in servers:
                await server.start_serving()
        except asyncio.CancelledError:
            _close(servers)
            raise
        return servers


def _close(servers: list[asyncio.Server]) -> None:
    for server in servers:
        server.close()


def _busy(port: int, error: OSError) -> PortBusy:
    if error.errno != errno.EADDRINUSE:
        return PortBusy(f"Port {port}, which this login comes back to, cannot be had: {error.strerror}")
    owner = portowner.owner(port)
    return PortBusy(
        f"Port {port}, which this login comes back to, is in use by {owner or 'another program'}",
        hint="Stop that program, then start the login again; or paste the address that the browser ends at.",
    )
