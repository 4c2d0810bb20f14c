"""Growing Markdown on a terminal: how it looks, and that nothing of it depends on how it came."""

from __future__ import annotations

import gc
import re
import time
from collections.abc import Iterable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from ccapi.cli.answer.cells import cell_len
from ccapi.cli.answer.inline import Inline
from ccapi.cli.answer.markdown import Markdown
from ccapi.cli.answer.paint import Paint, Span
from ccapi.cli.answer.sheet import Container, Sheet
from ccapi.cli.answer.wrap import wrap

STYLE = re.compile(r"\x1b\[[0-9;]*m|\x1b\]8;;[^\x1b]*\x1b\\")
WIDTHS = st.sampled_from([1, 2, 3, 7, 20, 40, 80, 200])
# What means something in Markdown, and what is hard on a terminal.
BEGINNINGS = [
    "- ",
    "* ",
    "1. ",
    "2) ",
    "> ",
    "#",
    "## ",
    "```",
    "```py\n",
    "~~~",
    "---",
    "===",
    "[x] ",
    "- [ ] ",
    "    ",
]
INLINE = ["***", "*", "**", "_", "`", "``", "[", "](u)", "![", "]: x", "[a]: /u\n", "<b>", "\\", "&amp;", "~~", "<br>"]
SOME = ["a", "bc", "word ", "two words", " ", "  ", "\t", "\n", "\n", "\n\n", "\n\n", "  \n", "x" * 30]
OTHERS = ["|", "| a | b |", "\n|---|---|\n", "<div>", "<!--", "-->", "http://e.org/a ", "漢字", "、", "👩‍👩‍👧"]
HALF = ["\ud83d", "\ude00", "](\ud83d\ude00)"]
ENDS = ["\r", "\r\n", "\f", "\v"]
EMPTY = ["\n|-|\n", "| |\n", "||\n", "|a|\n|-|\n", "[]()", "![]()", "#\n", "-\n", "```\n```\n"]
HARD = ["e\u0301", "\ufe0f", "\u200d", "🇨", "\u202e", "\u2028", "&#27;", "&#x202e;", "\u00a0", "\u00ad", "\ufeff"]
ATOMS = st.sampled_from([*BEGINNINGS, *INLINE, *SOME, *OTHERS, *ENDS, *EMPTY, *HALF, *HARD])
SOURCE = st.one_of(
    st.lists(ATOMS, max_size=60).map("".join),
    st.tuples(st.lists(ATOMS, min_size=5, max_size=40).map("".join), st.integers(20, 60)).map(lambda t: t[0] * t[1]),
    st.text(max_size=200),
)


def render(pieces: Iterable[str], width: int = 80, *, colour: bool = False, links: bool = False) -> list[str]:
    markdown = Markdown(Paint(colour=colour, links=links))
    lines = [line for piece in pieces for line in markdown.feed(piece, width)]
    return lines + markdown.end(width)


def shown(source: str, width: int = 80) -> str:
    return "\n".join(render([source], width))


def plain(lines: Iterable[str]) -> list[str]:
    return [STYLE.sub("", line) for line in lines]


