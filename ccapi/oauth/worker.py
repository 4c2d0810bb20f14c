"""The server as a child process: started with the listening sockets, and ended with the process that started it."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from ccapi.oauth import log

SERVER = (sys.executable, "-P", "-m", "ccapi.oauth.server")  # -P: the directory we were started in is not ours
_STDIN, _STDOUT, _STDERR = 0, 1, 2
_END_TIMEOUT = 1.5  # seconds for it to end by itself


class Worker:
    """One at a time. It reads from its standard input nothing but the end of this process.

    `log_file`: where its output goes; None: to our standard error.
    """

    def __init__(self, command: list[str], inherited: Sequence[socket.socket], log_file: str | None) -> None:
        for each in inherited:
            each.set_inheritable(True)
        self._command = command
        self._log_file = log_file
        self._pid = 0
        self._lifeline = -1  # the kernel closes it with this process, however that ends

    @property
    def runs(self) -> bool:
        """Whether it was started and has not been seen to end."""
        return self._pid != 0

    def start(self) -> None:
        """Raises `OSError`."""
        end, self._lifeline = os.pipe()
        output = log.opened(self._log_file) if self._log_file else os.dup(_STDERR)
        streams = [(end, _STDIN), (output, _STDOUT), (output, _STDERR)]
        actions = [(os.POSIX_SPAWN_DUP2, ours, theirs) for ours, theirs in streams]
        try:
            self._pid = os.posix_spawn(self._command[0], self._command, os.environ, file_actions=actions)
        finally:
            os.close(end)
            os.close(output)

    def ended(self) -> int | None:
        """Its exit code (negative: the signal that killed it) once it has ended, else None."""
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if not pid:
            return None
        self._forget()
        return os.waitstatus_to_exitcode(status)

    def end(self, wait: Callable[[float], object]) -> None:
        """Ask it to end, make it end, and reap it. `wait` returns after so many seconds, or when a child has ended."""
        deadline = time.monotonic() + _END_TIMEOUT
        self._signal(signal.SIGTERM)
        while self.runs and self.ended() is None and (left := deadline - time.monotonic()) > 0:
            wait(left)
        if self.runs:
            self._signal(signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._forget()

    def _signal(self, number: int) -> None:
        if self.runs:  # it is our child and not yet reaped, so the number is its own
            with suppress(ProcessLookupError):
                os.kill(self._pid, number)

    def _forget(self) -> None:
        self._pid = 0
        os.close(self._lifeline)
