"""`/v1/responses` on a connection: the unchanged `openai` SDK, the stub CLI, and the real one."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai.types.responses import Response
from pydantic import BaseModel

from ccapi.wire import keys
from ccapi.wire.keys import KeyFile, KeyRecord, Policy
from tests.agent import streamjson as sj
from tests.agent.stub import GO_ON
from tests.gateway.conftest import Start
from tests.gateway.harness import SEPARATOR, Gateway, assert_gone, await_that, gateway
from tests.gateway.test_gateway_claude import FIBONACCI, OUTPUT
from tests.gateway.test_gateway_native import blocks, last_request, said
from tests.gateway.test_gateway_openai import LEFT, async_sdk, sdk
from tests.gateway.test_gateway_responses_requests import IMAGE
from tests.gateway.test_gateway_store import volume  # noqa: F401 -- a fixture
from tests.wire.test_wire_responses import CLASSES, check, decoded, rendered

Object = dict[str, Any]
Messages = list[dict[str, Any]]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The real CLI and the guide's questions, a process for each turn."""
    with gateway(tmp_path_factory.mktemp("real"), "default") as running:
        yield running


def post(running: Gateway, given: Any, **fields: Any) -> httpx.Response:
    with running.client() as client:
        return client.post("/v1/responses", json={"model": "sonnet", "input": given, **fields})


def get(running: Gateway, path: str, **query: Any) -> httpx.Response:
    with running.client() as client:
        return client.get(f"/v1/responses/{path}", params=query)


def events_of(response: httpx.Response) -> list[Object]:
    """The events of a stream, each checked for its form."""
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    return list(frames(response.text))


def frames(text: str) -> Iterator[Object]:
    assert text.endswith("\n\n")
    for frame in text.split("\n\n")[:-1]:
        if frame.startswith(": "):
            continue
        name, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        yield event


def stream(running: Gateway, given: Any, **fields: Any) -> list[Object]:
    """A streamed response to its end."""
    events = events_of(post(running, given, stream=True, **fields))
    check(events)
    return events


@contextmanager
def reading(running: Gateway, given: Any, **fields: Any) -> Iterator[Iterator[str]]:
    """The lines of a streamed response while it comes."""
    asked = {"model": "sonnet", "input": given, "stream": True, **fields}
    with running.client() as client, client.stream("POST", "/v1/responses", json=asked) as response:
        yield response.iter_lines()


def extra(response: Response) -> Object:
    found: Object = (response.model_extra or {})["ccapi"]
    return found


def say(running: Gateway, *lines: Mapping[str, Any]) -> None:
    running.stub.plan({"await_input": 2}, {"lines": [sj.init(), *lines]}, LEFT)


# --- answers


def test_the_fibonacci_question_whole_and_streamed(real: Gateway) -> None:
    """Every step as an item, the same both ways; the streamed events are a run, with the transcript of the chat API."""
    with sdk(real) as client:
        whole = client.responses.create(model="sonnet", input=FIBONACCI)
        events = [event.model_dump(mode="json", exclude_unset=True) for event in client.responses.create(
            model="sonnet", input=FIBONACCI, stream=True
        )]  # fmt: skip
    kinds = ["message", "mcp_call", "message", "mcp_call", "message"]
    assert [item.type for item in whole.output] == kinds
    assert whole.status == "completed"
    assert whole.usage
    assert whole.usage.input_tokens_details.cached_tokens > 0
    assert extra(whole)["cost_usd"] > 0
    assert extra(whole)["turns"] == 3
    assert [item["type"] for item in events[-1]["response"]["output"]] == kinds
    transcript = rendered(decoded(events))
    assert transcript == real.content(FIBONACCI)
    assert len(transcript.split(SEPARATOR)) == 3
    assert f"```\n{OUTPUT}\n```" in transcript


