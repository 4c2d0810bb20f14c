"""The end of a terminal's output as an area that can be drawn anew, below lines that are written once and stay.

The cursor rests at the *beginning* of the area, and what is below it is erased before each drawing. So nothing has to
be counted: a terminal that wraps the lines of the area anew because it was made narrower keeps the cursor at the
character where it was. While the area is drawn, lines do not wrap at all (DECAWM), so that moving back up is exact for
any width. One drawing is one write, between the marks of a synchronized update where the terminal knows them.

The area is so small that all of it stays on the screen when that is made a good deal narrower: what the terminal has
moved out of the screen meanwhile, nobody can take away any more. (In tmux it may have to be smaller: see `above`.)

The keyboard's echo is off as long as the area is there: a typed Enter would move the cursor.

Source: ECMA-48; xterm, "Control Sequences" (DECAWM, DECTCEM); the specification of synchronized output (mode 2026).
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TextIO

from ccapi.cli import output
from ccapi.cli.answer import above
from ccapi.cli.answer.cells import cell_len
from ccapi.errors import OutputFailed
from ccapi.settings.environment import own

_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"
# From the beginning of the line to the end of the screen. In two parts, as tmux takes the erasure of a whole screen for
# one that is to be remembered.
_ERASE = "\r\x1b[K\x1b7\x1b[B\x1b[J\x1b8"
_PLAIN_SIGNS = str.maketrans("✓✗○●│─┼•◦☐▶☑…⋮⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏·", "+xo*|-+*o.>+~:|/-\\|/-\\|/.")
_DEFAULT = os.terminal_size((80, 24))
_LAST_WORDS = 0.5  # seconds
_SILENCE = 30.0  # seconds


def size(stream: TextIO | None) -> os.terminal_size:
    """Of the terminal that `stream` is; what is none, or says that it has none, counts as 80 x 24."""
    if stream is None:
        return _DEFAULT
    with suppress(OSError, ValueError):  # no terminal, or closed
        found = os.get_terminal_size(stream.fileno())
        return os.terminal_size((found.columns or _DEFAULT.columns, found.lines or _DEFAULT.lines))
    return _DEFAULT


def encodable(text: str, stream: TextIO) -> str:
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
        self._above = above.Above() if above.within_tmux(own()) else None
        self._asked = False  # where the cursor is

    @property
    def size(self) -> os.terminal_size:
        return size(self._stream)

    @property
    def room(self) -> int:
        """The cells that a line of the area may have."""
        return self._above.room(self.size) if self._above else self.size.columns

    def update(self, finished: Sequence[str], live: Sequence[str]) -> None:
        """Put `finished` above the area, and `live` into it. Both are lines; those of `live` are cut at the margin."""
        if self._shown:
            self._ask_once(delays=bool(finished) or len(live) > 1)
        size = self.size
        lines = self._fitting(live, size)
        if not (finished or lines or self._shown):
            return
        before = (_ERASE if self._shown else _HIDE) if lines else self._gone
        written = "".join(f"{line}\n" for line in finished)
        area = f"{_NO_WRAP}{chr(10).join(lines)}{_WRAP}{_back(len(lines))}" if lines else ""
        self._write(encodable(f"{_BEGIN}{before}{written}{area}{_END}", self._stream))
        self._shown = bool(lines)
        if self._above:
            self._above.drawn(size, finished, lines)

    def close(self) -> None:
        """Leave the terminal as it was found; what was written above the area stays. May be called twice."""
        with suppress(OSError, OutputFailed):
            self._clear()
        self._keyboard.release()

    def _ask_once(self, *, delays: bool) -> None:
        """Learn what stands above, once the question is on its way, unless that `delays` the answer."""
        if self._above and not self._asked and not delays:
            row = above.cursor_row(self._stream, own())
            if row is None:
                self._above = None
            else:
                self._above.know(row)
        self._asked = True

    def _fitting(self, live: Sequence[str], size: os.terminal_size) -> Sequence[str]:
        if not self._keyboard.claim():
            self._forget()
            return []
        lines = _fitting(live, size)
        return self._above.fitting(lines, size) if self._above else lines

    def _forget(self) -> None:
        """What others write meanwhile is not known."""
        if self._above:
            self._above.forget()

    @property
    def _gone(self) -> str:
        return _ERASE + _SHOW if self._shown else ""

    def _clear(self) -> None:
        if self._shown:
            self._write(self._gone)
        self._shown = False
        self._forget()

    def _write(self, text: str) -> None:
        try:
            output.write(text, self._stream)
        except (KeyboardInterrupt, SystemExit):  # the terminal takes nothing, and it is not waited for any longer
            self._shown = False
            self._keyboard.release()
            _say_last(self._stream, _END + _WRAP + _SHOW)
            output.leave_terminals()
            raise


class Lines:
    """On a terminal that cannot move its cursor: there are finished lines only, and now and then a sign of life."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._signed = -_SILENCE  # when something was written last

    @property
    def size(self) -> os.terminal_size:
        return size(self._stream)

    @property
    def room(self) -> int:
        return self.size.columns

    def update(self, finished: Sequence[str], live: Sequence[str]) -> None:
        now = self._clock()
        silent = not finished and live and now - self._signed >= _SILENCE
        lines = [live[-1]] if silent else finished
        if lines:
            self._signed = now
            output.write(encodable("".join(f"{line}\n" for line in lines), self._stream), self._stream)

    def close(self) -> None:
        """Nothing was changed."""


def _fitting(live: Sequence[str], size: os.terminal_size) -> Sequence[str]:
    """As many of the last lines as would be on the screen if it were narrow; one in any case."""
    left, count = size.lines - 1, 0
    for line in reversed(live):
        left -= -(-min(cell_len(above.UNSEEN.sub("", line)), size.columns) // above.NARROW) or 1
        if left < 0:
            break
        count += 1
    return live[-max(1, count) :]


def _say_last(stream: TextIO, text: str) -> None:
    """If the terminal takes it before long."""
    if sys.platform == "win32":
        return
    with suppress(OSError, ValueError):
        own = os.open(os.ttyname(stream.fileno()), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            select.select([], [own], [], _LAST_WORDS)
            os.write(own, text.encode())
        finally:
            os.close(own)


def _back(lines: int) -> str:
    return "\r" + (f"\x1b[{lines - 1}A" if lines > 1 else "")


class _Keyboard:
    """The terminal's echo, off while somebody draws; on again while the process is stopped (Ctrl-Z)."""

    def __init__(self, stream: TextIO, *, on_stop: Callable[[], None]) -> None:
        self._stream = stream
        self._on_stop = on_stop
        self._before: list[Any] | None = None  # the terminal's modes, while the echo is off
        self._handler: Any = signal.SIG_DFL if sys.platform == "win32" else signal.getsignal(signal.SIGTSTP)

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
                signal.signal(signal.SIGTSTP, self._stop)
                self._before = [*before]
                termios.tcsetattr(descriptor, termios.TCSANOW, [*before[:3], before[3] & ~termios.ECHO, *before[4:]])
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
                termios.tcsetattr(self._stream.fileno(), termios.TCSANOW, before)

    def _stop(self, number: int, _frame: object) -> None:
        with suppress(OSError, OutputFailed):
            self._on_stop()
        self.release()
        os.kill(os.getpid(), number)  # stopped here, until somebody continues it; then the next drawing claims anew
