"""What a tool call and its result look like on a terminal."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccapi.cli.answer.cells import cell_len
from ccapi.cli.answer.figures import duration
from ccapi.cli.answer.fold import Rows, fold
from ccapi.cli.answer.paint import Paint
from ccapi.cli.answer.toolview import State, ToolView
from ccapi.cli.answer.visible import visible
from ccapi.wire.events import ToolCalled, ToolFinished
from tests.agent import streamjson as sj

PLAIN = ToolView(Paint(colour=False))
FULL = ToolView(Paint(colour=False), full=True)
COLOURED = ToolView(Paint(colour=True))
SGR = re.compile(r"\x1b\[[0-9;]*m")

FIBONACCI = """\
def fibonacci(count):
    numbers = []
    a, b = 0, 1
    for _ in range(count):
        numbers.append(a)
        a, b = b, a + b
    return numbers
"""


def line(
    name: str, arguments: Mapping[str, Any] | None, *, width: int = 80, state: State = "ok", seconds: float | None = 0.3
) -> str:
    return PLAIN.line(name, arguments, width, state=state, seconds=seconds)


def details(
    name: str,
    arguments: Mapping[str, Any],
    output: str = "",
    *,
    width: int = 80,
    error: bool = False,
    size: int | None = None,
    view: ToolView = PLAIN,
) -> list[str]:
    return view.details(name, arguments, output, width, is_error=error, full_size=size)


def numbered(count: int) -> str:
    return "\n".join(f"line {n}" for n in range(1, count + 1))


def shown(*texts: str) -> list[str]:
    """Behind the gutter of output."""
    return [f"  │ {text}".rstrip() for text in texts]


# --- the line


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("Bash", {"command": "make test", "description": "Test"}, "✓ Bash make test  0.3 s"),
        ("Bash", {"command": "\ncd x\nmake\n"}, "✓ Bash cd x …  0.3 s"),
        ("Bash", {"command": "a\tb \x1b[31mc\x1b]0;x\x07\r\n"}, "✓ Bash a       b c  0.3 s"),
        ("Write", {"file_path": "/workspace/src/a.py", "content": "x"}, "✓ Write src/a.py  0.3 s"),
        ("Write", {"file_path": "/tmp/workspace/a.py", "content": "x"}, "✓ Write /tmp/workspace/a.py  0.3 s"),
        ("Read", {"file_path": "/workspace/a.py", "offset": 5, "limit": 10}, "✓ Read a.py:5-14  0.3 s"),
        ("Read", {"file_path": "/workspace/a.py", "offset": 5}, "✓ Read a.py:5-  0.3 s"),
        ("Read", {"file_path": "/workspace/a.py", "limit": 10}, "✓ Read a.py:1-10  0.3 s"),
        ("Grep", {"pattern": "def .*", "path": "/workspace/src"}, "✓ Grep def .* in src  0.3 s"),
        ("Glob", {"pattern": "**/*.py"}, "✓ Glob **/*.py  0.3 s"),
        ("Agent", {"prompt": "do", "description": "Count files"}, "✓ Agent Count files  0.3 s"),
        ("WebFetch", {"url": "https://e.org", "prompt": "what"}, "✓ WebFetch https://e.org  0.3 s"),
        ("mcp__github__search", {"query": "bug"}, "✓ github: search bug  0.3 s"),
        ("mcp__github__get", {"owner": "o", "n": 5, "x": [True]}, "✓ github: get owner: o, n: 5, x: [true]  0.3 s"),
        ("TodoWrite", {"todos": [{"status": "completed"}, {"status": "pending"}]}, "✓ TodoWrite 1 of 2 done  0.3 s"),
        ("StructuredOutput", {"name": "Ada"}, "✓ StructuredOutput  0.3 s"),
        ("Bash", {}, "✓ Bash  0.3 s"),
        ("Bash", None, "✓ Bash  0.3 s"),
        ("Read", {"file_path": 5}, "✓ Read file_path: 5  0.3 s"),
    ],
)
def test_a_call_is_one_line_with_what_says_most_about_it(
    name: str, arguments: dict[str, Any] | None, expected: str
) -> None:
    """Name, the argument that says most or all of them, duration; nothing in it can break the line."""
    assert line(name, arguments) == expected


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (80, "✓ Bash python3 -m pytest --quiet tests/cli/test_cli_toolview.py  2 min 05 s"),
        (40, "✓ Bash python3 -m pytest --…  2 min 05 s"),
        (21, "✓ Bash p…  2 min 05 s"),
        (18, "✓ Bash  2 min 05 s"),
        (16, "✓ B…  2 min 05 s"),
        (12, "✓ Bash pyth…"),
        (4, "✓ B…"),
        (1, "✓"),
    ],
)
def test_what_is_too_long_is_cut_in_the_argument(width: int, expected: str) -> None:
    """Name and duration stay as long as there is any room for them."""
    arguments = {"command": "python3 -m pytest --quiet tests/cli/test_cli_toolview.py"}
    assert line("Bash", arguments, width=width, seconds=125) == expected


def test_of_a_long_path_the_end_stays() -> None:
    """The name of a file says more than the directory that everything lies in."""
    path = "/home/somebody/projects/世界/one/of/many/tests/test_it.py"
    assert line("Read", {"file_path": path}, width=40) == "✓ Read …/of/many/tests/test_it.py  0.3 s"
    assert line("Read", {"file_path": path}, width=39) == "✓ Read …/many/tests/test_it.py  0.3 s"
    assert line("Read", {"file_path": path}, width=22) == "✓ Read …t_it.py  0.3 s"


def test_each_state_has_its_mark() -> None:
    """Spinner, check, cross, circle, each in its colour; a running call counts whole seconds."""
    states: tuple[State, ...] = ("running", "ok", "failed", "unfinished")
    lines = [COLOURED.line("Bash", {"command": "ls"}, 80, state=state, seconds=1.96) for state in states]
    bash = "\x1b[1mBash\x1b[0m ls"
    assert lines == [
        f"\x1b[36m⠋\x1b[0m {bash}\x1b[2m  1 s\x1b[0m",
        f"\x1b[32m✓\x1b[0m {bash}\x1b[2m  2.0 s\x1b[0m",
        f"\x1b[31m✗\x1b[0m {bash}\x1b[2m  2.0 s\x1b[0m",
        f"\x1b[2m○\x1b[0m {bash}\x1b[2m  2.0 s\x1b[0m",
    ]
    assert PLAIN.line("Bash", None, 80, state="running", seconds=None, spinner="●") == "● Bash"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0.0 s"),
        (0.34, "0.3 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3720, "1 h 02 min"),
        (100_000, "27 h 46 min"),
    ],
)
def test_durations_are_for_people(seconds: float, expected: str) -> None:
    """As exact as anybody wants to know."""
    assert duration(seconds) == expected


# --- output


def test_output_is_plain_text_in_a_gutter() -> None:
    """Nothing of it is taken for Markdown, empty lines within it stay, those behind it go."""
    assert details("Bash", {"command": "x"}, "# not a heading\n\n**b** `c`\n\n\n") == shown(
        "# not a heading", "", "**b** `c`"
    )


@pytest.mark.parametrize("count", [1, 10, 12])
def test_short_output_is_shown_whole(count: int) -> None:
    """Also where to hide some of it would save one row."""
    assert details("Bash", {"command": "x"}, numbered(count)) == shown(*numbered(count).split("\n"))


@pytest.mark.parametrize(("width", "count"), [(80, 13), (80, 200), (40, 200)])
def test_long_output_is_folded(width: int, count: int) -> None:
    """The first seven rows, how many lines are not shown and how to see them, the last three."""
    assert details("Bash", {"command": "x"}, numbered(count), width=width) == shown(
        *(f"line {n}" for n in range(1, 8)),
        f"… {count - 10} more lines (--full)",
        *(f"line {n}" for n in range(count - 2, count + 1)),
    )


def test_with_full_nothing_is_folded() -> None:
    """Each line of 200."""
    assert details("Grep", {"pattern": "x"}, numbered(200), view=FULL)[-200:] == shown(*numbered(200).split("\n"))


def test_long_lines_are_chopped() -> None:
    """Rows count, not lines; wide characters are never cut in two."""
    assert details("Bash", {"command": "x"}, "世" * 25 + "\nend", width=40) == shown("世" * 18, "世" * 7, "end")


def test_of_an_enormous_line_the_characters_are_counted() -> None:
    """Every character is shown or counted."""
    rows = details("Bash", {"command": "x"}, "x" * 96_000, width=84)
    assert rows == shown(*["x" * 80] * 7, "… 95,200 more characters (--full)", *["x" * 80] * 3)


def test_a_line_that_is_cut_counts_as_one_that_is_not_shown() -> None:
    """Where more than its rest is hidden, lines are counted."""
    output = "a\n" + "x" * 800 + "\n1\n2\n3\n4\n5"
    assert details("Bash", {"command": "x"}, output, width=84) == shown(
        "a", *["x" * 80] * 6, "… 3 more lines (--full)", "3", "4", "5"
    )


def test_no_output_is_said() -> None:
    """In our words, once, where the CLI says it in its own."""
    for output in ("", "\n", "(Bash completed with no output)"):
        assert details("Bash", {"command": "x"}, output) == shown("(no output)")
        assert details("Bash", {"command": "x"}, output, error=True)[-1:] == [
            *shown("(no output)" if "Bash" not in output else output)
        ]


def test_of_a_large_output_the_size_is_said() -> None:
    """The CLI kept only the beginning; where it did not say of how much, nothing is claimed."""
    assert details("Bash", {"command": "x"}, "x" * 30_000, size=5_050_000)[-1:] == shown(
        "the first 30,000 characters of 5,050,000 bytes"
    )
    assert details("Bash", {"command": "x"}, "abc", size=0)[-1:] == shown("the first 3 characters")


def test_what_a_terminal_would_show_is_shown() -> None:
    """Colours are dropped whole, of a progress bar the last state is left, tabs are spaces."""
    output = "\x1b[1;32mok\x1b[0m\tdone\r\n 10%\r 50%\r100%\r\n"
    output += "\x1b]8;;https://e.org\x1b\\link\x1b]8;;\x07 \x1b(B\x9b31m!\x00"
    assert details("Bash", {"command": "x"}, output) == shown("ok      done", "100%", "link !")


def test_a_sequence_without_end_swallows_nothing() -> None:
    """Text stands behind it all the same."""
    assert visible("\x1b]0;title and text") == "]0;title and text"
    assert visible("\x1b[") == "["
    assert visible("\x9dtitle and \x9d0;title\x9ctext") == "title and text"


def test_tabs_reach_the_stops_of_a_terminal() -> None:
    """Also behind letters that are two cells wide, or none."""
    assert visible("漢字\tx\te\u0301\t|") == "漢字    x       e\u0301       |"
    assert visible("12345678\t漢字漢字\tx") == "12345678        漢字漢字        x"


# --- what was given, tool by tool


def test_a_written_file_is_shown_and_what_the_cli_says_of_it_is_not() -> None:
    """Its content; with --full both."""
    arguments = {"file_path": "/workspace/fibonacci.py", "content": FIBONACCI}
    said = "File created successfully at: /workspace/fibonacci.py"
    content = shown(*FIBONACCI.rstrip().split("\n"))
    assert details("Write", arguments, said) == content
    assert details("Write", arguments, said, view=FULL) == [*content, *shown(said)]
    assert details("Write", {**arguments, "content": ""}, said) == shown("(an empty file)")


def test_code_is_highlighted_and_folded() -> None:
    """In the colours of its language, and readable without them."""
    arguments = {"file_path": "/workspace/a.py", "content": FIBONACCI * 10}
    rows = details("Write", arguments, view=COLOURED)
    assert "\x1b[35mdef\x1b[0m \x1b[1mfibonacci\x1b[0m(count):" in rows[0]
    assert len(rows) == 11
    assert [SGR.sub("", row) for row in rows] == details("Write", arguments)


def test_an_edit_is_a_coloured_diff() -> None:
    """Green what is new, red what is gone; parts that stand apart are told apart."""
    old = "def greeting(name):\n    return name\n\n\n# a\n# b\n# c\n# d\n# e\nx = 1\n"
    new = "def greeting(name):\n    return f'{name}!'\n\n\n# a\n# b\n# c\n# d\n# e\nx = 2\n"
    arguments = {"file_path": "/workspace/a.py", "old_string": old, "new_string": new}
    expected = [" def greeting(name):", "-    return name", "+    return f'{name}!'", "", "", " # a", "⋮"]
    expected += [" # c", " # d", " # e", "-x = 1", "+x = 2"]
    rows = details("Edit", arguments, "The file /workspace/a.py has been updated.")
    assert rows == shown(*expected)
    gutter = "\x1b[2m  │ \x1b[0m"
    coloured = details("Edit", arguments, view=COLOURED)
    assert coloured[1:3] == [
        f"{gutter}\x1b[31m-    return name\x1b[0m",
        f"{gutter}\x1b[32m+    return f'{{name}}!'\x1b[0m",
    ]
    assert coloured[6] == f"{gutter}\x1b[2m⋮\x1b[0m"


def test_an_edit_may_take_twenty_rows() -> None:
    """More than output, before it is folded."""
    arguments = {"file_path": "/a", "old_string": "", "new_string": numbered(100)}
    rows = details("Edit", arguments)
    assert len(rows) == 21
    assert rows[14:16] == shown("… 81 more lines (--full)", "+line 95")
    assert len(details("Edit", arguments, view=FULL)) == 102


def test_several_edits_of_one_file_stand_below_each_other() -> None:
    """Each with its own lines; that one is made everywhere is said."""
    edits = [{"old_string": "a", "new_string": "b", "replace_all": True}, {"old_string": "c", "new_string": "d"}]
    assert details("MultiEdit", {"file_path": "/a", "edits": edits}, "Applied 2 edits") == shown(
        "-a", "+b", "(every occurrence)", "⋮", "-c", "+d"
    )


def test_an_edit_that_failed_says_why() -> None:
    """In the words of the CLI without the tags around them."""
    arguments = {"file_path": "/a", "old_string": "a", "new_string": "b"}
    output = "<tool_use_error>File has not been read yet.</tool_use_error>"
    assert details("Edit", arguments, output, error=True) == shown("-a", "+b", "File has not been read yet.")


def test_what_went_wrong_may_take_twenty_rows() -> None:
    """More than the output of a call that went well."""
    rows = details("Bash", {"command": "x"}, "Exit code 1\n" + numbered(100), error=True)
    assert len(rows) == 21
    assert rows[14:15] == shown("… 81 more lines (--full)")


def test_a_command_of_several_lines_stands_below_its_line() -> None:
    """Behind the prompts of a shell, which tell it from its output; folded like output."""
    assert details("Bash", {"command": "cd x\nmake\n"}, "done") == ["  $ cd x", "  > make", "  │ done"]
    rows = details("Bash", {"command": numbered(50)}, "done")
    assert rows[7:9] == ["  > … 40 more lines (--full)", "  > line 48"]
    long = details("Bash", {"command": "echo " + "x" * 40 + "\nls"}, "done", width=40)
    assert long == ["  $ echo " + "x" * 31, "    " + "x" * 9, "  > ls", "  │ done"]
    assert details("Bash", {"command": "make"}, "done", view=FULL) == ["  $ make", "  │ done"]


def test_tasks_are_a_checklist() -> None:
    """What is open, what is being done, what is done."""
    states = {"Write": "completed", "Test": "in_progress", "Ship": "pending"}
    todos = [{"content": content, "status": status} for content, status in states.items()]
    assert details("TodoWrite", {"todos": todos}, "Todos have been modified") == shown("☑ Write", "▶ Test", "☐ Ship")


def test_the_new_source_of_a_notebooks_cell_is_shown() -> None:
    """As code, or as what it is."""
    arguments = {"notebook_path": "/workspace/a.ipynb", "cell_id": "x", "new_source": "print(1)"}
    assert details("NotebookEdit", arguments, "Updated cell x") == shown("print(1)")


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("1\timport sys\n2\t\n3\tx", "3 lines"),
        ("1\timport sys\n2\t", "1 line"),
        ("     7→import sys\n     8→\n\n<system-reminder>\nMind it.\n</system-reminder>", "1 line"),
        ("<system-reminder>Warning: the file is empty.</system-reminder>", "Warning: the file is empty."),
        ("[image, image/png]", "[image, image/png]"),
    ],
)
def test_of_a_file_that_was_read_the_lines_are_counted(output: str, expected: str) -> None:
    """Its content is for the model; what is no text is named."""
    assert details("Read", {"file_path": "/workspace/a.py"}, output) == shown(expected)


def test_with_full_a_file_that_was_read_is_shown() -> None:
    """As the model saw it."""
    assert details("Read", {"file_path": "/workspace/a.py"}, "1\tx = 1\n2\ty = 2", view=FULL)[-2:] == shown(
        "1       x = 1", "2       y = 2"
    )


def test_what_a_subagent_reports_is_shown_without_its_frame() -> None:
    """The real CLI's words around it are for the model; the prompt is shown with --full."""
    events, _ = sj.decode(sj.recorded("subagents"))
    calls = {event.tool_use_id: event for event in events if isinstance(event, ToolCalled) and event.name == "Task"}
    ended = [event for event in events if isinstance(event, ToolFinished) and event.tool_use_id in calls]
    assert len(ended) == 2
    for event in ended:
        call = calls[event.tool_use_id]
        name = call.input["description"]
        assert details("Task", call.input, event.output) == shown(f"Subagent report: from-sub-sub task {name}")
        whole = details("Task", call.input, event.output, view=FULL)
        assert whole[0] == f"  > sub task {name}"
        assert any("[Subagent hand-back]" in row for row in whole)


