"""The code blocks of an answer: fenced ones, of what the assistant itself says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ccapi.cli.answer.dataview import DataView, Write
from ccapi.errors import NoCodeBlock
from ccapi.wire.events import MessageStarted, RunEvent, RunFinished
from ccapi.wire.transcript import Mode, Transcript

# Of a language, in `python`, `python title="a.py"`, `{.python}`, `rust,ignore`.
_NAME = re.compile(r"\{?\.?([^\s{}:,]+)")


class CodeBlock(NamedTuple):
    """`language` as the answer names it, in small letters; empty if it does not."""

    language: str
    code: str


class ExtractView(DataView):
    """Writes nothing but code, once the answer is complete; the blocks are parted by a blank line."""

    def __init__(self, transcript: Mode, language: str | None, write: Write) -> None:
        """`transcript` `final`: only the last message that says anything counts; else all of them."""
        super().__init__(write)
        self._last_only = transcript == "final"
        self._language = language
        self._segments: list[_Segment] = []
        self._whole = False

    def feed(self, event: RunEvent) -> None:
        if isinstance(event, MessageStarted) and event.parent is None:
            self._segments.append(_Segment())
        if self._segments:
            self._segments[-1].feed(event)
        if isinstance(event, RunFinished):
            self._whole = event.finish_reason == "stop"

    def _finished(self) -> None:
        """Raises `NoCodeBlock`; of an answer that a limit has cut off, what there is of it."""
        texts = [segment.text for segment in self._segments if segment.text]
        # Each by itself: a fence that is not closed ends with its message.
        found = [block for text in (texts[-1:] if self._last_only else texts) for block in code_blocks(text)]
        chosen = [block.code for block in found if self._language is None or same(block.language, self._language)]
        if not chosen and self._whole:
            raise NoCodeBlock(_missing(found, self._language))
        self._put("\n".join(chosen))


class _Segment:
    """What one message says, as the transcript has it."""

    def __init__(self) -> None:
        self._transcript = Transcript("text")
        self._pieces: list[str] = []

    def feed(self, event: RunEvent) -> None:
        if text := self._transcript.feed(event):
            self._pieces.append(text)

    @property
    def text(self) -> str:
        return "".join(self._pieces)


def code_blocks(text: str) -> list[CodeBlock]:
    """The fenced code blocks of a Markdown text, in lists and quotations too; of nested fences the outer one."""
    from markdown_it import MarkdownIt

    # Halves of surrogate pairs that came in two pieces are one letter, and others none: markdown-it would fail on them.
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    # Only the blocks: of many links, the rest would take seconds.
    tokens = MarkdownIt("commonmark").disable("inline").parse(text)
    return [CodeBlock(named(token.info), _ended(token.content)) for token in tokens if token.type == "fence"]


def _ended(code: str) -> str:
    """With a newline at its end, which the last line of an answer may not have."""
    return code if code.endswith("\n") else f"{code}\n"


def named(info: str) -> str:
    """The language that stands after a fence, in small letters; "" if none does."""
    found = _NAME.match(info.strip())
    return found[1].lower() if found else ""


def same(one: str, other: str) -> bool:
    """Whether two names mean one language: `py` and `Python3`."""
    one, other = one.lower(), other.lower()
    return one == other or (bool(one) and (known := _lexer(one)) is not None and known == _lexer(other))


def _lexer(language: str) -> object:
    """What stands for a language that pygments knows; None for others."""
    from pygments.lexers import find_lexer_class_by_name
    from pygments.util import ClassNotFound

    try:
        return find_lexer_class_by_name(language)
    except ClassNotFound:
        return None


def _missing(found: Sequence[CodeBlock], language: str | None) -> str:
    if not found:
        return "The answer has no code block"
    return f"The answer has no code block in {language}; the languages it has: {', '.join(_names(found))}"


def _names(found: Iterable[CodeBlock]) -> list[str]:
    return list(dict.fromkeys(block.language or "(none named)" for block in found))
