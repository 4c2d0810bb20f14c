"""Chat Completions with the stub in place of the CLI: recordings, and what the real one cannot be made to do."""

from __future__ import annotations

import json
import logging
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.agent import streamjson as sj
from tests.agent.stub import GO_ON
from tests.gateway.conftest import Start
from tests.gateway.harness import SEPARATOR, Gateway, assert_gone, await_that, body, leave_unanswered, processes_in

COMPLETE = [
    *(
        "fibonacci",
        "parallel",
        "flaky",
        "resumed",
        "thinking",
        "failing-tool",
        "unicode",
        "overloaded",
        "big-output-5mb",
    ),
    *("cut-after-tool", "early-result", "background", "subagents", "background-subagents", "token-limit", "refusal"),
]
LEFT = {"await_end_of_input": None}


def replay(gateway: Gateway, name: str) -> None:
    """Let the stub say what the real CLI said in a recording."""
    text = b"".join(line + b"\n" for line in sj.recorded(name)).decode()
    gateway.stub.plan({"await_input": 2}, {"raw": text}, LEFT)


# --- the same answer, streamed and whole


@pytest.mark.parametrize("name", COMPLETE)
def test_streamed_and_whole_are_the_same_byte_for_byte(stubbed: Gateway, name: str) -> None:
    """The same run of the real CLI, twice: the deltas add up to the content, reasoning to reasoning, usage to usage."""
    replay(stubbed, name)
    streamed = stubbed.stream("hello", stream_options={"include_usage": True})
    whole = stubbed.chat("hello")
    choice = whole["choices"][0]
    assert streamed.content == choice["message"]["content"]
    assert streamed.content
    assert streamed.reasoning == choice["message"].get("reasoning_content", "")
    assert streamed.finish_reason == choice["finish_reason"]
    assert streamed.usage == whole["usage"]
    assert streamed.done
    events, _ = sj.decode(sj.recorded(name))
    assert streamed.content == sj.transcript(events)


def test_the_objects_are_openais(stubbed: Gateway) -> None:
    """Every member that clients read, in both forms; the role comes once and first."""
    stubbed.stub.plan({"lines": sj.answer("Hello.")}, LEFT)
    whole = stubbed.chat("hello")
    assert re.fullmatch(r"chatcmpl-[0-9a-f]{32}", whole["id"])
    assert abs(whole["created"] - time.time()) < 60
    assert whole["model"] == "sonnet"
    (choice,) = whole["choices"]
    message = {"role": "assistant", "content": "Hello.", "refusal": None}
    assert choice == {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    streamed = stubbed.stream("hello")
    first, *rest, last = streamed.chunks
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert all("role" not in chunk["choices"][0]["delta"] for chunk in rest)
    assert last["choices"] == [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}]
    assert {chunk["model"] for chunk in streamed.chunks} == {"sonnet"}
    assert len({chunk["created"] for chunk in streamed.chunks}) == 1
    assert streamed.chunks[0]["id"] != whole["id"]


def test_the_usage_is_claudes_own(stubbed: Gateway) -> None:
    """Cached input is part of the prompt; in the stream it comes last, on request, and is null before."""
    used = {"inputTokens": 100, "outputTokens": 20, "cacheReadInputTokens": 3000, "cacheCreationInputTokens": 400}
    lines = [
        sj.init(),
        *sj.streamed("m1", sj.text("Hello.")),
        sj.result(model_usage_since_last_result={"a": used, "b": used}),
    ]
    stubbed.stub.plan({"lines": lines}, LEFT)
    expected = {
        "prompt_tokens": 7000,
        "completion_tokens": 40,
        "total_tokens": 7040,
        "prompt_tokens_details": {"cached_tokens": 6000},
    }
    assert stubbed.chat("hello")["usage"] == expected
    streamed = stubbed.stream("hello", stream_options={"include_usage": True})
    assert streamed.chunks[-1]["choices"] == []
    assert streamed.chunks[-1]["usage"] == expected
    assert all(chunk["usage"] is None for chunk in streamed.chunks[:-1])
    assert all("usage" not in chunk for chunk in stubbed.stream("hello").chunks)


