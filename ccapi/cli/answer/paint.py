"""Colours of an answer: SGR styles that are readable on light and on dark, and highlighted code.

Only bold, dim, italic, underline, strike and the 16 colours of the terminal's own palette are used, of these neither
yellow nor blue: each is hard to read on one kind of background.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pygments.lexer import Lexer

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")  # RFC 3986, section 3.1
_LONGEST_LINE = 1_000  # longer lines are shown plain: some lexers are quadratic
_AT_ONCE = 20_000  # characters of code that are read in one go
_WINDOW_LINES, _WINDOW_CHARACTERS = 12, 2_000  # of code above a line, for a lexer to know where it is
_OVER_LINES = ("Token.Literal.String", "Token.Comment")
# Of a token's type the first that is listed, from the special to the general, decides.
_CODE = {
    "Comment.Preproc": "35",
    "Comment": "2",
    "Keyword.Constant": "36",
    "Keyword": "35",
    "Operator.Word": "35",
    "Literal.String": "32",
    "Literal.Number": "36",
    "Name.Builtin": "36",
    "Name.Constant": "36",
    "Name.Function": "1",
    "Name.Class": "1",
    "Name.Decorator": "35",
    "Name.Tag": "35",
    "Name.Attribute": "36",
    "Generic.Deleted": "31",
    "Generic.Inserted": "32",
    "Generic.Subheading": "36",
    "Generic.Heading": "1",
    "Generic.Prompt": "2",
    "Generic.Error": "31",
    "Generic.Traceback": "31",
}


class Span(NamedTuple):
    """A piece of text in one style. `sgr` "" is plain, `url` "" no link."""

    text: str
    sgr: str = ""
    url: str = ""


class Paint:
    """One per answer. Without `colour` text stays as it is; without `links` there is no OSC 8."""

    def __init__(self, *, colour: bool, links: bool = False) -> None:
        self.colour = colour
        self.links = links

    def __call__(self, text: str, sgr: str) -> str:
        """`text` in the style `sgr`, which ends with it."""
        return f"\x1b[{sgr}m{text}\x1b[0m" if self.colour and sgr and text else text

    def links_to(self, url: str) -> bool:
        """Not for what is relative to something, or says more than an address can (control characters)."""
        return self.links and url.isprintable() and _SCHEME.match(url) is not None

    def link(self, text: str, url: str) -> str:
        """`text` as a link to `url`, if it is one that a terminal can follow."""
        if not text or not self.links_to(url):
            return text
        return f"\x1b]8;;{url}\x1b\\{text}\x1b]8;;\x1b\\"

    def spans(self, spans: Sequence[Span]) -> str:
        """One styled string of them."""
        return "".join(self.link(self(text, sgr), url) for text, sgr, url in spans)

    def highlighter(self, language: str) -> Highlighter:
        """For code that comes line by line."""
        return Highlighter(language if self.colour else "")


class Highlighter:
    """Colours the lines of one piece of code; `language` as after a fence, "" for none.

    A line is read together with those above it, from the last one on that begins outside strings and comments and
    reads the same without what is above it. Where that gets long, lines in the middle are left out: what is open was
    opened by the first. So the cost of a line is bounded, and a string over many lines is still one.
    """

    def __init__(self, language: str) -> None:
        self._lexer = _lexer(language) if language else None
        self._window: list[str] = []  # never changed, so that a copy goes on alone

    def whole(self, lines: Sequence[str]) -> list[list[Span]]:
        """All lines of it at once."""
        if sum(map(len, lines)) <= _AT_ONCE and max(map(len, lines), default=0) <= _LONGEST_LINE:
            read = self._read(lines)
            return [line.spans for line in read] if read else [[Span(line)] for line in lines]
        return [self.line(line) for line in lines]

    def line(self, line: str) -> list[Span]:
        """The next line."""
        if self._lexer is None or len(line) > _LONGEST_LINE:
            return [Span(line)]
        if not line.strip():
            self._window = _shortened([*self._window, ""])
            return [Span(line)]
        inside = self._read([*self._window, line])
        if inside is None:
            self._window = []
            return [Span(line)]
        spans = inside[-1].spans
        outside = len(inside) > 1 and not inside[-2].goes_on
        alone = self._read([line]) if outside else None
        self._window = [line] if alone and alone[0].spans == spans else _shortened([*self._window, line])
        return spans

    def _read(self, lines: Sequence[str]) -> list[_Line] | None:
        """How they look; None where there is no lexer, or where it does not give the text back as it is."""
        if self._lexer is None:
            return None
        read = [_Line([], goes_on=False)]
        try:
            for kind, value in self._lexer.get_tokens("\n".join(lines)):
                sgr = _sgr(kind)
                goes_on = str(kind).startswith(_OVER_LINES)
                for number, part in enumerate(value.split("\n")):
                    if number:
                        read[-1].goes_on = goes_on
                        read.append(_Line([], goes_on=False))
                    if part:
                        read[-1].add(part, sgr if part.strip() else "")
        except Exception:  # noqa: BLE001  a lexer that fails on what a model wrote is no reason to end the answer
            return None
        del read[len(lines) :]  # lexers end the last line
        return read if [line.text() for line in read] == list(lines) else None


def _shortened(window: list[str]) -> list[str]:
    while len(window) > 2 and (len(window) > _WINDOW_LINES or sum(map(len, window)) > _WINDOW_CHARACTERS):
        del window[1]
    return window


@dataclass(slots=True)
class _Line:
    spans: list[Span]
    goes_on: bool  # it ends within a string or a comment

    def add(self, text: str, sgr: str) -> None:
        if self.spans and self.spans[-1].sgr == sgr:
            self.spans[-1] = Span(self.spans[-1].text + text, sgr)
        else:
            self.spans.append(Span(text, sgr))

    def text(self) -> str:
        return "".join(span.text for span in self.spans)


_styles: dict[Any, str] = {}  # of pygments' types of tokens, as they come


def _sgr(kind: Any) -> str:
    known = _styles.get(kind)
    if known is None:
        parts = list(kind)
        names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
        known = _styles[kind] = next((_CODE[name] for name in names if name in _CODE), "")
    return known


@cache
def _lexer(language: str) -> Lexer | None:
    """Pygments' lexer for a fence's language; imported late, as most answers begin with words."""
    from pygments.lexers import get_lexer_by_name

    name = language.lower()
    return get_lexer_by_name(name, stripnl=False) if name in _languages() else None


@cache
def _languages() -> frozenset[str]:
    """All that pygments brings. It would look through every installed package for a name that it does not know."""
    from pygments.lexers import get_all_lexers

    return frozenset(alias for _, aliases, _, _ in get_all_lexers(plugins=False) for alias in aliases)
