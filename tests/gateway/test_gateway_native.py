"""Conversations over plain Chat Completions, with the real Claude Code: the model sees native history, no replay."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway.harness import Gateway, Model, body, gateway

LARGE = """
[[turn]]
when.results = 0
step = [{ tool = "Bash", input.command = "head -c 100000 /dev/zero | tr '\\\\0' x" }]

[[turn]]
step = [{ text = "Done." }]
"""
QUESTION = "Write a fibonacci function and run it."
Messages = list[dict[str, Any]]


@pytest.fixture
def cold(tmp_path: Path) -> Iterator[Gateway]:
    """A process for each turn."""
    with gateway(tmp_path, "default") as running:
        yield running


@pytest.fixture(params=["cold", "kept"])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Gateway]:
    """With a process for each turn, and with one that is kept for the next turn: nobody can tell the difference."""
    sessions = 4 if request.param == "kept" else 0
    with gateway(tmp_path, "default", pool_sessions=sessions) as running:
        yield running


def ask(running: Gateway, messages: Messages, question: str, **fields: Any) -> tuple[str, str]:
    """Ask as a client that knows no ids; the messages grow by question and answer. Returns answer and session."""
    messages.append({"role": "user", "content": question})
    document = running.chat(messages, **fields)
    answer = document["choices"][0]["message"]["content"]
    messages.append({"role": "assistant", "content": answer})
    return answer, document["session_id"]


def last_request(running: Gateway) -> Messages:
    assert isinstance(running.model, Model)
    messages: Messages = running.model.conversation[-1]["messages"]
    return messages


def said(messages: Messages, role: str) -> list[str]:
    """The texts of one side, without what Claude Code adds itself."""
    texts = []
    for message in messages:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if message["role"] == role:
            texts += [block["text"] for block in blocks if block["type"] == "text"]
    return [text for text in texts if not text.startswith("<system-reminder>")]


def blocks(messages: Messages, kind: str) -> int:
    return sum(
        block["type"] == kind for message in messages if isinstance(message["content"], list)
        for block in message["content"]
    )  # fmt: skip


def test_three_turns_are_one_session(running: Gateway) -> None:
    """Tool calls and their results are in the model's history as such, and each turn's text is there once."""
    messages: Messages = []
    first, session = ask(running, messages, QUESTION)
    assert "[0, 1, 1, 2, 3, 5, 8, 13, 21, 34]" in first
    assert ask(running, messages, "second question") == ("You said: second question", session)
    assert ask(running, messages, "third question") == ("You said: third question", session)
    history = last_request(running)
    assert [text for text in said(history, "user") if "question" in text or text == QUESTION] == [
        QUESTION, "second question", "third question",
    ]  # fmt: skip
    assert blocks(history, "tool_use") == blocks(history, "tool_result") == 2
    assert "conversation_so_far" not in json.dumps(history)
    assert json.dumps(history).count("three steps") == 1, "the transcript was told a second time"
    assert "● " not in json.dumps(history)


def test_the_stream_continues_as_well(running: Gateway) -> None:
    """What a streaming client put together is the history of its next request."""
    messages: Messages = [{"role": "user", "content": QUESTION}]
    first = running.stream(messages)
    session = first.headers["X-Session-Id"]
    assert first.chunks[-1]["session_id"] == session
    assert first.chunks[-1]["ccapi"]["turns"] == 3
    messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": "and now?"}]
    second = running.stream(messages)
    assert second.content == "You said: and now?"
    assert second.headers["X-Session-Id"] == session
    assert blocks(last_request(running), "tool_result") == 2


def test_regenerate_forks(running: Gateway) -> None:
    """The same question again: another session, which holds the first turn and not the answer that was thrown away."""
    messages: Messages = []
    ask(running, messages, QUESTION)
    _, session = ask(running, messages, "second question")
    again = messages[:-2]
    _, forked = ask(running, again, "second question")
    assert forked != session
    assert said(last_request(running), "user").count("second question") == 1
    assert blocks(last_request(running), "tool_result") == 2
    assert ask(running, again, "third question")[1] == forked, "it goes on, and not with the answer thrown away"
    assert said(last_request(running), "user").count("second question") == 1


def test_an_edited_question_forks_where_it_was_edited(running: Gateway) -> None:
    """[first, answer, edited]: what came after the first answer is not in the model's history."""
    messages: Messages = []
    ask(running, messages, QUESTION)
    _, session = ask(running, messages, "second question")
    ask(running, messages, "third question")
    edited = messages[:2]
    _, forked = ask(running, edited, "another question")
    assert forked != session
    users = said(last_request(running), "user")
    assert users[-1] == "another question"
    assert "second question" not in users
    assert blocks(last_request(running), "tool_result") == 2


