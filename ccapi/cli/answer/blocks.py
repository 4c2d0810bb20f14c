"""The blocks of Markdown, line by line: each line is read once, and what cannot change any more is written at once.

This is the block structure of CommonMark and of GFM's tables, as its appendix describes it: containers (quotes, list
items) that a line continues or closes, and in the innermost of them one open leaf (a paragraph, code, a table).
Inline text is markdown-it's. What differs:
- What was written is never touched again. So a definition resolves only links after it (and is shown, so that no
  address is lost); a paragraph that grew long is no heading of the `===` kind, and a mark that stays open for long in
  it is text; a line that is too long to wait for is text within its containers, or more of the code or the table that
  it stands in, whatever it looks like.
- A row of a table keeps the cells that it has too many, in the last column.
- There are no more than twenty containers around a line.
- Tabs are spaces, in code as well; what would command a terminal, or reorder what it shows, was left out before.
"""

from __future__ import annotations

import re
from copy import copy
from dataclasses import dataclass, replace
from functools import cache
from typing import Self

from ccapi.cli.answer.extract import named
from ccapi.cli.answer.paint import Highlighter, Paint, Span
from ccapi.cli.answer.sheet import Container, Sheet
from ccapi.cli.answer.tables import Table, columns
from ccapi.cli.answer.writer import Paragraph, Writer

_DEEPEST = 20
_LONGEST_ROW = 10_000
_BULLETS = "•◦"
_OPEN, _DONE = ("☐ ", "2"), ("✓ ", "32")
_HEADING = re.compile(r"(#{1,6})(?: +(.*?))??(?: +#+)? *")
_UNDERLINE = re.compile(r"(=+|-+) *")
_RULE = re.compile(r"(?:\* *){3,}|(?:_ *){3,}|(?:- *){3,}")
_FENCE = re.compile(r"(?:(`{3,})([^`]*)|(~{3,})(.*))")
_ITEM = re.compile(r"([*+-]|(\d{1,9})([.)]))( +|$)")
_TASK = re.compile(r"\[([ xX])\] +(?=\S)")


@dataclass(slots=True)
class _Fence:
    mark: str
    indent: int
    highlighter: Highlighter
    begun: bool = False

    def closed_by(self, line: str) -> bool:
        mark = line.strip(" ")
        return _indent(line) < 4 and len(mark) >= len(self.mark) and not mark.strip(self.mark[0])


@dataclass(slots=True)
class _Indented:
    blanks: int = 0  # lines that belong to it if more of it follows


@dataclass(slots=True)
class _Html:
    end: re.Pattern[str]


@dataclass(slots=True)
class _Opening:
    """A container that begins on a line, and what of the line stands in it."""

    container: Container
    rest: str
    numbering: tuple[str, int] | None = None  # of the list that it is the latest item of


