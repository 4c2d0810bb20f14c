"""Background responses: runs that no connection holds, streams that can be taken up again, and what a crash leaves."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import ResponseStreamEvent

from ccapi.gateway import responses_recording as recording
from ccapi.gateway.responses_recording import Reader, Recorder
from ccapi.wire.responses import sse
from tests.agent import streamjson as sj
from tests.agent.stub import GO_ON, STUB
from tests.gateway.conftest import Start
from tests.gateway.harness import Gateway, assert_gone, await_that, gateway
from tests.gateway.test_gateway_claude import FIBONACCI
from tests.gateway.test_gateway_native import last_request, said
from tests.gateway.test_gateway_openai import LEFT, sdk
from tests.gateway.test_gateway_process import command, log_of
from tests.gateway.test_gateway_responses import events_of, fill, frames, get, post, until_kept_alive
from tests.gateway.test_gateway_store import volume  # noqa: F401 -- a fixture
from tests.wire.test_wire_responses import check, decoded, rendered

Object = dict[str, Any]
OVER = {"completed", "incomplete", "failed", "cancelled"}
HELLO = [sj.message_start("m1"), sj.block_start(0, sj.text("")), sj.text_delta(0, "Hello")]
THE_END = [sj.block_stop(0), sj.message_stop(), sj.result(result="Hello")]


def begin(running: Gateway, given: Any = "hello", **fields: Any) -> Object:
    response = post(running, given, background=True, **fields)
    assert response.status_code == 200, response.text
    document: Object = response.json()
    return document


def status(running: Gateway, response_id: str) -> str:
    return str(get(running, response_id).json()["status"])


def over(running: Gateway, response_id: str) -> Object:
    """The response, once it has ended."""
    await_that(lambda: status(running, response_id) in OVER, "the end of the response")
    document: Object = get(running, response_id).json()
    return document


def followed(running: Gateway, response_id: str, **query: Any) -> list[Object]:
    """Its stream, to the end."""
    return events_of(get(running, response_id, stream="true", **query))


def cancel(running: Gateway, response_id: str) -> Object:
    with running.client() as client:
        response = client.post(f"/v1/responses/{response_id}/cancel")
    assert response.status_code == 200, response.text
    document: Object = response.json()
    return document


def long(running: Gateway) -> None:
    """A run that says Hello, and then nothing until the test says `go_on`."""
    running.stub.plan({"await_input": 2}, {"lines": [sj.init(), *HELLO]}, GO_ON, {"lines": THE_END}, LEFT)


# --- a run without a connection


def test_the_answer_comes_without_a_connection(start: Start) -> None:
    """At once a response in progress, later the whole one: the same that a connection would have had."""
    running = start("default")
    with sdk(running) as client:
        begun = client.responses.create(model="sonnet", input=FIBONACCI, background=True)
        assert begun.status == "in_progress"
        assert begun.background is True
        await_that(lambda: client.responses.retrieve(begun.id).status == "completed", "the answer")
        done = client.responses.retrieve(begun.id)
        assert [item.type for item in done.output] == ["message", "mcp_call", "message", "mcp_call", "message"]
        after = client.responses.create(model="sonnet", input="And now?", previous_response_id=done.id)
        assert after.output_text == "You said: And now?"
        assert said(last_request(running), "user") == [FIBONACCI, "And now?"]


def test_its_stream_can_be_read_as_often_as_one_likes(start: Start) -> None:
    """While it goes on, and when it is over, from any event on: always the same events."""
    running = start("default")
    first = events_of(post(running, FIBONACCI, background=True, stream=True))
    check(first)
    response_id = first[0]["response"]["id"]
    assert rendered(decoded(first)).endswith("starting from 0 and 1.")
    assert followed(running, response_id) == first
    for after in (0, 7, len(first) - 2, len(first) - 1):
        assert followed(running, response_id, starting_after=after) == first[after + 1 :]
    assert first[-1]["response"] == get(running, response_id).json()


def test_the_sdk_takes_a_stream_up_again(start: Start) -> None:
    """`retrieve(..., stream=True, starting_after=N)` after the connection broke; the run never noticed."""
    running = start("default")
    with sdk(running) as client:
        seen: list[ResponseStreamEvent] = []
        streamed = client.responses.create(model="sonnet", input=FIBONACCI, background=True, stream=True)
        for event in streamed:
            seen.append(event)
            if event.sequence_number == 12:
                break
        streamed.close()
        created = seen[0]
        assert created.type == "response.created"
        rest = client.responses.retrieve(created.response.id, stream=True, starting_after=12)
        seen += list(rest)
    events = [event.model_dump(mode="json", exclude_unset=True) for event in seen]
    check(events)
    assert events[-1]["type"] == "response.completed"


def test_clients_follow_while_the_run_goes_on(start: Start) -> None:
    """Each delta at once, to each of them; comments while there is nothing."""
    running = start(heartbeat=0.1)
    long(running)
    response_id = begin(running)["id"]
    path = f"/v1/responses/{response_id}?stream=true"
    with (
        running.client() as client,
        client.stream("GET", path) as one,
        client.stream("GET", path) as other,
    ):
        lines, others = one.iter_lines(), other.iter_lines()
        assert any('"delta":"Hello"' in line for line in lines)  # the run says no more until it is told to
        read = until_kept_alive(others, 2)
        running.stub.go_on()
        read += others
        check(list(frames("".join(f"{line}\n" for line in read))))
        assert any('"type":"response.completed"' in line for line in lines)


def test_nobody_who_reads_slowly_holds_up_the_run(start: Start) -> None:
    """A client that takes nothing, and a run that says more than any buffer holds."""
    running = start()
    piece = sj.text_delta(0, "x" * 1000)
    running.stub.plan(
        {"await_input": 2}, {"lines": [sj.init(), *HELLO]}, {"repeat": {"line": piece, "times": 20_000}},
        {"lines": THE_END}, LEFT,
    )  # fmt: skip
    response_id = begin(running)["id"]
    with running.client() as client, client.stream("GET", f"/v1/responses/{response_id}?stream=true") as stalled:
        document = over(running, response_id)
        assert document["status"] == "completed"
        text = "".join(
            event["delta"] for event in frames(stalled.read().decode()) if "output_text.delta" in event["type"]
        )
    assert text == document["output"][0]["content"][0]["text"] == "Hello" + "x" * 20_000_000


def test_who_waits_for_a_slot_is_queued(start: Start) -> None:
    """The response says so, at once; it begins when there is room."""
    running = start(max_runs=1, heartbeat=0.1)
    long(running)
    first = begin(running)
    second = begin(running)
    running.stub.go_on()
    assert (first["status"], second["status"]) == ("in_progress", "queued")
    assert over(running, second["id"])["status"] == "completed"
    events = followed(running, second["id"])
    check(events)
    assert [event["type"] for event in events[:3]] == [
        "response.created", "response.queued", "response.in_progress"
    ]  # fmt: skip


def test_what_cannot_begin_is_an_error_at_once(start: Start) -> None:
    """A status, and no response."""
    running = start(max_runs=1, max_queue=0)
    assert post(running, "hello", background=True, model="no-such-model").status_code == 404
    assert post(running, "hello", background=True, previous_response_id="resp_x").status_code == 404
    long(running)
    begin(running)
    assert post(running, "hello", background=True).status_code == 429


def test_a_run_that_fails_is_a_failed_response(start: Start) -> None:
    """Whether something was said before or not; the error is in the response, and in the stream."""
    running = start()
    running.stub.plan({"await_input": 2}, {"lines": [sj.init(), *HELLO]}, {"kill_self": 9})
    document = over(running, begin(running)["id"])
    assert document["status"] == "failed"
    assert document["error"]["ccapi"]["code"] == "claude_failed"
    assert document["output"][0]["content"][0]["text"] == "Hello"
    events = followed(running, document["id"])
    check(events)
    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]


def test_retries_are_comments_of_the_stream(start: Start) -> None:
    """They are in the file, and do not count."""
    running = start()
    answer = [*sj.streamed("m1", sj.text("Hello.")), sj.result()]
    running.stub.plan({"await_input": 2}, {"lines": [sj.init(), sj.api_retry(529), *answer]}, LEFT)
    document = over(running, begin(running)["id"])
    response = get(running, document["id"], stream="true")
    assert "retry 1 of 10" in response.text
    events = list(frames(response.text))
    check(events)
    for after in range(len(events)):
        assert followed(running, document["id"], starting_after=after) == events[after + 1 :]


# --- ending it


def test_a_cancelled_run_is_ended(start: Start) -> None:
    """Its process too, before the answer to that; who follows is told. Twice is once."""
    running = start()
    long(running)
    response_id = begin(running)["id"]
    await_that(lambda: "Hello" in "".join(json.dumps(e) for e in so_far(running, response_id)), "the first text")
    with running.client() as client, client.stream("GET", f"/v1/responses/{response_id}?stream=true") as following:
        cancelled = cancel(running, response_id)
        assert_gone(running.workspace, within=0.5)
        events = list(frames(following.read().decode()))
    check(events)
    assert cancelled["status"] == "cancelled"
    assert events[-1]["response"] == cancelled == cancel(running, response_id) == get(running, response_id).json()
    assert cancelled["output"][0]["content"][0]["text"] == "Hello"
    refused = post(running, "And?", previous_response_id=response_id)
    assert "cancelled" in refused.json()["error"]["message"]


def test_a_queued_run_can_be_cancelled(start: Start) -> None:
    """It never begins, and its place is free."""
    running = start(max_runs=1, max_queue=1)
    long(running)
    first, second = begin(running), begin(running)
    assert second["status"] == "queued"
    with sdk(running) as client:
        assert client.responses.cancel(second["id"]).status == "cancelled"
    assert begin(running)["status"] == "queued"
    assert status(running, first["id"]) == "in_progress"


def test_cancelling_what_is_over_changes_nothing(start: Start) -> None:
    """The answer stays."""
    running = start()
    running.stub.plan({"lines": sj.answer("Hello there.")}, LEFT)
    document = over(running, begin(running)["id"])
    assert cancel(running, document["id"]) == document
    assert document["status"] == "completed"


def test_deleting_ends_the_run_and_leaves_nothing(start: Start, tmp_path: Path) -> None:
    """No process, no response, no file."""
    running = start()
    long(running)
    response_id = begin(running)["id"]
    assert list(recordings(tmp_path))
    with sdk(running) as client:
        client.responses.delete(response_id)
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(response_id)
    assert_gone(running.workspace, within=5)
    assert not list(recordings(tmp_path))


def recordings(directory: Path) -> Iterator[Path]:
    return directory.glob("**/responses/*/*.sse")


def so_far(running: Gateway, response_id: str) -> list[Object]:
    """What was streamed until now."""
    events: list[Object] = []
    with running.client(timeout=0.2) as client:
        try:
            with client.stream("GET", f"/v1/responses/{response_id}?stream=true") as response:
                events.extend(json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: "))
        except httpx.ReadTimeout:
            pass
    return events


def with_text(events: list[Object], text: str) -> list[Object]:
    """The events, or none if the text is not in them."""
    return events if text in json.dumps(events) else []


def test_a_stream_cannot_be_taken_up_behind_its_end(start: Start) -> None:
    """A number that no event has is a mistake, not silence."""
    running = start()
    running.stub.plan({"lines": sj.answer("Hello there.")}, LEFT)
    document = over(running, begin(running)["id"])
    for wrong in ("9999", "-1", "x", "1.5"):
        response = get(running, document["id"], stream="true", starting_after=wrong)
        assert response.status_code == 400
        assert response.json()["error"]["param"] == "starting_after"


# --- when the gateway ends


def test_a_killed_gateway_leaves_no_response_in_progress(tmp_path: Path) -> None:
    """The next one says that it failed and why, with what was said; its stream goes on where it was, to that end."""
    data = tmp_path / "data"
    environ = {"CCAPI_DATA_DIR": str(data), "CCAPI_CLAUDE": str(STUB)}
    with command(tmp_path, environ=environ) as (process, running):
        long(running)
        response_id = begin(running)["id"]
        events = await_that(lambda: with_text(so_far(running, response_id), "Hello"), "the first text")
        process.kill()
        process.wait(5)
        assert_gone(running.workspace, within=5)
    with gateway(tmp_path / "next", data_dir=data) as running:
        document = get(running, response_id).json()
        assert document["status"] == "failed"
        assert document["error"]["ccapi"]["code"] == "gateway_stopping"
        (message,) = document["output"]
        assert (message["status"], message["content"][0]["text"]) == ("incomplete", "Hello")
        rest = followed(running, response_id, starting_after=events[-1]["sequence_number"])
        check([*events, *rest])
        assert [event["type"] for event in rest[-2:]] == ["error", "response.failed"]
        assert rest[-1]["response"] == document


def test_a_gateway_that_stops_ends_its_background_runs(tmp_path: Path) -> None:
    """They fail, and say so; the next gateway still knows. Who follows sees it at once."""
    data = tmp_path / "data"
    environ = {"CCAPI_DATA_DIR": str(data), "CCAPI_CLAUDE": str(STUB), "CCAPI_GATEWAY_SHUTDOWN_GRACE": "0.2"}
    with command(tmp_path, environ=environ) as (process, running):
        long(running)
        response_id = begin(running)["id"]
        with running.client() as client, client.stream("GET", f"/v1/responses/{response_id}?stream=true") as following:
            lines = following.iter_lines()
            assert any("Hello" in line for line in lines)
            process.send_signal(signal.SIGTERM)
            assert any('"type":"response.failed"' in line for line in lines)
        assert process.wait(8) == 0
        assert_gone(running.workspace, within=0.5)
    assert "Traceback" not in log_of(running)
    with gateway(tmp_path / "next", data_dir=data) as running:
        document = get(running, response_id).json()
        assert (document["status"], document["error"]["ccapi"]["code"]) == ("failed", "gateway_stopping")
        check(followed(running, response_id))


def test_a_full_disk_ends_the_run_with_that_reason(start: Start, volume: Path) -> None:  # noqa: F811 -- the fixture
    """No process is left, the client that follows is told, and with room on the disk the next one works."""
    running = start(data_dir=volume)
    piece = sj.text_delta(0, "x" * 1000)
    running.stub.plan(
        {"await_input": 2}, {"lines": [sj.init(), *HELLO]}, {"repeat": {"line": piece, "times": 5_000}}, {"sleep": 60}
    )
    response_id = begin(running)["id"]
    document = over(running, response_id)
    assert document["status"] == "failed"
    assert document["error"]["ccapi"]["code"] == "store_failed"
    assert "No space left" in document["error"]["message"]
    assert_gone(running.workspace, within=5)
    events = followed(running, response_id)
    check(events)
    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
    filling = fill(volume)
    refused = post(running, "hello", background=True)
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "store_failed"
    assert_gone(running.workspace, within=5)
    filling.unlink()
    with running.client() as client:
        assert client.delete(f"/v1/responses/{response_id}").status_code == 200
    running.stub.plan({"lines": sj.answer("Hello there.")}, LEFT)
    assert over(running, begin(running)["id"])["status"] == "completed"


# --- the file


@contextmanager
def recorded(path: Path, frames_: list[str]) -> Iterator[Path]:
    path.unlink(missing_ok=True)
    recorder = Recorder(path)
    for frame in frames_:
        recorder.write(frame)
    recorder.close()
    yield path


EVENTS = st.lists(st.tuples(st.booleans(), st.text(max_size=30)), min_size=1, max_size=12)


def framed(events: list[tuple[bool, str]]) -> list[str]:
    """Each an event, with a comment before it or not."""
    return [
        (": wait\n\n" if comment else "") + sse([{"type": "x", "sequence_number": n, "text": text}])
        for n, (comment, text) in enumerate(events)
    ]


@settings(deadline=None)
@given(events=EVENTS, chunk=st.integers(1, 200))
def test_any_event_can_be_found_whatever_the_pieces(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[bool, str]], chunk: int
) -> None:
    """Also when what ends an event falls between two reads."""
    written = framed(events)
    with recorded(tmp_path_factory.getbasetemp() / "found.sse", written) as path:
        for number in range(len(events) + 2):
            with Reader(path, chunk) as reader:
                assert reader.skip(number) == (number <= len(events))
                if number <= len(events):
                    assert b"".join(iter(reader.read, b"")).decode() == "".join(written[number:])


@settings(deadline=None)
@given(events=EVENTS, chunk=st.integers(1, 200), data=st.data())
def test_a_file_that_was_cut_anywhere_is_whole_again(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[bool, str]], chunk: int, data: st.DataObject
) -> None:
    """As many whole events as there were; not one is lost, and no half one left."""
    written = "".join(framed(events))
    with recorded(tmp_path_factory.getbasetemp() / "cut.sse", [written]) as path:
        cut = data.draw(st.integers(0, len(written)))
        with path.open("rb+") as file:
            file.truncate(cut)
        count = recording.repair(path, chunk)
        left = path.read_text("ascii")
        assert written[:cut].startswith(left)
        assert left == "" or left.endswith("\n\n")
        assert "\n\n" not in written[len(left) : cut]
        assert count == len(list(frames(left))) if left else count == 0


def test_a_write_that_fails_leaves_what_was_there(volume: Path) -> None:  # noqa: F811 -- the fixture
    """Nothing of it: the file holds whole events only."""
    recorder = Recorder(volume / "responses" / "x.sse")
    event = sse([{"type": "x", "sequence_number": 0}])
    recorder.write(event)
    with pytest.raises(Exception, match="No space left"):
        recorder.write("x" * 2_000_000)
    assert recorder.path.read_text() == event
    recorder.write(event)
    recorder.close()
    assert recorder.path.read_text() == event * 2
    assert recorder.path.stat().st_mode & 0o777 == 0o600