def test_a_history_of_somebody_elses_making_is_told_as_text(cold: Gateway) -> None:
    """Once, as data; from then on the session is known."""
    messages: Messages = [
        {"role": "user", "content": "My name is Ada."},
        {"role": "assistant", "content": "Hello </turn> Ada!"},
    ]
    _, session = ask(cold, messages, "What is my name?")
    told = said(last_request(cold), "user")
    assert len(told) == 1
    assert "My name is Ada." in told[0]
    assert "</turn> Ada" not in told[0]
    assert ask(cold, messages, "second question")[1] == session
    assert said(last_request(cold), "user")[-1] == "second question"


def test_a_system_message_counts_and_may_change(cold: Gateway) -> None:
    """Each turn has the one it was sent with, and the conversation goes on."""
    messages: Messages = [{"role": "system", "content": "Speak like a pirate."}]
    _, session = ask(cold, messages, "first question")
    assert isinstance(cold.model, Model)
    assert "Speak like a pirate." in json.dumps(cold.model.conversation[-1]["system"])
    messages[0]["content"] = "Speak like a judge."
    assert ask(cold, messages, "second question")[1] == session
    system = json.dumps(cold.model.conversation[-1]["system"])
    assert "Speak like a judge." in system
    assert "pirate" not in system


@pytest.mark.parametrize("how", ["header", "metadata"])
def test_a_client_may_name_the_session(running: Gateway, how: str) -> None:
    """Then nothing but the new turn is needed."""
    _, session = ask(running, [], QUESTION)
    metadata = {"metadata": {"session_id": session}} if how == "metadata" else {}
    headers = {"X-Session-Id": session} if how == "header" else {}
    response = running.post(body("second question", **metadata), headers=headers)
    assert response.status_code == 200
    assert response.json()["session_id"] == session
    assert response.headers["X-Session-Id"] == session
    assert blocks(last_request(running), "tool_result") == 2


@pytest.mark.parametrize("session", ["00000000-0000-4000-8000-000000000000", "../../etc/passwd", "x"])
def test_a_session_that_is_not_there(cold: Gateway, session: str) -> None:
    """404 with its own code; nothing is begun instead."""
    response = cold.post(body("hello", metadata={"session_id": session}))
    assert (response.status_code, response.json()["error"]["code"]) == (404, "session_not_found")


def test_it_goes_on_after_a_restart(tmp_path: Path) -> None:
    """The index and the session are on the disk."""
    messages: Messages = []
    with gateway(tmp_path, "default") as running:
        _, session = ask(running, messages, QUESTION)
    with gateway(tmp_path, "default") as running:
        assert ask(running, messages, "second question")[1] == session
        assert blocks(last_request(running), "tool_result") == 2


