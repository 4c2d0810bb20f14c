"""Colours of an answer: styles, links, highlighted code."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccapi.cli.answer import paint as module
from ccapi.cli.answer.paint import Paint, Span
from tests.cli.support import SGR

OWN = Path(module.__file__).read_text("utf-8")
LANGUAGES = ["python", "js", "c", "bash", "json", "yaml", "html", "diff", "console", "rust", "sql", "md", "toml", "go"]

PAINT = Paint(colour=True)


def code(paint: Paint, text: str, language: str) -> list[str]:
    """Its lines as they are shown, all of them read at once."""
    return [paint.spans(line) for line in paint.highlighter(language).whole(text.split("\n"))]


def test_a_style_ends_with_its_text() -> None:
    """And without colours, style or text there is none."""
    assert Paint(colour=True)("a", "1;31") == "\x1b[1;31ma\x1b[0m"
    assert [Paint(colour=False)("a", "1"), Paint(colour=True)("a", ""), Paint(colour=True)("", "1")] == ["a", "a", ""]


def test_links_are_osc_8() -> None:
    """Only where they are wanted, and only to what is an address."""
    linking = Paint(colour=False, links=True)
    assert linking.link("a", "http://e.org") == "\x1b]8;;http://e.org\x1b\\a\x1b]8;;\x1b\\"
    assert Paint(colour=True).link("a", "http://e.org") == "a"
    assert [linking.link("a", ""), linking.link("a", "x:\x1b\\y"), linking.link("", "x:y")] == ["a", "a", ""]
    assert linking.link("a", "docs/a.md") == "a", "relative to what?"


def test_spans_are_one_string() -> None:
    """Each in its own style, a link around it."""
    spans = [Span("a"), Span("b", "1"), Span("c", "4", "u:v")]
    assert Paint(colour=True, links=True).spans(spans) == (
        "a\x1b[1mb\x1b[0m\x1b]8;;u:v\x1b\\\x1b[4mc\x1b[0m\x1b]8;;\x1b\\"
    )


def test_code_is_highlighted() -> None:
    """Keywords, strings, comments and numbers, each line with its own styles."""
    assert code(PAINT, "def f():\n    return 'a'  # b", "python") == [
        "\x1b[35mdef\x1b[0m \x1b[1mf\x1b[0m():",
        "    \x1b[35mreturn\x1b[0m \x1b[32m'a'\x1b[0m  \x1b[2m# b\x1b[0m",
    ]
    assert code(PAINT, "-a\n+b\n", "diff") == ["\x1b[31m-a\x1b[0m", "\x1b[32m+b\x1b[0m", ""]


@pytest.mark.parametrize("language", ["", "nobody-knows", "text"])
def test_code_in_no_language_is_plain(language: str) -> None:
    """Nothing is guessed."""
    assert code(PAINT, "def f():\n\n", language) == ["def f():", "", ""]


def test_code_without_colours_is_plain() -> None:
    """No lexer is loaded for it."""
    run = "from ccapi.cli.answer.paint import Paint; import sys; Paint(colour=False).highlighter('python').whole(['x'])"
    check = "; print([name for name in sys.modules if name.startswith(('pygments', 'markdown_it', 'rich.console'))])"
    assert subprocess.run([sys.executable, "-c", run + check], capture_output=True, check=True).stdout == b"[]\n"


@pytest.mark.parametrize("source", [OWN, "/*\n * a if\n */\nint x;\n", "x = '''\nif\n\n'''\nif y: pass"])
def test_lines_that_come_one_by_one_look_as_in_the_whole(source: str) -> None:
    """Strings and comments over many lines are known, and so is their end."""
    language = "c" if source.startswith("/*") else "python"
    paint = Paint(colour=True)
    highlighter = paint.highlighter(language)
    assert [paint.spans(highlighter.line(line)) for line in source.split("\n")] == code(paint, source, language)


def test_a_long_string_is_still_one() -> None:
    """It may have more lines than are looked at again."""
    lines = ["x = '''", *["some if words"] * 100, "'''", "if y: pass"]
    highlighter = Paint(colour=True).highlighter("python")
    styles = [{span.sgr for span in highlighter.line(line) if span.text.strip()} for line in lines]
    assert styles[1:102] == [{"32"}] * 101
    assert "35" in styles[102]


@given(
    st.text(st.sampled_from("abif01 \"'`#/*-+<>{}()[]:;=\\$@!\n\t漢\ufeff"), max_size=200), st.sampled_from(LANGUAGES)
)
def test_nothing_of_the_code_is_lost(text: str, language: str) -> None:
    """Whatever a lexer makes of it: the text without styles is the code."""
    paint = Paint(colour=True)
    highlighter = paint.highlighter(language)
    assert SGR.sub("", "\n".join(code(paint, text, language))) == text
    assert ["".join(span.text for span in highlighter.line(line)) for line in text.split("\n")] == text.split("\n")


def test_code_of_any_size_is_shown() -> None:
    """Very long lines are plain, and very long code is read in parts."""
    paint = Paint(colour=True)
    assert code(paint, "x = 1\n" + "if " * 1_000, "python")[1] == "if " * 1_000
    lines = code(paint, "if x: pass\n" * 5_000, "python")
    assert len(lines) == 5_001
    assert set(lines[:-1]) == {lines[0]}
    assert re.match("\x1b\\[35mif", lines[0])


def test_empty_lines_cost_the_same_however_many_there_are() -> None:
    """Four times as many take four times as long, not sixteen times."""

    def cost(count: int) -> float:
        highlighter = Paint(colour=True).highlighter("python")
        began = time.process_time()
        for _ in range(count):
            highlighter.line("")
        return time.process_time() - began

    few = min(cost(10_000) for _ in range(3))
    assert min(cost(40_000) for _ in range(3)) < 8 * few


def test_only_colours_that_are_readable_everywhere() -> None:
    """Of the palette neither yellow and blue nor black and white, and no background."""
    styles = re.findall(r"\x1b\[([\d;]+)m", "".join(code(PAINT, OWN, "python")))
    assert styles
    assert {number for style in styles for number in style.split(";")} <= {
        "0",
        "1",
        "2",
        "3",
        "4",
        "9",
        "31",
        "32",
        "35",
        "36",
    }