@pytest.mark.parametrize(
    ("source", "look"),
    [
        ("one\ntwo  \nthree\\\nfour", "one two\nthree\nfour"),
        ("a\n\n\n\nb", "a\n\nb"),
        ("# Title\ntext\n## Sub ##\ntext", "# Title\n\ntext\n\n## Sub\n\ntext"),
        ("Title\n=====\nSub\n---", "# Title\n\n## Sub"),
        ("do *this* **now** ~~not~~ `x  y`", "do this now ~~not~~ `x  y`"),
        ("a [link](http://e.org) <http://e.org>", "a link (http://e.org) http://e.org"),
        ("[http://e.org](http://e.org)", "http://e.org"),
        ("![alt *text*](p.png) ![](q.png)", "alt text (p.png) q.png"),
        ("a<br>b <b>bold</b> &amp; \\*", "a\nb <b>bold</b> & *"),
        ("<div>\n  <p>x\n</div>\n\nafter", "<div>\n<p>x\n</div>\n\nafter"),
        ("- a\n- b\n  - c\n    1. d\n- e", "• a\n• b\n  ◦ c\n    1. d\n• e"),
        ("- a\n\n- b\n\n  c", "• a\n\n• b\n\n  c"),
        ("text:\n- a\n- b\n\ntext", "text:\n• a\n• b\n\ntext"),
        ("3. a\n3. b\n\n1) c", "3. a\n4. b\n\n1) c"),
        ("9. a\n10. b\n    c", "9. a\n10. b c"),
        ("- [x] done\n- [ ] open\n- [x]no", "✓ done\n☐ open\n• [x]no"),
        ("1. one\n2. [x] done\n3. [ ] open\n   more", "1. one\n2. ✓ done\n3. ☐ open more"),
        ("- a\n-\n- b", "• a\n•\n• b"),
        ("-\n\n  text", "•\n\ntext"),
        ("- a\n***\n- b", "• a\n\n" + "─" * 40 + "\n\n• b"),
        ("> a\nb\n>\n> c\n\nd", "│ a b\n│\n│ c\n\nd"),
        ("> - a\n>   > b", "│ • a\n│   │ b"),
        ("a\n```py\nx = 1\n\n  y\n```\nb", "a\n\n  x = 1\n\n    y\n\nb"),
        ("````\n```\n````\nb", "  ```\n\nb"),
        ("```\nnever closed", "  never closed"),
        ("```\n```\n~~~\nx\n~~~", "  x"),
        ("1. a\n   ```\n   x\n     y\n   ```\n   b\n2. c", "1. a\n     x\n       y\n   b\n2. c"),
        ("    code\n\n      more\n\ntext", "  code\n\n    more\n\ntext"),
        ("```\n\ta\tb\n```", "      a   b"),
        ("a\n\n---\n\nb", "a\n\n" + "─" * 40 + "\n\nb"),
        ("[a]: http://e.org/x\n[b]: /y\ntext [a]", "[a]: http://e.org/x\n[b]: /y\n\ntext a (http://e.org/x)"),
        ("[a] first\n\n[a]: /late", "[a] first\n\n[a]: /late"),
        ("[a]: /u\n-\n- b", "[a]: /u\n\n•\n• b"),
        ("[a]: /u\n2. b\n3. c", "[a]: /u\n\n2. b\n3. c"),
        ("[a]: /u\nb\n2. c", "[a]: /u\n\nb 2. c"),
        ("[a]: /u\nb c  ", "[a]: /u\n\nb c"),
        ("[a] b]: c ", "[a] b]: c"),
        ("one\rtwo\r\n\r# three", "one two\n\n# three"),
        ("a\fb\vc\n\n```\na\fb", "a b c\n\n  a b"),
        ("[a](\ud83d\ude00) <http://e.org/\udc00>", "a (%EF%BF%BD%EF%BF%BD) http://e.org/\ufffd"),
        ("a&#27;[31mb&#x202e;c&#10;d", "a\ufffd[31mbc d"),
        ("one\u2028two\u202ethree\u2066four", "one twothreefour"),
    ],
)
def test_how_it_looks(source: str, look: str) -> None:
    """Without colours, 80 cells wide: the marks that carry a meaning stay."""
    assert shown(source) == look


def test_a_text_is_wrapped_at_a_readable_width() -> None:
    """On a wide terminal lines of text end at 100 cells; code and tables may be as wide as the terminal."""
    assert max(map(cell_len, render(["word " * 100], 200))) in range(95, 101)
    assert max(map(cell_len, render(["    " + "word " * 100], 200))) == 200


