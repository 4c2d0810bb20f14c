"""Writes to a program that reads, and that may take its time.

Nothing is left in the buffers of Python's streams, which are written once more at the exit, however long that takes.
"""

from __future__ import annotations

import os
import time

PATIENCE = 2.0  # seconds
_LOOK = 0.5  # seconds: a signal that came right before the wait is not noticed before the wait's end


class Pipe:
    """A signal is heeded while the reader is waited for; what it did not take by then comes before all else."""

    def __init__(self) -> None:
        self._rest = memoryview(b"")
        self._deadline: float | None = None

    def hurry(self) -> None:
        """From now on wait `PATIENCE` seconds in all: who ends a command does not wait for another one's reader."""
        if self._deadline is None:
            self._deadline = time.monotonic() + PATIENCE

    def write(self, descriptor: int, data: bytes) -> None:
        """All of it, or what is taken before the patience has come to its end. Raises `OSError`.

        `PIPE_BUF` bytes at once are what a pipe that takes any takes without waiting (POSIX).
        """
        import select  # only here: many a command writes nothing

        self._rest = memoryview(bytes(self._rest) + data)
        ready = select.poll()
        ready.register(descriptor, select.POLLOUT)
        while self._rest:
            left = _LOOK if self._deadline is None else max(0.0, self._deadline - time.monotonic())
            if ready.poll(min(left, _LOOK) * 1000):
                self._rest = self._rest[os.write(descriptor, self._rest[: select.PIPE_BUF]) :]
            elif not left:
                return