async def test_the_async_client_whole_and_streamed(stubbed: Gateway) -> None:
    """The same through asyncio."""
    stubbed.stub.plan({"await_input": 2}, {"lines": sj.answer("Hello there.")}, LEFT)
    async with async_sdk(stubbed) as client:
        whole = await client.responses.create(model="sonnet", input="hello")
        assert whole.output_text == "Hello there."
        text = ""
        async for event in await client.responses.create(model="sonnet", input="hello", stream=True):
            assert type(event) is CLASSES[event.type]
            text += event.delta if event.type == "response.output_text.delta" else ""
        assert text == "Hello there."


def test_the_streaming_helper_of_the_sdk_accumulates_the_response(real: Gateway) -> None:
    """`client.responses.stream` holds every event against what came before it."""
    with sdk(real) as client, client.responses.stream(model="sonnet", input=FIBONACCI) as streamed:
        for _ in streamed:
            pass
        final = streamed.get_final_response()
    assert [item.type for item in final.output][-1] == "message"
    assert final.output_text.endswith("starting from 0 and 1.")


def test_the_fields_of_a_whole_response(stubbed: Gateway) -> None:
    """What was asked for is repeated; headers say who answered, and what meant nothing."""
    stubbed.stub.plan({"await_input": 2}, {"lines": sj.answer("Hello there.")}, LEFT)
    response = post(
        stubbed, "hello", model="gpt-4o", instructions="Be short.", metadata={"a": "b"}, temperature=1, user="me"
    )
    document = response.json()
    Response.model_validate(document, strict=True)
    assert (document["model"], document["instructions"], document["metadata"]) == ("gpt-4o", "Be short.", {"a": "b"})
    assert (document["status"], document["store"], document["background"]) == ("completed", True, False)
    assert document["completed_at"] >= document["created_at"]
    assert response.headers["X-CCAPI-Model"] == "sonnet"
    assert response.headers["X-CCAPI-Ignored"] == "temperature"
    assert response.headers["X-Session-Id"] == document["ccapi"]["session_id"]
    assert "Be short." in json.dumps(stubbed.stub.seen)


def test_tools_of_mcp_servers_have_their_own_label(start: Start, tmp_path: Path) -> None:
    """A real MCP server, run by the real CLI."""
    config = tmp_path / "gateway" / "scratch" / "claude-config"
    config.mkdir(parents=True)
    server = {"type": "stdio", "command": sys.executable, "args": [str(Path(__file__).parent / "mcp_server.py")]}
    (config / ".claude.json").write_text(json.dumps({"mcpServers": {"repeater": server}}))
    scenario = tmp_path / "scenario.toml"
    scenario.write_text(
        '[[turn]]\nwhen.results = 0\n[[turn.step]]\ntool = "mcp__repeater__repeat"\ninput.count = 5\n'
        '[[turn]]\n[[turn.step]]\ntext = "Done."\n'
    )
    call, _ = post(start(str(scenario)), "go").json()["output"]
    assert (call["server_label"], call["name"], json.loads(call["arguments"])) == ("repeater", "repeat", {"count": 5})
    assert call["output"] == "yyyyy\nthe end"


class Person(BaseModel):
    name: str
    n: int


def test_a_structured_answer_is_parsed_by_the_sdk(start: Start) -> None:
    """`responses.parse`: the CLI enforces the schema, and the first answer that did not fit is not shown."""
    with sdk(start("structured")) as client:
        parsed = client.responses.parse(model="sonnet", input="Give me a structure.", text_format=Person)
        assert parsed.output_parsed == Person(name="Ada", n=1) or parsed.output_parsed == Person(name="Ada", n=7)
        assert parsed.text
        assert parsed.text.format
        assert parsed.text.format.type == "json_schema"
        with client.responses.stream(model="sonnet", input="Give me a structure.", text_format=Person) as streamed:
            final = streamed.get_final_response()
    assert isinstance(final.output_parsed, Person)


def test_images_and_files_reach_the_model(real: Gateway) -> None:
    """As blocks of the Messages API."""
    content = [{"type": "input_text", "text": "Look."}, {"type": "input_image", "image_url": IMAGE}]
    response = post(real, [{"role": "user", "content": content}]).json()
    assert response["status"] == "completed"
    assert blocks(last_request(real), "image") == 1


