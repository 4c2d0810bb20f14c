"""What is read from a request, which turn it gets, and how placeholders are filled."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccapi.rehearsal.conversation import Conversation
from ccapi.rehearsal.scenario import load
from ccapi.rehearsal.script import Attempts, choose
from ccapi.rehearsal.template import fill, placeholders
from ccapi.rehearsal.turns import Failure, Text, ToolCall
from ccapi.rehearsal.usage import input_usage, tokens

if TYPE_CHECKING:
    from collections.abc import Callable

REMINDER = "<system-reminder>\nsecret fibonacci\n</system-reminder>\n"


def conversation(*messages: tuple[str, Any], **fields: Any) -> Conversation:
    shaped = [{"role": role, "content": content} for role, content in messages]
    return Conversation({"model": "claude-opus-5-5", "messages": shaped} | fields)


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def result(content: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "toolu_1", "content": content}


ASKED = ("user", "hello")
CALLED = ("assistant", [{"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}}])


@pytest.mark.parametrize(
    ("messages", "prompt", "results"),
    [
        ([ASKED], "hello", []),
        ([("user", [text(REMINDER), text("hello\n")])], "hello", []),
        ([("user", [text(REMINDER + "hello " + REMINDER)])], "hello", []),
        ([("user", [text("two"), text("parts")])], "two\nparts", []),
        ([ASKED, ("system", "# Environment")], "hello", []),
        ([ASKED, CALLED, ("user", [result("one")])], "hello", ["one"]),
        ([ASKED, CALLED, ("user", [result([text("one"), text("two")])])], "hello", ["one\ntwo"]),
        ([ASKED, CALLED, ("user", [result("one\n"), result(""), text(REMINDER)])], "hello", ["one", ""]),
        ([ASKED, CALLED, ("user", [result("one\n" + REMINDER)])], "hello", ["one"]),
        ([ASKED, CALLED, ("user", [result("one")]), ("assistant", "done"), ("user", "more")], "more", []),
        (
            [
                ASKED,
                CALLED,
                ("user", [result("refused"), text("[Request interrupted by user]"), text("go")]),
            ],
            "go",
            [],
        ),
        (
            [ASKED, ("assistant", "half"), ("user", [text("Your response above was cut off mid-stream. Resume.")])],
            "hello",
            [],
        ),
        ([("user", "<command-name>/x</command-name>\n<local-command-stdout>y</local-command-stdout>\nhi")], "hi", []),
        ([("user", [result("alone")])], "", ["alone"]),
        ([("user", 5), ("user", [None, {"type": "image"}])], "", []),
    ],
)
def test_prompt_and_results_are_read_from_the_history(
    messages: list[tuple[str, Any]], prompt: str, results: list[str]
) -> None:
    """The prompt is the last text a person wrote, the results come after it; Claude Code's own words are neither."""
    read = conversation(*messages)
    assert (read.prompt, read.results) == (prompt, results)


@pytest.mark.parametrize(
    ("messages", "fields", "cwd"),
    [
        ([ASKED, ("system", "# Environment\n - Primary working directory: /tmp/a b\n - Git: no")], {}, "/tmp/a b"),
        ([("user", [text("<system-reminder>\nWorking directory: /old\n</system-reminder>")])], {}, "/old"),
        ([ASKED], {"system": [text("<env>\nWorking directory: /legacy\n</env>")]}, "/legacy"),
        ([("user", "Working directory: /not/this"), ("assistant", "Working directory: /nor/this")], {}, "."),
        ([ASKED, ("system", "Working directory: /one"), ("system", [text("Working directory: /two")])], {}, "/two"),
    ],
)
def test_the_workspace_is_what_claude_code_stated_last(
    messages: list[tuple[str, Any]], fields: dict[str, Any], cwd: str
) -> None:
    """The directory comes from Claude Code's own words only, never from a prompt, a result or the model."""
    assert conversation(*messages, **fields).cwd == cwd


def test_the_first_turn_that_matches_wins_and_conditions_add_up(write: Callable[..., str]) -> None:
    """Turns are tried in order; every condition of a turn must hold."""
    scenario = load(
        write("""
        [[turn]]
        when = { prompt = "(?i)^hello", results = 1, result = "(?P<word>o.e)", model = "opus" }
        step = [{ text = "@{word} for @{prompt} of @{model}" }]
        [[turn]]
        when = { results_below = 1, attempt_below = 2 }
        step = [{ text = "first" }]
        [[turn]]
        when.attempt = 2
        step = [{ text = "second" }]
    """)
    )
    asked = conversation(ASKED)
    done = conversation(ASKED, CALLED, ("user", [result("the one")]))

    def answer(of: Conversation, attempt: int) -> Any:
        turn = choose(scenario, of, attempt)
        return turn and turn.steps[0]

    assert answer(done, 1) == Text("one for hello of claude-opus-5-5")
    assert answer(asked, 1) == Text("first")
    assert answer(asked, 2) == Text("second")
    assert answer(asked, 3) is None


