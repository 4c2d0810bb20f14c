"""Runs programs in the stack's container, as the user that everything there runs as."""

from __future__ import annotations

import contextlib
import secrets
import struct
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

from ccapi.errors import CcapiError, StackFailed, StackTimeout
from ccapi.stack.attached import Attached
from ccapi.stack.engine import Engine, Execution

_KILL_AFTER = "2"  # seconds from TERM to KILL
_GRACE = 5.0  # seconds that a process, told to end, has for it
_INTERRUPTED = 1.0  # seconds that one has which was interrupted
_FRAME = struct.Struct(">BxxxL")  # which stream, how many bytes
_TICK = 0.05  # seconds

# A socket's half cannot be closed on every way to an engine, so the input ends where its length says.
_WITH_INPUT = 'n=$1; shift; head -c "$n" | exec "$@"'
# Before anything is printed.
_ON_TERMINAL = 'stty cols "$1" rows 50; shift; exec "$@"'
_MARK = "CCAPI_STARTED"  # in the environment of a program, and of all that it starts
# Until nothing with that mark is left; what has just been started may not be seen at once.
_END = """
for signal in TERM KILL KILL KILL; do
  found=$(grep -lxz "$1" /proc/[0-9]*/environ 2>/dev/null) || break
  for file in $found; do pid=${file#/proc/}; kill -s $signal "${pid%/environ}" 2>/dev/null; done
  sleep 0.3
done
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a program."""

    code: int
    stdout: str
    stderr: str


class Container:
    """The stack's container. It must run: everything else raises `StackFailed`."""

    def __init__(self, engine: Engine, name: str | None = None) -> None:
        self._engine = engine
        self._name = name or engine.stack

    def run(self, *argv: str, stdin: bytes = b"", timeout: float = 60) -> Ran:
        """Run a program to its end. What is secret belongs in `stdin`: others can read `argv`.

        After `timeout` seconds it is ended, in the container, and that raises `StackTimeout`; so it ends even when
        this process is killed. Raises `StackFailed` and `DockerUnavailable`.
        """
        command = _limited(timeout, argv)
        if stdin:
            command = ["sh", "-c", _WITH_INPUT, "sh", str(len(stdin)), *command]
        mark, began = _new_mark(), time.monotonic()
        execution = self._start(command, mark, stdin=bool(stdin))
        with contextlib.closing(execution.stream) as stream:
            try:
                if stdin:  # meanwhile it may print, or end without having read all
                    threading.Thread(target=_feed, args=(stream, stdin), daemon=True).start()
                out, err = _both(stream, began + timeout + _GRACE)
                code = self._code(execution)
            except BaseException:  # such as Ctrl-C: what comes next must not meet a program that is still at work
                self._end(execution, mark)
                raise
        if code is None or (code in {124, 137} and time.monotonic() - began >= timeout):
            raise StackTimeout(f"`{argv[0]}` did not end in the container within {timeout:g} seconds")
        return Ran(code, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))

    def terminal(self, *argv: str, columns: int = 4000, timeout: float = 3600) -> Terminal:
        """Start a program on a terminal of its own. It is ended after `timeout` seconds, whatever happens here.

        The terminal is wide, so that nothing the program prints is wrapped.
        """
        mark, command = _new_mark(), ["sh", "-c", _ON_TERMINAL, "sh", str(columns), *_limited(timeout, argv)]
        execution = self._start(command, mark, stdin=True, tty=True)
        return Terminal(
            execution.stream, lambda: self._engine.exit_code(execution.id), lambda: self._end(execution, mark)
        )

    def signal_gateway(self, name: str) -> None:
        """Send a signal, such as HUP, to the gateway (which the container's init passes it on to)."""
        self._engine.signal(self._name, name)

    def _start(self, command: Sequence[str], mark: str, *, stdin: bool, tty: bool = False) -> Execution:
        """In a thread, as there is no telling whether a program was started by a call that Ctrl-C broke off."""
        environment = {_MARK: mark}
        with ThreadPoolExecutor(1) as thread:
            started = thread.submit(
                self._engine.start, self._name, command, environment=environment, stdin=stdin, tty=tty
            )
            try:
                return started.result()
            except CcapiError:
                raise
            except BaseException:
                with contextlib.suppress(CcapiError):
                    self._end(started.result(), mark)
                raise

    def _end(self, execution: Execution, mark: str) -> None:
        """End a program, which may not even have begun, and all that it has started."""
        deadline = time.monotonic() + _GRACE
        with contextlib.suppress(StackFailed):  # the container does not run, and so nothing in it
            while True:
                ending = self._engine.start(self._name, ["sh", "-c", _END, "sh", f"{_MARK}={mark}"], environment={})
                with contextlib.closing(ending.stream):
                    _both(ending.stream, deadline)
                if self._engine.exit_code(execution.id) is not None or time.monotonic() > deadline:
                    return
                time.sleep(_TICK)

    def _code(self, execution: Execution) -> int | None:
        """The exit code; Docker knows it a moment after the output ended."""
        return _eventually(lambda: self._engine.exit_code(execution.id), _GRACE)