def test_thinking_is_reasoning(start: Start) -> None:
    """As a summary, in an item before the answer."""
    response = post(start("thinking"), "think").json()
    reasoning = [item for item in response["output"] if item["type"] == "reasoning"]
    assert reasoning
    assert reasoning[0]["summary"][0]["text"]


def test_the_transcript_chooses_the_items(real: Gateway) -> None:
    """By field, by header, by the model's suffix; the same words as for the chat API."""
    final = post(real, FIBONACCI, transcript="final").json()["output"]
    assert [item["type"] for item in final] == ["message"]
    assert [item["type"] for item in post(real, FIBONACCI, model="sonnet:text").json()["output"]] == ["message"] * 3
    assert final[0]["content"][0]["text"] == real.content(FIBONACCI, transcript="final")


# --- how it ends


def test_a_refusal_and_a_limit_are_incomplete(start: Start) -> None:
    """With what was said until then."""
    running = start()
    say(running, *sj.streamed("m1", sj.text("I can't")), sj.result(stop_reason="refusal"))
    refused = post(running, "hello").json()
    assert (refused["status"], refused["incomplete_details"]) == ("incomplete", {"reason": "content_filter"})
    assert refused["output"][0]["content"][0]["text"] == "I can't"
    events = stream(running, "hello")
    assert events[-1]["type"] == "response.incomplete"


def test_a_failure_before_anything_was_said_is_a_status(start: Start) -> None:
    """Streamed or not; in the one envelope."""
    running = start("unauthenticated")
    for streamed in (False, True):
        response = post(running, "hello", stream=streamed)
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "not_signed_in"


def test_a_failure_in_mid_answer_is_an_error_event(start: Start) -> None:
    """And a failed response, which keeps what was said; both are as the SDK expects them."""
    running = start()
    lines = [sj.init(), sj.message_start("m1"), sj.block_start(0, sj.text("")), sj.text_delta(0, "Hello")]
    running.stub.plan({"await_input": 2}, {"lines": lines}, {"sleep": 0.3}, {"kill_self": 9})
    events = stream(running, "hello")
    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
    assert events[-2]["code"] == "claude_failed"
    failed = events[-1]["response"]
    assert failed["output"][0]["content"][0]["text"] == "Hello"
    assert get(running, failed["id"]).json()["status"] == "failed"
    assert post(running, "hello").status_code == 502
    assert post(running, "hello", previous_response_id=failed["id"]).json()["error"]["param"] == "previous_response_id"


def test_leaving_a_stream_ends_the_run(start: Start) -> None:
    """And nothing of it is stored."""
    running = start()
    lines = [sj.init(), sj.message_start("m1"), sj.block_start(0, sj.text("")), sj.text_delta(0, "Hello")]
    running.stub.plan({"lines": lines}, {"sleep": 60})
    with sdk(running) as client:
        streamed = client.responses.create(model="sonnet", input="hello", stream=True)
        for event in streamed:
            if event.type == "response.created":
                response_id = event.response.id
            if event.type == "response.output_text.delta":
                break
        streamed.close()
    assert_gone(running.workspace, within=5)
    assert get(running, response_id).status_code == 404


def test_waiting_is_said_by_comments(start: Start) -> None:
    """While nothing comes, and while the run waits for a slot; the stream is as long as the answer."""
    running = start(heartbeat=0.1, max_runs=1)
    lines = sj.answer("Hello there.")
    running.stub.plan({"await_input": 2}, GO_ON, {"lines": lines}, LEFT)
    with reading(running, "one") as first, reading(running, "two") as second:
        assert until_kept_alive(first, 4)  # the run says nothing
        lines_of_second = until_kept_alive(second, 4)  # it waits for a slot
        running.stub.go_on()
        lines_of_second += second
        check(list(frames("".join(f"{line}\n" for line in lines_of_second))))
        assert "Hello there." in "".join(first)


