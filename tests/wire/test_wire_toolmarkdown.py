"""Tool calls and results as Markdown."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccapi.wire import toolmarkdown

TOOLS = ["Bash", "Write", "Edit", "Read", "Glob", "Grep", "Task", "Agent", "WebFetch", "mcp__github__get_issue"]
WITH_BACKTICKS = st.text(alphabet="`~ab\n \r\u2028", max_size=40) | st.text(max_size=40)


def blocks(markdown: str) -> list[str]:
    """The contents of the fenced blocks, by the rules of CommonMark (0.31, "Fenced code blocks").

    A fence is closed by a line of at least as many backticks; a line ends with `\\n` or `\\r`.
    """
    found: list[list[str]] = []
    fence = ""
    for line in re.split(r"(?<=\n)|(?<=\r)(?!\n)", markdown):
        bare = line.rstrip("\r\n")
        if fence:
            if re.fullmatch(rf" {{0,3}}`{{{len(fence)},}}[ \t]*", bare):
                fence = ""
            else:
                found[-1].append(line)
        elif opening := re.fullmatch(r"(`{3,})[^`]*", bare):
            fence = opening[1]
            found.append([])
    assert not fence, "a fence is left open"
    return ["".join(lines) for lines in found]


# --- fences


@given(WITH_BACKTICKS)
def test_nothing_breaks_out_of_a_fence(text: str) -> None:
    """Whatever the text holds, it is one code block, and the text is whole inside it."""
    ending = "" if text.endswith("\n") else "\n"
    assert blocks(toolmarkdown.fenced(text)) == [text + ending]
    assert blocks(f"before\n\n{toolmarkdown.fenced(text, 'python')}\n\nafter") == [text + ending]


@given(WITH_BACKTICKS)
def test_a_fence_is_longer_than_any_run_of_backticks_inside(text: str) -> None:
    """So says the transcript grammar."""
    fence = toolmarkdown.fenced(text).split("\n")[-1]
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    assert set(fence) == {"`"}
    assert len(fence) == max(3, longest + 1)


def test_a_fence_of_the_usual_length_for_usual_text() -> None:
    """Three backticks where three suffice; the language stands behind the opening ones."""
    assert toolmarkdown.fenced("a = 1", "python") == "```python\na = 1\n```"
    assert toolmarkdown.fenced("a\n") == "```\na\n```"
    assert toolmarkdown.fenced("```\ncode\n```\n") == "````\n```\ncode\n```\n````"


@given(st.text(alphabet="`ab ", min_size=1, max_size=30))
def test_inline_code_holds_any_backticks(text: str) -> None:
    """A code span opens and closes with a run that does not occur inside (CommonMark, "Code spans")."""
    span = toolmarkdown.inline(text)
    fence = (re.match("`+", span) or [""])[0]
    inner = span[len(fence) : -len(fence)]
    assert span.endswith(fence)
    assert text in inner
    if "`" in text:
        assert inner == f" {text} "
        assert fence not in re.findall("`+", text)


# --- calls


@pytest.mark.parametrize(
    ("name", "arguments", "markdown"),
    [
        ("Bash", {"command": "ls -l", "description": "List"}, "**Bash** `ls -l`"),
        ("Bash", {"command": "cd x\nls"}, "**Bash**\n\n```bash\ncd x\nls\n```"),
        ("Bash", {"command": "echo `date`"}, "**Bash** `` echo `date` ``"),
        ("Write", {"file_path": "/w/a.py", "content": "a = 1\n"}, "**Write** `/w/a.py`\n\n```python\na = 1\n```"),
        ("Write", {"file_path": "/w/README", "content": "hi"}, "**Write** `/w/README`\n\n```\nhi\n```"),
        ("Read", {"file_path": "/w/a.py"}, "**Read** `/w/a.py`"),
        ("Read", {"file_path": "/w/a.py", "offset": 5, "limit": 10}, "**Read** `/w/a.py`\n\nfrom line 5, 10 lines"),
        ("Glob", {"pattern": "**/*.py"}, "**Glob** `**/*.py`"),
        ("Grep", {"pattern": "x+", "path": "src"}, '**Grep** `x+`\n\n```json\n{\n  "path": "src"\n}\n```'),
        ("Task", {"description": "Look", "prompt": "Look here"}, "**Task** `Look`\n\n```\nLook here\n```"),
        ("WebFetch", {"url": "https://e.org"}, "**WebFetch** `https://e.org`"),
        ("mcp__a__b", {"n": 1}, '**mcp__a__b**\n\n```json\n{\n  "n": 1\n}\n```'),
        ("mcp__a__b", {}, "**mcp__a__b**"),
    ],
)
def test_a_call_is_a_bold_name_and_its_salient_argument(name: str, arguments: dict[str, Any], markdown: str) -> None:
    """What each tool's call looks like."""
    assert toolmarkdown.call(name, arguments) == markdown