def test_a_json_document_of_another_tool_is_laid_out() -> None:
    """And highlighted; what only looks like one stays as it is. A shell's output is the shell's."""
    output = '{"title": "世界", "open": true}'
    laid_out = shown("{", '  "title": "世界",', '  "open": true', "}")
    assert details("mcp__github__get", {}, output) == laid_out
    assert '\x1b[35m"title"\x1b[0m' in details("mcp__github__get", {}, output, view=COLOURED)[1]
    assert details("mcp__github__get", {}, "{ no JSON") == shown("{ no JSON")
    assert details("mcp__github__get", {}, "[" * 100_000, width=40)[0] == shown("[" * 36)[0]
    assert details("Bash", {"command": "x"}, output) == shown(output)


def test_arguments_of_other_tools_are_listed_with_full() -> None:
    """All of them, each with its name."""
    arguments = {"query": "bug", "labels": ["a", "b"]}
    assert details("mcp__github__search", arguments, "none") == shown("none")
    assert details("mcp__github__search", arguments, "none", view=FULL) == [
        "  > query: bug",
        '  > labels: ["a", "b"]',
        "  │ none",
    ]


@pytest.mark.parametrize("arguments", [["a", 1], "text", 5, True])
@pytest.mark.parametrize("name", ["Bash", "TodoWrite", "mcp__github__get"])
def test_arguments_that_are_no_object(name: str, arguments: Any) -> None:
    """No gateway of ours sends them; what another one sends is seen with `full`, and the answer goes on."""
    title = line(name, {})
    assert line(name, arguments) == title
    assert details(name, arguments, "", view=PLAIN) == details(name, {}, "")
    assert json.dumps(arguments, ensure_ascii=False).strip('"') in "\n".join(details(name, arguments, view=FULL))


