"""Failures of the model's API, with the real Claude Code: which of them the client sees, how, and how soon."""

from __future__ import annotations

import logging
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.conftest import Start
from tests.gateway.harness import SEPARATOR, Gateway, assert_gone, body
from tests.gateway.test_gateway_claude import FIBONACCI, OUTPUT, scenario

OLD = "claude-3-5-haiku-20241022"  # the guide's own example


def refused(running: Gateway, status: int, code: str, **fields: Any) -> dict[str, Any]:
    response = running.post(body("hello", **fields))
    assert response.status_code == status, response.text
    error: dict[str, Any] = response.json()["error"]
    assert error["code"] == code
    return error


# --- failures that pass


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("flaky", "This answer breaks off in the", "Answered whole at attempt 2."),
        ("cut-after-tool", "I'll run a command.", "The answer went on after the cut: the tool ran"),
    ],
)
def test_a_broken_connection_is_taken_up_again(start: Start, name: str, first: str, last: str) -> None:
    """What was said stays said, the rest follows in its own segment, and the CLI's words about it are no answer."""
    answer = start(name).stream("hello")
    segments = answer.content.split(SEPARATOR)
    assert len(segments) == 2
    assert segments[0].startswith(first)
    assert segments[1] == last
    assert (answer.finish_reason, answer.done, answer.error) == ("stop", True, None)
    assert "API Error" not in answer.content


