"""What a caller may ask: a request narrows what its key and the gateway allow, and never widens it."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccapi.errors import InvalidRequest, ModelNotFound, NotPermitted
from ccapi.gateway.models import Models
from ccapi.gateway.policy import Allowed, narrow, permits_model
from ccapi.gateway.question import Question
from ccapi.settings import PERMISSION_MODES
from ccapi.wire.keys import Policy, TranscriptLimit

MODELS = Models({"gpt-4o": "sonnet", "team": "claude-haiku-5-5", "odd": "haiku"})
TITLE = """### Task:
Generate a concise title summarizing the chat history.
### Output:
JSON format: { "title": "your concise title here" }
### Chat History:
<chat_history>
USER: hi
</chat_history>"""


def narrowed(policy: Policy | None = None, allowed: Allowed | None = None, **fields: Any) -> Question:
    question = Question(**{"model": "sonnet", "turn": "hello", **fields})
    return narrow(question, policy or Policy(), MODELS, allowed or Allowed())


def refused(policy: Policy | None = None, allowed: Allowed | None = None, **fields: Any) -> NotPermitted:
    with pytest.raises(NotPermitted) as caught:
        narrowed(policy, allowed, **fields)
    assert (caught.value.status, caught.value.code) == (403, "not_permitted")
    assert f"'{caught.value.param}'" in caught.value.message
    return caught.value


def test_without_limits_a_question_stays_as_it_is() -> None:
    """But for the transcript, which is the whole one."""
    question = Question(
        model="gpt-4o", turn="hello", tools=("Read",), denied_tools=("Bash",), workspace="a", transcript="text",
        permission_mode="plan", session_id="s", user="u", max_turns=3,
    )  # fmt: skip
    assert narrow(question, Policy(), MODELS, Allowed()) == question
    assert narrowed() == Question(model="sonnet", turn="hello", transcript="full")


# --- models


@pytest.mark.parametrize(
    ("key", "asked"),
    [
        (("sonnet",), "sonnet"),
        (("sonnet",), "gpt-4o"),
        (("gpt-4o",), "sonnet"),
        (("gpt-4o",), "gpt-4o"),
        (("team",), "claude-haiku-5-5"),
        (("claude-haiku-5-5",), "team"),
        (("opus", "haiku"), "odd"),
        (("opus[1m]",), "opus[1m]"),
    ],
)
def test_models_are_compared_by_what_they_mean(key: tuple[str, ...], asked: str) -> None:
    """A mapped name and its model are one; the client keeps its own name for it."""
    assert narrowed(Policy(models=key), model=asked).model == asked


@pytest.mark.parametrize(
    ("key", "asked"),
    [
        (("haiku",), "sonnet"),
        (("haiku",), "gpt-4o"),
        (("haiku",), "claude-haiku-5-5"),  # only the CLI knows what an alias is today
        (("claude-haiku-5-5",), "haiku"),
        (("sonnet",), "sonnet[1m]"),
        (("sonnet",), "claude-sonnet-5-5"),
        ((), "sonnet"),
        (("mapped-no-longer",), "sonnet"),
        (("--bad",), "sonnet"),
    ],
)
def test_other_models_are_refused(key: tuple[str, ...], asked: str) -> None:
    """The message says what may be asked for."""
    error = refused(Policy(models=key), model=asked)
    assert error.param == "model"
    assert all(name in error.message for name in key)


def test_a_model_that_does_not_exist_is_not_found() -> None:
    """Whatever the key allows; and what is no name at all is refused as such (G20)."""
    with pytest.raises(ModelNotFound):
        narrowed(Policy(models=("gpt-5",)), model="gpt-5")
    for name in ("--dangerously-skip-permissions", "x; id", "$(id)", ""):
        with pytest.raises(InvalidRequest) as caught:
            narrowed(Policy(models=(name,)), model=name)
        assert caught.value.status == 400
    assert not permits_model("gpt-5", Policy(), MODELS)


# --- transcript


SHOWN = ("final", "text", "full")


@pytest.mark.parametrize(("limit", "asked"), list(product((None, *SHOWN), (None, *SHOWN))))
def test_the_transcript_is_at_most_the_keys(limit: TranscriptLimit | None, asked: TranscriptLimit | None) -> None:
    """Asking for less is fine, for nothing is for all that there is, for more is refused."""
    most = limit or "full"
    if asked and SHOWN.index(asked) > SHOWN.index(most):
        assert refused(Policy(transcript=limit), transcript=asked).param == "transcript"
    else:
        assert narrowed(Policy(transcript=limit), transcript=asked).transcript == (asked or most)


def test_all_transcripts_have_their_place() -> None:
    """None is forgotten in the order."""
    assert set(SHOWN) == set(get_args(TranscriptLimit))


# --- tools


@pytest.mark.parametrize(
    ("key", "asked", "result"),
    [
        (None, None, None),
        (None, (), ()),
        (None, ("Read",), ("Read",)),
        ((), None, ()),
        ((), (), ()),
        (("Read", "Bash"), None, ("Read", "Bash")),
        (("Read", "Bash"), (), ()),
        (("Read", "Bash"), ("Bash",), ("Bash",)),
        (("Bash",), ("Bash(git *)", "Bash(ls)"), ("Bash(git *)", "Bash(ls)")),
        (("Bash(git *)",), ("Bash(git *)",), ("Bash(git *)",)),
        (("mcp__github",), ("mcp__github__get_me",), ("mcp__github__get_me",)),
        (("mcp__github",), ("mcp__github__*",), ("mcp__github__*",)),
        (("mcp__github__*",), ("mcp__github__get_me", "mcp__github"), ("mcp__github__get_me", "mcp__github")),
        (("mcp__github__get_me",), ("mcp__github__get_me",), ("mcp__github__get_me",)),
    ],
)
def test_tools_are_narrowed(key: tuple[str, ...] | None, asked: tuple[str, ...] | None, result: Any) -> None:
    """Nothing asked for is what the key has; a rule is less than its tool, a tool less than its server."""
    assert narrowed(Policy(tools=key), tools=asked).tools == result


@pytest.mark.parametrize(
    ("key", "asked", "place"),
    [
        ((), ("Read",), 0),
        (("Read",), ("Read", "Write"), 1),
        (("Read",), ("ReadAll",), 0),
        (("Bash(git *)",), ("Bash",), 0),
        (("Bash(git *)",), ("Bash(git log *)",), 0),
        (("Bash(git *)",), ("Bash(rm *)",), 0),
        (("Bash(*)",), ("Bash",), 0),
        (("mcp__github__get_me",), ("mcp__github",), 0),
        (("mcp__github__get_me",), ("mcp__github__*",), 0),
        (("mcp__github__get",), ("mcp__github__get__all",), 0),
        (("mcp__git",), ("mcp__github",), 0),
        (("mcp__git",), ("mcp__github__get_me",), 0),
        (("mcp__",), ("mcp__github",), 0),
        (("mcp",), ("mcp__github__get_me",), 0),
        (("read",), ("Read",), 0),
    ],
)
def test_tools_are_never_widened(key: tuple[str, ...], asked: tuple[str, ...], place: int) -> None:
    """Of two rules of one tool, nobody here knows which allows more."""
    assert refused(Policy(tools=key), tools=asked).param == f"allowed_tools[{place}]"


NAMES = st.sampled_from(
    ["Read", "Bash", "Bash(a)", "Bash(b)", "mcp__a", "mcp__a__*", "mcp__a__x", "mcp__b", "mcp__a_x"]
)
RULES = st.lists(NAMES, max_size=4).map(tuple)


@given(RULES, RULES)
def test_whatever_is_asked_for_is_what_the_key_has_or_less(key: tuple[str, ...], asked: tuple[str, ...]) -> None:
    """Said in another way: what every tool call is matched by."""

    def matched(rules: tuple[str, ...], call: tuple[str, str]) -> bool:
        name, argument = call
        server = "__".join(name.split("__")[:2]) if name.startswith("mcp__") else name
        return bool({name, f"{name}({argument})", server, f"{server}__*"} & set(rules))

    try:
        result = narrowed(Policy(tools=key), tools=asked).tools
    except NotPermitted:
        return
    assert result == asked
    for name, argument in product(["Read", "Bash", "mcp__a__x", "mcp__a__y", "mcp__b__x", "mcp__a_x__x"], "abc"):
        assert not matched(asked, (name, argument)) or matched(key, (name, argument))


def test_what_a_request_forbids_is_forbidden() -> None:
    """Whatever the key allows."""
    assert narrowed(Policy(tools=("Bash",)), denied_tools=("Bash(rm *)", "Read")).denied_tools == ("Bash(rm *)", "Read")


# --- workspaces


@pytest.mark.parametrize(
    ("key", "default", "asked", "result"),
    [
        (None, ".", None, None),
        (None, ".", ".", "."),
        (None, "default", None, None),
        (None, "default", "default", "default"),
        (None, "default", "a", "a"),
        (("a", "default"), "default", None, None),
        (("a", "b"), "default", None, "a"),
        (("a", "b"), "default", "b", "b"),
        ((".",), "default", None, "."),
        ((".",), "default", ".", "."),
    ],
)
def test_workspaces(key: tuple[str, ...] | None, default: str, asked: str | None, result: str | None) -> None:
    """The default, if it is allowed; the key's first, if it is not."""
    assert narrowed(Policy(workspaces=key), Allowed(workspace=default), workspace=asked).workspace == result