def test_an_edit_is_a_diff() -> None:
    """The changed lines with their signs, in a diff block."""
    arguments = {"file_path": "/w/a.py", "old_string": "a = 1\nb = 2\n", "new_string": "a = 1\nb = 3\nc = 4\n"}
    markdown = toolmarkdown.call("Edit", arguments)
    assert markdown.startswith("**Edit** `/w/a.py`\n\n```diff\n")
    (diff,) = blocks(markdown)
    assert [line for line in diff.splitlines() if not line.startswith("@@")] == [" a = 1", "-b = 2", "+b = 3", "+c = 4"]


@given(st.text(alphabet="ab\n\u2028\x0c", max_size=20), st.text(alphabet="ab\n\u2028\x0c", max_size=20))
def test_an_edit_shows_every_changed_line_as_it_is(old: str, new: str) -> None:
    """Each line that only one side has appears whole with its sign; only `\\n` ends a line."""
    markdown = toolmarkdown.call("Edit", {"file_path": "/w/a", "old_string": old, "new_string": new})
    shown = "\n".join(blocks(markdown)).split("\n")
    before, after = old.split("\n"), new.split("\n")
    for sign, mine, other in (("-", before, after), ("+", after, before)):
        for line in mine:
            if line and line not in other:
                assert sign + line in shown


@pytest.mark.parametrize(("old", "new"), [("a", "a\n"), ("a\n", "a"), ("a\r\n", "a\n"), ("a", "a ")])
def test_an_edit_of_white_space_shows_that_something_changed(old: str, new: str) -> None:
    """The edit's block is never empty when the edit was not."""
    markdown = toolmarkdown.call("Edit", {"file_path": "/w/a", "old_string": old, "new_string": new})
    assert any(line[:1] in {"+", "-"} for block in blocks(markdown) for line in block.split("\n"))


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=150),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = ["command", "file_path", "content", "old_string", "new_string", "offset", "limit", "pattern", "description"]
ARGUMENTS = st.dictionaries(st.sampled_from([*KEYS, "prompt", "url", "name"]), ANY, max_size=6)


@given(st.sampled_from(TOOLS) | st.text(max_size=10), ARGUMENTS)
def test_no_shape_of_arguments_raises(name: str, arguments: dict[str, Any]) -> None:
    """A model may call a tool with anything; the CLI then refuses it, and the transcript shows it all the same."""
    markdown = toolmarkdown.call(name, arguments)
    assert markdown.startswith(f"**{name}**")
    blocks(markdown)


@pytest.mark.parametrize("name", TOOLS)
@pytest.mark.parametrize(
    "arguments", [None, [], ["a"], "text", 5, {"file_path": 5}, {"old_string": 5, "new_string": 6, "file_path": "x"}]
)
def test_arguments_that_are_no_arguments_do_not_raise(name: str, arguments: Any) -> None:
    """Not even when they are no object at all."""
    assert toolmarkdown.call(name, arguments).startswith(f"**{name}**")


@given(st.sampled_from(TOOLS), ARGUMENTS)
def test_no_argument_text_is_cut(name: str, arguments: dict[str, Any]) -> None:
    """A string that was given to an unknown tool, or in another shape than the tool's, is there in full."""
    markdown = toolmarkdown.call("mcp__x__y", arguments)
    for value in arguments.values():
        if isinstance(value, str):
            assert value in markdown or json.dumps(value, ensure_ascii=False) in markdown


# --- results


@pytest.mark.parametrize(
    ("output", "is_error", "size", "markdown"),
    [
        ("fine", False, None, "```\nfine\n```"),
        ("", False, None, "(no output)"),
        ("Exit code 3", True, None, "Error:\n\n```\nExit code 3\n```"),
        ("", True, None, "Error:\n\n(no output)"),
        (
            "abc",
            False,
            5_000_000,
            "```\nabc\n```\n\n*The full output has 5,000,000 bytes; its first 3 characters are shown.*",
        ),
    ],
)
def test_a_result_is_fenced_and_says_what_it_is(output: str, is_error: bool, size: int | None, markdown: str) -> None:
    """Output in a block, errors named, nothing said where nothing came, the full size where only a part was kept."""
    assert toolmarkdown.result(output, is_error=is_error, full_size=size) == markdown


@given(WITH_BACKTICKS.filter(bool), st.booleans())
def test_an_output_stays_in_its_block(output: str, is_error: bool) -> None:
    """Also when it is Markdown itself."""
    ending = "" if output.endswith("\n") else "\n"
    assert blocks(toolmarkdown.result(output, is_error=is_error, full_size=None)) == [output + ending]


def test_an_unknown_full_size_is_not_claimed() -> None:
    """When the CLI did not say how large the output was, the line does not say 0."""
    assert "0 bytes" not in toolmarkdown.result("abc", is_error=False, full_size=0)
