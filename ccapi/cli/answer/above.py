"""What stands above the live area in tmux, and how large the area may be for that.

A tmux that is made narrower wraps all of its rows anew, and moves as many as that made more into its history, from the
top, even if there are blank rows at the bottom. What it has moved there, nobody can erase. So no row of the live area
may be among them: as many rows have to stand above it as the area would become more.

Source: tmux, grid_reflow() in grid.c and screen_resize_cursor() in screen.c.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TextIO

from ccapi.cli.answer.cells import cell_len, chop, take

NARROW, _PART = 20, 3  # the terminal may become that narrow, or a third of what it is, and nothing is moved out
_ENOUGH = 6  # rows: three lines as wide as the terminal become so many more
_PATIENCE = 0.5  # seconds, while the answer is waited for
UNSEEN = re.compile(r"(\x1b\[[0-9;]*m|\x1b\]8;[^\x1b]*\x1b\\)")  # colours and links


class Above:
    """No more rows than stand above the live area, as far as that is known.

    The command line does, if nothing else is known. What is written makes them more, a narrower terminal fewer.
    """

    def __init__(self) -> None:
        self.forget()
        self._columns = 0  # of the last drawing
        self._live: Sequence[str] = ()  # which it has drawn
        self._most: int | None = None  # lines of the live area, until something is written above it

    def forget(self) -> None:
        """Somebody else has written to the terminal."""
        self.know(1)

    def know(self, rows: int) -> None:
        """There are so many now."""
        self._rows, self._lines = rows, min(rows, 1)  # `_lines`: in rows that are wide enough for each of them

    def rows(self, size: os.terminal_size) -> int:
        """If the terminal has come to be of that size since the last drawing."""
        rows = min(self._rows, size.lines - 1) - _more(self._live, size.columns)
        return max(0, min(rows, self._lines) if size.columns > self._columns else rows)

    def drawn(self, size: os.terminal_size, finished: Sequence[str], live: Sequence[str]) -> None:
        """`finished` was written, and `live` below it."""
        self._rows = min(self.rows(size) + len(finished), size.lines - max(1, len(live)))
        self._lines += len(finished)
        if finished or size.columns != self._columns:
            self._most = None
        self._live, self._columns = live, size.columns

    def room(self, size: os.terminal_size) -> int:
        """Cells that each line of the live area may have: while there is little above it, more lines are shorter."""
        rows, narrow = self.rows(size), _narrow(size)
        if rows >= _ENOUGH or narrow >= size.columns:
            return size.columns
        # A line becomes two rows, or stays one. A cell less of each, as a wide letter may leave one at its end.
        return min(size.columns, (narrow - 1) * (2 if rows else 1))

    def fitting(self, live: Sequence[str], size: os.terminal_size) -> Sequence[str]:
        """As many of the last lines as may be there, cut where they are too long; one in any case.

        Their number does not go up and down with every line that is begun and fills.
        """
        left, lines = self.rows(size), [_cut(line, self.room(size)) for line in live[-(self._most or len(live)) :]]
        for count, line in enumerate(reversed(lines)):
            left -= _more([line], _narrow(size))
            if left < 0:
                self._most = max(1, count)
                return lines[-self._most :]
        return lines


def _narrow(size: os.terminal_size) -> int:
    return max(NARROW, -(-size.columns // _PART))


def _more(lines: Sequence[str], columns: int) -> int:
    """The rows that these become more where there are only so many columns."""
    return sum(len(chop(UNSEEN.sub("", line), columns)) - 1 for line in lines)


def _cut(line: str, room: int) -> str:
    """As the terminal does it at its margin."""
    if cell_len(UNSEEN.sub("", line)) <= room:
        return line
    shown = ""
    for number, piece in enumerate(UNSEEN.split(line)):
        head, rest = ("", "") if number % 2 else take(piece, room)
        shown += piece if number % 2 else head
        room = 0 if rest else room - cell_len(head)
    return shown


def within_tmux(environ: Mapping[str, str]) -> bool:
    return bool(environ.get("TMUX") and environ.get("TMUX_PANE"))


def cursor_row(stream: TextIO, environ: Mapping[str, str]) -> int | None:
    """The rows above the cursor of tmux's pane; None if `stream` is another terminal. The command line is one."""
    from ccapi.doctor import program

    wanted = ("display-message", "-p", "-t", environ["TMUX_PANE"], "#{pane_tty} #{cursor_y}")
    said = program.ask("tmux", *wanted, environ=environ, timeout=_PATIENCE)
    terminal, _, row = said.stdout.partition(" ")
    if not (said.ok and row.isdecimal()):
        return 1
    with suppress(OSError, ValueError):
        return int(row) if terminal == os.ttyname(stream.fileno()) else None
    return None