@pytest.mark.parametrize(
    ("key", "default", "asked"),
    [
        (None, "default", "."),  # the root, which holds everybody's
        (("a",), ".", "b"),
        (("a",), ".", "."),
        (("a",), "default", "default"),
        (("a",), ".", "A"),
        ((), ".", None),
        ((), ".", "a"),
    ],
)
def test_other_workspaces_are_refused(key: tuple[str, ...] | None, default: str, asked: str | None) -> None:
    """By their exact name."""
    assert refused(Policy(workspaces=key), Allowed(workspace=default), workspace=asked).param == "workspace"


# --- permission modes


ORDER = {"plan": 0, "default": 1, "dontAsk": 1, "acceptEdits": 2, "bypassPermissions": 3}


@pytest.mark.parametrize(("own", "asked"), list(product(PERMISSION_MODES, PERMISSION_MODES)))
def test_the_permission_mode_only_goes_down(own: str, asked: str) -> None:
    """What is the gateway's own anyway is nothing of its own (the process that waits can be taken)."""
    if ORDER[asked] > ORDER[own]:
        assert refused(allowed=Allowed(permission_mode=own), permission_mode=asked).param == "permission_mode"
    else:
        expected = None if asked == own else asked
        assert narrowed(allowed=Allowed(permission_mode=own), permission_mode=asked).permission_mode == expected


