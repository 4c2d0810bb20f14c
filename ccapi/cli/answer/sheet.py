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
_GOES_ON = Span("… ", _DIM)


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
        self._apart = False  # a list after the last block needs an empty line
        self._last: list[int] | None = None  # what the last block stood in; None before the first

    def fork(self, width: int) -> Self:
        """One that goes on alone, with nothing written yet."""
        other = copy(self)
        other.out, other.width = [], width
        return other

    def begin(self, within: Sequence[Container], *, apart: bool = False) -> list[Span]:
        """A block begins: an empty line before it if it needs one; the markers that its text has to begin with.

        Blocks stand apart, but for those of a list that has no empty lines in the source, and a text right before it.
        `apart`: this is no text, so that a list after it stands apart as well.
        """
        keys = [container.key for container in within]
        in_list = any(container.marker for container in within)
        if self._last is not None and (self.blank or self._apart or not in_list):
            shared = next((at for at, (a, b) in enumerate(zip(keys, self._last, strict=False)) if a != b), None)
            common = within[: min(len(keys), len(self._last)) if shared is None else shared]
            self.out.append(self._paint.spans(_trimmed(self._indent(common))))
        self._last, self._apart, self.blank = keys, apart and not in_list, False
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

    def heading(self, within: Sequence[Container], spans: Sequence[Span]) -> None:
        text = [*self.begin(within, apart=True), *spans]
        for line in wrap(text, self.prose_room(within)):
            self.line(within, line)

    def alone(self, within: Sequence[Container]) -> None:
        """A block begins that cannot share its lines with a marker: where that is no indentation, it comes first."""
        if markers := self.begin(within, apart=True):
            for line in wrap(markers, self.width):
                self.line(within, line)

    def code(self, within: Sequence[Container], spans: Sequence[Span]) -> None:
        """A line of code: indented, so that it can be told from text without colours and copied without a frame.

        Where the rest of a line that was cut stands, the indentation says so.
        """
        room = self.room(within)
        indented = room > _ROOM
        for number, line in enumerate(chopped(spans, room - 2 if indented else room)):
            indent = [_GOES_ON if number else Span("  ")] if indented else []
            self.line(within, [*indent, *line] if line else [])

    def rule(self, within: Sequence[Container]) -> None:
        self.alone(within)
        self.line(within, [Span("─" * min(_RULE, self.room(within)), _DIM)])

    def _narrow(self, within: Sequence[Container]) -> bool:
        return bool(within) and self.width - _cells(within) < min(_ROOM, max(1, self.width // 2))

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
