"""Where the blocks of an answer are written: lines with the indentation, bullets and bars of what they stand in."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Self

from ccapi.cli.answer.cells import cell_len
from ccapi.cli.answer.paint import Paint, Span
from ccapi.cli.answer.wrap import chopped, wrap

PROSE = 100  # cells of a line that is still easy to read
_ROOM = 10  # cells that a text needs at least; indentation gives way to it
_RULE = 40
_BAR, _DIM = "│ ", "2"


@dataclass(eq=False, slots=True)
class Container:
    """A block quote (no marker) or a list item, as far as the look of what stands in it depends on it."""

    key: int  # no other of the answer has it
    marker: str = ""  # with the space after it
    offset: int = 0  # columns of the source that the text of an item is indented by
    shown: bool = False  # the marker was written
    empty: bool = True  # nothing stands in it yet
    numbering: tuple[str, int] | None = None  # the list that goes on in it: its kind, the number of the next item
    sgr: str = _DIM

    @property
    def quote(self) -> bool:
        return not self.marker

    @property
    def cells(self) -> int:
        return cell_len(self.marker or _BAR)


class Sheet:
    """Collects finished lines in `out`; `width` may change at any time."""

    def __init__(self, paint: Paint) -> None:
        self.out: list[str] = []
        self.width = 80
        self.blank = False  # the source had an empty line since the last block
        self._paint = paint
        self._last: list[int] | None = None  # what the last block stood in; None before the first

    def fork(self, width: int) -> Self:
        """One that goes on alone, with nothing written yet."""
        other = copy(self)
        other.out, other.width = [], width
        return other

    def begin(self, within: Sequence[Container]) -> list[Span]:
        """A block begins: an empty line before it if it needs one; the markers that its text has to begin with.

        Blocks stand apart, but for those of a list that has no empty lines in the source.
        """
        keys = [container.key for container in within]
        if self._last is not None and (self.blank or all(container.quote for container in within)):
            shared = next((at for at, (a, b) in enumerate(zip(keys, self._last, strict=False)) if a != b), None)
            common = within[: min(len(keys), len(self._last)) if shared is None else shared]
            self.out.append(self._paint.spans(_trimmed(self._indent(common))))
        self._last, self.blank = keys, False
        if not self._narrow(within):
            return []
        markers = [container for container in within if container.marker and not container.shown]
        for container in markers:
            container.shown = True
        return [Span(container.marker, container.sgr) for container in markers]

    def room(self, within: Sequence[Container]) -> int:
        """The cells that are left for what stands in these."""
        return self.width if self._narrow(within) else self.width - _cells(within)

    def prose_room(self, within: Sequence[Container]) -> int:
        """`room` for text to read; deep in lists it is not less than a fifth of a line."""
        room = self.room(within)
        return room if self._narrow(within) else min(room, max(PROSE - _cells(within), PROSE // 5))

    def line(self, within: Sequence[Container], spans: Sequence[Span]) -> None:
        """One line that fits; the first one after an item's marker."""
        indent = [] if self._narrow(within) else self._indent(within)
        for container in within:
            container.shown = True
        self.out.append(self._paint.spans([*indent, *spans] if spans else _trimmed(indent)))

    def prose(self, within: Sequence[Container], spans: Sequence[Span]) -> None:
        """A text of one block, whole."""
        text = [*self.begin(within), *spans]
        for line in wrap(text, self.prose_room(within)):
            self.line(within, line)

    def code_begins(self, within: Sequence[Container]) -> None:
        """Then come its lines."""
        self.alone(within)

    def alone(self, within: Sequence[Container]) -> None:
        """A block begins that cannot share its lines with a marker: where that is no indentation, it comes first."""
        if markers := self.begin(within):
            for line in wrap(markers, self.width):
                self.line(within, line)

    def code(self, within: Sequence[Container], spans: Sequence[Span]) -> None:
        """A line of code: indented, so that it can be told from text without colours and copied without a frame."""
        room = self.room(within)
        indent = [Span("  ")] if room > _ROOM else []
        for line in chopped(spans, room - 2 * len(indent)):
            self.line(within, [*indent, *line] if line else [])

    def rule(self, within: Sequence[Container]) -> None:
        self.alone(within)
        self.line(within, [Span("─" * min(_RULE, self.room(within)), _DIM)])

    def _narrow(self, within: Sequence[Container]) -> bool:
        return bool(within) and self.width - _cells(within) < min(_ROOM, self.width)

    def _indent(self, within: Sequence[Container]) -> list[Span]:
        if self._narrow(within):
            return []
        return [
            Span(_BAR, _DIM)
            if container.quote
            else Span(" " * container.cells)
            if container.shown
            else Span(container.marker, container.sgr)
            for container in within
        ]


def _cells(within: Sequence[Container]) -> int:
    return sum(container.cells for container in within)


def _trimmed(spans: Sequence[Span]) -> list[Span]:
    """`spans` without spaces at their end."""
    rest = list(spans)
    while rest and not rest[-1].text.strip():
        rest.pop()
    return [*rest[:-1], rest[-1]._replace(text=rest[-1].text.rstrip())] if rest else []
