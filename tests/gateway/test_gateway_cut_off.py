"""Answers that were cut off: by the session's id the real Claude Code goes on behind what was said and done in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ccapi.gateway import schemas
from tests.agent import streamjson as sj
from tests.gateway.harness import Gateway, await_that, gateway
from tests.gateway.test_gateway_native import Messages, ask, blocks, last_request, said
from tests.gateway.test_gateway_responses import get, post
from tests.gateway.test_gateway_responses_background import HELLO, Object, begin, cancel, over, so_far

SCENARIO = """
description = "A tool that is slow, an answer that fails behind one, silence; or an echo."

[[turn]]
when.prompt = "slow"
when.results = 0
[[turn.step]]
text = "I'll wait."
[[turn.step]]
tool = "Bash"
input.command = "touch @{cwd}/begun; sleep 60"
input.description = "Wait"

[[turn]]
when.prompt = "step|broken"
when.results = 0
[[turn.step]]
text = "One step."
[[turn.step]]
tool = "Bash"
input.command = "echo one was done"
input.description = "Do one"

[[turn]]
when.prompt = "broken"
[[turn.step]]
error = 500

[[turn]]
when.prompt = "step"
[[turn.step]]
text = "Half of the"
[[turn.step]]
pause = 60

[[turn]]
when.prompt = "silent"
[[turn.step]]
pause = 60

[[turn]]
when.prompt = "refused"
[[turn.step]]
error = 401

[[turn]]
[[turn.step]]
text = "You said: @{prompt}"
"""
INTERRUPTED = "[Request interrupted by user]"


@pytest.fixture(scope="module", params=["cold", "kept"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """With a process for each turn, and with one that is kept for the next turn: nobody can tell the difference."""
    home = tmp_path_factory.mktemp("cut-off")
    (home / "scenario.toml").write_text(SCENARIO)
    sessions = 4 if request.param == "kept" else 0
    with gateway(home, str(home / "scenario.toml"), speed=1.0, max_retries=1, pool_sessions=sessions) as started:
        yield started


def in_tool(running: Gateway, **fields: Any) -> Object:
    """A response whose run is in the middle of a tool, and says so."""
    (running.workspace / "begun").unlink(missing_ok=True)
    response = begin(running, "a slow one", **fields)
    await_that((running.workspace / "begun").exists, "the tool at work")
    # The tool may be at work before the gateway has read what was said before it.
    return await_that(lambda: with_call_at_end(get(running, response["id"]).json()), "the tool's call")


def with_call_at_end(response: Object) -> Object:
    output = response["output"]
    return response if output and output[-1]["type"] == "mcp_call" else {}


def session_of(response: Object) -> str:
    return str(response["ccapi"]["session_id"])


def go_on(running: Gateway, session: str, prompt: str = "go on") -> Messages:
    """What the model is told with the next question of that session."""
    response = post(running, prompt, metadata={"session_id": session})
    assert response.status_code == 200, response.text
    document = response.json()
    assert document["output"][-1]["content"][0]["text"] == f"You said: {prompt}"
    assert session_of(document) == session
    return last_request(running)


def sessions(running: Gateway) -> dict[str, Object]:
    with running.client() as client:
        return {one["id"]: one for one in client.get("/v1/sessions", params={"limit": 100}).json()["data"]}


def shown(running: Gateway, session: str) -> Object:
    with running.client() as client:
        document: Object = client.get(f"/v1/sessions/{session}").json()
    schemas.SessionWithItems.model_validate(document)
    return document


def kinds(document: Object) -> list[str]:
    return [item.get("role") or item["type"] for item in document["items"]]


# --- by the session's id


def test_a_cancelled_answer_is_known_to_the_next_turn(running: Gateway) -> None:
    """In the middle of a tool of the first turn: question, text and call are there, and that it was stopped."""
    response = cancel(running, in_tool(running)["id"])
    assert response["status"] == "cancelled"
    session = session_of(response)
    assert (sessions(running)[session]["title"], sessions(running)[session]["turns"]) == ("a slow one", 1)
    document = shown(running, session)
    assert kinds(document) == ["user", "assistant", "mcp_call"]
    assert "stopped while running" in json.dumps(document["items"][-1]["error"])
    told = go_on(running, session)
    assert said(told, "user")[0] == "a slow one"
    assert "go on" in said(told, "user")[-1]
    assert said(told, "assistant") == ["I'll wait."]
    assert (blocks(told, "tool_use"), blocks(told, "tool_result")) == (1, 1)
    assert "Request interrupted" in json.dumps(told)
    assert kinds(shown(running, session)) == ["user", "assistant", "mcp_call", "user", "assistant"]


def test_a_cancelled_answer_of_a_session_that_went_on_already(running: Gateway) -> None:
    """It goes on behind what was cut off, under its own id; and can be cut off and gone on with again."""
    session = session_of(post(running, "hello").json())
    for number in range(1, 3):
        response = in_tool(running, metadata={"session_id": session})
        assert session_of(cancel(running, response["id"])) == session
        told = go_on(running, session, f"question {number}")
        assert said(told, "user")[0] == "hello"
        assert said(told, "user").count("a slow one") == number
        assert said(told, "assistant").count("I'll wait.") == number
    assert sessions(running)[session]["turns"] == 5


def test_half_a_message_is_known_to_the_next_turn(running: Gateway) -> None:
    """With the steps before it, whose tools have done what they did."""
    response = begin(running, "a step")
    await_that(lambda: "Half of the" in text_so_far(running, response["id"]), "half a message")
    told = go_on(running, session_of(cancel(running, response["id"])))
    assert said(told, "assistant") == ["One step.", "Half of the"]
    assert "one was done" in json.dumps(told)


def test_an_answer_that_failed_is_known_to_the_next_turn(running: Gateway) -> None:
    """What was done before it failed; the words about the failure are nobody's."""
    response = over(running, begin(running, "a broken one")["id"])
    assert response["status"] == "failed"
    told = go_on(running, session_of(response))
    assert said(told, "user")[0] == "a broken one"
    assert said(told, "assistant") == ["One step."]
    assert "one was done" in json.dumps(told)
    assert "API Error" not in json.dumps(told)