def test_lines_hang_below_the_text_of_their_item() -> None:
    """What is wrapped stands below the text, not below the bullet or number."""
    assert shown(
        "- one two three\n10. four five six", 10
    ) == "• one two\n  three\n\n10. four\n    five\n    six".replace("\n\n", "\n")


def test_words_wider_than_the_line_are_chopped() -> None:
    """An address that does not fit is cut where the line ends, and nothing of it is lost."""
    assert shown("see " + "x" * 25, 10) == "see\n" + "x" * 10 + "\n" + "x" * 10 + "\nxxxxx"


def test_cjk_breaks_between_characters() -> None:
    """But not before a closing mark or a small kana, nor after an opening mark."""
    assert shown("日本語の文章です。改行", 10) == "日本語の文\n章です。改\n行"
    assert shown("日本語の字。改行", 10) == "日本語の\n字。改行"
    assert shown("日本語の「改行」", 10) == "日本語の\n「改行」"


def test_code_that_is_too_wide_says_that_it_goes_on() -> None:
    """Long lines of code are cut; the rest stands below, marked."""
    assert shown("```\n" + "x" * 30 + "\ny\n```", 20) == "  " + "x" * 18 + "\n… " + "x" * 12 + "\n  y"


TABLE = "| Name | Kind | Text |\n|:-----|:----:|-----:|\n| `a` | b\\|c | one two three |\n| 漢字 | | **x** |\n"


def test_a_table_that_fits() -> None:
    """Columns are as wide as they need to be, and aligned as they say."""
    assert shown(TABLE).split("\n") == [
        "Name │ Kind │          Text",
        "─────┼──────┼──────────────",
        "`a`  │ b|c  │ one two three",
        "漢字 │      │             x",
    ]


def test_a_table_that_shrinks() -> None:
    """The widest column gives way; where a row takes more than one line, rows are divided."""
    assert shown(TABLE, 22).split("\n") == [
        "Name │ Kind │     Text",
        "─────┼──────┼─────────",
        "`a`  │ b|c  │  one two",
        "     │      │    three",
        "─────┼──────┼─────────",
        "漢字 │      │        x",
    ]


def test_a_table_that_cannot_fit() -> None:
    """Where not even its words fit side by side, each row is a list."""
    assert shown(TABLE, 15).split("\n") == [
        "Name: `a`",
        "Kind: b|c",
        "Text: one two",
        "three",
        "──────────",
        "Name: 漢字",
        "Text: x",
    ]


def test_a_table_keeps_what_its_rows_have_too_much() -> None:
    """GFM drops cells without a column; here they stand in the last one."""
    assert shown("|a|b|\n|-|-|\n|1|2|3|\n|4|") == "a │ b\n──┼──────\n1 │ 2 | 3\n4 │"


def test_a_table_in_a_list() -> None:
    """It is indented as the text of its item."""
    assert shown("- x\n\n  |a|b|\n  |-|-|\n  |1|2|\n- y") == "• x\n\n  a │ b\n  ──┼──\n  1 │ 2\n• y"


def test_a_table_ends_where_no_row_is() -> None:
    """At an empty line, or at the beginning of another block."""
    assert shown("|a|b|\n|-|-|\n|1|2|\n- x") == "a │ b\n──┼──\n1 │ 2\n\n• x"
    assert shown("|a|b|\n|-|-|\n\n|1|2|") == "a │ b\n──┼──\n\n|1|2|"


def test_a_delimiter_row_of_another_width_is_none() -> None:
    """As in GFM, header and delimiters have the same number of cells, or it is text."""
    assert shown("|a|b|\n|-|") == "|a|b| |-|"


def test_one_dash_is_no_delimiter_row() -> None:
    """It begins an item, or makes a heading of the line above it."""
    assert shown("a | b\n- | -\nc | d") == "a | b\n• | - c | d"
    assert shown("a |\n-") == "## a |"
    assert shown("a |\n--\nb") == shown("a |\n:-\nb") == "a\n─\nb"


