"""The Messages API as it goes over the wire."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web

from ccapi.rehearsal.scenario import load
from ccapi.rehearsal.server import create_app, serve, serve_app

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.typedefs import Handler

EVERYTHING = """
[[turn]]
when.prompt = "everything"
step = [
    { thinking = "Let me think about it." },
    { text = "Two calls\\u2028coming: 世界 🎉" },
    { tool = "Write", input = { file_path = "@{cwd}/a.py", content = "print(\\"ä\\")\\n" } },
    { tool = "Bash", input = {} },
]
[[turn]]
when.prompt = "limit"
stop_reason = "max_tokens"
step = [{ text = "As far as" }]
[[turn]]
when.prompt = "midway error"
step = [{ text = "Half of" }, { error = 529 }]
[[turn]]
when.prompt = "midway cut"
step = [{ text = "Half of" }, { cut = true }]
[[turn]]
when.prompt = "cut"
step = [{ pause = 60 }, { cut = true }]
[[turn]]
when.prompt = "late error"
step = [{ pause = 60 }, { error = 500 }]
"""


def ask(prompt: str, *later: Any, **fields: Any) -> dict[str, Any]:
    """A request body: a prompt, and what came after it: a str is an assistant text, a list its tool results."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": prompt}]
    for item in later:
        if isinstance(item, str):
            messages.append({"role": "assistant", "content": item})
        else:
            results = [{"type": "tool_result", "tool_use_id": "toolu_1", "content": text} for text in item]
            messages.append({"role": "user", "content": results})
    return {"model": "claude-sonnet-5-5", "max_tokens": 1000, "messages": messages} | fields


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def deltas(events: list[dict[str, Any]], index: int) -> dict[str, str]:
    """The deltas of one block, joined by kind."""
    joined: dict[str, str] = {}
    for event in events:
        if event["type"] == "content_block_delta" and event["index"] == index:
            kind, piece = (event["delta"][key] for key in event["delta"])
            joined[kind] = joined.get(kind, "") + piece
    return joined


async def read_into(chunks: list[bytes], content: aiohttp.StreamReader) -> None:
    """Keeps what came before the stream broke."""
    while chunk := await content.readany():
        chunks.append(chunk)


async def test_stream_events_come_in_the_order_of_the_api(model: Any, write: Callable[..., str]) -> None:
    """message_start, then each block started, filled and stopped in turn, then message_delta and message_stop."""
    async with model(write(EVERYTHING)) as m:
        events = await m.events(ask("everything", system="Working directory: /work"))
    assert types(events[:2]) == ["message_start", "ping"]
    assert types(events[-2:]) == ["message_delta", "message_stop"]
    blocks = [(e["type"].removeprefix("content_block_"), e["index"]) for e in events[2:-2]]
    assert [pair for n, pair in enumerate(blocks) if n == 0 or blocks[n - 1] != pair] == [
        (phase, index) for index in range(4) for phase in (("start", "delta", "stop"))
    ]
    assert [e["content_block"] for e in events if e["type"] == "content_block_start"][:2] == [
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "text", "text": ""},
    ]


async def test_deltas_concatenate_to_the_scripted_content(model: Any, write: Callable[..., str]) -> None:
    """Text, thinking and tool input arrive whole, in several pieces, with a signature after the thinking."""
    async with model(write(EVERYTHING)) as m:
        events = await m.events(ask("everything", system="Working directory: /work"))
    thinking = deltas(events, 0)
    assert thinking["thinking_delta"] == "Let me think about it."
    assert thinking["signature_delta"]
    assert deltas(events, 1) == {"text_delta": "Two calls\u2028coming: 世界 🎉"}
    written = json.loads(deltas(events, 2)["input_json_delta"])
    assert written == {"file_path": "/work/a.py", "content": 'print("ä")\n'}
    assert json.loads(deltas(events, 3)["input_json_delta"]) == {}
    assert sum(1 for e in events if e["type"] == "content_block_delta" and e["index"] == 1) > 3


