"""The beginning and the end of a text, in rows of a terminal.

Only what is shown is cleaned and measured, and of the rest no more is known than how many lines it has: an output of
5 MB costs what one of 5 kB does.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from ccapi.cli.answer.cells import chop
from ccapi.cli.answer.visible import visible

_LONGEST = 32  # characters for a cell, at most: what takes more (sequences, marks) counts as too long to be shown
_SPARED = 2  # rows more than wanted that are shown all the same


@dataclass(frozen=True, slots=True)
class Rows:
    """How many rows of a text are shown: its first, and its last."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Line:
    """A line as far as it is shown, and the rows that it takes."""

    text: str
    rows: list[str]


@dataclass(slots=True)
class Folded:
    """`left` says what is not shown between the two; "" where all is."""

    first: list[Line] = field(default_factory=list)
    left: str = ""
    last: list[Line] = field(default_factory=list)


def fold(text: str, width: int, rows: Rows | None) -> Folded:
    """`text` in rows of at most `width` cells; None: all of them.

    No rows are hidden where that would make the whole just one row shorter, with the line that says so.
    """
    text = text.rstrip("\r\n")
    if rows is None:
        return Folded([_line(text[start:end], width) for start, end in _bounds(text)])
    whole, end = _from_start(text, width, rows.first + rows.last + _SPARED)
    if end == len(text):
        return Folded(whole)
    first, hidden_from = _from_start(text, width, rows.first)
    last, hidden_to = _from_end(text, width, rows.last, hidden_from)
    return Folded(first, _left(text, hidden_from, hidden_to), last)


def _bounds(text: str) -> list[tuple[int, int]]:
    bounds, start = [], 0
    while (end := text.find("\n", start)) >= 0:
        bounds.append((start, end))
        start = end + 1
    return [*bounds, (start, len(text))]


def _line(raw: str, width: int) -> Line:
    text = visible(raw)
    return Line(text, chop(text, width))


def _from_start(text: str, width: int, budget: int) -> tuple[list[Line], int]:
    """The lines that take the first `budget` rows, and where the text goes on behind them."""
    lines: list[Line] = []
    start = 0
    while budget > 0:
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        shown_from = _after_carriage_return(text, start, end)
        raw = text[shown_from : min(end, shown_from + budget * width * _LONGEST)]
        line = _line(raw, width)
        if len(line.rows) > budget:
            rows = line.rows[:budget]
            shown = "".join(rows)
            return [*lines, Line(shown, rows)], shown_from + _length(shown, raw)
        lines.append(line)
        if shown_from + len(raw) < end:
            return lines, shown_from + len(raw)
        budget -= len(line.rows)
        if end == len(text):
            return lines, end
        start = end + 1
    return lines, start


def _from_end(text: str, width: int, budget: int, floor: int) -> tuple[list[Line], int]:
    """The lines that take the last `budget` rows, and where they begin; not before `floor`."""
    lines: list[Line] = []
    end = len(text)
    while budget > 0 and end > floor:
        start = max(text.rfind("\n", floor, end) + 1, floor)
        shown_from = _after_carriage_return(text, start, end)
        raw = text[max(shown_from, end - budget * width * _LONGEST) : end]
        line = _line(raw, width)
        if len(line.rows) > budget:
            rows = line.rows[-budget:]
            shown = "".join(rows)
            return [Line(shown, rows), *lines], end - _length_at_end(shown, raw)
        lines.insert(0, line)
        if end - len(raw) > shown_from:
            return lines, end - len(raw)
        budget -= len(line.rows)
        end = start - 1
    return lines, end + 1


def _length(shown: str, raw: str) -> int:
    """How many characters `raw` begins with to look like `shown`, which has no sequences and no tabs any more.

    Never all, as there is more of it: of a tab at the edge only a part may be shown.
    """
    return bisect_left(range(len(raw) - 1), len(shown), key=lambda size: len(visible(raw[:size])))


def _length_at_end(shown: str, raw: str) -> int:
    return bisect_left(range(len(raw) - 1), len(shown), key=lambda size: len(visible(raw[len(raw) - size :])))


def _after_carriage_return(text: str, start: int, end: int) -> int:
    """Where that begins which a terminal shows of a line; a return at its very end belongs to the end."""
    while end > start and text[end - 1] == "\r":
        end -= 1
    return max(text.rfind("\r", start, end) + 1, start)


def _left(text: str, start: int, end: int) -> str:
    if start == end:
        return ""
    ended = text[end - 1] == "\n"
    whole = (start == 0 or text[start - 1] == "\n") and (ended or end == len(text))
    lines = text.count("\n", start, end) + (not ended)
    if lines > 1 or whole:
        return _counted(lines, "more line")
    return _counted(end - start - ended, "more character")


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
