"""Tables that fit: columns shrink and their cells wrap; where not even words fit, each row is a list of its cells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

from ccapi.cli.answer.cells import cell_len
from ccapi.cli.answer.paint import Span
from ccapi.cli.answer.wrap import unbreakable, wrap

ROWS, SIZE = 100, 20_000  # rows and characters of a table that are held back until it ends
_WORD = 20  # cells of a word for which a column is kept wide; longer ones are addresses, which may be chopped
_SPARE = 12  # cells that a column gets for what may come, if there are any left
_BETWEEN, _BETWEEN_CELLS = " │ ", 3
_DIM, _BOLD = "2", "1"
# One dash alone is an item of a list, or the underline of a heading.
_DELIMITERS = re.compile(r"(?! *-(?: |$)) *\|? *:?-+:? *(?:\| *:?-+:? *)*\|? *")
_EDGE = re.compile(r"(?<!\\)\|")

Cell = list[Span]


def split(line: str) -> list[str]:
    """The cells of a row as in GFM: `\\|` is no edge of a cell."""
    cells = [cell.replace("\\|", "|") for cell in _EDGE.split(line.strip())]
    if cells and not cells[0]:
        del cells[0]
    if cells and not cells[-1]:
        del cells[-1]
    return [cell.strip() for cell in cells]


def columns(header: str, delimiters: str) -> list[str] | None:
    """How the columns of a table are aligned ("<", "^", ">"); None where the two lines are no beginning of a table."""
    if "|" not in header or not _DELIMITERS.fullmatch(delimiters):
        return None
    marks = split(delimiters)
    if len(marks) != len(split(header)):
        return None
    return [{"10": "<", "11": "^", "01": ">"}.get(f"{m[0] == ':':d}{m[-1] == ':':d}", "<") for m in marks]


@dataclass(slots=True)
class Table:
    """What is known of a table: the widths of its columns, and the rows that were not written yet."""

    aligned: list[str]
    header: list[Cell]
    rows: list[list[Cell]] = field(default_factory=list)
    natural: list[int] = field(default_factory=list)  # cells that each column has use for
    words: list[int] = field(default_factory=list)  # cells of its longest word
    size: int = 0
    partial: str | None = None  # a row whose line has not ended
    early: bool = False  # it is written before it has ended: rows may come that need more than is known
    written: bool = False  # the header is out, so that a row is written as soon as it is there
    tall: bool = False  # the last row that was written took several lines

    def __post_init__(self) -> None:
        self.natural = [0] * len(self.aligned)
        self.words = [0] * len(self.aligned)
        self._measure(self.header)

    def fork(self, rows: int) -> Table:
        """One that goes on alone, with the last so many rows."""
        other = replace(self, rows=self.rows[-rows:])
        other.natural, other.words = self.natural.copy(), self.words.copy()
        return other

    def add(self, row: list[Cell]) -> None:
        self.rows.append(row)
        self.size += sum(len(span.text) for cell in row for span in cell)
        if not self.written:
            self._measure(row)

    @property
    def full(self) -> bool:
        """It is not held back any longer."""
        return self.written or len(self.rows) >= ROWS or self.size >= SIZE

    def lines(self, width: int) -> Iterator[list[Span]]:
        """What was not written yet, in lines of at most `width` cells."""
        rows, self.rows = self.rows, []
        widths = self._widths(width)
        yield from self._stacked(rows, width) if widths is None else self._columns(rows, widths)
        self.written = True

    def _measure(self, row: Sequence[Cell]) -> None:
        for column, cell in enumerate(row):
            text = "".join(span.text for span in cell)
            self.natural[column] = max(self.natural[column], *map(cell_len, text.split("\n")))
            longest = max((_unbreakable(word) for word in text.split()), default=0)
            self.words[column] = max(self.words[column], longest)

    def _widths(self, width: int) -> list[int] | None:
        """The cells of each column; None where words do not fit."""
        room = width - _BETWEEN_CELLS * (len(self.aligned) - 1)
        least = [max(1, min(word, _WORD)) for word in self.words]
        if sum(least) > room:
            return None
        natural = [max(1, cells) for cells in self.natural]
        low, high = 1, max(natural)
        while low < high:  # the most cells that a column may have, so that all fit
            most = (low + high + 1) // 2
            low, high = (most, high) if sum(_limited(natural, least, most)) <= room else (low, most - 1)
        widths = _limited(natural, least, low)
        spare = min(_SPARE, (room - sum(widths)) // len(widths)) if self.early else 0
        return [cells + spare for cells in widths]

    def _columns(self, rows: Sequence[Sequence[Cell]], widths: Sequence[int]) -> Iterator[list[Span]]:
        rule = [Span("─┼─".join("─" * cells for cells in widths), _DIM)]
        if not self.written:
            yield from self._row(self.header, widths)
            yield rule
        for number, row in enumerate(rows):
            lines = list(self._row(row, widths))
            first = not number and not self.written
            if not first and (self.tall or len(lines) > 1):
                yield rule
            self.tall = len(lines) > 1
            yield from lines

    def _row(self, row: Sequence[Cell], widths: Sequence[int]) -> Iterator[list[Span]]:
        wrapped = [wrap(cell, cells) for cell, cells in zip(row, widths, strict=True)]
        for parts in zip_longest(*wrapped, fillvalue=[]):
            line: list[Span] = []
            for part, cells, align in zip(parts, widths, self.aligned, strict=True):
                line += [*_aligned(part, cells, align), Span(_BETWEEN, _DIM)]
            del line[-1]
            while line and line[-1] == Span(" " * len(line[-1].text)):
                del line[-1]
            if line and line[-1] == Span(_BETWEEN, _DIM):
                line[-1] = Span(_BETWEEN.rstrip(), _DIM)
            yield line

    def _stacked(self, rows: Sequence[Sequence[Cell]], width: int) -> Iterator[list[Span]]:
        if not self.written and not rows:
            for cell in self.header:
                yield from wrap(cell, width)
        for number, row in enumerate(rows):
            if number or self.written:
                yield [Span("─" * min(width, 10), _DIM)]
            for name, cell in zip(self.header, row, strict=True):
                if cell:
                    yield from wrap([*name, Span(": ", _BOLD), *cell] if name else cell, width)


def _limited(natural: Sequence[int], least: Sequence[int], most: int) -> list[int]:
    return [max(needed, min(cells, most)) for cells, needed in zip(natural, least, strict=True)]


def _unbreakable(word: str) -> int:
    return len(word) if word.isascii() else max(cells for _, cells in unbreakable(word))


def _aligned(part: Sequence[Span], cells: int, align: str) -> list[Span]:
    free = cells - sum(cell_len(span.text) for span in part)
    before = {"<": 0, "^": free // 2, ">": free}[align]
    padded = [Span(" " * before), *part, Span(" " * (free - before))]
    return [span for span in padded if span.text]