def test_thoughts_of_their_own_are_set_apart(stubbed: Gateway) -> None:
    """Two blocks of thinking are two paragraphs of `reasoning_content`, in both forms; no text runs into another."""
    first = sj.streamed(
        "m1", sj.thinking("one one"), sj.thinking("two two"), sj.text("A"), sj.tool_use("t1", command="x")
    )
    second = sj.streamed("m2", sj.thinking("three three"), sj.text("B"))
    stubbed.stub.plan({"lines": [sj.init(), *first, sj.tool_result("t1", "y"), *second, sj.result()]}, LEFT)
    thought = "one one\n\ntwo two\n\nthree three"
    assert stubbed.stream("hello").reasoning == thought
    assert stubbed.chat("hello")["choices"][0]["message"]["reasoning_content"] == thought


def test_a_line_of_2_mb_arrives_whole_over_http(stubbed: Gateway) -> None:
    """One tool result of 2 MB, streamed and not."""
    output = "0123456789abcdef" * (2 * 1024 * 1024 // 16)
    lines = [sj.init(), *sj.streamed("m1", sj.tool_use("t1", command="big")), sj.tool_result("t1", output), sj.result()]
    stubbed.stub.plan({"lines": lines}, LEFT)
    assert output in stubbed.content("hello")
    assert output in stubbed.stream("hello").content


def test_20000_events_arrive(stubbed: Gateway) -> None:
    """All of them, in order, in bounded time."""
    tokens = [f"{n} " for n in range(20_000)]
    start = [sj.init(), sj.message_start("m1"), sj.block_start(0, sj.text(""))]
    end = [sj.block_stop(0), sj.message_stop(), sj.result()]
    stubbed.stub.plan({"lines": [*start, *(sj.text_delta(0, token) for token in tokens), *end]}, LEFT)
    began = time.monotonic()
    assert stubbed.stream("hello").content == "".join(tokens)
    assert time.monotonic() - began < 50


def test_500_messages_are_500_segments(stubbed: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    """No limit on messages; the log counts them."""
    lines = [line for n in range(500) for line in sj.streamed(f"m{n}", sj.text(f"Message {n}."))]
    stubbed.stub.plan({"lines": [sj.init(), *lines, sj.result()]}, LEFT)
    with caplog.at_level(logging.INFO):
        segments = stubbed.content("hello").split(SEPARATOR)
    assert segments == [f"Message {n}." for n in range(500)]
    assert "Aggregated 500 assistant messages" in caplog.text


def test_text_reaches_the_client_while_the_run_goes_on(stubbed: Gateway) -> None:
    """Token by token, not at the end: the first is there although the CLI will not say more until it is told to."""
    start = [sj.init(), sj.message_start("m1"), sj.block_start(0, sj.text("")), sj.text_delta(0, "First,")]
    end = [sj.text_delta(0, " last."), sj.block_stop(0), sj.message_stop(), sj.result()]
    stubbed.stub.plan({"lines": start}, {"await_input": 3}, {"lines": end}, LEFT)
    with stubbed.streaming("hello") as answers:
        answer = next(answer for answer in answers if answer.content)
        assert answer.content == "First,"
        assert not answer.done


# --- what the CLI is told


def test_prompt_and_system_message_reach_the_cli_over_stdin(stubbed: Gateway) -> None:
    """And stand in no argument and no environment variable of it."""
    stubbed.stub.plan({"await_input": 2}, {"lines": sj.answer("ok")}, LEFT)
    messages = [{"role": "system", "content": "SYSTEM-MARKER"}, {"role": "user", "content": "PROMPT-MARKER"}]
    assert stubbed.content(messages) == "ok"
    initialize, turn = stubbed.stub.stdin
    assert initialize["request"]["appendSystemPrompt"] == "SYSTEM-MARKER"
    assert turn["message"]["content"] == "PROMPT-MARKER"
    seen = stubbed.stub.seen
    assert "MARKER" not in json.dumps([seen["argv"], seen["environ"]])


@pytest.mark.parametrize(
    ("asked", "argument", "named"),
    [
        ("sonnet", "--model=sonnet", "sonnet"),
        ("gpt-4o", "--model=sonnet", "gpt-4o"),
        ("claude-3-5-haiku-20241022", "--model=claude-3-5-haiku-20241022", "claude-3-5-haiku-20241022"),
        ("opus[1m]", "--model=opus[1m]", "opus[1m]"),
    ],
)
def test_the_model_that_was_asked_for(stubbed: Gateway, asked: str, argument: str, named: str) -> None:
    """The CLI gets what the name means; the answer carries the client's name, the header the real one."""
    stubbed.stub.plan({"lines": sj.answer("ok")}, LEFT)
    response = stubbed.post(body("hello", model=asked))
    assert response.json()["model"] == named
    assert response.headers["X-CCAPI-Model"] == argument.removeprefix("--model=")
    assert argument in stubbed.stub.seen["argv"]
    streamed = stubbed.stream("hello", model=asked)
    assert {chunk["model"] for chunk in streamed.chunks} == {named}
    assert streamed.headers["X-CCAPI-Model"] == argument.removeprefix("--model=")


def test_nothing_of_the_gateways_environment_leaks(start: Start) -> None:
    """Only the allow-list reaches the process; the key goes through a pipe, not the environment."""
    secrets = {
        "CCAPI_SECRET": "S1",
        "AWS_SECRET_ACCESS_KEY": "S2",
        "GITHUB_TOKEN": "S3",
        "ANTHROPIC_API_KEY": "sk-ant-S4",
    }
    gateway = start(environ=secrets)
    gateway.stub.plan({"lines": sj.answer("ok")}, LEFT)
    gateway.content("hello")
    environ = gateway.stub.seen["environ"]
    assert not set(secrets) & set(environ)
    assert not set(secrets.values()) & set(environ.values())


# --- failures


def fails(gateway: Gateway, status: int, code: str) -> dict[str, Any]:
    """Asked for whole, the run ends in this error."""
    response = gateway.post(body("hello"))
    assert response.status_code == status, response.text
    error: dict[str, Any] = response.json()["error"]
    assert error["code"] == code
    return error


def breaks(gateway: Gateway, code: str) -> str:
    """Asked for as a stream, the run ends in this error, after what was said: the content."""
    answer = gateway.stream("hello")
    assert answer.error is not None
    assert answer.error["code"] == code
    assert set(answer.error) >= {"message", "type", "param", "code"}
    assert not answer.done
    assert answer.finish_reason is None
    return answer.content


HALF = [sj.init(), *list(sj.streamed("m1", sj.text("Half of")))[:-2]]


@pytest.mark.parametrize(
    "end",
    [
        {"kill_self": signal.SIGKILL},
        {"exit": 0},
        {"exit": 3},
        {"raw": '{"type": "assist\n'},
        {"raw": '{"type":"user"}\n'},
    ],
    ids=lambda step: json.dumps(step)[:30],
)
def test_a_run_that_dies_is_an_error_and_no_short_answer(stubbed: Gateway, end: dict[str, Any]) -> None:
    """502 for who asked for the whole; in the stream an error event after what was said, and neither finish reason nor
    [DONE], so nobody takes the half for the whole.
    """
    stubbed.stub.plan({"lines": HALF}, end)
    fails(stubbed, 502, "claude_failed")
    stubbed.stub.plan({"lines": HALF}, {"sleep": 0.2}, end)
    assert breaks(stubbed, "claude_failed") == "Half of"


def test_a_failure_before_the_first_word_is_a_status_in_the_stream_too(stubbed: Gateway) -> None:
    """Nothing was sent yet, so the status can still say it."""
    stubbed.stub.plan({"stderr": "fatal: /root/secret sk-ant-api03-abcdefghijk\n"}, {"exit": 1})
    response = stubbed.post(body("hello", stream=True))
    assert response.status_code == 502
    assert response.headers["Content-Type"].startswith("application/json")
    assert response.json()["error"]["code"] == "claude_failed"
    assert "secret" not in response.text
    assert "sk-ant" not in response.text


def test_what_the_cli_wrote_to_stderr_is_in_the_log(stubbed: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    """For the operator, without the credentials in it."""
    stubbed.stub.plan({"stderr": "fatal: no space left, sk-ant-api03-abcdefghijk\n"}, {"exit": 1})
    fails(stubbed, 502, "claude_failed")
    assert "no space left" in caplog.text
    assert "sk-ant" not in caplog.text


def test_silence_ends_in_a_timeout(start: Start) -> None:
    """504 `run_timeout`, whole and streamed; the process is gone."""
    gateway = start(run_timeout=3.0, heartbeat=0.3)  # in which the stub must have started and said its half
    gateway.stub.plan({"sleep": 60})
    assert "3 s" in fails(gateway, 504, "run_timeout")["message"]
    gateway.stub.plan({"lines": HALF}, {"sleep": 60})
    assert breaks(gateway, "run_timeout") == "Half of"
    assert_gone(gateway.workspace, within=5)


def test_a_binary_that_cannot_be_started_is_a_503(start: Start, tmp_path: Path) -> None:
    """`claude_not_found`, without the path."""
    binary = tmp_path / "claude"
    binary.write_text("not executable")
    gateway = start(claude=str(binary))
    assert str(tmp_path) not in json.dumps(fails(gateway, 503, "claude_not_found"))


def refuse(status: int | None, text: str) -> list[dict[str, Any]]:
    return [sj.init(), sj.synthetic(text), sj.result(is_error=True, api_error_status=status, result=text)]


@pytest.mark.parametrize(
    ("upstream", "status", "code", "kind"),
    [
        (400, 400, "invalid_request", "invalid_request_error"),
        (401, 401, "not_signed_in", "authentication_error"),
        (403, 403, "upstream_denied", "invalid_request_error"),
        (404, 404, "model_unavailable", "invalid_request_error"),
        (429, 429, "rate_limited", "rate_limit_error"),
        (500, 502, "upstream_failed", "server_error"),
        (529, 503, "upstream_overloaded", "server_error"),
    ],
)
def test_each_error_of_the_api_has_its_status(
    stubbed: Gateway, upstream: int, status: int, code: str, kind: str
) -> None:
    """What the model's API refused, as the client sees it."""
    stubbed.stub.plan({"lines": refuse(upstream, f"API Error: {upstream} something")}, LEFT)
    assert fails(stubbed, status, code)["type"] == kind


def test_a_rate_limit_has_retry_after(stubbed: Gateway) -> None:
    """Whole seconds in the header; what the API asked for in its retries, rounded up."""
    lines = [sj.api_retry(429, error="rate_limit", delay_ms=1217), *refuse(429, "API Error: 429")]
    stubbed.stub.plan({"lines": lines}, LEFT)
    response = stubbed.post(body("hello"))
    assert (response.status_code, response.headers["Retry-After"]) == (429, "2")


def test_no_credential_of_an_upstream_message_reaches_the_client(stubbed: Gateway) -> None:
    """Whatever the API or a proxy quotes."""
    stubbed.stub.plan({"lines": refuse(400, "API Error: 400 bad key sk-ant-api03-abcdefghijklmnop")}, LEFT)
    assert "sk-ant" not in json.dumps(fails(stubbed, 400, "invalid_request"))


# --- signs of life


def test_heartbeats_fill_the_silence(start: Start) -> None:
    """SSE comments while nothing happens; clients ignore them."""
    gateway = start(heartbeat=0.2)
    gateway.stub.plan({"lines": HALF}, GO_ON, {"lines": [sj.block_stop(0), sj.message_stop(), sj.result()]}, LEFT)
    with gateway.streaming("hello") as answers:
        next(answer for answer in answers if answer.comments.count("keep-alive") >= 4)
        gateway.stub.go_on()
        *_, answer = answers
    assert answer.content == "Half of"
    assert answer.done


def test_heartbeats_also_come_while_a_tool_call_is_being_written(start: Start) -> None:
    """Many events, and nothing for the client in them: a long file that the model writes must not look like silence."""
    gateway = start(heartbeat=0.2)
    piece = sj.block_delta(0, {"type": "input_json_delta", "partial_json": "x"})
    call = sj.tool_use("t1", "Write", file_path="/w/a", content="x")
    head = [sj.init(), sj.message_start("m1"), sj.block_start(0, {**call, "input": {}})]
    tail = [sj.assistant("m1", call), sj.block_stop(0), sj.message_stop(), sj.tool_result("t1", "ok"), sj.result()]
    gateway.stub.plan({"lines": head}, {"repeat": {"times": 200, "line": piece, "pause": 0.02}}, {"lines": tail}, LEFT)
    answer = gateway.stream("hello")
    assert answer.done
    assert answer.order.index("content") >= 4
    assert answer.comments.count("keep-alive") >= 4


def test_retries_are_told_as_comments_and_in_the_log(stubbed: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    """Who waits sees why; the answer is not touched by it."""
    retry = sj.api_retry(529, error="overloaded", delay_ms=700)
    stubbed.stub.plan({"lines": [sj.init(), retry]}, {"sleep": 0.2}, {"lines": sj.answer("Hello.")}, LEFT)
    answer = stubbed.stream("hello")
    assert answer.content == "Hello."
    assert [comment for comment in answer.comments if "overloaded (529); retry 1 of 10 in 0.7 s" in comment]
    assert "overloaded (529)" in caplog.text


def test_a_notice_cannot_break_out_of_its_comment(stubbed: Gateway) -> None:
    """What the CLI says about a retry may hold anything; it stays one comment line of ASCII."""
    retry = sj.api_retry(500, error="a\n\ndata: [DONE]\n\nü\u2028sk-ant-api03-abcdefghijk")
    stubbed.stub.plan({"lines": [sj.init(), retry]}, {"sleep": 0.2}, {"lines": sj.answer("Hello.")}, LEFT)
    answer = stubbed.stream("hello")
    assert answer.content == "Hello."
    assert "sk-ant" not in "".join(answer.comments)


# --- the log


def test_one_line_a_run_says_how_it_ended(stubbed: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    """Messages, model, outcome; nothing of the prompt or the answer."""
    with caplog.at_level(logging.INFO):
        replay(stubbed, "fibonacci")
        stubbed.content("PROMPT-MARKER")
        assert "Aggregated 3 assistant messages; stop" in caplog.text
        stubbed.stub.plan({"lines": HALF}, {"exit": 3})
        fails(stubbed, 502, "claude_failed")
        assert "Aggregated 1 assistant messages; claude_failed" in caplog.text
    assert "model=sonnet" in caplog.text
    assert "MARKER" not in caplog.text
    assert "fibonacci.py" not in caplog.text


def test_a_client_that_left_is_logged(stubbed: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    """So that an operator can tell it from a failure."""
    stubbed.stub.plan({"lines": HALF}, {"sleep": 60})
    with caplog.at_level(logging.INFO):
        with stubbed.streaming("hello") as answers:
            next(answer for answer in answers if answer.content)
        await_that(lambda: "left by the client" in caplog.text, "the log line")
    assert_gone(stubbed.workspace, within=5)


# --- clients that leave or stall


def test_a_client_that_leaves_ends_its_run(stubbed: Gateway) -> None:
    """Even a CLI that ignores everything but SIGKILL, and its tools: gone within 5 s (G19)."""
    stubbed.stub.plan(
        {"ignore": ["SIGTERM", "SIGINT"]},
        {"grandchild": {"seconds": 60, "own_group": True}},
        {"lines": HALF},
        {"sleep": 60},
    )
    with stubbed.streaming("hello") as answers:
        next(answer for answer in answers if answer.content)
        assert len(stubbed.processes()) == 2
    assert_gone(stubbed.workspace, within=5)


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_before_the_answer_ends_its_run(start: Start, stream: bool) -> None:
    """Streamed or not: aiohttp must be told to cancel handlers."""
    gateway = start()
    gateway.stub.plan({"sleep": 60})
    leave_unanswered(gateway, body("hello", stream=stream), when=lambda: gateway.stub.seen)
    assert_gone(gateway.workspace, within=5)


def test_a_client_that_leaves_while_its_prompt_is_being_sent_ends_its_run(start: Start) -> None:
    """A prompt larger than a pipe, and a CLI that does not read it."""
    gateway = start()
    gateway.stub.plan({"deaf": True}, {"sleep": 60})
    leave_unanswered(gateway, body("x" * 2_000_000), when=lambda: gateway.stub.seen)
    assert_gone(gateway.workspace, within=5)


def bytes_written(pid: int) -> int:
    """How much a process has written so far (proc(5), `wchar`)."""
    match = re.search(r"wchar: (\d+)", Path(f"/proc/{pid}/io").read_text())
    assert match
    return int(match[1])


def test_a_client_that_stalls_holds_the_cli_back(start: Start) -> None:
    """What nobody reads is not collected in the gateway: the CLI itself has to wait."""
    gateway = start(heartbeat=60.0)
    head = [sj.init(), sj.message_start("m1"), sj.block_start(0, sj.text(""))]
    piece = sj.text_delta(0, "x" * 10_000)
    gateway.stub.plan({"lines": head}, {"repeat": {"times": 20_000, "line": piece}})
    with gateway.streaming("hello") as answers:
        next(answer for answer in answers if answer.content)
        (pid,) = gateway.processes()
        seen: list[int] = []

        def stands_still() -> bool:
            time.sleep(0.3)
            seen.append(bytes_written(pid))
            return len(seen) > 2 and len(set(seen[-3:])) == 1

        await_that(stands_still, "the CLI waits for the reader")
        assert seen[-1] < 40_000_000  # of 200 MB
    assert_gone(gateway.workspace, within=5)


def test_a_client_that_stalls_for_too_long_is_given_up(start: Start) -> None:
    """It holds a run, so it is not waited for longer than for a silent CLI."""
    gateway = start(run_timeout=3.0)  # in which the stub must have started
    head = [sj.init(), sj.message_start("m1"), sj.block_start(0, sj.text(""))]
    gateway.stub.plan({"lines": head}, {"repeat": {"times": 20_000, "line": sj.text_delta(0, "x" * 10_000)}})
    with gateway.streaming("hello") as answers:
        next(answer for answer in answers if answer.content)
        await_that(lambda: not gateway.processes(), "the end of the run")


def test_two_runs_at_once_do_not_mix(stubbed: Gateway) -> None:
    """Each client gets the answer to its own question."""
    replay(stubbed, "fibonacci")
    expected = sj.transcript(sj.decode(sj.recorded("fibonacci"))[0])
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda n: stubbed.stream(f"question {n}"), range(4)))
    assert all(answer.content == expected for answer in answers)
    assert len({answer.chunks[0]["id"] for answer in answers}) == 4


def test_a_burst_is_held_to_the_limits(start: Start) -> None:
    """Two slots, two places in the queue, twelve requests in the same moment: four answers, eight refusals, and never
    more than two processes (G18).
    """
    gateway = start(max_runs=2, max_queue=2)
    gateway.stub.plan({"await_input": 2}, GO_ON, {"lines": sj.answer("Hello.")}, LEFT)
    most = 0
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(gateway.post, body("hello")) for _ in range(12)]
        while not all(one.done() for one in asked):
            most = max(most, len(gateway.processes()))
            # Not before all have come: a run that ended would let one more in.
            if most == 2 and sum(one.done() for one in asked) == 8:
                gateway.stub.go_on()
            time.sleep(0.01)
    statuses = sorted(one.result().status_code for one in asked)
    assert statuses == [200] * 4 + [429] * 8
    assert most == 2


def test_the_gateway_goes_on_after_failures(stubbed: Gateway) -> None:
    """A run that died takes nothing with it."""
    stubbed.stub.plan({"lines": HALF}, {"kill_self": signal.SIGKILL})
    fails(stubbed, 502, "claude_failed")
    stubbed.stub.plan({"lines": sj.answer("Hello.")}, LEFT)
    assert stubbed.content("hello") == "Hello."
    assert processes_in(stubbed.workspace) == {}


def test_a_connection_is_used_again(stubbed: Gateway) -> None:
    """Keep-alive: a second question over the same connection, after a stream and after an error."""
    stubbed.stub.plan({"lines": sj.answer("Hello.")}, LEFT)
    with httpx.Client(base_url=stubbed.url, trust_env=False, limits=httpx.Limits(max_connections=1)) as client:
        for stream in (True, False, True):
            assert "Hello." in client.post("/v1/chat/completions", json=body("hello", stream=stream)).text
            assert client.post("/v1/chat/completions", json={}).status_code == 400
