"""The printer of answers, fed with anything, cut anywhere."""

from __future__ import annotations

import contextlib
import io
import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccapi.cli.answer import AnswerPrinter
from tests.cli.support import SGR

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Characters that mean something to the printer are much more likely than others.
TEXT = st.text(
    st.one_of(
        st.sampled_from("`*-↳ \n\n│●_#abc\r\t\x1b[31m\x07\x9b\u2028世🎉"), st.characters(exclude_categories=["Cs"])
    ),
    max_size=80,
)
# Lines that cannot open a code block; what opens one loses its language on a terminal, by design.
LINE = st.text(st.sampled_from("`*-↳ │●abc\r\t\x1b[31m\x07\x9b\u2028世🎉"), max_size=20).filter(
    lambda s: "```" not in s
)
BLOCK = st.tuples(st.sampled_from(["```", "````", "`````"]), st.sampled_from(["", "python", "bash"]), st.lists(LINE))
SPECIAL = st.sampled_from(
    ["---", "**Bash** `ls -l`", "**Write** `` a`b ``", "↳ **Read** `x`", "**bold** text", "- item", ""]
)


class Stream(io.StringIO):
    """Standard output as a pipe, or as a terminal."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def printed(pieces: list[str], *, terminal: bool) -> str:
    with contextlib.redirect_stdout(Stream(terminal=terminal)) as stdout, AnswerPrinter() as printer:
        for piece in pieces:
            printer.text(piece)
    return stdout.getvalue()


def cut(text: str, positions: list[int]) -> list[str]:
    edges = [0, *sorted(position % (len(text) + 1) for position in positions), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(edges)]


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, str]:
    """A transcript-like text, and the letters of it that a terminal must show."""
    text, letters = [], []
    for part in draw(st.lists(st.one_of(LINE, SPECIAL, BLOCK), max_size=8)):
        if isinstance(part, str):
            text.append(part)
            letters.append(part)
        else:
            fence, language, lines = part
            text += [fence + language, *lines, fence]
            letters += lines
    return "\n".join(text), "".join(character for character in "".join(letters) if character.isalnum())


@given(TEXT, st.lists(st.integers(0, 1000), max_size=10))
def test_a_pipe_gets_the_text_as_it_is(text: str, positions: list[int]) -> None:
    """Whatever the text and wherever it is cut: the same text, and one newline after it."""
    pieces = [piece for piece in cut(text, positions) if piece]
    assert printed(pieces, terminal=False) == (text + "\n" if text else "")


@given(TEXT, st.lists(st.integers(0, 1000), max_size=10))
def test_a_terminal_never_gets_a_control_character(text: str, positions: list[int]) -> None:
    """Apart from the printer's own colours, only newlines and tabs are left of any text."""
    assert not CONTROL.search(SGR.sub("", printed(cut(text, positions), terminal=True)))


@given(documents(), st.lists(st.integers(0, 1000), max_size=10))
def test_a_terminal_shows_every_letter(document: tuple[str, str], positions: list[int]) -> None:
    """Text, tool calls and code are complete and in order; only fences and their language give way to the look."""
    text, letters = document
    shown = SGR.sub("", printed(cut(text, positions), terminal=True))
    assert "".join(character for character in shown if character.isalnum()) == letters


@given(documents(), st.lists(st.integers(0, 1000), max_size=10))
def test_the_look_does_not_depend_on_where_the_text_is_cut(document: tuple[str, str], positions: list[int]) -> None:
    """A stream that comes token by token looks like the same answer in one piece."""
    text, _ = document
    assert visible(cut(text, positions)) == visible([text])


def visible(pieces: list[str]) -> str:
    return SGR.sub("", printed(pieces, terminal=True))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain\n"),
        ("ends\n", "ends\n"),
        ("a\n\n---\n\nb", f"a\n\n{'─' * 40}\n\nb\n"),
        ("**Bash** `ls -l`\n\n```\ntotal 0\n```", "● Bash ls -l\n\n  │ total 0\n"),
        ("**Bash** `` echo `date` ``\n", "● Bash echo `date`\n"),
        ("```python\nx = 1\n\ny = 2\n```\nafter", "  │ x = 1\n  │ \n  │ y = 2\nafter\n"),
        ("````\n```\ninner\n```\n````\n", "  │ ```\n  │ inner\n  │ ```\n"),
        ("```\nnever closed", "  │ never closed\n"),
        ("- item\n* item\n", "- item\n* item\n"),
        ("one\rtwo\r\nthree", "onetwo\nthree\n"),
        ("not a `fence```\nx", "not a `fence```\nx\n"),
    ],
)
def test_how_it_looks(text: str, shown: str) -> None:
    """The look of each kind of line on a terminal, colours aside."""
    assert visible([text]) == shown


def test_a_line_is_shown_before_it_ends() -> None:
    """Plain text appears token by token."""
    with contextlib.redirect_stdout(Stream(terminal=True)) as stdout, AnswerPrinter() as printer:
        printer.text("The ans")
        assert stdout.getvalue() == "The ans"
        printer.text("wer")
        assert stdout.getvalue() == "The answer"
    assert stdout.getvalue() == "The answer\n"


def test_a_tool_call_is_shown_at_the_end_of_its_line() -> None:
    """It does not wait for the result, which may be minutes away."""
    with contextlib.redirect_stdout(Stream(terminal=True)) as stdout, AnswerPrinter() as printer:
        printer.text("**Bash** `make test`\n")
        assert SGR.sub("", stdout.getvalue()) == "● Bash make test\n"