def test_an_overload_that_passes_is_waited_out(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """The client sees each retry as a comment, the operator as a warning; the answer is whole."""
    answer = start("overloaded").stream("hello")
    assert answer.content == "Answered at attempt 3: the overload has passed."
    assert answer.done
    told = [comment for comment in answer.comments if "overloaded (529)" in comment]
    assert len(told) == 2
    assert "retry 1 of 2" in told[0]
    assert answer.order.index("comment") < answer.order.index("content")
    assert caplog.text.count("overloaded (529)") == 2


# --- failures that stay


def test_an_unaccepted_sign_in_fails_at_the_first_refusal(start: Start, tmp_path: Path) -> None:
    """401 that says how to sign in; one request was made, not all of the CLI's retries."""
    file = scenario(tmp_path, "[[turn]]\nstep = [{ error = 401, retry_after = 40 }]")  # its next retry is far away
    running = start(file, max_retries=10)
    began = time.monotonic()
    error = refused(running, 401, "not_signed_in")
    assert time.monotonic() - began < 30
    assert error["type"] == "authentication_error"
    assert "claude auth login" in error["message"]
    assert running.model
    assert len(running.model.bodies) == 1
    assert_gone(running.workspace, within=5)


def test_no_sign_in_at_all_says_how(start: Start) -> None:
    """Neither a key nor a login: the CLI never asks the API."""
    running = start("chat", environ={"ANTHROPIC_API_KEY": ""})
    without = {name: value for name, value in running.settings.environ.items() if name != "ANTHROPIC_API_KEY"}
    assert "ANTHROPIC_API_KEY" in running.settings.environ
    other = start_without_key(start, running, without)
    assert "claude auth login" in refused(other, 401, "not_signed_in")["message"]


def start_without_key(start: Start, running: Gateway, environ: dict[str, str]) -> Gateway:
    """Another gateway in the same place whose environment holds no credential."""
    from ccapi.agent.launch import find_claude

    return start(environ=environ, claude=str(find_claude(path="")))


def test_a_rate_limit_is_a_429_with_retry_after(start: Start) -> None:
    """The scripted model asks for a second; whole seconds reach the client."""
    response = start("rate-limited", max_retries=1).post(body("hello"))
    assert response.status_code == 429, response.text
    assert 1 <= int(response.headers["Retry-After"]) <= 5
    error = response.json()["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limited")


def test_a_connection_that_always_breaks_is_an_error_after_what_was_said(start: Start) -> None:
    """In the stream: the words, then the error, and no [DONE]."""
    answer = start("broken", max_retries=0).stream("hello")
    assert "This answer breaks off in the" in answer.content
    assert answer.error is not None
    assert answer.error["code"] == "upstream_failed"
    assert not answer.done
    assert answer.finish_reason is None


def test_an_api_that_cannot_be_reached_is_a_502(start: Start) -> None:
    """Nothing listens at the base URL."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        running = start("chat", max_retries=0)
        environ = {**running.settings.environ, "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}"}
        from ccapi.agent.launch import find_claude

        other = start(environ=environ, claude=str(find_claude(path="")), max_retries=0)
        refused(other, 502, "upstream_failed")


# --- models that are no longer served


def test_an_old_model_is_answered_by_its_familys_current_one(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """The guide's own example: the alias answers, and the header, the response's model and the log say so."""
    running = start("retired-model")
    with caplog.at_level(logging.INFO):
        response = running.post(body(FIBONACCI, model=OLD))
    document = response.json()
    assert response.status_code == 200, response.text
    assert response.headers["X-CCAPI-Model"] == document["model"] == "haiku"
    assert OUTPUT in document["choices"][0]["message"]["content"]
    assert f"no longer serves {OLD}; haiku answers instead" in caplog.text
    assert "model=haiku" in caplog.text
    assert running.model
    asked = [request["model"] for request in running.model.conversation]
    assert asked[0] == OLD  # the CLI may ask it once more by itself
    assert [model for model in asked if model != OLD] == asked[-3:]
    assert all("haiku" in model for model in asked[-3:])


def test_the_change_of_model_is_told_in_the_stream(start: Start) -> None:
    """As a comment before the answer; every chunk carries the model that answers, the header too."""
    answer = start("retired-model").stream("hello", model=OLD)
    assert answer.content == "You said: hello"
    assert {chunk["model"] for chunk in answer.chunks} == {"haiku"}
    assert [comment for comment in answer.comments if "haiku answers instead" in comment]
    assert answer.headers["X-CCAPI-Model"] == "haiku"


def test_without_the_fallback_an_old_model_is_a_404(start: Start) -> None:
    """`model_unavailable` (the API does not serve it), after one request; current models are not touched by it."""
    running = start("retired-model", model_fallback=False)
    error = refused(running, 404, "model_unavailable", model=OLD)
    assert error["param"] == "model"
    assert running.model
    assert {request["model"] for request in running.model.conversation} == {OLD}
    assert running.content("hello", model="haiku") == "You said: hello"


# --- answers that stop at a limit


def test_the_token_limit_is_the_reason_length(start: Start, tmp_path: Path) -> None:
    """The model stops at its limit each time the CLI lets it go on; what it said is the answer."""
    turns = '[[turn]]\nstop_reason = "max_tokens"\n[[turn.step]]\ntext = "Part @{attempt};"\n'
    answer = start(scenario(tmp_path, turns)).stream("hello")
    assert answer.content.startswith("Part 1;")
    assert "API Error" not in answer.content
    assert (answer.finish_reason, answer.done, answer.error) == ("length", True, None)


def test_an_answer_that_goes_on_after_the_token_limit_is_whole(start: Start, tmp_path: Path) -> None:
    """The CLI asked the model to go on, and it came to its end: `stop`."""
    turns = '[[turn]]\nwhen.attempt = 1\nstop_reason = "max_tokens"\n[[turn.step]]\ntext = "The first half"\n'
    turns += '[[turn]]\n[[turn.step]]\ntext = "and the second."\n'
    answer = start(scenario(tmp_path, turns)).stream("hello")
    assert answer.content == f"The first half{SEPARATOR}and the second."
    assert (answer.finish_reason, answer.done) == ("stop", True)


def test_a_refusal_is_the_reason_content_filter(start: Start, tmp_path: Path) -> None:
    """The model's safety stop, which stays one when it is asked again."""
    turns = '[[turn]]\nstop_reason = "refusal"\n[[turn.step]]\ntext = "I can"\n'
    answer = start(scenario(tmp_path, turns)).stream("hello")
    assert answer.content.startswith("I can")
    assert (answer.finish_reason, answer.error) == ("content_filter", None)
