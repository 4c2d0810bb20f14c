"""The two-way stream of a process that runs in the container, whatever kind of socket the engine is reached by."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from typing import Any

_CHUNK = 65536  # bytes
_TICK = 0.05  # seconds, where a socket cannot be waited for


class Attached:
    """Bytes to and from one process. Closing it does not end the process."""

    def __init__(self, raw: Any) -> None:
        """`raw` is what the SDK's `exec_start(socket=True)` gives.

        That is Python's own reader around a socket, a TLS socket, a named pipe of Windows, or a channel of SSH.
        """
        self._raw = raw
        self._socket = getattr(raw, "_sock", raw)
        self._first = _read_ahead(raw)

    def receive(self, timeout: float) -> bytes | None:
        """What comes next; empty at the end, None when nothing comes within `timeout` seconds."""
        if self._first:
            first, self._first = self._first, b""
            return first
        if not self._readable(timeout):
            return None
        try:
            return bytes(self._socket.recv(_CHUNK))
        except (TimeoutError, BlockingIOError):
            return None
        except ConnectionError:
            return b""

    def send(self, data: bytes) -> None:
        """Raises `OSError`."""
        self._socket.settimeout(None)
        self._socket.sendall(data)

    def close(self) -> None:
        """Also from another thread than one that sends, which then fails."""
        with contextlib.suppress(AttributeError, OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        for end in (getattr(self._raw, "_response", None), self._raw):  # the first closes the second, where it is there
            if end is not None:
                with contextlib.suppress(OSError, ValueError):
                    end.close()

    def _readable(self, timeout: float) -> bool:
        pending = getattr(self._socket, "pending", None)  # TLS: what was decrypted already
        if pending is not None and pending():
            return True
        try:
            ready, _, _ = select.select([self._socket], [], [], timeout)
        except (TypeError, ValueError, OSError):  # no descriptor: Windows's pipes
            return self._peekable(timeout)
        return bool(ready)

    def _peekable(self, timeout: float) -> bool:
        """For what cannot be waited for: the read itself gets the time limit."""
        try:
            self._socket.settimeout(max(timeout, _TICK))
        except (AttributeError, OSError):
            time.sleep(_TICK)
        return True


def _read_ahead(raw: Any) -> bytes:
    """What Python has read beyond the head of the HTTP response: a process that is quick has spoken by then."""
    try:
        reader = raw._response.raw._fp.fp  # noqa: SLF001 -- the SDK gives no other way to it
        raw._sock.settimeout(0)  # noqa: SLF001
    except AttributeError:
        return b""
    try:
        return bytes(reader.read1(len(ahead))) if (ahead := reader.peek()) else b""
    finally:
        raw._sock.settimeout(None)  # noqa: SLF001
