"""What stands within a block of Markdown: emphasis, code, links, and so on, as styled spans."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ccapi.cli import output
from ccapi.cli.answer.paint import Paint, Span

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_STYLES = {"strong": "1", "em": "3", "s": "9", "link": "4"}
_CODE, _ADDRESS = "36", "2"
_SPACES = re.compile(r"[ \n\t]+")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_BARE = re.compile(r"(https?://[^\s<>\"'`]*[^\s<>\"'`.,:;!?)\]}*_])")
_MAY_OPEN = re.compile(r"[*_~](?=\S)|[`\[]|<(?=[A-Za-z/!?])")  # what later text could make a mark of
_REFERENCES = 1_000  # definitions that are kept

References = dict[str, Any]  # markdown-it's environment; it holds the definitions that were read


class Inline:
    """Reads the text of blocks. One per answer: it knows the link definitions read so far."""

    def __init__(self, paint: Paint, environment: References | None = None) -> None:
        self._paint = paint
        self._environment: References = {"references": {}} if environment is None else environment

    def fork(self) -> Inline:
        """One that goes on alone."""
        return Inline(self._paint, {"references": dict(self._environment["references"])})

    def literal(self, text: str, style: str) -> list[Span]:
        """`text` as it is, in one style; addresses in it are links."""
        reader = _Reader(self._paint, style)
        reader.text(output.printable(text))
        return reader.spans

    def spans(self, text: str, base: str = "") -> list[Span]:
        """`text` styled, on top of the style `base`; "\\n" in a span is a break of the line that is wanted."""
        text = text.strip()
        if not text:
            return []
        if len(self._environment["references"]) > _REFERENCES:
            self._environment = {"references": {}}
        tokens = _parser().parseInline(text, self._environment)[0].children or []
        return _merged(_Reader(self._paint, base).read(tokens))

    def definitions(self, text: str) -> str:
        """Take the link definitions that a paragraph begins with; its lines after them are returned as they are."""
        if not text.lstrip().startswith("[") or "]:" not in text:
            return text
        tokens = _definitions().parse(text, self._environment)
        rest = "\n".join(token.content for token in tokens if token.type == "inline")
        return text[text.rpartition(rest)[0].rfind("\n") + 1 :] if rest else ""

    def cut(self, text: str, *, waits: bool) -> tuple[list[Span], int]:
        """The first part of a long text, with the separator that follows it, and where the rest of it begins.

        Where it is cut no mark is open: the parts read alone look as they do in the whole. `waits`: not after a mark
        that later text may still close. 0: there is no such place.
        """
        places = _places(text)
        whole = self.spans(text) if places else []
        for at in places:
            left = [*self.spans(text[:at]), Span(_separator(text[:at]))]
            if waits and _MAY_OPEN.search("".join(span.text for span in left if span.sgr != _CODE and not span.url)):
                continue
            if _merged([*left, *self.spans(text[at:])]) == whole:
                return left, at
        return [], 0

    def cut_anyhow(self, text: str) -> tuple[list[Span], int]:
        """As `cut`, whatever is open; in the middle of a word if there is none that ends."""
        at = next(iter(_places(text)), len(text))
        return [*self.spans(text[:at]), Span(_separator(text[:at]) if text[at - 1].isspace() else "")], at


def _places(text: str) -> list[int]:
    """Where a text may be cut: after the last line, sentence and word of it, with something left to look at."""
    half, end = len(text) // 2, len(text) * 7 // 8
    found = [text.rfind(mark, half, end) + len(mark) for mark in ("\n", ". ", " ")]
    return [at for at in dict.fromkeys(found) if at > half]


def _separator(left: str) -> str:
    """What stands between `left` and what follows it: a hard break or a space."""
    return "\n" if left.endswith(("  \n", "\\\n")) else " "


class _Reader:
    """Walks over the tokens of one text."""

    def __init__(self, paint: Paint, base: str) -> None:
        self._paint = paint
        self._styles = [base] if base else []
        self._links: list[tuple[str, int]] = []  # the address, and how many spans there were before its text
        self.spans: list[Span] = []

    def read(self, tokens: Sequence[Token]) -> list[Span]:
        for token in tokens:
            self._token(token)
        return self.spans

    def _token(self, token: Token) -> None:
        kind, _, edge = token.type.rpartition("_")
        if edge == "open" and kind in _STYLES:
            self._open(kind, str(token.attrs.get("href", "")))
        elif edge == "close" and kind in _STYLES:
            self._close(kind)
        elif token.type == "text":
            self.text(_SPACES.sub(" ", output.printable(token.content)))
        elif token.type == "code_inline":
            mark = "" if self._paint.colour else "`"
            self._add(f"{mark}{_plain(token.content)}{mark}", _CODE)
        elif token.type == "softbreak":
            self._add(" ")
        elif token.type == "hardbreak" or (token.type == "html_inline" and _BREAK.fullmatch(token.content)):
            self._add("\n")
        elif token.type == "image":
            self._image(token)
        else:
            self._add(_SPACES.sub(" ", output.printable(token.content)))

    def _open(self, kind: str, address: str) -> None:
        self._styles.append(_STYLES[kind])
        if kind == "link":
            self._links.append((output.printable(address), len(self.spans)))
        elif kind == "s" and not self._paint.colour:
            self._add("~~")

    def _close(self, kind: str) -> None:
        if kind == "s" and not self._paint.colour:
            self._add("~~")
        self._styles.pop()
        if kind == "link":
            address, before = self._links.pop()
            said = "".join(span.text for span in self.spans[before:])
            self._address(address, said)

    def _address(self, address: str, said: str) -> None:
        """Where a link cannot be followed, its address is told, unless its text is the address."""
        address = unquote(address) if unquote(address) in {said, f"mailto:{said}"} else address
        if address and not self._paint.links_to(address) and address not in {said, f"mailto:{said}"}:
            self._add(f" ({_plain(address)})", _ADDRESS)

    def _image(self, token: Token) -> None:
        self._open("link", str(token.attrs.get("src", "")))
        before = len(self.spans)
        self.read(token.children or [])
        if len(self.spans) == before:
            self._add(_plain(self._links[-1][0]))
        self._close("link")

    def text(self, text: str) -> None:
        if self._links or not self._paint.links or "://" not in text:
            self._add(text)
            return
        for number, part in enumerate(_BARE.split(text)):
            self._add(part, url=part if number % 2 else "")

    def _add(self, text: str, style: str = "", url: str = "") -> None:
        if text:
            styles = [*self._styles, style] if style else self._styles
            url = url or (self._links[-1][0] if self._links and self._paint.links else "")
            self.spans.append(Span(text, ";".join(styles), url))


def _plain(text: str) -> str:
    """On one line; spaces stay, as they may matter."""
    return output.printable(text).replace("\n", " ").replace("\t", " ")


def _merged(spans: Sequence[Span]) -> list[Span]:
    """Neighbours of one style are one."""
    merged: list[Span] = []
    for span in spans:
        if merged and merged[-1][1:] == span[1:]:
            merged[-1] = span._replace(text=merged[-1].text + span.text)
        else:
            merged.append(span)
    return merged


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable("strikethrough")


@cache
def _definitions() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("zero").enable("reference")