def until_kept_alive(lines: Iterator[str], times: int) -> list[str]:
    """The lines up to so many signs that the client is not forgotten."""
    read: list[str] = []
    while read.count(": keep-alive") < times:
        read.append(next(lines))
    return read


def test_retries_are_comments(start: Start) -> None:
    """As on the chat API: what keeps the client waiting."""
    running = start()
    say(running, sj.api_retry(529), *sj.streamed("m1", sj.text("Hello.")), sj.result())
    assert "retry 1 of 10" in post(running, "hello", stream=True).text


# --- going on


def test_a_response_goes_on_natively(real: Gateway) -> None:
    """`previous_response_id`: the model sees its own history, tool calls and results included, each once."""
    with sdk(real) as client:
        first = client.responses.create(model="sonnet", input=FIBONACCI)
        second = client.responses.create(model="sonnet", input="And now?", previous_response_id=first.id)
        assert second.output_text == "You said: And now?"
        assert second.previous_response_id == first.id
        assert extra(second)["session_id"] == extra(first)["session_id"]
        messages = last_request(real)
        assert blocks(messages, "tool_use") == blocks(messages, "tool_result") == 2
        assert said(messages, "user") == [FIBONACCI, "And now?"]

        other = client.responses.create(model="sonnet", input="Or else?", previous_response_id=first.id)
        assert extra(other)["session_id"] != extra(first)["session_id"]
        assert said(last_request(real), "user") == [FIBONACCI, "Or else?"]
        again = client.responses.create(model="sonnet", input="More?", previous_response_id=second.id)
        assert extra(again)["session_id"] == extra(first)["session_id"]
        assert said(last_request(real), "user") == [FIBONACCI, "And now?", "More?"]


def test_a_conversation_goes_on_natively(real: Gateway) -> None:
    """`conversation`: an id that exists before anything was said."""
    with sdk(real) as client:
        conversation = client.conversations.create(metadata={"topic": "numbers"})
        first = client.responses.create(model="sonnet", input="One.", conversation=conversation.id)
        assert first.conversation
        assert first.conversation.id == conversation.id
        client.responses.create(model="sonnet", input="Two.", conversation={"id": conversation.id})
        assert said(last_request(real), "user") == ["One.", "Two."]
        assert client.conversations.retrieve(conversation.id).metadata == {"topic": "numbers"}
        client.conversations.update(conversation.id, metadata={"topic": "words"})
        assert client.conversations.retrieve(conversation.id).metadata == {"topic": "words"}
        assert client.conversations.delete(conversation.id).deleted
        with pytest.raises(openai.NotFoundError):
            client.responses.create(model="sonnet", input="Three.", conversation=conversation.id)


def test_turns_of_a_conversation_come_one_after_the_other(start: Start) -> None:
    """Two at once, in one that has no session yet: both are in it."""
    running = start("default", heartbeat=0.05)
    with sdk(running) as client:
        conversation = client.conversations.create()
        with reading(running, "One.", conversation=conversation.id) as first:
            next(first)
            two = post(running, "Two.", conversation=conversation.id).json()
            assert "You said: One." in "".join(first)
    assert said(last_request(running), "user") == ["One.", "Two."]
    assert two["status"] == "completed"


def test_items_that_come_back_go_on_natively(real: Gateway) -> None:
    """A client that sends everything each time, as the Agents SDK does: known by its items."""
    items: Messages = [{"role": "user", "content": FIBONACCI}]
    with sdk(real) as client:
        first = client.responses.create(model="sonnet", input=FIBONACCI)
        items += [item.model_dump(mode="json", exclude_unset=True) for item in first.output]
        items.append({"role": "user", "content": "And now?"})
        second = client.responses.create(model="sonnet", input=items, store=True)  # type: ignore[arg-type]
    assert extra(second)["session_id"] == extra(first)["session_id"]
    messages = last_request(real)
    assert blocks(messages, "tool_use") == blocks(messages, "tool_result") == 2
    assert said(messages, "user") == [FIBONACCI, "And now?"]