def test_without_a_permission_mode_it_is_the_gateways() -> None:
    """Nothing is filled in."""
    assert narrowed(allowed=Allowed(permission_mode="bypassPermissions")).permission_mode is None


# --- what clients ask for themselves


def test_a_background_task_is_made_light() -> None:
    """A title takes no tools, no session, and the small model."""
    light = narrowed(Policy(tools=("Bash",)), Allowed(small_model="haiku"), turn=TITLE, transcript=None)
    assert (light.model, light.tools, light.persist, light.transcript) == ("haiku", (), False, "final")


@pytest.mark.parametrize(
    ("key", "small", "model"),
    [(("opus",), "haiku", "opus"), (("opus", "odd"), "haiku", "haiku"), (None, None, "opus"), (None, "gone", "opus")],
)
def test_the_small_model_must_be_allowed(key: tuple[str, ...] | None, small: str | None, model: str) -> None:
    """A key's models are all that its holder uses; and a setting may be wrong."""
    assert narrowed(Policy(models=key), Allowed(small_model=small), turn=TITLE, model="opus").model == model


def test_what_a_background_task_asks_is_checked_before() -> None:
    """Lightness is no way around a limit."""
    assert refused(Policy(models=("haiku",)), Allowed(small_model="haiku"), turn=TITLE, model="opus").param == "model"
    assert refused(Policy(workspaces=("a",)), turn=TITLE, workspace="b").param == "workspace"


def test_a_header_tells_of_a_task_as_well() -> None:
    """Of one whose template is the operator's own."""
    question = Question(model="sonnet", turn="Titel?")
    assert narrow(question, Policy(), MODELS, Allowed(), task="title_generation").tools == ()
    assert narrow(question, Policy(), MODELS, Allowed(), task=None) == replace(question, transcript="full")