def test_a_structured_answer_is_no_tool_for_anybody_to_see() -> None:
    """It is the answer; only an error is shown."""
    for view in (PLAIN, FULL):
        assert details("StructuredOutput", {"n": 1}, "Structured output provided successfully", view=view) == []
    assert details("StructuredOutput", {"n": 1}, "does not fit", error=True) == shown("does not fit")


# --- whatever comes


TEXT = st.text(alphabet=st.sampled_from("ab \n\t\r\x1b[]0;m\x07\x9b世🎉\u0301\u200d\u2028\u202e"), max_size=400)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = ["command", "file_path", "content", "old_string", "new_string", "offset", "limit", "pattern", "edits", "todos"]
ARGUMENTS = st.dictionaries(st.sampled_from([*KEYS, "path", "prompt", "description", "new_source", "status"]), ANY)
TOOLS = ["Bash", "Write", "Edit", "MultiEdit", "NotebookEdit", "TodoWrite", "Read", "Grep", "Agent", "mcp__世__\x1b[2J"]
STATES = st.sampled_from(["running", "ok", "failed", "unfinished"])


def assert_fits(rows: list[str], width: int) -> None:
    for row in rows:
        text = SGR.sub("", row)
        assert cell_len(text) <= width
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", text)


@given(st.sampled_from(TOOLS) | TEXT, ARGUMENTS | st.none(), st.integers(1, 90), STATES, st.floats(0, 1e6) | st.none())
def test_a_line_always_fits(
    name: str, arguments: dict[str, Any] | None, width: int, state: State, seconds: float | None
) -> None:
    """Whatever a model calls with whatever arguments: one line, not too wide, without control characters."""
    assert_fits([COLOURED.line(name, arguments, width, state=state, seconds=seconds)], width)