@pytest.mark.parametrize("empty", [" ", "![]()", "[]()"])
def test_an_empty_cell_may_be_all_of_a_row(empty: str) -> None:
    """In a table of one column, also in its header."""
    assert shown(f"|a|\n|-|\n|{empty}|\n|b|") == "a\n─\n\nb"
    assert shown(f"|{empty}|\n|-|\n|a|") == "\n─\na"


def test_an_end_of_a_line_may_come_in_two_pieces() -> None:
    """A carriage return is one as well, but with the newline after it the same one."""
    assert render(["```\na\r", "\nb\r", "c\n\r"]) == ["  a", "  b", "  c", ""]


def test_styles() -> None:
    """With colours the marks go, and styles within each other add up."""
    link = "\x1b]8;;u:\x1b\\\x1b[4mf\x1b[0m\x1b]8;;\x1b\\"
    lines = render(["a **b *c*** `d` ~~e~~ [f](u:) [h](i)\n\n# *g*"], colour=True, links=True)
    relative = "\x1b[4mh\x1b[0m\x1b[2m (i)\x1b[0m"
    assert lines == [
        f"a \x1b[1mb \x1b[0m\x1b[1;3mc\x1b[0m \x1b[36md\x1b[0m \x1b[9me\x1b[0m {link} {relative}",
        "",
        "\x1b[1;4;35;3mg\x1b[0m",
    ]


def test_every_line_of_a_link_is_a_link() -> None:
    """A link that is wrapped, or an address that is chopped, can be followed from each of its lines."""
    lines = render(["[one two](http://e.org) and http://e.org/" + "x" * 20 + "."], 12, links=True)
    assert [line.count("\x1b]8;;http") for line in lines] == [1, 1, 1, 1]
    assert plain(lines) == ["one two and", "http://e.org", "/xxxxxxxxxxx", "xxxxxxxxx."]


def test_a_link_cannot_command_the_terminal() -> None:
    """An address with control characters, however written, ends no escape sequence."""
    for source in ("[a](<http://e.org/&#27;[2J>)", "[a](http://e.org/&#7;)", "![&#27;](&#x9b;)"):
        assert not re.search(r"[\x00-\x1f\x7f-\x9f]", "".join(plain(render([source], colour=True, links=True))))


def test_code_is_highlighted_as_it_comes() -> None:
    """A string over many lines has one colour, also where each line is written on its own."""
    lines = render(['```python\nx = """one\ntwo if\n"""\nreturn\n```'], colour=True)
    assert lines[1] == "  \x1b[32mtwo if\x1b[0m"
    assert lines[3] == "  \x1b[35mreturn\x1b[0m"


class Growing:
    """An answer that comes in pieces, with what it has told so far."""

    def __init__(self) -> None:
        self.markdown = Markdown(Paint(colour=False))

    def feed(self, text: str) -> str:
        return "\n".join(self.markdown.feed(text, 80))

    def tail(self, height: int = 5) -> str:
        return "\n".join(self.markdown.tail(80, height))


def test_lines_of_code_are_finished_one_by_one() -> None:
    """Nobody waits for the end of a long piece of code."""
    answer = Growing()
    assert answer.feed("```\na\nb") == "  a"
    assert answer.tail() == "  b"
    assert answer.feed("c\n") == "  bc"


def test_items_are_finished_one_by_one() -> None:
    """An item is finished when the next one begins."""
    answer = Growing()
    assert answer.feed("- one\n- tw") == ""
    assert answer.tail() == "• one\n• tw"
    assert answer.feed("o\n") == "• one"
    assert answer.tail() == "• two"


def test_a_long_paragraph_is_let_out() -> None:
    """Its full lines are finished long before it ends, also if it is one line of the source."""
    for source in ("some words of it " * 200, "some words of it\n" * 200):
        answer = Growing()
        out = "".join(answer.feed(source[at : at + 5]) + "\n" for at in range(0, len(source), 5)).split()
        assert len(source.split()) - len(out) < 500
        assert len(answer.tail(1000).split()) == len(source.split()) - len(out)