def test_placeholders_reach_into_tool_input_and_errors(write: Callable[..., str]) -> None:
    """Every string of a tool's input is filled, at any depth, and so is an error's message; other values stay."""
    scenario = load(
        write("""
        [[turn]]
        when.results = 2
        step = [{ tool = "X", input = { a = ["@{result_1}", { b = "@{result_2}@{result_9}", n = 5 }] } }]
        [[turn]]
        step = [{ error = 500, message = "@{results} @{step} @{attempt} @{cwd}@{last_result}" }]
    """)
    )
    two = choose(scenario, conversation(ASKED, CALLED, ("user", [result("one"), result("two")])), 1)
    none = choose(scenario, conversation(ASKED), 4)
    assert two is not None
    assert two.steps == (ToolCall("X", {"a": ["one", {"b": "two", "n": 5}]}),)
    assert none is not None
    assert none.steps == (Failure(500, "0 1 4 ."),)


def test_attempts_are_counted_per_session_prompt_and_results() -> None:
    """Only a repetition of the same state is a further attempt, even if its history has grown by half an answer."""
    attempts = Attempts()
    asked = conversation(ASKED)
    resumed = conversation(ASKED, ("assistant", "half"), ("user", "Your response above was cut off mid-stream."))
    again = conversation(ASKED, ("assistant", "whole"), ASKED)
    later = conversation(ASKED, CALLED, ("user", [result("one")]))
    assert [attempts.count("a", asked), attempts.count("a", asked), attempts.count("a", resumed)] == [1, 2, 3]
    assert [attempts.count("a", again), attempts.count("a", later), attempts.count("b", asked)] == [1, 1, 1]


def test_the_memory_of_attempts_is_bounded() -> None:
    """Old states are forgotten, so that a server that runs for weeks does not grow."""
    attempts = Attempts()
    asked = conversation(ASKED)
    for number in range(1100):
        attempts.count(str(number), asked)
    assert attempts.count("0", asked) == 1
    assert attempts.count("1099", asked) == 2


def test_code_needs_no_escaping() -> None:
    """The braces of Python, shell and JSON are text; `@@{` is a literal `@{`; values are not looked at again."""
    code = 'f"{prompt}" ${prompt} {{prompt}} @decorator {"a": {}} user@{'
    assert fill(code, {"prompt": "x"}) == code
    assert fill("@@{prompt} @{prompt}", {"prompt": "@{prompt}"}) == "@{prompt} @{prompt}"
    assert list(placeholders("@@{no} @{yes}")) == ["yes"]


@given(st.text())
def test_tokens_concatenate_to_the_text(words: str) -> None:
    """Streaming loses and adds nothing, whatever the characters; no token is empty."""
    assert "".join(tokens(words)) == words
    assert all(tokens(words))


def test_usage_is_deterministic_and_grows_with_the_history() -> None:
    """The same request costs the same; what was there before is read from the cache, what is new is not."""
    first = conversation(ASKED, system="be kind", tools=[{"name": "Bash"}])
    second = conversation(ASKED, CALLED, ("user", [result("x" * 400)]), system="be kind", tools=[{"name": "Bash"}])
    assert input_usage(first) == input_usage(first)
    assert input_usage(first)["cache_creation_input_tokens"] > 0
    assert input_usage(first)["cache_read_input_tokens"] == 0
    assert input_usage(second)["cache_read_input_tokens"] > input_usage(first)["cache_creation_input_tokens"]
    assert input_usage(second)["input_tokens"] > 100


@pytest.mark.parametrize("body", ["text", [], {}, {"model": "m"}, {"model": "m", "messages": []}, {"model": 1}])
def test_a_request_of_the_wrong_shape_is_refused(body: Any) -> None:
    """What is no Messages request raises ValueError, which becomes the API's 400."""
    with pytest.raises(ValueError, match=r"JSON object|model|messages"):
        Conversation(json.loads(json.dumps(body)))


def test_a_repeated_text_is_one_block_that_counts(write: Callable[..., str]) -> None:
    """`repeat` says the text so many times in a row, and `@{number}` is which time it is; without it, once."""
    step = "step = [{ text = '@{number}: @{prompt}. ', repeat = 3, delay = 2 }, { text = '[@{number}]' }]"
    turn = choose(load(write(f"[[turn]]\n{step}")), conversation(ASKED), 1)
    assert turn
    assert turn.steps == (Text("1: hello. 2: hello. 3: hello. ", 2.0), Text("[1]"))
