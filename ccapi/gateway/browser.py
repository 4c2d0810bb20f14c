"""The way of a login that a person starts inside the container: the image's `$BROWSER` hands its URL to the gateway.

    docker exec -it claude-code-api claude mcp login NAME

The channel is a Unix socket, in Linux' abstract namespace, where nobody can put another one in its place. Whatever runs
in the container can connect to it, the agent's tools too, which must gain nothing. So what counts is who started the
process at the other end, which the kernel knows: below PID 1 is the gateway with all that the agent does; what
`docker exec` started has its first ancestor outside. Among the ancestors must be Claude Code, once, and it must be the
one that listens on the login's port; a tool of a Claude Code that a person runs by hand has either two of them among
its ancestors or none that listens. Of the URL nothing is logged.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from ccapi.errors import LoginRefused
from ccapi.gateway.logins import Logins
from ccapi.gateway.procfs import Processes
from ccapi.wire import authorization

log = logging.getLogger(__name__)

MAX_URL = 2048  # characters
SECONDS = 2.0  # for what it has to say; it has the URL in its hand
_INIT = 1


class Browser:
    """`name`: of the socket, as `@name`; None: there is no such channel. `binary` is Claude Code's."""

    def __init__(
        self,
        name: str | None,
        logins: Logins,
        processes: Processes,
        *,
        binary: Callable[[], Path],
        reserved: Collection[int],
    ) -> None:
        self._name = name
        self._logins = logins
        self._processes = processes
        self._binary = binary
        self._reserved = reserved
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Logins that are started by hand are a convenience: without the channel everything else goes on."""
        if not self._name:
            return
        path = f"\0{self._name.removeprefix('@')}"
        try:
            self._server = await asyncio.start_unix_server(self._connected, path, limit=MAX_URL + 1)
        except (OSError, NotImplementedError) as error:
            log.warning("logins that are started in the container will not be seen: %s", error)

    async def close(self) -> None:
        if self._server:
            self._server.close()
            await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(TimeoutError, OSError):
                async with asyncio.timeout(SECONDS):
                    lineage = self._processes.lineage(_peer(writer))
                    if not lineage or _INIT in lineage:  # nothing is read from it, so it cannot hold a place here
                        log.info("an address to open in the browser was refused: the agent, or a tool of it, called")
                        return
                    answer = self._answer(lineage, await _read(reader))
                    writer.write(f"{answer}\n".encode())
                    await writer.drain()
        finally:
            writer.close()

    def _answer(self, lineage: list[int], url: str) -> str:
        """What the helper is told: `ok`, or why not."""
        try:
            found = authorization.parse(url, reserved=self._reserved, longest=MAX_URL)
            self._check_listener(lineage, found.redirect.port)
            self._logins.report(found)
        except LoginRefused as error:
            log.info("an address to open in the browser was refused: %s", error.message)
            return error.message
        return "ok"

    def _check_listener(self, lineage: list[int], port: int) -> None:
        """Raises `LoginRefused`."""
        binary = self._binary()
        claude = [pid for pid in lineage if self._processes.runs(pid, binary)]
        if len(claude) != 1 or not self._processes.holds(claude[0], self._processes.listeners(port)):
            raise LoginRefused("It does not come from a Claude Code that waits for this login")


def _peer(writer: asyncio.StreamWriter) -> int:
    """The process that connected (unix(7), SO_PEERCRED); 0 if it is outside of this PID namespace."""
    connection: socket.socket = writer.get_extra_info("socket")
    size = struct.calcsize("3i")
    pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(pid)


async def _read(reader: asyncio.StreamReader) -> str:
    """All that comes, up to one character more than there may be."""
    data = b""
    while len(data) <= MAX_URL and (chunk := await reader.read(MAX_URL + 1 - len(data))):
        data += chunk
    return data.decode("ascii", "replace")