def test_a_session_goes_on_by_its_id(real: Gateway) -> None:
    """The header, or `metadata.session_id`; one that began on the chat API as well."""
    session = real.chat("One.")["session_id"]
    second = post(real, "Two.", metadata={"session_id": session}).json()
    assert second["ccapi"]["session_id"] == session
    with real.client() as client:
        asked = {"model": "sonnet", "input": "Three."}
        third = client.post("/v1/responses", json=asked, headers={"X-Session-Id": session}).json()
    assert third["ccapi"]["session_id"] == session
    assert said(last_request(real), "user") == ["One.", "Two.", "Three."]


def test_a_response_survives_the_gateway(tmp_path: Path) -> None:
    """It can be read, and gone on from, after a restart."""
    with gateway(tmp_path, "default") as running:
        first = post(running, "One.").json()
    with gateway(tmp_path, "default") as running:
        assert get(running, first["id"]).json() == first
        post(running, "Two.", previous_response_id=first["id"])
        assert said(last_request(running), "user") == ["One.", "Two."]


# --- what is stored


def test_a_response_can_be_read_and_deleted(real: Gateway) -> None:
    """As the SDK does it."""
    with sdk(real) as client:
        made = client.responses.create(model="sonnet", input="One.")
        assert client.responses.retrieve(made.id) == made
        client.responses.delete(made.id)
        with pytest.raises(openai.NotFoundError) as caught:
            client.responses.retrieve(made.id)
        assert caught.value.code == "response_not_found"
        with pytest.raises(openai.NotFoundError):
            client.responses.delete(made.id)


def test_what_is_not_to_be_stored_is_not(real: Gateway) -> None:
    """`store: false`: no response, and no session to go on with."""
    made = post(real, "One.", store=False)
    document = made.json()
    assert document["store"] is False
    assert not document["ccapi"]["session_id"]
    assert "X-Session-Id" not in made.headers
    assert get(real, document["id"]).status_code == 404
    refused = post(real, "Two.", previous_response_id=document["id"])
    assert refused.status_code == 404
    assert refused.json()["error"]["param"] == "previous_response_id"


def test_input_items_are_listed_in_pages(real: Gateway) -> None:
    """The newest first unless asked otherwise; the SDK goes through all pages."""
    items = [{"role": "user", "content": f"Number {n}."} for n in range(5)]
    with sdk(real) as client:
        made = client.responses.create(model="sonnet", input=items)  # type: ignore[arg-type]
        listed = list(client.responses.input_items.list(made.id, limit=2))
        texts = [item.content[0].text for item in listed if item.type == "message"]  # type: ignore[union-attr]
        assert texts == [f"Number {n}." for n in (4, 3, 2, 1, 0)]
        page = client.responses.input_items.list(made.id, order="asc", limit=2, after=listed[3].id)
        assert [item.id for item in page.data] == [listed[2].id, listed[1].id]
        assert page.has_more


@pytest.mark.parametrize(
    ("path", "query", "param"),
    [
        ("input_items", {"limit": "0"}, "limit"),
        ("input_items", {"limit": "many"}, "limit"),
        ("input_items", {"order": "up"}, "order"),
        ("input_items", {"after": "nothing"}, "after"),
        ("", {"stream": "maybe"}, "stream"),
        ("", {"stream": "true"}, "stream"),
    ],
)
def test_what_cannot_be_listed_is_refused_and_named(
    real: Gateway, path: str, query: dict[str, str], param: str
) -> None:
    """The parameter at fault."""
    made = post(real, "One.").json()
    response = get(real, f"{made['id']}/{path}" if path else made["id"], **query)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_only_background_responses_can_be_cancelled(real: Gateway) -> None:
    """Any other is cancelled by leaving its connection."""
    made = post(real, "One.").json()
    with real.client() as client:
        response = client.post(f"/v1/responses/{made['id']}/cancel")
    assert response.status_code == 400
    assert "connection" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/responses/resp_nothing"),
        ("GET", "/v1/responses/resp_nothing?stream=true"),
        ("GET", "/v1/responses/..%2f..%2fetc"),
        ("DELETE", "/v1/responses/resp_nothing"),
        ("POST", "/v1/responses/resp_nothing/cancel"),
        ("GET", "/v1/responses/resp_nothing/input_items"),
        ("GET", "/v1/conversations/conv_nothing"),
        ("POST", "/v1/conversations/conv_nothing"),
        ("DELETE", "/v1/conversations/conv_nothing"),
    ],
)
def test_what_is_not_there_is_a_404_in_the_envelope(real: Gateway, method: str, path: str) -> None:
    """With a code that says what was not found."""
    with real.client() as client:
        response = client.request(method, path)
    assert response.status_code == 404
    assert response.json()["error"]["code"] in {"response_not_found", "not_found"}