class Blocks:
    """Feed it lines; they are written on `sheet`."""

    def __init__(self, paint: Paint) -> None:
        self._writer = Writer(paint)
        self._paint = paint
        self._root = Container(0)
        self._leaf: Paragraph | _Fence | _Indented | _Html | Table | None = None
        self._keys = 0

    @property
    def sheet(self) -> Sheet:
        return self._writer.sheet

    @property
    def _within(self) -> list[Container]:
        """The containers that are open."""
        return self._writer.within

    def fork(self, width: int, rows: int) -> Self:
        """One that goes on alone from here, on an empty sheet; of a table it knows the last so many rows."""
        other = copy(self)
        other.detach(width, rows)
        return other

    def detach(self, width: int, rows: int) -> None:
        """Share nothing any more with the one that this is a copy of."""
        self._writer = self._writer.fork(width)
        self._root = copy(self._root)
        match self._leaf:
            case Table() as table:
                self._leaf = table.fork(rows)
            case _Fence() as fence:
                self._leaf = replace(fence, highlighter=copy(fence.highlighter))
            case leaf:
                self._leaf = copy(leaf)

    def line(self, line: str, *, long: bool = False) -> None:
        """The next line, without its end. `long`: its first part, which is text, whatever it looks like."""
        line = line.expandtabs(4)
        matched, rest = self._continued(line)
        if matched == len(self._within) and self._continues_leaf(rest, long=long):
            return
        if not isinstance(self._leaf, Paragraph) and matched < len(self._within):
            self._close(matched)
        opened = False
        while opening := self._opening(rest, matched):
            self._close(matched)
            self._open(opening)
            rest, opened, matched = opening.rest, True, matched + 1
        if rest.strip(" "):
            self._place(rest, matched, long=long)
        elif not opened:
            self._empty_line(matched)

    def more(self, text: str) -> None:
        """The next part of a long line."""
        text = text.expandtabs(4)
        match self._leaf:
            case Paragraph() as paragraph:
                paragraph.text += text
                self._writer.let_out(paragraph)
            case _Fence() as fence:
                self._code(fence, text)
            case _Html():
                self._writer.literal(text)
            case _Indented():
                self._writer.code([Span(text)])
            case Table(partial=str(row)) as table if len(row) < _LONGEST_ROW:
                table.partial = row + text
            case _ if text.strip(" "):
                self._close_row()
                self._text(text)

    def end_line(self) -> None:
        """The long line has ended."""
        self._close_row()

    def end(self) -> None:
        """There is no more."""
        self._close_row()
        self._close(0)

    # Containers.

    def _continued(self, rest: str) -> tuple[int, str]:
        """How many of the open containers a line continues, and what is left of it within them."""
        for number, container in enumerate(self._within):
            indent = _indent(rest)
            if container.quote:
                if indent > 3 or rest[indent : indent + 1] != ">":
                    return number, rest
                rest = rest[indent + 1 :].removeprefix(" ")
            elif not rest.strip(" "):
                if container.empty:
                    return number, rest
                rest = ""
            elif indent >= container.offset:
                rest = rest[container.offset :]
            else:
                return number, rest
        return len(self._within), rest

    def _opening(self, rest: str, matched: int) -> _Opening | None:
        """The quote or the list item that begins here."""
        indent = _indent(rest)
        text = rest[indent:]
        if not text or indent > 3 or matched >= _DEEPEST:
            return None
        if text[0] == ">":
            return _Opening(Container(self._new_key()), text[1:].removeprefix(" "))
        item = _ITEM.match(text)
        if not item or _RULE.fullmatch(text):
            return None
        if self._here(matched) and self._goes_on_with(text, item):
            return None
        return self._item(item, indent, text[item.end() :], matched)

    def _goes_on_with(self, text: str, item: re.Match[str]) -> bool:
        """Whether what looks like an item is part of the open paragraph, or its underline."""
        empty = not text[item.end() :].strip(" ")
        return (empty or int(item[2] or 1) != 1) and not self._only_defines()

    def _item(self, item: re.Match[str], indent: int, after: str, matched: int) -> _Opening:
        spaces = len(item[4])
        if not after.strip(" "):
            spaces, after = 1, ""
        elif spaces > 4:
            spaces, after = 1, " " * (spaces - 1) + after  # indented code begins the item
        parent = self._within[matched - 1] if matched else self._root
        kind, number = item[3] or item[1], int(item[2] or 0)
        if parent.numbering and parent.numbering[0] == kind:
            number = parent.numbering[1]
        depth = sum(1 for each in self._within[:matched] if each.marker and not each.marker[0].isdigit())
        marker = f"{number}{kind} " if item[2] else f"{_BULLETS[depth % len(_BULLETS)]} "
        container = Container(self._new_key(), marker, indent + len(item[1]) + spaces)
        return _Opening(container, after, (kind, number + 1))

    def _open(self, opening: _Opening) -> None:
        self._parent().empty = False
        self._parent().numbering = opening.numbering
        self._within.append(opening.container)

    def _close(self, matched: int) -> None:
        """End the open leaf, and all containers but the first `matched`."""
        self._close_leaf()
        while len(self._within) > matched:
            container = self._within[-1]
            if container.marker and not container.shown:
                self._writer.alone()
                if not container.shown:
                    self._writer.empty()
            self._within.pop()

    def _parent(self) -> Container:
        return self._within[-1] if self._within else self._root

    def _new_key(self) -> int:
        self._keys += 1
        return self._keys

    def _here(self, matched: int) -> bool:
        """Whether a line in the first `matched` containers continues a paragraph, if it begins nothing else."""
        return isinstance(self._leaf, Paragraph) and matched == len(self._within)

    # Leaves.

    def _continues_leaf(self, rest: str, *, long: bool) -> bool:
        """Take a line of what it is in, if that is code or HTML."""
        match self._leaf:
            case _Fence() as fence:
                if not long and fence.closed_by(rest):
                    self._leaf = None
                else:
                    self._code(fence, rest[min(_indent(rest), fence.indent) :])
                return True
            case _Html() as html:
                if rest.strip(" "):
                    self._writer.literal(rest)
                else:
                    self._writer.blank()
                if html.end.search(rest.strip(" ")):
                    self._leaf = None
                return True
            case _Indented() as code:
                return self._indented(code, rest)
        return False

    def _indented(self, code: _Indented, rest: str) -> bool:
        if not rest.strip(" "):
            code.blanks += 1
            self._writer.blank()
            return True
        if _indent(rest) < 4:
            return False
        for _ in range(code.blanks):
            self._writer.empty()
        code.blanks, self.sheet.blank = 0, False
        self._writer.code([Span(rest[4:])])
        return True

    def _empty_line(self, matched: int) -> None:
        self._close(matched)
        self._writer.blank()

    def _place(self, rest: str, matched: int, *, long: bool) -> None:
        """What a line says within its containers: the beginning of a leaf, or text."""
        indent, text = _indent(rest), rest.strip(" ")
        if indent > 3:
            if not isinstance(self._leaf, Paragraph):
                self._begin(matched)
                self._writer.alone()
                self._leaf = _Indented()
                self._writer.code([Span(rest[4:])])
                return
        elif not long:
            if self._heading(text, matched) or self._fence(text, indent, matched) or self._html(text, rest, matched):
                return
            if self._here(matched) and (self._begins_table(text) or self._underlined(text)):
                return
            if _RULE.fullmatch(text):
                self._begin(matched)
                self._writer.rule()
                return
        if isinstance(self._leaf, Table) and matched == len(self._within) and indent < 4:
            self._leaf.partial = text
            if not long:
                self._close_row()
            return
        if not isinstance(self._leaf, Paragraph):
            self._close(matched)
        self._text(rest)

    def _begin(self, matched: int) -> None:
        """A leaf begins within the first `matched` containers."""
        self._close(matched)
        self._parent().empty = False
        self._parent().numbering = None

    def _heading(self, text: str, matched: int) -> bool:
        heading = _HEADING.fullmatch(text)
        if heading:
            self._begin(matched)
            self._writer.heading(len(heading[1]), heading[2] or "")
        return heading is not None

    def _fence(self, text: str, indent: int, matched: int) -> bool:
        fence = _FENCE.fullmatch(text)
        if fence:
            self._begin(matched)
            highlighter = self._paint.highlighter(named(fence[2] or fence[4] or ""))
            self._leaf = _Fence(fence[1] or fence[3], indent, highlighter)
        return fence is not None

    def _code(self, fence: _Fence, line: str) -> None:
        if not fence.begun:
            self._writer.alone()
            fence.begun = True
        self._writer.code(fence.highlighter.line(line))

    def _html(self, text: str, rest: str, matched: int) -> bool:
        if text[0] != "<":
            return False
        in_paragraph = isinstance(self._leaf, Paragraph)
        for begin, end, interrupts in _html_blocks():
            if begin.search(text) and (interrupts or not in_paragraph):
                self._begin(matched)
                self._writer.alone()
                self._writer.literal(rest)
                self._leaf = None if end.search(text) else _Html(end)
                return True
        return False

    def _close_leaf(self) -> None:
        leaf, self._leaf = self._leaf, None
        match leaf:
            case Paragraph() as paragraph:
                self._writer.finish(paragraph)
            case Table() as table:
                self._writer.table(table)

    # Paragraphs, and what they turn out to be.

    def _text(self, rest: str) -> None:
        """A line of a paragraph, or the first one of a new one."""
        text = rest.lstrip(" ")
        if isinstance(self._leaf, Paragraph):
            self._leaf.text += "\n" + text
        else:
            parent = self._parent()
            if parent.marker and parent.empty and (task := _TASK.match(text)):
                mark, parent.sgr = _OPEN if task[1] == " " else _DONE
                parent.marker = f"{parent.marker}{mark}" if parent.marker[0].isdigit() else mark
                text = text[task.end() :]
            parent.empty, parent.numbering = False, None
            self._leaf = Paragraph(text)
        self._writer.let_out(self._leaf)

    def _underlined(self, text: str) -> bool:
        """Whether the line makes a heading of the paragraph above it."""
        paragraph = self._leaf
        assert isinstance(paragraph, Paragraph)
        if paragraph.begun or not _UNDERLINE.fullmatch(text) or self._only_defines():
            return False
        self._leaf = None
        self._writer.heading(1 if text[0] == "=" else 2, paragraph.text)
        return True

    def _only_defines(self) -> bool:
        """Take the definitions that the open paragraph begins with, as they end here: whether nothing is left of it."""
        paragraph = self._leaf
        assert isinstance(paragraph, Paragraph)
        if paragraph.begun:
            return False
        paragraph.text = self._writer.defined(paragraph.text)
        return not paragraph.text.strip()

    # Tables.

    @staticmethod
    def _table(paragraph: Paragraph, text: str) -> list[str] | None:
        """How the columns of the table that begins with the paragraph's last line are aligned, if one does."""
        _, newline, header = paragraph.text.rpartition("\n")
        return columns(header, text) if newline or paragraph.at_line else None

    def _begins_table(self, text: str) -> bool:
        paragraph = self._leaf
        assert isinstance(paragraph, Paragraph)
        aligned = self._table(paragraph, text)
        if aligned is None:
            return False
        paragraph.text, _, header = paragraph.text.rpartition("\n")
        self._close_leaf()
        self._leaf = self._writer.header(aligned, header)
        return True

    def _close_row(self) -> None:
        if isinstance(self._leaf, Table) and self._leaf.partial is not None:
            row, self._leaf.partial = self._leaf.partial, None
            self._writer.row(self._leaf, row)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


@cache
def _html_blocks() -> list[tuple[re.Pattern[str], re.Pattern[str], bool]]:
    """How blocks of HTML begin and end, and whether they do so within a paragraph."""
    from markdown_it.rules_block.html_block import HTML_SEQUENCES

    return HTML_SEQUENCES