class Terminal:
    """A program on a terminal in the container. Closing it leaves no process behind."""

    def __init__(self, stream: Attached, exit_code: Callable[[], int | None], end: Callable[[], None]) -> None:
        """`end` ends the program, and whatever it has started, by force."""
        self._stream = stream
        self._exit_code = exit_code
        self._end = end
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, timeout: float) -> bytes | None:
        """What the program printed next; empty at its end, None when it printed nothing for `timeout` seconds."""
        chunk = self._stream.receive(timeout)
        self._ended = self._ended or chunk == b""
        return chunk

    def write(self, data: bytes) -> None:
        """Type something. Raises `StackFailed` when the program is gone."""
        try:
            self._stream.send(data)
        except OSError as error:
            raise StackFailed("the program in the container has ended", detail=repr(error)) from error

    def exit_code(self) -> int | None:
        """The program's exit code; None while it runs."""
        if not self._ended:
            return self._exit_code()
        return _eventually(self._exit_code, _GRACE)

    def close(self) -> None:
        """Interrupt the program if it still runs, then end it and whatever it started."""
        try:
            if not self._ended and self._exit_code() is None:
                with contextlib.suppress(OSError):
                    self._stream.send(b"\x03")
                _eventually(self._exit_code, _INTERRUPTED)
                self._end()
        finally:
            self._ended = True
            self._stream.close()


def _new_mark() -> str:
    return secrets.token_hex(8)


def _limited(timeout: float, argv: Sequence[str]) -> list[str]:
    """The command that ends after so many seconds, whatever becomes of this process."""
    return ["timeout", f"--kill-after={_KILL_AFTER}", str(timeout), *argv]


def _feed(stream: Attached, data: bytes) -> None:
    with contextlib.suppress(OSError):  # it has ended
        stream.send(data)


def _both(stream: Attached, deadline: float) -> tuple[bytes, bytes]:
    """Standard output and error to their end, as Docker mixes them on one stream without a terminal."""
    buffer, found = bytearray(), {1: bytearray(), 2: bytearray()}
    while time.monotonic() < deadline and (chunk := stream.receive(_TICK * 10)) != b"":
        buffer += chunk or b""
        while len(buffer) >= _FRAME.size:
            kind, size = _FRAME.unpack_from(buffer)
            if len(buffer) < _FRAME.size + size:
                break
            found[2 if kind == 2 else 1] += buffer[_FRAME.size : _FRAME.size + size]
            del buffer[: _FRAME.size + size]
    return bytes(found[1]), bytes(found[2])


def _eventually(ask: Callable[[], int | None], seconds: float) -> int | None:
    deadline = time.monotonic() + seconds
    while (answer := ask()) is None and time.monotonic() < deadline:
        time.sleep(_TICK)
    return answer
