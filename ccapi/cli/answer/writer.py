"""Writes the leaves of Markdown's blocks, in the containers that are open; long ones before they have ended."""

from __future__ import annotations

import re
from copy import copy
from dataclasses import dataclass, field
from typing import Self

from ccapi.cli.answer.inline import Inline
from ccapi.cli.answer.paint import Paint, Span
from ccapi.cli.answer.sheet import Container, Sheet
from ccapi.cli.answer.tables import Table, split
from ccapi.cli.answer.wrap import wrap

_STEP, _FORCED = 1_000, 2_000  # characters of a paragraph: see Paragraph
_DENSE = 4  # one mark in so many characters: it is no text, and reading it more than once would cost too much
_HEADINGS = ("1;4;35", "1;35", "35", "3;35", "3;35", "3;35")
_DIM, _BOLD = "2", "1"
_MARK = re.compile(r"[*_`~\[\]<&]")


@dataclass(slots=True)
class Paragraph:
    """Text that is not written yet, and the last line that was begun with what is.

    At `_STEP` characters a place is looked for up to which it can be written, one where no mark is open; at `_FORCED`
    it is cut where that changes nothing as far as it is known, or anyhow.
    """

    text: str
    line: list[Span] = field(default_factory=list)
    begun: bool = False
    tried: int = 0
    at_line: bool = True  # the text begins where a line of the source does


class Writer:
    """`within`: the containers that are open."""

    def __init__(self, paint: Paint) -> None:
        self.sheet = Sheet(paint)
        self.within: list[Container] = []
        self._paint = paint
        self._inline = Inline(paint)

    def fork(self, width: int) -> Self:
        """One that goes on alone from here, on an empty sheet."""
        other = copy(self)
        other.detach(width)
        return other

    def detach(self, width: int) -> None:
        """Share nothing any more with the one that this is a copy of."""
        self.sheet = self.sheet.fork(width)
        self.within = [copy(container) for container in self.within]
        self._inline = self._inline.fork()

    def alone(self) -> None:
        """A block begins that is no text."""
        self.sheet.alone(self.within)

    def rule(self) -> None:
        self.sheet.rule(self.within)

    def code(self, spans: list[Span]) -> None:
        """A line of it."""
        self.sheet.code(self.within, spans)

    def empty(self) -> None:
        """A line that belongs to a block, without text: only what it stands in."""
        self.sheet.line(self.within, [])

    def blank(self) -> None:
        """The source has an empty line between two blocks."""
        self.sheet.blank = True

    def heading(self, level: int, text: str) -> None:
        style = _HEADINGS[level - 1]
        mark = [] if self._paint.colour else [Span("#" * level + " ")]
        if spans := self._inline.spans(text, style):
            self.sheet.heading(self.within, [*mark, *spans])

    def literal(self, text: str) -> None:
        for line in wrap(self._inline.literal(text, _DIM), self.sheet.room(self.within)):
            self.sheet.line(self.within, line)

    def let_out(self, paragraph: Paragraph) -> None:
        """Write what of a long paragraph cannot change any more."""
        while len(paragraph.text) >= paragraph.tried + _STEP:
            paragraph.tried += _STEP
            known = paragraph.text[: paragraph.tried]
            if not paragraph.begun and (lines := known.rfind("\n") + 1):
                rest = self.defined(known[:lines])
                if len(rest) < lines:
                    paragraph.text, paragraph.tried = rest + paragraph.text[lines:], 0
                    continue
            forced = paragraph.tried >= _FORCED
            spans, at = ([], 0) if _dense(known) else self._inline.cut(known, waits=not forced)
            if not at and (forced or _dense(known)):
                spans, at = self._inline.cut_anyhow(known)
            if at:
                self._write(paragraph, spans[:-1])
                paragraph.line.append(spans[-1])
                paragraph.at_line = known[at - 1] == "\n"
                paragraph.text, paragraph.tried = paragraph.text[at:], 0

    def _write(self, paragraph: Paragraph, spans: list[Span]) -> None:
        """Write the lines that are full with `spans`; the last one goes on."""
        if not paragraph.begun:
            paragraph.line = self.sheet.begin(self.within)
            paragraph.begun = True
        *lines, paragraph.line = wrap([*paragraph.line, *spans], self.sheet.prose_room(self.within))
        for line in lines:
            self.sheet.line(self.within, line)

    def finish(self, paragraph: Paragraph) -> None:
        text = paragraph.text if paragraph.begun else self.defined(paragraph.text)
        if text.strip() or paragraph.begun:
            self._write(paragraph, self._inline.spans(text))
            self.sheet.line(self.within, paragraph.line)

    def defined(self, text: str) -> str:
        """`text` without the definitions that it begins with; they are shown, for links that came before them."""
        rest = self._inline.definitions(text)
        if rest != text:
            self.sheet.alone(self.within)
            for line in text[: len(text) - len(rest)].splitlines():
                self.literal(line)
        return rest

    def header(self, aligned: list[str], text: str) -> Table:
        """The table that begins with this row."""
        return Table(aligned, [self._inline.spans(cell, _BOLD) for cell in split(text)])

    def row(self, table: Table, text: str) -> None:
        cells, count = split(text), len(table.aligned)
        if len(cells) > count:  # GFM drops them
            cells[count - 1 :] = [" | ".join(cells[count - 1 :])]
        cells += [""] * (count - len(cells))
        table.add([self._inline.spans(cell) for cell in cells])
        if table.full:
            table.early = True
            self.table(table)

    def table(self, table: Table) -> None:
        if not table.written:
            self.sheet.alone(self.within)
        for line in table.lines(self.sheet.room(self.within)):
            self.sheet.line(self.within, line)


def _dense(text: str) -> bool:
    return len(_MARK.findall(text)) * _DENSE > len(text)
