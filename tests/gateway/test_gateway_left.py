"""Background responses of a gateway that was killed: the next one knows their sessions, and goes on in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.harness import Gateway, Model, assert_gone, await_that, in_thread, scripted
from tests.gateway.test_gateway_cut_off import (
    SCENARIO,
    go_on,
    in_tool,
    kinds,
    named,
    session_of,
    sessions,
    shown,
)
from tests.gateway.test_gateway_kill import process
from tests.gateway.test_gateway_native import last_request, said
from tests.gateway.test_gateway_responses import get, post
from tests.gateway.test_gateway_responses_background import Object, begin, followed
from tests.wire.test_wire_responses import check

Messages = list[dict[str, Any]]


@pytest.fixture
def model(tmp_path: Path) -> Iterator[Model]:
    (tmp_path / "scenario.toml").write_text(SCENARIO)
    with in_thread(lambda: scripted(str(tmp_path / "scenario.toml"), speed=1.0)) as model:
        yield model


@contextmanager
def killed(directory: Path, model: Model) -> Iterator[Gateway]:
    """A gateway that is killed at the end of the block. Claude Code, which is told to end by that, has ended then."""
    with process(directory, model, size=0) as (server, running):
        yield running
        server.kill()
        server.wait(30)
        assert_gone(running.workspace, within=30)


@contextmanager
def next_one(directory: Path, model: Model) -> Iterator[Gateway]:
    with process(directory, model, size=0) as (_, running):
        yield running


def failed(running: Gateway, response_id: str) -> Object:
    document: Object = get(running, response_id).json()
    assert (document["status"], document["error"]["ccapi"]["code"]) == ("failed", "gateway_stopping")
    return document


def test_the_first_answer_of_a_session(tmp_path: Path, model: Model) -> None:
    """It is known, by its first words, and what was said and done in it is there: for who names it, or the response."""
    with killed(tmp_path, model) as running:
        begun = in_tool(running)
    with next_one(tmp_path, model) as running:
        document = failed(running, begun["id"])
        session = session_of(document)
        assert session == session_of(begun)
        check(events := followed(running, begun["id"]))
        assert events[-1]["response"] == document
        known = sessions(running)[session]
        assert (known["title"], known["turns"], known["model"]) == ("a slow one", 1, "sonnet")
        assert kinds(shown(running, session))[:3] == ["user", "assistant", "mcp_call"]
        follower = post(running, "and then", previous_response_id=document["id"]).json()
        assert session_of(follower) == session
        told = go_on(running, session)
        assert said(told, "user")[0] == "a slow one"
        assert said(told, "assistant") == ["I'll wait.", "You said: and then"]
    with next_one(tmp_path, model) as running:
        assert sessions(running)[session]["turns"] == 3


def test_a_later_answer_of_a_session(tmp_path: Path, model: Model) -> None:
    """It goes on behind what was cut off; and can be cut off so again, before the first word as well."""
    with killed(tmp_path, model) as running:
        session = session_of(post(running, "hello").json())
        in_tool(running, metadata={"session_id": session})
    with killed(tmp_path, model) as running:
        told = go_on(running, session)
        assert (said(told, "user")[0], said(told, "assistant")[-1]) == ("hello", "I'll wait.")
        begun = begin(running, "a silent one", metadata={"session_id": session})
        await_that(lambda: named(running, begun["id"]), "the session's name")
    with next_one(tmp_path, model) as running:
        assert session_of(failed(running, begun["id"])) == session
        assert sessions(running)[session]["turns"] == 3
        assert said(go_on(running, session, "again"), "assistant")[-1] == "You said: go on"


def test_an_answer_in_which_nothing_was_said(tmp_path: Path, model: Model) -> None:
    """There is no session, and none is named."""
    with killed(tmp_path, model) as running:
        begun = begin(running, "a silent one")
        await_that(lambda: named(running, begun["id"]), "the session's name")
    with next_one(tmp_path, model) as running:
        assert session_of(failed(running, begun["id"])) == ""
        assert sessions(running) == {}


def test_a_conversation_in_another_workspace(tmp_path: Path, model: Model) -> None:
    """It goes on in its session, and where that was."""
    with killed(tmp_path, model) as running, running.client() as client:
        conversation = client.post("/v1/conversations", json={}).json()["id"]
        begun = begin(running, "a slow one", conversation=conversation, workspace="other")
        await_that((running.workspace / "other" / "begun").exists, "the tool at work")
        await_that(lambda: "mcp_call" in get(running, begun["id"]).text, "the tool's call")
    with next_one(tmp_path, model) as running:
        session = session_of(failed(running, begun["id"]))
        assert sessions(running)[session]["workspace"] == "other"
        assert session_of(post(running, "go on", conversation=conversation).json()) == session
        assert said(last_request(running), "user")[0] == "a slow one"


def test_a_fork(tmp_path: Path, model: Model) -> None:
    """It is told from a new session by what it follows, and has that one's title."""
    with killed(tmp_path, model) as running:
        first = post(running, "hello").json()
        post(running, "one way", previous_response_id=first["id"])
        forks = [begin(running, prompt, previous_response_id=first["id"]) for prompt in ("a slow one", "a silent one")]
        await_that((running.workspace / "begun").exists, "the tool at work")
        await_that(lambda: "mcp_call" in get(running, forks[0]["id"]).text, "the tool's call")
        await_that(lambda: named(running, forks[1]["id"]), "the session's name")
    with next_one(tmp_path, model) as running:
        slow, silent = (session_of(failed(running, fork["id"])) for fork in forks)
        assert silent == ""
        assert set(sessions(running)) == {session_of(first), slow}
        assert sessions(running)[slow]["title"] == "hello"
        assert said(go_on(running, slow), "user")[:2] == ["hello", "a slow one"]


def test_a_client_that_tells_its_history(tmp_path: Path, model: Model) -> None:
    """Goes on in its session without what was cut off, as ever."""
    told = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "You said: hello"}]
    with killed(tmp_path, model) as running:
        session = session_of(post(running, told[:1]).json())
        begun = in_tool_with(running, [*told, {"role": "user", "content": "a slow one"}])
        assert session_of(begun) == session
    with next_one(tmp_path, model) as running:
        assert session_of(failed(running, begun["id"])) == session
        again = post(running, [*told, {"role": "user", "content": "another"}]).json()
        assert session_of(again) == session
        assert said(last_request(running), "user") == ["hello", "another"]


def in_tool_with(running: Gateway, messages: Messages) -> Object:
    response = begin(running, messages)
    await_that(lambda: "mcp_call" in get(running, response["id"]).text, "the tool's call")
    document: Object = get(running, response["id"]).json()
    return document