async def test_parallel_tool_calls_have_their_own_ids(model: Any, write: Callable[..., str]) -> None:
    """Tool-use ids are unique within a message and between two identical requests, as message ids are."""
    async with model(write(EVERYTHING)) as m:
        answers = [await m.events(ask("everything")) for _ in range(2)]
    ids = [e["content_block"]["id"] for events in answers for e in events if "id" in e.get("content_block", {})]
    messages = [events[0]["message"]["id"] for events in answers]
    assert len(set(ids)) == 4
    assert len(set(messages)) == 2


async def test_the_whole_message_says_the_same_as_the_stream(model: Any, write: Callable[..., str]) -> None:
    """`stream: false` gives the content, stop reason and usage that the stream gives."""
    async with model(write(EVERYTHING)) as m:
        events = await m.events(ask("everything"))
        async with m.post(ask("everything")) as response:
            message = await response.json()
    assert response.headers["request-id"].startswith("req_")
    assert [block["type"] for block in message["content"]] == ["thinking", "text", "tool_use", "tool_use"]
    assert message["content"][1]["text"] == deltas(events, 1)["text_delta"]
    assert message["content"][2]["input"] == json.loads(deltas(events, 2)["input_json_delta"])
    assert message["stop_reason"] == events[-2]["delta"]["stop_reason"] == "tool_use"
    assert message["usage"] == events[-2]["usage"]
    assert events[0]["message"]["usage"]["input_tokens"] == message["usage"]["input_tokens"] > 0
    assert message["usage"]["output_tokens"] > events[0]["message"]["usage"]["output_tokens"]


async def test_a_stop_reason_can_be_scripted(model: Any, write: Callable[..., str]) -> None:
    """`stop_reason` replaces what the content implies."""
    async with model(write(EVERYTHING)) as m:
        events = await m.events(ask("limit"))
    assert events[-2]["delta"] == {"stop_reason": "max_tokens", "stop_sequence": None}


async def test_tokens_are_sent_one_by_one(model: Any, write: Callable[..., str]) -> None:
    """A delay separates the tokens on the wire: the first is there long before the last."""
    path = write('delay = 0.05\n[[turn]]\nstep = [{ text = "one two three four five six seven eight" }]')
    began = time.monotonic()
    async with model(path, speed=1) as m, m.post(ask("x", stream=True)) as response:
        seen = b""
        while b"one" not in seen:
            seen += await response.content.readany()
        assert b"eight" not in seen
        seen += await response.content.read()
    assert time.monotonic() - began > 0.3
    assert deltas(m.parse(seen), 0)["text_delta"].endswith("eight")