def test_a_table_is_held_until_it_ends_or_is_long() -> None:
    """Column widths need all rows; a very long table is written with those that are known."""
    answer = Growing()
    assert answer.feed("|a|b|\n|-|-|\n" + "|1|2|\n" * 50) == ""
    assert answer.tail(2) == "1 │ 2\n1 │ 2"
    assert len(answer.feed("|1|2|\n" * 50).split("\n")) == 102
    assert answer.feed("|3|a much longer text|\n").split("\n") == [
        "──────────────┼──────────────",
        "3             │ a much longer",
        "              │ text",
    ]


def test_a_row_may_be_long() -> None:
    """A row of more characters than a line is waited for is still one row."""
    words = "word " * 500
    lines = render([f"|a|b|\n|-|-|\n|1|{words}|\n|3|4|\n"])
    assert lines[2].startswith("1 │ word word")
    assert lines[-1] == "3 │ 4"
    assert sum(line.count("word") for line in lines) == 500


def test_what_may_still_become_anything_is_not_in_the_tail() -> None:
    """A dash after a text could make a heading of it, and be a word in the next moment."""
    answer = Growing()
    answer.feed("text\n-")
    assert answer.tail() == "text"
    answer.feed(" item")
    assert answer.tail() == "text\n• item"


def test_the_end_begins_a_new_answer() -> None:
    """After it nothing of what was is left: no open code, no definition, no empty line."""
    markdown = Markdown(Paint(colour=False))
    assert markdown.feed("[a]: /u\n\n```\nx", 80) + markdown.end(80) == ["[a]: /u", "", "  x"]
    assert markdown.feed("[a]\n", 80) + markdown.end(80) == ["[a]"]


def test_a_terminal_may_be_resized() -> None:
    """What is told after it fits the new width; what was told before stays."""
    markdown = Markdown(Paint(colour=False))
    text = "some words of it " * 200
    wide = markdown.feed(text, 80)
    narrow = markdown.end(20)
    assert max(map(cell_len, wide)) > 70
    assert max(map(cell_len, narrow)) <= 20
    assert " ".join([*wide, *narrow]).split() == text.split()


@pytest.mark.parametrize("mark", ["**", "`", "*"])
def test_a_long_paragraph_looks_like_a_short_one(mark: str) -> None:
    """It is cut where no mark is open, so that emphasis over the cut stays whole."""
    text = f"some {mark}words that stand out{mark} and more " * 100
    paint = Paint(colour=True)
    assert render([text], colour=True) == [paint.spans(line) for line in wrap(Inline(paint).spans(text), 80)]


@settings(max_examples=100, deadline=None)
@given(SOURCE, st.data(), WIDTHS, st.booleans())
def test_it_does_not_matter_how_it_is_cut(source: str, data: st.DataObject, width: int, colour: bool) -> None:
    """The lines are the same for any pieces, also if the tail was looked at in between."""
    markdown = Markdown(Paint(colour=colour, links=colour))
    lines: list[str] = []
    rest = source
    while rest:
        size = data.draw(st.sampled_from([1, 2, 5, 13, 200, 3000]))
        lines += markdown.feed(rest[:size], width)
        rest = rest[size:]
        if size > 5:
            markdown.tail(width, 5)
    assert lines + markdown.end(width) == render([source], width, colour=colour, links=colour)


@settings(max_examples=200, deadline=None)
@given(SOURCE, WIDTHS, st.booleans())
@example("漢字 👩‍👩‍👧 ❤\ufe0f", 1, True)
def test_every_line_fits(source: str, width: int, colour: bool) -> None:
    """No line is wider than asked for, has a line end or a control character in it, or changes the direction."""
    for line in plain(render([source], width, colour=colour, links=colour)):
        assert cell_len(line) <= width
        assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", line)


