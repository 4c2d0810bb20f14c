"""The scenario files: what is read from them, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ccapi.errors import ScenarioInvalid
from ccapi.rehearsal.scenario import load, names
from ccapi.rehearsal.turns import Cut, Failure, Pause, Text, Thinking, ToolCall

if TYPE_CHECKING:
    from collections.abc import Callable

DOCS = Path(__file__).parents[2] / "docs" / "rehearsal.md"

PROMISED = {
    "fibonacci",
    "count-files",
    "chat",
    "long",
    "big-output",
    "rate-limited",
    "unauthenticated",
    "retired-model",
    "overloaded",
    "flaky",
    "parallel",
    "failing-tool",
    "thinking",
    "unicode",
    "slow",
    "default",
    "edit",
    "subagent",
    "markdown",
    "long-answer",
    "hostile",
}


def test_every_promised_scenario_is_shipped() -> None:
    """The names that other parts and the documentation use exist."""
    assert set(names()) >= PROMISED


@pytest.mark.parametrize("name", names())
def test_shipped_scenarios_are_valid_described_and_documented(name: str) -> None:
    """Each shipped scenario loads under its file's name, says what it is for, and has its line in the documentation."""
    scenario = load(name)
    assert scenario.name == name
    assert scenario.description.endswith(".")
    assert f"| `{name}` |" in DOCS.read_text(encoding="utf-8")


KEYS = """
name description delay when include turn prompt results results_below result model attempt attempt_below
text thinking tool input pause error message retry_after cut stop_reason repeat
"""


@pytest.mark.parametrize("key", KEYS.split())
def test_every_key_is_documented(key: str) -> None:
    """The documentation names every key of the format."""
    assert f"`{key}`" in DOCS.read_text(encoding="utf-8")


def test_the_example_in_the_documentation_is_valid(write: Callable[..., str]) -> None:
    """What the documentation shows can be copied."""
    example = DOCS.read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    assert len(load(write(example)).turns) == 3


def test_every_kind_of_step_is_read(write: Callable[..., str]) -> None:
    """Each kind of step becomes its own class, with its own keys; a delay on the step wins over the file's."""
    path = write("""
        name = "all"
        delay = 0.5
        [[turn]]
        stop_reason = "max_tokens"
        step = [
            { thinking = "hm" },
            { text = "hello", delay = 0 },
            { tool = "Bash", input = { command = "ls", timeout = 5, args = ["a", { b = true }] } },
            { pause = 2 },
            { error = 429, message = "slow down", retry_after = 3 },
        ]
        [[turn]]
        step = [{ cut = true }]
    """)
    scenario = load(path)
    assert scenario.name == "all"
    assert scenario.turns[0].stop_reason == "max_tokens"
    assert scenario.turns[0].steps == (
        Thinking("hm", 0.5),
        Text("hello", 0.0),
        ToolCall("Bash", {"command": "ls", "timeout": 5, "args": ["a", {"b": True}]}, 0.5),
        Pause(2.0),
        Failure(429, "slow down", 3.0),
    )
    assert scenario.turns[1].steps == (Cut(),)


def test_conditions_of_the_file_hold_for_each_turn_that_sets_none(write: Callable[..., str]) -> None:
    """The file's `when` is taken over, key by key, and a turn's own condition replaces it."""
    scenario = load(
        write("""
        when.prompt = "shared"
        when.results = 1
        [[turn]]
        step = [{ text = "a" }]
        [[turn]]
        when.results = 0
        step = [{ text = "b" }]
    """)
    )
    whens = [turn.when for turn in scenario.turns]
    assert [when.prompt.pattern for when in whens if when.prompt] == ["shared", "shared"]
    assert [when.results for when in whens] == [1, 0]


def test_included_turns_come_after_the_files_own_and_keep_their_defaults(write: Callable[..., str]) -> None:
    """`include` takes shipped names and relative paths, in order; neither delay nor conditions leak either way."""
    write('when.prompt = "x"\n[[turn]]\nstep = [{ text = "other" }]', "other.toml")
    scenario = load(write('delay = 9\ninclude = ["./other.toml", "rate-limited"]\n[[turn]]\nstep = [{ text = "own" }]'))
    assert [turn.steps[0] for turn in scenario.turns[:2]] == [Text("own", 9.0), Text("other", 0.0)]
    assert [turn.when.prompt is not None for turn in scenario.turns] == [False, True, False]
    assert isinstance(scenario.turns[2].steps[0], Failure)