@pytest.mark.parametrize("stream", [True, False])
async def test_speed_zero_leaves_out_all_pauses(model: Any, stream: bool) -> None:
    """With speed 0 a scenario of ten silent minutes is over at once."""
    started = time.monotonic()
    async with model("slow") as m, m.post(ask("be silent", stream=stream)) as response:
        assert " over." in await response.text()
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    ("scenario", "status", "kind", "retry_after"),
    [
        ("unauthenticated", 401, "authentication_error", None),
        ("rate-limited", 429, "rate_limit_error", "1"),
        ("overloaded", 529, "overloaded_error", None),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_errors_have_the_apis_status_and_body(
    model: Any, scenario: str, status: int, kind: str, retry_after: str | None, stream: bool
) -> None:
    """An error that comes first is an HTTP error, streaming or not, in the API's JSON, with its request id."""
    async with model(scenario) as m, m.post(ask("x", stream=stream)) as response:
        body = await response.json()
    assert response.status == status
    assert response.headers.get("Retry-After") == retry_after
    assert body["type"] == "error"
    assert body["error"]["type"] == kind
    assert body["error"]["message"]
    assert body["request_id"] == response.headers["request-id"]


@pytest.mark.parametrize("name", ["claude-3-5-haiku-20241022", "claude-2.1", "claude-instant-1.2"])
async def test_a_retired_model_is_not_found(model: Any, name: str) -> None:
    """The 404 names the model, as the API's does; a current model answers."""
    async with model("retired-model") as m:
        async with m.post(ask("hello", model=name)) as response:
            body = await response.json()
        async with m.post(ask("hello", model="claude-haiku-5-5")) as current:
            assert current.status == 200
    assert response.status == 404
    assert body["error"] == {"type": "not_found_error", "message": f"model: {name}"}


async def test_a_late_error_waits_for_its_pause(model: Any, write: Callable[..., str]) -> None:
    """A pause before an error delays the status; nothing has been sent by then."""
    async with model(write(EVERYTHING)) as m, m.post(ask("late error", stream=True)) as response:
        assert response.status == 500


async def test_an_error_in_mid_answer_is_an_event(model: Any, write: Callable[..., str]) -> None:
    """After content an error is the last event, inside the open block; without streaming it is a status."""
    async with model(write(EVERYTHING)) as m:
        events = await m.events(ask("midway error"))
        async with m.post(ask("midway error")) as whole:
            assert whole.status == 529
    assert events[-1]["error"] == {"type": "overloaded_error", "message": "Overloaded"}
    assert types(events[-2:]) == ["content_block_delta", "error"]


async def test_a_cut_in_mid_answer_delivers_what_came_before(model: Any, write: Callable[..., str]) -> None:
    """The client has the text, then the connection breaks without the end of the response."""
    async with model(write(EVERYTHING)) as m, m.post(ask("midway cut", stream=True)) as response:
        chunks: list[bytes] = []
        with pytest.raises(aiohttp.ClientPayloadError):
            await read_into(chunks, response.content)
    events = m.parse(b"".join(chunks))
    assert deltas(events, 0) == {"text_delta": "Half of"}
    assert "message_stop" not in types(events)


@pytest.mark.parametrize(("prompt", "stream"), [("cut", True), ("cut", False), ("midway cut", False)])
async def test_a_cut_before_the_answer_sends_nothing(
    model: Any, write: Callable[..., str], prompt: str, stream: bool
) -> None:
    """No status line, no headers: the connection is gone."""
    async with model(write(EVERYTHING)) as m:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await m.post(ask(prompt, stream=stream))


async def test_attempts_belong_to_a_session(model: Any) -> None:
    """Each Claude Code session meets the overload anew."""
    async with model("overloaded") as m:
        for session in ("one", "two"):
            statuses = []
            for _ in range(3):
                async with m.post(ask("x"), headers={"X-Claude-Code-Session-Id": session}) as response:
                    statuses.append(response.status)
            assert statuses == [529, 529, 200]


async def test_a_request_without_a_turn_is_an_error_that_says_why(model: Any) -> None:
    """Nothing is guessed: the 400 names scenario, prompt, number of results and model."""
    async with model("fibonacci") as m, m.post(ask("make coffee", "ok", ["done"])) as response:
        error = (await response.json())["error"]
    assert response.status == 400
    assert error["type"] == "invalid_request_error"
    for part in ("'fibonacci'", "'make coffee'", "1 tool results", "'claude-sonnet-5-5'"):
        assert part in error["message"]


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[]", b'{"model": "m", "messages": []}'])
async def test_a_malformed_request_is_a_400(model: Any, path: str, raw: bytes) -> None:
    """What is no Messages request is refused in the API's own shape."""
    async with model("chat") as m, m.session.post(m.url + path, data=raw) as response:
        assert response.status == 400
        assert (await response.json())["error"]["type"] == "invalid_request_error"


async def test_an_oversized_request_is_a_413(model: Any) -> None:
    """More than 32 MB is refused as the API refuses it."""
    async with model("chat") as m, m.session.post(m.url + "/v1/messages", data=io.BytesIO(bytes(33 << 20))) as response:
        assert response.status == 413
        assert (await response.json())["error"]["type"] == "request_too_large"


TITLE = {"format": {"type": "json_schema", "schema": {"type": "object", "properties": {"title": {"type": "string"}}}}}


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (ask("<session>fibonacci</session>", output_config=TITLE), '{"title": "Rehearsal"}'),
        (ask("quota", max_tokens=1), "OK"),
        (ask("\nWeb page content:\n---\nfibonacci"), "A web page of a rehearsal."),
    ],
)
async def test_side_requests_are_answered_beside_the_scenario(model: Any, body: dict[str, Any], answer: str) -> None:
    """What Claude Code asks on its own account needs no turn, and is recorded as a side request."""
    async with model("unauthenticated") as m, m.post(body) as response:
        assert (await response.json())["content"] == [{"type": "text", "text": answer}]
        assert [request.side for request in m.requests] == [True]


