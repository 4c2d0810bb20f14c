"""A growing answer in Markdown: lines that are finished, each told once, and how the rest of it looks now.

What comes out depends on the text and the width, never on how the text was cut: lines are read when they are
complete, and what is too long to wait for is cut at a number of characters.
"""

from __future__ import annotations

import re
from io import IncrementalNewlineDecoder

from ccapi.cli import output
from ccapi.cli.answer.blocks import Blocks
from ccapi.cli.answer.paint import Paint

# A vertical tab and a form feed end no line of Markdown, but they part words. Halves of surrogate pairs are no letters:
# markdown-it fails on an address with two of them.
_REPLACED = str.maketrans("\v\f", "  ") | dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
_LONG = 1_000  # characters of a line that are waited for
# The beginning of a line that may still become anything: shown as it is, it would flicker.
_UNDECIDED = re.compile(r"[\s>]*(?:[-*_=`~#+|:]+|\d{1,9}[.)]?)?[ \[]*")


class Markdown:
    """Feed it the pieces of an answer, as they come: what would command the terminal is left out."""

    def __init__(self, paint: Paint) -> None:
        self._paint = paint
        self._begin()

    def _begin(self) -> None:
        self._blocks = Blocks(self._paint)
        self._newlines = IncrementalNewlineDecoder(None, translate=True)  # "\r" may be half of one
        self._rest = ""  # of the line that is not complete, what was not read
        self._long = False  # its beginning was read
        self._tail: tuple[tuple[int, int], list[str]] | None = None  # for which size, and how it looked

    def feed(self, text: str, width: int) -> list[str]:
        """The lines that are finished now: styled, each at most `width` cells."""
        self._tail = None
        sheet = self._blocks.sheet
        sheet.width = max(1, width)
        self._read(self._newlines.decode(text))
        finished, sheet.out = sheet.out, []
        return finished

    def tail(self, width: int, height: int) -> list[str]:
        """The last `height` lines of what is not finished, as they would be if the answer ended here."""
        size = (max(1, width), max(0, height))
        if self._tail is None or self._tail[0] != size:
            self._tail = (size, self._preview(*size))
        return self._tail[1].copy()

    def end(self, width: int) -> list[str]:
        """The lines that were not finished; the next piece begins an answer of its own."""
        sheet = self._blocks.sheet
        sheet.width = max(1, width)
        self._read(self._newlines.decode("", final=True))
        if self._rest or self._long:
            self._end_line(self._rest)
        self._blocks.end()
        self._begin()
        return sheet.out

    def _read(self, text: str) -> None:
        *lines, self._rest = (self._rest + output.printable(text.translate(_REPLACED))).split("\n")
        for line in lines:
            self._end_line(self._long_parts(line))
        self._rest = self._long_parts(self._rest)

    def _long_parts(self, line: str) -> str:
        """Read what of a line is too long to wait for; the rest of it is returned."""
        while len(line) > _LONG:
            if self._long:
                self._blocks.more(line[:_LONG])
            else:
                self._blocks.line(line[:_LONG], long=True)
            self._long, line = True, line[_LONG:]
        return line

    def _end_line(self, rest: str) -> None:
        if self._long:
            self._blocks.more(rest)
            self._blocks.end_line()
        else:
            self._blocks.line(rest)
        self._long = False

    def _preview(self, width: int, height: int) -> list[str]:
        if not height:
            return []
        blocks = self._blocks.fork(width, height)
        if self._long:
            blocks.more(self._rest)
        elif not _UNDECIDED.fullmatch(self._rest):
            blocks.line(self._rest)
        blocks.end()
        return blocks.sheet.out[-height:]
