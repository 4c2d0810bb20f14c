"""What a listener does with the connections that it gets: everything that a gateway never would."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.cli.support import DEADLINE, FakeGateway

Part = Callable[[socket.socket], object]


@contextmanager
def playing(fake: FakeGateway, *parts: Part) -> Iterator[None]:
    """Requests are answered by these in turn; each is given a connection, and each must be asked for."""
    failures: list[BaseException] = []

    def play() -> None:
        try:
            for part in parts:
                with fake.request() as connection:
                    part(connection)
        except BaseException as error:  # noqa: BLE001 -- it is raised again, in the test's own thread
            failures.append(error)

    player = threading.Thread(target=play, daemon=True)
    player.start()
    yield
    player.join(DEADLINE)
    assert not player.is_alive(), f"not every request came: {fake.lines}"
    if failures:
        raise failures[0]


def sends(*pieces: bytes) -> Part:
    """Send that, and close the connection."""
    return lambda connection: connection.sendall(b"".join(pieces))


def closes(connection: socket.socket) -> None:
    """Not a byte."""


def silent(connection: socket.socket) -> None:
    """Not a byte, until the client leaves."""
    with contextlib.suppress(ConnectionResetError):  # it left something unread
        connection.recv(1)


def falls_silent(*pieces: bytes) -> Part:
    """Send that, and then nothing until the client leaves."""

    def part(connection: socket.socket) -> None:
        connection.sendall(b"".join(pieces))
        silent(connection)

    return part


def resets(*pieces: bytes) -> Part:
    """Send that, and end the connection as a machine does that knows nothing of it."""

    def part(connection: socket.socket) -> None:
        connection.sendall(b"".join(pieces))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return part


def dribbles(piece: bytes, pause: float = 0.0) -> Part:
    """Send that again and again, until the client leaves."""

    def part(connection: socket.socket) -> None:
        try:
            while True:
                connection.sendall(piece)
                time.sleep(pause)
        except (BrokenPipeError, ConnectionResetError):
            pass

    return part