def test_what_a_conversation_cannot_begin_with_is_refused(real: Gateway) -> None:
    """Its first items belong into its first response."""
    with real.client() as client:
        response = client.post("/v1/conversations", json={"items": [{"role": "user", "content": "x"}]})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "items"


def test_one_key_does_not_see_what_another_made(start: Start, tmp_path: Path) -> None:
    """Responses and conversations belong to the key, and are 404 to any other; its policy holds here as well."""
    alice, bob = (keys.new_key() for _ in range(2))
    directory = tmp_path / "gateway" / "keys"
    directory.mkdir(parents=True)
    records = [
        KeyRecord(str(n) * 12, None, keys.digest(key), datetime.now(UTC), policy)
        for n, (key, policy) in enumerate([(alice, Policy()), (bob, Policy(transcript="final"))])
    ]
    (directory / "keys.json").write_text(keys.dump(KeyFile(tuple(records))))
    running = start("default", require_key=True)
    url = f"{running.url}/v1"
    with openai.OpenAI(base_url=url, api_key=alice) as one, openai.OpenAI(base_url=url, api_key=bob) as other:
        made = one.responses.create(model="sonnet", input=FIBONACCI, background=True)
        conversation = one.conversations.create()
        for forbidden in (
            lambda: other.responses.retrieve(made.id),
            lambda: other.responses.retrieve(made.id, stream=True),
            lambda: other.responses.cancel(made.id),
            lambda: other.responses.delete(made.id),
            lambda: other.responses.input_items.list(made.id),
            lambda: other.responses.create(model="sonnet", input="x", previous_response_id=made.id),
            lambda: other.conversations.retrieve(conversation.id),
            lambda: other.responses.create(model="sonnet", input="x", conversation=conversation.id),
        ):
            with pytest.raises(openai.NotFoundError):
                forbidden()
        shown = other.responses.create(model="sonnet", input=FIBONACCI)
        assert [item.type for item in shown.output] == ["message"]
        with pytest.raises(openai.PermissionDeniedError):
            other.responses.create(model="sonnet", input=FIBONACCI, extra_body={"transcript": "full"})
        await_that(lambda: one.responses.retrieve(made.id).status == "completed", "the answer")


def test_an_answer_that_cannot_be_stored_is_given_all_the_same(start: Start, volume: Path) -> None:  # noqa: F811 -- the fixture
    """The client has it, and is told that it cannot be read again. With room on the disk, all is as before."""
    running = start(data_dir=volume)
    running.stub.plan({"lines": sj.answer("Hello there.")}, LEFT)
    filling = fill(volume)
    response = post(running, "hello")
    events = stream(running, "hello")
    for document in (response.json(), events[-1]["response"]):
        assert document["output"][0]["content"][0]["text"] == "Hello there."
        assert document["store"] is False
        assert get(running, document["id"]).status_code == 404
    filling.unlink()
    stored = post(running, "hello").json()
    assert stored["store"] is True
    assert get(running, stored["id"]).json() == stored


def fill(volume: Path) -> Path:  # noqa: F811 -- as above
    """A file that leaves no room for anything."""
    filling = volume / "filling"
    with filling.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return filling
