"""The end of a terminal's output as an area that can be drawn anew, below lines that are written once and stay.

The cursor rests at the *beginning* of the area, and what is below it is erased before each drawing. So nothing has to
be counted: a terminal that wraps the lines of the area anew because it was made narrower keeps the cursor at the
character where it was. While the area is drawn, lines do not wrap at all (DECAWM), so that moving back up is exact for
any width. One drawing is one write, between the marks of a synchronized update where the terminal knows them.

The keyboard's echo is off as long as the area is there: a typed Enter would move the cursor.

Source: ECMA-48; xterm, "Control Sequences" (DECAWM, DECTCEM); the specification of synchronized output (mode 2026).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from ccapi.cli import output
from ccapi.errors import OutputFailed

_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"
# From the beginning of the line to the end of the screen. In two parts, as tmux takes the erasure of a whole screen for
# one that is to be remembered.
_ERASE = "\r\x1b[K\x1b7\x1b[B\x1b[J\x1b8"
_PLAIN_SIGNS = str.maketrans("✓✗○●│─┼•◦☐▶☑…⋮⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏·", "+xo*|-+*o.>+~:|/-\\|/-\\|/.")
_DEFAULT = os.terminal_size((80, 24))


def size(stream: TextIO) -> os.terminal_size:
    """Of the terminal that `stream` is; a terminal that says it has none counts as 80 x 24."""
    with suppress(OSError, ValueError):  # no terminal, or closed
        found = os.get_terminal_size(stream.fileno())
        return os.terminal_size((found.columns or _DEFAULT.columns, found.lines or _DEFAULT.lines))
    return _DEFAULT


def _encodable(text: str, stream: TextIO) -> str:
    """The signs of an answer's look in letters that any terminal has, where this one has not these."""
    if (stream.encoding or "").lower().replace("-", "") == "utf8":
        return text
    return text.translate(_PLAIN_SIGNS)


class LiveArea:
    """On a terminal that can move its cursor. While something is shown, nobody else writes there.

    A process in the background shows nothing: the terminal is another's.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown = False  # there is something in it
        self._keyboard = _Keyboard(stream, on_stop=self._clear)

    @property
    def size(self) -> os.terminal_size:
        return size(self._stream)

    def update(self, finished: Sequence[str], live: Sequence[str]) -> None:
        """Put `finished` above the area, and `live` into it. Both are lines; those of `live` are cut at the margin."""
        lines = live[: max(1, self.size.lines - 1)] if self._keyboard.claim() else []
        if not (finished or lines or self._shown):
            return
        before = (_ERASE if self._shown else _HIDE) if lines else self._gone
        written = "".join(f"{line}\n" for line in finished)
        area = f"{_NO_WRAP}{chr(10).join(lines)}{_WRAP}{_back(len(lines))}" if lines else ""
        self._write(_encodable(f"{_BEGIN}{before}{written}{area}{_END}", self._stream))
        self._shown = bool(lines)

    def close(self) -> None:
        """Leave the terminal as it was found; what was written above the area stays. May be called twice."""
        with suppress(OSError, OutputFailed):
            self._clear()
        self._keyboard.release()

    @property
    def _gone(self) -> str:
        return _ERASE + _SHOW if self._shown else ""

    def _clear(self) -> None:
        if self._shown:
            self._write(self._gone)
        self._shown = False

    def _write(self, text: str) -> None:
        output.write(text, self._stream)


class Lines:
    """On a terminal that cannot move its cursor: there are finished lines only."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def size(self) -> os.terminal_size:
        return size(self._stream)

    def update(self, finished: Sequence[str], live: Sequence[str]) -> None:
        del live
        if finished:
            output.write(_encodable("".join(f"{line}\n" for line in finished), self._stream), self._stream)

    def close(self) -> None:
        """Nothing was changed."""


def _back(lines: int) -> str:
    return "\r" + (f"\x1b[{lines - 1}A" if lines > 1 else "")


class _Keyboard:
    """The terminal's echo, off while somebody draws; on again while the process is stopped (Ctrl-Z)."""

    def __init__(self, stream: TextIO, *, on_stop: Callable[[], None]) -> None:
        self._stream = stream
        self._on_stop = on_stop
        self._before: list[Any] | None = None  # the terminal's modes, while the echo is off
        self._handler: Any = None  # for SIGTSTP, that was there before

    def claim(self) -> bool:
        """Whether the terminal is this process's at the moment; then its echo is off from now on."""
        if sys.platform == "win32":
            return True
        import termios

        try:
            descriptor = self._stream.fileno()
            if os.tcgetpgrp(descriptor) != os.getpgrp():
                return False
            if self._before is None:
                before = termios.tcgetattr(descriptor)
                self._handler = signal.signal(signal.SIGTSTP, self._stop)
                self._before = [*before]
                termios.tcsetattr(descriptor, termios.TCSADRAIN, [*before[:3], before[3] & ~termios.ECHO, *before[4:]])
        except (OSError, ValueError, termios.error):  # no terminal of this session, but one that can be drawn on
            return True
        return True

    def release(self) -> None:
        """As it was. Modes that are another's by now (of a shell, say) are left alone."""
        if self._before is None or sys.platform == "win32":
            return
        import termios

        before, self._before = self._before, None
        signal.signal(signal.SIGTSTP, self._handler or signal.SIG_DFL)
        with suppress(OSError, ValueError, termios.error):
            if os.tcgetpgrp(self._stream.fileno()) == os.getpgrp():
                termios.tcsetattr(self._stream.fileno(), termios.TCSADRAIN, before)

    def _stop(self, number: int, _frame: object) -> None:
        with suppress(OSError, OutputFailed):
            self._on_stop()
        self.release()
        os.kill(os.getpid(), number)  # stopped here, until somebody continues it; then the next drawing claims anew


@contextmanager
def undisturbed() -> Iterator[None]:
    """Signals that end the process wait until the block is over: nothing is drawn by half, or twice."""
    if sys.platform == "win32":
        yield
        return
    waiting = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, waiting)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