TURN = "[[turn]]\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name = ", "is not TOML: Invalid value (at end of document)"),
        ("", "a scenario needs at least one [[turn]], or an 'include'"),
        ("turn = 3", "'turn' must be an array of tables ([[turn]]), not a number"),
        ("turns = []", "unknown key 'turns'; did you mean 'turn'?"),
        ("name = 3", "'name' must be a string, not a number"),
        ("include = 'chat'", "'include' must be a list of strings, not a string"),
        ("include = ['chta']", "there is no scenario 'chta'; did you mean 'chat'?"),
        ("include = ['./none.toml']", "none.toml: cannot be read: No such file or directory"),
        ("delay = -1", "'delay' must be a number of seconds, 0 or more, not -1"),
        ("delay = true", "'delay' must be a number of seconds, 0 or more, not a boolean"),
        ("delay = nan", "'delay' must be a number of seconds, 0 or more, not nan"),
        ("when = 1", "'when' must be a table, not a number"),
        (TURN, "turn 1: a turn needs at least one [[turn.step]]"),
        (TURN + "steps = []", "turn 1: unknown key 'steps'; did you mean 'step'?"),
        (TURN + "when.prmopt = 'x'", "turn 1, when: unknown key 'prmopt'; did you mean 'prompt'?"),
        (TURN + "when.prompt = '('", "turn 1, when: 'prompt' must be a regular expression: missing ), unterminated"),
        (TURN + "when.results = '1'", "turn 1, when: 'results' must be a whole number, 0 or more, not a string"),
        (TURN + "when.results_below = 0", "turn 1, when: 'results_below' must be a whole number, 1 or more, not 0"),
        (TURN + "step = [{ txt = 'x' }]", "turn 1, step 1: unknown key 'txt'; did you mean 'text'?"),
        (
            TURN + "step = [{ delay = 1 }]",
            "turn 1, step 1: a step needs one of: text, thinking, tool, pause, error, cut",
        ),
        (TURN + "step = [{ text = 'x', tool = 'y' }]", "turn 1, step 1: a step does one thing, not text and tool"),
        (
            TURN + "step = [{ text = 'x', input = {} }]",
            "turn 1, step 1: unknown key 'input'; known here: text, delay, repeat",
        ),
        (TURN + "step = [{ text = 5 }]", "turn 1, step 1: 'text' must be a string, not a number"),
        (TURN + "step = [{ text = 'x', repeat = 0 }]", "turn 1, step 1: 'repeat' must be a whole number, 1 or more"),
        (TURN + "step = [{ tool = 'x', input = { a = '@{number}' } }]", "unknown placeholder '@{number}'"),
        (TURN + "step = [{ tool = '' }]", "turn 1, step 1: 'tool' must be the name of a tool"),
        (TURN + "step = [{ tool = 'x', input = 'y' }]", "turn 1, step 1: 'input' must be a table, not a string"),
        (TURN + "step = [{ tool = 'x', input = { d = [2020-01-01] } }]", "quote the date '2020-01-01'"),
        (TURN + "step = [{ error = 418 }]", "turn 1, step 1: 'error' must be one of 400, 401, 403, 404, 413, 429, 500"),
        (TURN + "step = [{ cut = false }]", "turn 1, step 1: 'cut' must be true"),
        (TURN + "step = [{ cut = 'yes' }]", "turn 1, step 1: 'cut' must be true or false, not a string"),
        (TURN + "step = [{ cut = true }, { text = 'x' }]", "turn 1: step 1 ends the answer, so no step may follow it"),
        (TURN + "stop_reason = 'max_token'\nstep = [{ text = 'x' }]", "not 'max_token'; did you mean 'max_tokens'?"),
        (TURN + "step = [{ text = 'a @{promt}' }]", "unknown placeholder '@{promt}'; did you mean 'prompt'?"),
        (TURN + "step = [{ tool = 'x', input = { a = ['@{zzzz}'] } }]", "unknown placeholder '@{zzzz}'; known here: "),
        (TURN + "step = [{ error = 500, message = '@{group}' }]", "unknown placeholder '@{group}'"),
    ],
)
def test_a_wrong_file_is_refused_with_file_place_and_expectation(
    write: Callable[..., str], text: str, expected: str
) -> None:
    """Whatever is wrong in a file is found at loading, and the message says where and what was expected."""
    path = write(text)
    with pytest.raises(ScenarioInvalid) as caught:
        load(path)
    assert expected in caught.value.message
    assert ".toml" in caught.value.message or "there is no scenario" in caught.value.message


def test_a_scenario_that_includes_itself_is_refused(write: Callable[..., str]) -> None:
    """A circle of includes is an error, not an endless loop."""
    write("include = ['./b.toml']", "a.toml")
    with pytest.raises(ScenarioInvalid, match=r"includes itself .*b\.toml -> a\.toml -> b\.toml"):
        load(write("include = ['./a.toml']", "b.toml"))


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are named as such."""
    path = tmp_path / "x.toml"
    path.write_bytes(b'name = "\xff"')
    with pytest.raises(ScenarioInvalid, match="is not UTF-8 text"):
        load(str(path))


def test_an_unknown_name_lists_what_there_is() -> None:
    """A mistyped name gets the near miss, and the hint lists the shipped ones."""
    with pytest.raises(ScenarioInvalid, match="there is no scenario 'fibonaci'; did you mean 'fibonacci'") as caught:
        load("fibonaci")
    assert "rate-limited" in (caught.value.hint or "")