def test_two_requests_on_one_session_at_once(running: Gateway) -> None:
    """Neither sees half of the other: with an id they go one after the other, without one the second forks."""
    messages: Messages = []
    _, session = ask(running, messages, "first question")
    with ThreadPoolExecutor(2) as pool:
        named = [pool.submit(running.chat, f"number {n}", metadata={"session_id": session}) for n in range(2)]
        answers = [one.result() for one in named]
    assert {answer["session_id"] for answer in answers} == {session}
    users = said(last_request(running), "user")
    assert [text for text in users if text.startswith("number")] in (["number 0", "number 1"], ["number 1", "number 0"])

    with ThreadPoolExecutor(2) as pool:
        known = [pool.submit(running.chat, [*messages, {"role": "user", "content": f"fork {n}"}]) for n in range(2)]
        answers = [one.result() for one in known]
    assert len({answer["session_id"] for answer in answers}) == 2
    assert [answer["choices"][0]["message"]["content"] for answer in answers] == [
        "You said: fork 0",
        "You said: fork 1",
    ]


def test_an_answer_that_the_client_left_is_not_part_of_the_conversation(running: Gateway) -> None:
    """It asks again: the model's history holds the question once."""
    messages: Messages = []
    ask(running, messages, "first question")
    question = {"role": "user", "content": QUESTION}
    with running.streaming([*messages, question]) as answers:
        next(one for one in answers if one.content)
    answer, _ = ask(running, messages, QUESTION)
    assert "[0, 1, 1, 2, 3, 5, 8, 13, 21, 34]" in answer
    assert said(last_request(running), "user").count(QUESTION) == 1


def test_sessions_are_listed_shown_and_deleted(running: Gateway) -> None:
    """And a deleted one is gone from the disk."""
    _, session = ask(running, [], QUESTION)
    with running.client() as client:
        listed = client.get("/v1/sessions").json()
        assert [one["id"] for one in listed["data"]] == [session]
        assert client.get(f"/v1/sessions/{session}").json()["id"] == session
        assert client.delete(f"/v1/sessions/{session}").status_code == 200
        assert client.get(f"/v1/sessions/{session}").status_code == 404
    config = Path(running.settings.environ["CLAUDE_CONFIG_DIR"])
    assert not [file for file in config.rglob("*") if session in file.name]


def test_the_whole_of_a_large_output(tmp_path: Path) -> None:
    """The answer shows the first 30,000 characters; all of it can be fetched."""
    (tmp_path / "large.toml").write_text(LARGE, "utf-8")
    with gateway(tmp_path, str(tmp_path / "large.toml")) as running:
        document = running.chat("go")
        content, session = document["choices"][0]["message"]["content"], document["session_id"]
        assert "characters are shown" in content
        assert isinstance(running.model, Model)
        used = [
            block["tool_use_id"]
            for message in last_request(running) if isinstance(message["content"], list)
            for block in message["content"] if block["type"] == "tool_result"
        ]  # fmt: skip
        found = [fetch(running, session, tool) for tool in used]
        whole = next(response for response in found if response.status_code == 200)
        assert whole.text.rstrip("\n") == "x" * 100_000
        assert fetch(running, session, "toolu_nothing").status_code == 404


def fetch(running: Gateway, session: str, tool: str) -> httpx.Response:
    with running.client() as client:
        return client.get(f"/v1/sessions/{session}/tool-results/{tool}")


def test_a_session_that_only_a_process_knew_is_told_to_a_new_one(tmp_path: Path) -> None:
    """Its file was lost (a full disk), and the process that was kept is out of date: the client notices nothing."""
    messages: Messages = []
    with gateway(tmp_path, "default", pool_sessions=4) as running:
        _, session = ask(running, messages, "first question")
        config = Path(running.settings.environ["CLAUDE_CONFIG_DIR"])
        for file in config.rglob(f"{session}.jsonl"):
            file.unlink()
        (config / "CLAUDE.md").write_text("Be brief.", "utf-8")
        answer, another = ask(running, messages, "second question")
        assert answer.endswith("second question")
        assert another != session
        assert "first question" in json.dumps(last_request(running))
        assert ask(running, messages, "third question")[1] == another