@settings(max_examples=100, deadline=None)
@given(SOURCE, WIDTHS)
def test_the_tail_is_what_the_end_would_be(source: str, width: int) -> None:
    """Finished lines and the tail are together the answer so far, and looking does not change it."""
    markdown = Markdown(Paint(colour=True))
    source += "\n"
    finished = markdown.feed(source, width)
    tail = markdown.tail(width, 100_000)
    assert markdown.tail(width, 3) == tail[-3:]
    assert finished + tail == render([source], width, colour=True)
    assert markdown.end(width) == tail


# Where markdown-it follows CommonMark to the letter: without tabs and deep indentation; with text in each item.
CONTAINERS = ["a", "b c", " ", "  ", "\n", "\n", "\n", "\n\n", "- a", "* a", "+ a", "1. a", "2) a", "3. a", "> ", ">"]
LEAVES = ["# a", "## a #", "```", "```py\n", "~~~", "---", "- - -", "===", "***", "*d*", "`e`", "\\"]
HTML = ["<b>", "<div>", "<!--", "-->", "</div>\n", "<a href='x'>\n"]
LINES = st.lists(st.sampled_from([*CONTAINERS, *LEAVES, *HTML]), max_size=25).map("".join)


@settings(max_examples=500, deadline=None)
@given(LINES)
def test_the_blocks_are_those_of_commonmark(source: str) -> None:
    """Read line by line, the structure is the one that markdown-it finds in the whole."""
    assert [line for line in render([source], 200) if line.strip("│ ")] == [
        line for line in Reference().lines(source) if line.strip("│ ")
    ]


class Reference:
    """Writes the blocks that markdown-it finds on the same sheet."""

    def __init__(self) -> None:
        self._inline = Inline(Paint(colour=False))
        self._sheet = Sheet(Paint(colour=False))
        self._sheet.width = 200
        self._within: list[Container] = []
        self._lists: list[int | None] = []  # the next number; None for bullets
        self._kind = ""

    def lines(self, source: str) -> list[str]:
        for token in MarkdownIt("commonmark").parse(source):
            self._take(token)
        return self._sheet.out

    def _take(self, token: Token) -> None:
        if "list" in token.type or "blockquote" in token.type:
            self._container(token)
        elif token.nesting == 1:
            self._kind = token.tag
        elif token.type == "inline":
            self._text(token.content)
        elif token.type == "hr":
            self._sheet.rule(self._within)
        for line in token.content.splitlines() if token.block else ():
            if token.type in {"fence", "code_block"}:
                self._sheet.code(self._within, [Span(line)])
            elif token.type == "html_block":
                self._wrapped(self._inline.literal(line, ""))

    def _container(self, token: Token) -> None:
        if token.type == "bullet_list_open":
            self._lists.append(None)
        elif token.type == "ordered_list_open":
            self._lists.append(int(token.attrs.get("start", 1)))
        elif token.type in {"bullet_list_close", "ordered_list_close"}:
            self._lists.pop()
        elif token.nesting == 1:
            marker = self._marker(token.markup) if token.type == "list_item_open" else ""
            self._within.append(Container(id(token), marker))
        else:
            self._leave()

    def _marker(self, markup: str) -> str:
        number = self._lists[-1]
        if number is None:
            depth = sum(1 for container in self._within if container.marker[:1] in {"•", "◦"})
            return f"{'•◦'[depth % 2]} "
        self._lists[-1] = number + 1
        return f"{number}{markup} "

    def _leave(self) -> None:
        item = self._within[-1]
        if item.marker and not item.shown:
            self._sheet.line(self._within, [])
        self._within.pop()

    def _text(self, text: str) -> None:
        mark = [Span("#" * int(self._kind[1]) + " ")] if self._kind[0] == "h" else []
        if text:
            self._wrapped([*mark, *self._inline.spans(text)])

    def _wrapped(self, spans: list[Span]) -> None:
        for line in wrap(spans, 100 - sum(container.cells for container in self._within)):
            self._sheet.line(self._within, line)