@given(st.sampled_from(TOOLS) | TEXT, ARGUMENTS, TEXT, st.integers(1, 90), st.booleans(), st.booleans())
def test_details_always_fit(
    name: str, arguments: dict[str, Any], output: str, width: int, error: bool, full: bool
) -> None:
    """No row is too wide, none holds a control character, whatever a tool printed."""
    view = ToolView(Paint(colour=True), full=full)
    assert_fits(view.details(name, arguments, output, width, is_error=error, full_size=None), width)


LINES = st.text(alphabet="ab \n\r世🎉\u0301\u2028", max_size=300)


@given(LINES, st.integers(2, 20), st.integers(1, 5), st.integers(1, 4))
def test_a_fold_is_as_long_as_wanted_and_shows_beginning_and_end(text: str, width: int, first: int, last: int) -> None:
    """What is shown is the beginning and the end of what would be shown whole."""
    whole = [row for line in fold(text, width, None).first for row in line.rows]
    folded = fold(text, width, Rows(first, last))
    head = [row for line in folded.first for row in line.rows]
    tail = [row for line in folded.last for row in line.rows]
    if not folded.left:
        assert head == whole
        assert len(whole) <= first + last + 2
    else:
        assert len(whole) > first + last + 2
        assert re.fullmatch(r"[1-9]\d* more (line|character)s?", folded.left)
        assert (len(head), len(tail)) == (first, last)
        assert head == whole[:first]
        assert "".join(whole).endswith("".join(tail))