async def test_a_summary_of_the_conversation_is_a_side_request(model: Any) -> None:
    """Claude Code's request to summarise carries tools, and is recognised all the same."""
    body = ask("CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.", tools=[{"name": "Bash"}])
    async with model("fibonacci") as m, m.post(body) as response:
        assert "<summary>" in (await response.json())["content"][0]["text"]


async def test_tokens_can_be_counted(model: Any) -> None:
    """count_tokens gives what the request's usage would say in all."""
    async with model("chat") as m:
        async with m.post(ask("hello there"), "/v1/messages/count_tokens") as response:
            counted = (await response.json())["input_tokens"]
        async with m.post(ask("hello there")) as response:
            usage = (await response.json())["usage"]
    assert counted == usage["input_tokens"] + usage["cache_creation_input_tokens"] + usage["cache_read_input_tokens"]


async def test_hello_is_answered(model: Any) -> None:
    """Claude Code's connection check succeeds."""
    async with model("chat") as m, m.session.head(m.url + "/api/hello") as response:
        assert response.status == 200


async def test_what_was_received_is_recorded_without_secrets(model: Any) -> None:
    """Tests can see what came, and that a credential came, but not the credential."""
    headers = {"X-Api-Key": "sk-secret", "Authorization": "Bearer sk-secret", "Anthropic-Version": "2023-06-01"}
    async with model("chat") as m:
        await m.events(ask("hi", "ok", ["done"], tools=[{"name": "Bash"}]), headers=headers)
        (received,) = m.requests
    assert (received.path, received.model, received.prompt) == ("/v1/messages", "claude-sonnet-5-5", "hi")
    assert (received.results, received.tools, received.stream, received.side) == (1, 1, True, False)
    assert received.headers["anthropic-version"] == "2023-06-01"
    assert received.headers["x-api-key"] == received.headers["authorization"] == "***"
    assert "sk-secret" not in repr(received)


async def test_a_client_that_leaves_ends_its_answer(write: Callable[..., str]) -> None:
    """A scripted pause does not outlive its client."""
    ended = asyncio.Event()

    @web.middleware
    async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        finally:
            ended.set()

    app = create_app(load(write('[[turn]]\nstep = [{ text = "hello" }, { pause = 600 }, { text = "late" }]')))
    app.middlewares.append(watch)
    async with serve_app(app) as url, aiohttp.ClientSession() as session:
        async with session.post(f"{url}/v1/messages", json=ask("x", stream=True)) as response:
            await response.content.readany()
            assert not ended.is_set()
        await asyncio.wait_for(ended.wait(), 30)


async def test_open_streams_do_not_hold_up_the_end(write: Callable[..., str]) -> None:
    """Shutting down takes about a second even while an answer is being sent."""
    path = write('[[turn]]\nstep = [{ text = "hello" }, { pause = 600 }, { text = "late" }]')
    async with aiohttp.ClientSession() as session:
        async with serve(load(path)) as url:
            response = await session.post(f"{url}/v1/messages", json=ask("x", stream=True))
            await response.content.readany()
            started = time.monotonic()
        assert time.monotonic() - started < 30
        response.close()


async def test_a_busy_port_is_an_os_error() -> None:
    """The caller learns that the port is taken; nothing else is tried."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="address already in use"):
        async with serve(load("chat"), port=taken.getsockname()[1]):
            pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_serves_until_a_signal_and_ends_cleanly(number: signal.Signals) -> None:
    """serve_forever reports its URL once it answers, and ends with 0 and nothing on stderr."""
    code = (
        "import asyncio\n"
        "from ccapi.rehearsal.scenario import load\n"
        "from ccapi.rehearsal.server import serve_forever\n"
        "ready = lambda url: print(url, flush=True)\n"
        "asyncio.run(serve_forever(load('chat'), host='127.0.0.1', port=0, ready=ready))\n"
    )
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=pipe, stderr=pipe)
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    async with aiohttp.ClientSession() as session, session.get(f"{url}/api/hello") as response:
        assert response.status == 200
    process.send_signal(number)
    _, err = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, err) == (0, b"")