WORDS = [
    "one ",
    "2 ",
    "three",
    "*f*",
    "**g h**",
    "`i`",
    " ",
    ". ",
    "\n",
    "漢字",
    "*",
    "_",
    " ` ",
    "~~j~~",
    "\\",
    "&",
    "<b>",
]
BLOCKS = ["\n\n", "- x\n", "> y\n", "# z\n", "```\ncode 4\n```\n", "    w\n", "word " * 300, "x" * 700]
PROSE = st.lists(st.sampled_from([*WORDS, *BLOCKS]), max_size=40).map("".join)


@settings(max_examples=200, deadline=None)
@given(PROSE, st.sampled_from([2, 9, 40, 80, 200]))
def test_no_letter_is_lost_or_doubled(source: str, width: int) -> None:
    """Letters and digits of the answer are those of the source, in its order, however long its parts are."""
    letters = re.compile(r"[^\W_]")
    assert letters.findall("".join(plain(render([source], width, colour=True)))) == letters.findall(source)


CELLS = st.sampled_from(["a", "b1", "c d", "漢字", "*e*", "f " * 20, "", "[]()", "![]()"])


@pytest.mark.parametrize("before", ["[a]: /u\n" * 200, "[a] no definition, although ]: is in it\n"])
def test_lines_after_definitions_are_not_glued(before: str) -> None:
    """Words stay words, also where a long paragraph is let out."""
    words = "foo bar\n" * 200
    assert shown(before + words).split() == (before + words).split()


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 4).flatmap(lambda count: st.lists(st.lists(CELLS, min_size=count, max_size=count), min_size=1)),
    st.data(),
)
def test_no_letter_of_a_table_is_lost(rows: list[list[str]], data: st.DataObject) -> None:
    """Columns that shrink wrap their cells; cells, rows and the header may be empty."""
    header, *lines = [f"|{'|'.join(row)}|\n" for row in rows]
    marks = [data.draw(st.sampled_from(["--", ":-", ":-:", "-:"])) for _ in rows[0]]
    source = f"{header}|{'|'.join(marks)}|\n{''.join(lines)}"
    letters = re.compile(r"[^\W_]")
    for width in (30, 60, 120):
        assert sorted(letters.findall("".join(render([source], width)))) == sorted(letters.findall(source))


def cost(part: str, size: int) -> float:
    """The seconds of processor time that so many characters of it take."""
    source = (part * size)[:size]
    markdown = Markdown(Paint(colour=True, links=True))
    gc.disable()  # else what all other tests have left in memory may be looked through meanwhile
    began = time.process_time()
    for at in range(0, size, 5):
        markdown.feed(source[at : at + 5], 80)
    markdown.end(80)
    took = time.process_time() - began
    gc.enable()
    return took


MARKS = ["[", "*", "`", "[ ", "![", "a *b ", "> ", "- ", "|", "\t", "&amp;", "\n"]
TEXTS = [
    "\r",
    "[a]: /u\n2.\n",
    "x",
    "word ",
    "- item\n",
    "> text\n",
    "a\n",
    "[a]: /u\n",
    "<div> x\n",
    "漢字",
    "👩‍👩‍👧",
    "```py\nx = 1\n",
]


@pytest.mark.parametrize("part", [*MARKS, *TEXTS, "|a|b|\n|-|-|\n", "word " * 15 + "\n"])
def test_the_cost_is_linear(part: str) -> None:
    """Eight times the text takes about eight times the time, whatever it is; quadratic would be 64 times."""
    short, long = (min(cost(part, size) for _ in range(3)) for size in (5_000, 40_000))
    assert long < 25 * max(short, 0.002)
