"""A piece of text under a tool's line: behind a gutter, folded, in the look of what it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ccapi.cli.answer.cells import fit
from ccapi.cli.answer.fold import Line, Rows, fold
from ccapi.cli.answer.paint import Paint, Span

DIM = "2"
_GUTTER = 4  # cells
_NARROW = 12  # cells: below, there is no room for a gutter
_DIFF = {"+": "32", "-": "31", "⋮": DIM, "(": DIM}  # what has none of the signs of a diff in front is a remark
_CHECKLIST = {"▶": "1", "☑": DIM}

OUTPUT = Rows(7, 3)
CHANGE = Rows(14, 6)  # what was edited, and what went wrong, may take more

Look = Callable[[Paint, Sequence[str]], list[list[Span]]]


def plain(_paint: Paint, lines: Sequence[str]) -> list[list[Span]]:
    return [[Span(line)] for line in lines]


def dim(_paint: Paint, lines: Sequence[str]) -> list[list[Span]]:
    return [[Span(line, DIM)] for line in lines]


def changes(_paint: Paint, lines: Sequence[str]) -> list[list[Span]]:
    """Of a diff."""
    return [[Span(line, _DIFF.get(line[:1], ""))] for line in lines]


def checklist(_paint: Paint, lines: Sequence[str]) -> list[list[Span]]:
    return [[Span(line, _CHECKLIST.get(line[:1], ""))] for line in lines]


def code(language: str) -> Look:
    def look(paint: Paint, lines: Sequence[str]) -> list[list[Span]]:
        return paint.highlighter(language).whole(lines)

    return look


@dataclass(frozen=True, slots=True)
class Panel:
    """The marks stand in the gutter: of the first row, of each other line, of the further rows of a line."""

    text: str
    look: Look = plain
    rows: Rows = OUTPUT
    marks: tuple[str, str, str] = ("│", "│", "│")

    def lines(self, paint: Paint, width: int, *, full: bool) -> list[str]:
        """Each at most `width` cells."""
        indent = _GUTTER if width >= _NARROW else 0
        folded = fold(self.text, max(1, width - indent), None if full else self.rows)
        shown = self._painted(paint, folded.first)
        if folded.left:
            shown.append([paint(fit(f"… {folded.left} (--full)", width - indent), DIM)])
        shown += self._painted(paint, folded.last)
        if not indent:
            return [row for rows in shown for row in rows]
        first, line, further = self.marks
        return [
            _behind(paint, further if inside else line if number else first, row)
            for number, rows in enumerate(shown)
            for inside, row in enumerate(rows)
        ]

    def _painted(self, paint: Paint, lines: Sequence[Line]) -> list[list[str]]:
        looks = self.look(paint, [line.text for line in lines])
        return [_painted(paint, line, spans) for line, spans in zip(lines, looks, strict=True)]


def note(text: str) -> Panel:
    """A remark of ours."""
    return Panel(text, dim)


def _behind(paint: Paint, mark: str, row: str) -> str:
    return paint(f"  {mark} ", DIM) + row if row.strip() else paint(f"  {mark}".rstrip(), DIM)


def _painted(paint: Paint, line: Line, spans: Sequence[Span]) -> list[str]:
    """The rows of a line, in the styles of its spans."""
    if "".join(line.rows) != "".join(span.text for span in spans):  # a grapheme had no room
        return list(line.rows)
    rows, rest = [], list(spans)
    for row in line.rows:
        painted, size = [], len(row)
        while size:
            span, *rest = rest
            painted.append(span._replace(text=span.text[:size]))
            if len(span.text) > size:
                rest = [span._replace(text=span.text[size:]), *rest]
            size -= len(painted[-1].text)
        rows.append(paint.spans(painted))
    return rows
