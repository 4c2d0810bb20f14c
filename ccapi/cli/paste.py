"""Reads what is pasted, of any length, while something else is shown; it never appears on the screen.

A terminal is taken out of its line mode, which would keep 4,095 characters of a line and lose the rest.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ccapi.cli import output

_MOST = 64 * 1024  # bytes of a line; more is no address
_ENTER, _ERASE, _KILL = b"\r\n", b"\x08\x7f", 0x15


def possible() -> bool:
    """Whether a terminal can be read in this way: not on Windows."""
    try:
        import termios  # noqa: F401
    except ImportError:
        return False
    return output.terminal(sys.stdin)


@contextmanager
def lines(took: Callable[[str], None]) -> Iterator[None]:
    """Within the block, each line of standard input is handed to `took`, from another thread."""
    descriptor = sys.stdin.fileno()
    wakened, waken = os.pipe()
    reader = threading.Thread(target=_read, args=(descriptor, wakened, took), daemon=True)
    with _unseen(descriptor) if possible() else contextlib.nullcontext():
        reader.start()
        try:
            yield
        finally:
            os.close(waken)
            reader.join()
            os.close(wakened)


def one_line() -> str:
    """One line of standard input, and nothing of what follows it."""
    line = bytearray()
    while (byte := os.read(sys.stdin.fileno(), 1)) not in {b"", b"\n"} and len(line) < _MOST:
        line += byte
    return line.decode("utf-8", "replace").strip()


@contextmanager
def _unseen(descriptor: int) -> Iterator[None]:
    """A terminal that shows no input, and hands it over at once (but Ctrl-C). What was not read is forgotten."""
    import termios

    before = termios.tcgetattr(descriptor)
    changed = termios.tcgetattr(descriptor)
    changed[3] &= ~(termios.ECHO | termios.ICANON)
    changed[6][termios.VMIN], changed[6][termios.VTIME] = 1, 0
    try:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, changed)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)


class _Line:
    """A line that is being typed, or pasted."""

    def __init__(self, took: Callable[[str], None]) -> None:
        self._took = took
        self._bytes = bytearray()

    def feed(self, data: bytes) -> None:
        for byte in data:
            if byte in _ENTER:
                self.end()
            elif byte in _ERASE:
                del self._bytes[-1:]
            elif byte == _KILL:
                self._bytes.clear()
            elif len(self._bytes) < _MOST:
                self._bytes.append(byte)

    def end(self) -> None:
        if self._bytes:
            self._took(self._bytes.decode("utf-8", "replace"))
        self._bytes.clear()


def _read(descriptor: int, wakened: int, took: Callable[[str], None]) -> None:
    line = _Line(took)
    with contextlib.suppress(OSError):  # the terminal is gone
        while wakened not in select.select([descriptor, wakened], [], [])[0]:
            data = os.read(descriptor, 65536)
            line.feed(data)
            if not data:
                line.end()
                break
