"""The internal API as ccapi on the host calls it; and what listens in the container, as the CLI does for a login."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from ccapi import paths
from ccapi.commands import secret
from ccapi.paths import Home
from tests.gateway.harness import Gateway, gateway

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Internal:
    """A gateway with a secret, and whoever has it."""

    gateway: Gateway
    secret: str
    home: str

    def send(self, method: str, path: str, *, timeout: float = 60.0, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.secret}", **options.pop("headers", {})}
        with self.gateway.client(timeout) as client:
            return client.request(method, path, headers=headers, **options)


@contextmanager
def internal(directory: Path, scenario: str | None = None, **settings: Any) -> Iterator[Internal]:
    """A gateway that knows the digest of a secret which `ccapi up` made."""
    home = str(directory / "host")
    made = secret.ensure(Home(home))
    with gateway(directory / "gateway", scenario, keys_dir=paths.keys_dir(Home(home)), **settings) as running:
        yield Internal(running, made, home)


@dataclass
class Listener:
    """What came to it, byte for byte."""

    port: int = 0
    heads: list[bytes] = field(default_factory=list)

    @property
    def targets(self) -> list[str]:
        """The target of each request, as it stood on the wire."""
        return [head.split(b" ")[1].decode("ascii") for head in self.heads]


Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listener(answer: bytes | Answer = OK, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Listener]:
    """Takes connections and answers each request in the same way. An empty answer: it says nothing, and waits."""
    found = Listener()
    tasks: set[asyncio.Task[None] | None] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        try:
            found.heads.append(await reader.readuntil(b"\r\n\r\n"))
            if callable(answer):
                await answer(writer)
            elif answer:
                writer.write(answer)
                await writer.drain()
            else:
                await asyncio.Event().wait()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, host, port)
    try:
        found.port = server.sockets[0].getsockname()[1]
        yield found
    finally:
        server.close()
        for task in filter(None, tasks):
            task.cancel()
            await asyncio.wait([task])
        await server.wait_closed()