def test_an_answer_that_reached_its_limit_is_known_to_the_next_turn(running: Gateway) -> None:
    """With what the last tool returned."""
    response = post(running, "a step", max_turns=1).json()
    assert response["status"] == "incomplete"
    told = go_on(running, session_of(response))
    assert said(told, "assistant") == ["One step."]
    assert "one was done" in json.dumps(told)


@pytest.mark.parametrize("known", [False, True], ids=["of the first turn", "of a later turn"])
def test_an_answer_whose_client_left_is_known_to_who_names_the_session(running: Gateway, *, known: bool) -> None:
    """A stream of Chat Completions, closed in the middle; who asks at once waits until the run has been put away."""
    fields = {"metadata": {"session_id": session_of(post(running, "hello").json())}} if known else {}
    with running.streaming("a step", **fields) as answers:
        answer = next(one for one in answers if "Half of the" in one.content)
        session = answer.headers["X-Session-Id"]
    told = go_on(running, session)
    assert said(told, "assistant")[-2:] == ["One step.", "Half of the"]
    assert said(told, "user")[0] == ("hello" if known else "a step")


def test_who_names_a_session_in_its_first_turn_waits_for_it(running: Gateway) -> None:
    """Also if that turn is cut off in the end. So a quick client need not wait until the run has been ended."""
    response = in_tool(running)
    with ThreadPoolExecutor(1) as pool:
        next_turn = pool.submit(go_on, running, session_of(response))
        with pytest.raises(TimeoutError):
            next_turn.result(timeout=0.3)
        cancel(running, response["id"])
        assert said(next_turn.result(timeout=30), "user")[0] == "a slow one"


# --- where nothing was said


@pytest.mark.parametrize(
    ("prompt", "status"), [("a silent one", "cancelled"), ("one that is refused", "failed")]
)  # fmt: skip
def test_nothing_is_kept_of_a_run_in_which_nothing_was_said(running: Gateway, prompt: str, status: str) -> None:
    """The response then names no session, so that nobody is told to go on with it."""
    response = begin(running, prompt)
    session = await_that(lambda: named(running, response["id"]), "the session's name")
    ended = over(running, response["id"]) if status == "failed" else cancel(running, response["id"])
    assert (ended["status"], session_of(ended), ended["output"]) == (status, "", [])
    assert session not in sessions(running)
    refused = post(running, "go on", metadata={"session_id": session})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "session_not_found")
    assert post(running, "go on", previous_response_id=response["id"]).status_code == 400


def text_so_far(running: Gateway, response_id: str) -> str:
    events = so_far(running, response_id)
    return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")