@given(st.text(alphabet="a漢\t\n\x1b[0m", max_size=300), st.integers(1, 9), st.integers(1, 5), st.integers(1, 4))
def test_with_tabs_and_sequences_a_fold_still_says_what_is_hidden(text: str, width: int, first: int, last: int) -> None:
    """Where the rows are not those that are shown whole, a line says so, and there are no more than wanted."""
    whole = [row for line in fold(text, width, None).first for row in line.rows]
    folded = fold(text, width, Rows(first, last))
    rows = [row for line in (*folded.first, *folded.last) for row in line.rows]
    assert (
        rows == whole or (folded.left and len(rows) <= first + last) or "".join(rows).split() == "".join(whole).split()
    )


@pytest.mark.parametrize(
    "output",
    [
        "x" * 5_000_000,
        "line\n" * 1_000_000,
        "50%\r" * 1_250_000,
        "é" * 5_000_000,
        "漢\t" * 2_500_000,
        "\x1b[31mx\x1b[0m" * 500_000,
        "\x9d" * 5_000_000,
    ],
    ids=["one line", "lines", "progress", "wide", "tabs", "colours", "titles"],
)
def test_five_megabytes_cost_what_is_shown(output: str) -> None:
    """Far less than to look at each character: no more than to copy the text a few times and count its lines."""
    details("Bash", {"command": "x"}, output[:1000])  # what is imported late

    def look() -> float:
        start = time.process_time()
        rows = details("Bash", {"command": "x"}, output)
        assert len(rows) <= 12
        return time.process_time() - start

    def clean() -> float:
        start = time.process_time()
        visible(output)
        return time.process_time() - start

    assert min(look() for _ in range(3)) < max(min(clean() for _ in range(3)), 0.05)
