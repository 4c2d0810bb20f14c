"""Styled text in lines of at most so many cells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from unicodedata import category

from ccapi.cli.answer.cells import cell_len, chop, graphemes, take
from ccapi.cli.answer.paint import Span

_PIECES = re.compile(r"\n| +|[^ \n]+")
# Between two wide characters a line may break, but not before a closing mark or a small kana, nor after an opening one.
_SMALL = frozenset("ーぁぃぅぇぉっゃゅょァィゥェォッャュョ々")


def wrap(spans: Sequence[Span], width: int) -> list[list[Span]]:
    """`spans` broken at spaces, and between CJK characters; words that are wider than `width` are chopped.

    A newline in them begins a line. What was wrapped can be wrapped again with more text at its end: only the last
    line changes.
    """
    lines = _Lines(width)
    for span in spans:
        for piece in _PIECES.findall(span.text):
            if piece == "\n":
                lines.end_line()
            elif piece[0] == " ":
                lines.space(span._replace(text=piece))
            elif piece.isascii():
                lines.add(span._replace(text=piece), len(piece))
            else:
                _add_wide(lines, span, piece)
    return lines.finish()


def chopped(spans: Sequence[Span], width: int) -> list[list[Span]]:
    """`spans` cut every `width` cells, wherever that is; at least one line."""
    lines: list[list[Span]] = [[]]
    used = 0
    for span in spans:
        head, rest = take(span.text, width - used)
        if head:
            lines[-1].append(span._replace(text=head))
            used += cell_len(head)
        if rest:
            pieces = chop(rest, width)
            lines.extend([span._replace(text=piece)] for piece in pieces)
            used = cell_len(pieces[-1])
    return [line for line in lines if line] or [[]]


def _add_wide(lines: _Lines, span: Span, word: str) -> None:
    for number, (part, cells) in enumerate(unbreakable(word)):
        if number:
            lines.end_word()
        lines.add(span._replace(text=part), cells)


def unbreakable(word: str) -> Iterator[tuple[str, int]]:
    """The parts of a word between which a line may break, with their cells."""
    part, size, last_size = "", 0, 0
    for grapheme, cells in graphemes(word):
        if part and (cells == 2 or last_size == 2) and _may_part(part[-1], grapheme[0]):
            yield part, size
            part, size = "", 0
        part += grapheme
        size += cells
        last_size = cells
    yield part, size


def _may_part(last: str, first: str) -> bool:
    return first not in _SMALL and category(first) not in {"Pe", "Pf", "Po"} and category(last) not in {"Ps", "Pi"}


class _Lines:
    """Fills lines with words; a word may be of several spans."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._lines: list[list[Span]] = []
        self._line: list[Span] = []
        self._used = 0
        self._gap: Span | None = None  # spaces before the next word, if that stays on the line
        self._word: list[Span] = []
        self._word_cells = 0

    def add(self, span: Span, cells: int) -> None:
        """A part of the word."""
        self._word.append(span)
        self._word_cells += cells

    def space(self, span: Span) -> None:
        self.end_word()
        if self._line and self._gap is None:
            self._gap = span

    def end_line(self) -> None:
        self.end_word()
        self._push()

    def finish(self) -> list[list[Span]]:
        """All lines; there is at least one."""
        self.end_word()
        if self._line or not self._lines:
            self._push()
        return self._lines

    def end_word(self) -> None:
        if not self._word:
            return
        word, cells = self._word, self._word_cells
        self._word, self._word_cells = [], 0
        gap = len(self._gap.text) if self._gap else 0
        if self._line and self._used + gap + cells > self._width:
            self._push()
        elif self._gap:
            self._put(self._gap, gap)
        self._gap = None
        for span in word:
            self._put_part(span)

    def _put_part(self, span: Span) -> None:
        cells = cell_len(span.text)
        if self._used + cells <= self._width:
            self._put(span, cells)
            return
        head, rest = take(span.text, self._width - self._used)
        if head:
            self._put(span._replace(text=head), 0)
        self._push()
        *full, last = chop(rest, self._width)
        self._lines.extend([span._replace(text=piece)] for piece in full)
        self._put(span._replace(text=last), cell_len(last))

    def _put(self, span: Span, cells: int) -> None:
        if self._line and self._line[-1][1:] == span[1:]:
            self._line[-1] = span._replace(text=self._line[-1].text + span.text)
        else:
            self._line.append(span)
        self._used += cells

    def _push(self) -> None:
        self._lines.append(self._line)
        self._line, self._used, self._gap = [], 0, None