def named(running: Gateway, response_id: str) -> str:
    """The session, as soon as the stream says it; that event stays as it was."""
    about = [event.get("response", {}).get("ccapi") or {} for event in so_far(running, response_id)]
    return next((str(one["session_id"]) for one in about if one.get("session_id")), "")


def test_a_session_stays_where_it_was_when_nothing_was_said_in_a_later_turn(running: Gateway) -> None:
    """It is named, and goes on behind the last answer."""
    session = session_of(post(running, "hello").json())
    response = begin(running, "a silent one", metadata={"session_id": session})
    assert await_that(lambda: named(running, response["id"]), "the session's name") == session
    assert session_of(cancel(running, response["id"])) == session
    assert said(go_on(running, session), "user") == ["hello", "go on"]
    assert sessions(running)[session]["turns"] == 2


def test_what_is_not_kept_is_not_kept_when_it_is_cut_off(running: Gateway) -> None:
    """`store: false` names no session, and leaves none."""
    before = set(sessions(running))
    response = post(running, "a broken one", store=False)
    assert response.status_code == 502, response.text
    assert set(sessions(running)) == before


# --- by other names


def test_a_response_can_follow_one_that_was_cut_off(running: Gateway) -> None:
    """Cancelled or failed, once that is said; two that follow the same one are forks."""
    for ended in (cancel(running, in_tool(running)["id"]), over(running, begin(running, "a broken one")["id"])):
        answers = [post(running, "go on", previous_response_id=ended["id"]) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert session_of(answers[0].json()) == session_of(ended) != session_of(answers[1].json())
        assert said(last_request(running), "user")[0] in {"a slow one", "a broken one"}
        assert "go on" in said(last_request(running), "user")[-1]
        assert blocks(last_request(running), "tool_result") == 1


def test_a_conversation_goes_on_behind_what_was_cut_off(running: Gateway) -> None:
    """Also if that was its first turn."""
    with running.client() as client:
        conversation = client.post("/v1/conversations", json={}).json()["id"]
    session = session_of(cancel(running, in_tool(running, conversation=conversation)["id"]))
    response = post(running, "go on", conversation=conversation)
    assert session_of(response.json()) == session
    assert said(last_request(running), "user")[0] == "a slow one"


def test_a_history_without_what_was_cut_off_goes_on_without_it(running: Gateway) -> None:
    """A client that tells its history says itself what was said: in the same session, and no fork is left of it."""
    messages: Messages = []
    _, session = ask(running, messages, "a history")
    asked = {"role": "user", "content": "a step"}
    with running.streaming([*messages, asked]) as answers:
        next(one for one in answers if "Half of the" in one.content)
    with running.client() as client:
        await_that(lambda: "\nccapi_runs_active 0.0\n" in client.get("/metrics").text, "the end of the run")
    assert ask(running, messages, "another question") == ("You said: another question", session)
    assert said(last_request(running), "user") == ["a history", "another question"]


# --- ends that nobody asked for


def test_a_run_that_falls_silent_can_be_gone_on_with(tmp_path: Path) -> None:
    """It fails for the time that it took, and is known up to there."""
    (tmp_path / "scenario.toml").write_text(SCENARIO)
    with gateway(tmp_path, str(tmp_path / "scenario.toml"), speed=1.0, run_timeout=8.0) as running:
        response = over(running, begin(running, "a step")["id"])
        assert response["error"]["ccapi"]["code"] == "run_timeout"
        assert said(go_on(running, session_of(response)), "assistant") == ["One step.", "Half of the"]


def test_a_gateway_that_stops_leaves_what_can_be_gone_on_with(tmp_path: Path) -> None:
    """The next one knows the session."""
    (tmp_path / "scenario.toml").write_text(SCENARIO)
    with gateway(tmp_path, str(tmp_path / "scenario.toml"), speed=1.0) as running:
        session = session_of(in_tool(running))
    with gateway(tmp_path, str(tmp_path / "scenario.toml"), speed=1.0) as running:
        assert said(go_on(running, session), "assistant") == ["I'll wait."]


def test_without_a_transcript_nothing_is_kept(tmp_path: Path) -> None:
    """The stub CLI writes none: what was said is in the response only, and no session is named to go on with."""
    with gateway(tmp_path) as running:
        running.stub.plan({"await_input": 2}, {"lines": [sj.init(), *HELLO]}, {"kill_self": 9})
        response = over(running, begin(running)["id"])
        assert response["output"][0]["content"][0]["text"] == "Hello"
        assert (session_of(response), sessions(running)) == ("", {})
