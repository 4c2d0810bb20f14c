"""A run as the Responses API's stream: what the SDK's types demand, and that nothing is lost on the way to the host."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import BaseModel
from openai.types.responses import Response, ResponseStreamEvent

from ccapi.agent.decoder import Decoder as StreamJsonDecoder
from ccapi.errors import CcapiError, ClaudeFailed, GatewayProtocol, RateLimited
from ccapi.wire.coalesce import coalesced
from ccapi.wire.events import (
    FinishReason,
    MessageFinished,
    MessageStarted,
    Notice,
    RunEvent,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ThinkingDelta,
    ToolCalled,
    ToolFinished,
    ToolInputDelta,
    ToolStarted,
    Usage,
)
from ccapi.wire.responseitems import response_object, server_and_name
from ccapi.wire.responses import Encoder, Show, sse
from ccapi.wire.responsesdecoder import Decoder
from ccapi.wire.transcript import Transcript
from tests.agent import streamjson as sj
from tests.wire.test_wire_transcript import (
    SAID_LATER,
    Step,
    call,
    events_of,
    in_the_background,
    late,
    steps,
    subagent,
    task,
)

Object = dict[str, Any]
END = RunFinished("sess_1", "stop", Usage(10, 5, 300, 40), 0.25, 3, 1234)
FAILED = RunFailed(ClaudeFailed("it died", hint="Look at: ccapi logs"), Usage(1, 2))
RECORDINGS = sorted(path.stem for path in sj.DATA.glob("*.jsonl"))
relaxed = settings(deadline=None)  # how long an example takes says something about this machine only
_ENDS = {"response.completed", "response.incomplete", "response.failed"}


def _classes() -> dict[str, type[BaseModel]]:
    union = get_args(ResponseStreamEvent)[0]
    return {get_args(one.model_fields["type"].annotation)[0]: one for one in get_args(union)}


CLASSES = _classes()


def encode(batches: Iterable[Sequence[RunEvent]], **options: Any) -> list[Object]:
    """The stream of a run whose events came in these batches. Every rule of the format is checked on the way."""
    encoder = Encoder(response_object("resp_1", "sonnet"), **options)
    events = encoder.begin()
    for batch in batches:
        events += encoder.feed(batch)
    check(events)
    return events


def encoded(events: Sequence[RunEvent], **options: Any) -> list[Object]:
    return encode([events], **options)


def decoded(events: Iterable[Object]) -> list[RunEvent]:
    """After a journey as JSON."""
    decoder = Decoder()
    return [event for one in events for event in decoder.feed(json.loads(json.dumps(one)))]


def rendered(events: Iterable[RunEvent]) -> str:
    return sj.transcript(events)


def of_type(events: Iterable[Object], kind: str) -> list[Object]:
    return [event for event in events if event["type"] == f"response.{kind}"]


def final(events: Sequence[Object]) -> Object:
    response: Object = events[-1]["response"]
    return response


def said(response: Object) -> str:
    """The SDK's own `output_text`."""
    return Response.model_validate(response).output_text


# --- the rules of the format


def check(events: Sequence[Object]) -> None:
    """That this is a stream such as the SDK and its users expect, as far as it goes."""
    for event in events:
        CLASSES[event["type"]].model_validate(event, strict=True)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[0]["type"] == "response.created"
    ends = [number for number, event in enumerate(events) if event["type"] in _ENDS]
    assert ends in ([], [len(events) - 1])
    done = [_check_item(events, index, event) for index, event in enumerate(of_type(events, "output_item.added"))]
    ids = [item["id"] for item in done if item]
    assert len(ids) == len(set(ids))
    if ends:
        assert final(events)["output"] == done


def _check_item(events: Sequence[Object], index: int, added: Object) -> Object | None:
    """Everything about one item, from its beginning to its end. None if it has not ended."""
    assert added["output_index"] == index
    item = added["item"]
    own = [event for event in events if event.get("output_index") == index]
    assert own[0] is added
    assert all(event.get("item_id", item["id"]) == item["id"] for event in own)
    ended = of_type(own, "output_item.done")
    if not ended:
        return None
    assert own[-1] is ended[0]
    done: Object = ended[0]["item"]
    assert (done["id"], done["type"]) == (item["id"], item["type"])
    {"message": _check_message, "reasoning": _check_reasoning, "mcp_call": _check_call}[item["type"]](own, done)
    return done


def _check_message(own: Sequence[Object], done: Object) -> None:
    for number, part in enumerate(done["content"]):
        if part["type"] == "refusal":
            continue
        of_part = [event for event in own if event.get("content_index") == number]
        kinds = [event["type"].removeprefix("response.") for event in of_part]
        assert kinds[0] == "content_part.added"
        assert kinds[-2:] == ["output_text.done", "content_part.done"]
        assert set(kinds[1:-2]) <= {"output_text.delta"}
        assert "".join(event["delta"] for event in of_part[1:-2]) == of_part[-2]["text"] == part["text"]
        assert of_part[-1]["part"] == part


def _check_reasoning(own: Sequence[Object], done: Object) -> None:
    kinds = [event["type"].removeprefix("response.") for event in own]
    assert kinds[:2] == ["output_item.added", "reasoning_summary_part.added"]
    assert kinds[-3:] == ["reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done"]
    assert set(kinds[2:-3]) == {"reasoning_summary_text.delta"}
    text = "".join(event["delta"] for event in own[2:-3])
    assert [part["text"] for part in done["summary"]] == [text] == [own[-3]["text"]]


def _check_call(own: Sequence[Object], done: Object) -> None:
    kinds = [event["type"].removeprefix("response.mcp_call") for event in own]
    assert kinds[1] == ".in_progress"
    written = [event["arguments"] for event in own if event["type"].endswith("arguments.done")]
    ended = [kind for kind in kinds if kind in {".completed", ".failed"}]
    assert ended == ([f".{done['status']}"] if done["status"] != "incomplete" else [])
    assert (done["error"] is not None) == (done["status"] == "failed")
    assert (done["output"] is not None) == (done["status"] == "completed")
    if written:
        assert written == [done["arguments"]]
        assert isinstance(json.loads(done["arguments"]), dict)


# --- what the real CLI did


def batches_of(name: str) -> list[list[RunEvent]]:
    """The events of each line of a recording; the terminal one last."""
    decoder = StreamJsonDecoder()
    batches = [decoder.feed(line) for line in sj.recorded(name)]
    return [*batches, [decoder.result]] if decoder.result else batches


@pytest.mark.parametrize("name", RECORDINGS)
def test_recorded_runs_become_streams_and_runs_again(name: str) -> None:
    """The transcript of what was decoded is that of the run, byte for byte, however the run came in pieces."""
    batches = batches_of(name)
    events = [event for batch in batches for event in batch]
    assert rendered(decoded(encode(batches))) == rendered(events)
    assert rendered(decoded(encoded(events))) == rendered(events)


@pytest.mark.parametrize("name", [name for name in RECORDINGS if name != "background-subagents"])
def test_a_reader_of_the_stream_is_never_behind(name: str) -> None:
    """After each line of the CLI the host can show all that the gateway could: a slow tool is named while it runs."""
    encoder, decoder = Encoder(response_object("resp_1", "sonnet")), Decoder()
    here, there = Transcript(), Transcript()
    written = shown = ""
    for batch in batches_of(name):
        written += "".join(here.feed(event) for event in batch)
        for one in encoder.feed(batch):
            shown += "".join(there.feed(event) for event in decoder.feed(one))
        assert shown == written


def test_the_fibonacci_run_is_six_items() -> None:
    """Text, tool, text, tool, text: in the order of the run, each whole, and the last one marked as the answer."""
    events = encode(batches_of("fibonacci"))
    output = final(events)["output"]
    assert [item["type"] for item in output] == ["message", "mcp_call", "message", "mcp_call", "message"]
    write, run = output[1], output[3]
    assert (write["server_label"], write["name"], write["status"]) == ("claude-code", "Write", "completed")
    assert json.loads(write["arguments"])["file_path"].endswith("/fibonacci.py")
    assert (run["name"], run["output"]) == ("Bash", "[0, 1, 1, 2, 3, 5, 8, 13, 21, 34]")
    assert [item["phase"] for item in output if item["type"] == "message"] == [
        "commentary", "commentary", "final_answer"
    ]  # fmt: skip
    assert said(final(events)).endswith("starting from 0 and 1.")
    extra = final(events)["ccapi"]
    assert extra.keys() == {"session_id", "model", "cost_usd", "turns", "duration_ms"}
    assert final(events)["usage"]["input_tokens"] > 1000


def test_parallel_calls_keep_their_places() -> None:
    """The second call ends first; each stays where it began."""
    events = encode(batches_of("parallel"))
    calls = [item for item in final(events)["output"] if item["type"] == "mcp_call"]
    assert [item["output"] for item in calls] == ["slow", "fast"]
    ends = [event["output_index"] for event in of_type(events, "mcp_call.completed")]
    assert ends == sorted(ends, reverse=True)


def test_what_a_subagent_says_is_no_part_of_the_answer() -> None:
    """Its text is reasoning, its calls name the call that started it, and `output_text` knows nothing of it."""
    response = final(encode(batches_of("subagents")))
    assert "Subagent speaks." not in said(response)
    output = response["output"]
    tasks = {item["id"] for item in output if item["type"] == "mcp_call" and item["name"] == "Agent"} or {
        item["id"] for item in output if item["type"] == "mcp_call" and item["name"] == "Task"
    }
    inner = [item for item in output if "parent" in item.get("ccapi", {})]
    assert {item["ccapi"]["parent"] for item in inner} == tasks
    spoken = [item for item in inner if item["type"] == "reasoning" and item["ccapi"].get("kind") == "subagent_text"]
    assert any("Subagent speaks." in item["summary"][0]["text"] for item in spoken)
    assert any(item["type"] == "mcp_call" and item["name"] == "Bash" for item in inner)


def test_thinking_is_a_summary() -> None:
    """Where clients of the API look for it."""
    events = encode(batches_of("thinking"))
    thought = [item for item in final(events)["output"] if item["type"] == "reasoning"]
    assert thought
    assert "".join(part["text"] for item in thought for part in item["summary"]) == sj.thought(
        [event for batch in batches_of("thinking") for event in batch]
    )


# --- how runs end


def test_a_run_that_hits_a_limit_is_incomplete() -> None:
    """`length` and `content_filter` in the API's words."""
    text: list[RunEvent] = [MessageStarted("m1"), TextDelta("m1", "half")]
    reasons: dict[FinishReason, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}
    for reason, name in reasons.items():
        events = encoded([*text, RunFinished("s", reason)])
        assert events[-1]["type"] == "response.incomplete"
        assert final(events)["incomplete_details"] == {"reason": name}
        assert final(events)["output"][0]["status"] == "incomplete"
        ended = decoded(events)[-1]
        assert isinstance(ended, RunFinished)
        assert ended.finish_reason == reason


def test_a_failure_is_an_error_event_and_a_failed_response() -> None:
    """What was said before stays; the error is in the API's closed list of codes, and as it is beside that."""
    events = encoded([MessageStarted("m1"), TextDelta("m1", "half"), call("t1", "ls"), FAILED])
    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
    assert events[-2]["code"] == "claude_failed"
    assert final(events)["error"]["code"] == "server_error"
    assert [item["status"] for item in final(events)["output"]] == ["completed", "incomplete"]
    failed = decoded(events)[-1]
    assert isinstance(failed, RunFailed)
    assert isinstance(failed.error, ClaudeFailed)
    assert (failed.error.message, failed.error.hint) == ("it died", "Look at: ccapi logs")
    assert failed.usage == Usage(1, 2)


@pytest.mark.parametrize(
    ("error", "code"),
    [(CcapiError("x"), "server_error"), (RateLimited("x", retry_after=3), "rate_limit_exceeded")],
)
def test_failures_have_codes_that_the_sdk_knows(error: CcapiError, code: str) -> None:
    """Before anything was said as well."""
    events = encoded([RunFailed(error)])
    assert final(events)["error"]["code"] == code
    failed = decoded(events)[-1]
    assert isinstance(failed, RunFailed)
    assert failed.error.retry_after == error.retry_after


def test_a_cancelled_run_says_so() -> None:
    """Whatever was open is closed; the status is the API's own word for it."""
    encoder = Encoder(response_object("resp_1", "sonnet"))
    events = encoder.begin(queued=True)
    events += encoder.feed([RunStarted("s", "m"), MessageStarted("m1"), TextDelta("m1", "ha"), call("t1", "ls")])
    events += encoder.cancel()
    check(events)
    assert encoder.ended
    assert final(events)["status"] == "cancelled"
    assert isinstance(decoded(events)[-1], RunFailed)
    assert [event["type"] for event in events[:3]] == [
        "response.created", "response.queued", "response.in_progress"
    ]  # fmt: skip


def test_usage_session_and_cost_come_back() -> None:
    """The numbers of the end, through the API's own fields."""
    events = decoded(encoded([RunStarted("sess_1", "claude-x"), END]))
    assert events == [RunStarted("sess_1", "claude-x"), END]


# --- items


def test_texts_of_one_message_around_a_call_are_two_items() -> None:
    """The order of things is kept; both are of the same message."""
    run: list[RunEvent] = [
        MessageStarted("m1"), TextDelta("m1", "One."), call("t1", "ls"), TextDelta("m1", "Two.", block=2),
        MessageFinished("m1"), ToolFinished("t1", "out"), END,
    ]  # fmt: skip
    output = final(encoded(run))["output"]
    assert [item["id"] for item in output] == ["m1", "t1", "m1_2"]
    assert [item["phase"] for item in (output[0], output[2])] == ["commentary", "commentary"]


def test_neighbouring_blocks_of_text_are_parts_of_one_item() -> None:
    """Citations split a text; put together it is what was said."""
    texts: list[RunEvent] = [TextDelta("m1", "a", block=0), TextDelta("m1", "b", block=1)]
    events = encoded([MessageStarted("m1"), *texts, MessageFinished("m1"), END])
    assert [part["text"] for part in final(events)["output"][0]["content"]] == ["a", "b"]
    assert said(final(events)) == "ab"


@pytest.mark.parametrize(
    ("tool", "label", "name"),
    [
        ("Bash", "claude-code", "Bash"),
        ("mcp__github__search_code", "github", "search_code"),
        ("mcp__a_b__c__d", "a_b", "c__d"),
        ("mcp__alone", "claude-code", "mcp__alone"),
        ("mcp____x", "claude-code", "mcp____x"),
        ("mcp__claude-code__Bash", "claude-code", "Bash"),
    ],
)
def test_tools_of_mcp_servers_are_under_their_own_label(tool: str, label: str, name: str) -> None:
    """And come back under the name that Claude Code gave them."""
    assert server_and_name(tool) == (label, name)
    run: list[RunEvent] = [MessageStarted("m1"), ToolCalled("t1", tool, {"q": 1}, "m1"), ToolFinished("t1", "out"), END]
    events = encoded(run)
    item = final(events)["output"][0]
    assert (item["server_label"], item["name"]) == (label, name)
    assert ToolCalled("t1", tool, {"q": 1}, "m1") in decoded(events)


def test_a_failed_tool_has_an_error_and_no_output() -> None:
    """In the form of the SDK's `McpToolExecutionError`."""
    run: list[RunEvent] = [
        MessageStarted("m1"),
        call("t1", "ls"),
        ToolFinished("t1", "no such file", is_error=True),
        END,
    ]
    item = final(encoded(run))["output"][0]
    assert item["status"] == "failed"
    assert item["error"]["content"] == [{"type": "text", "text": "no such file"}]


def test_the_size_of_a_cut_output_is_told_and_its_place_is_not() -> None:
    """`stored` is a path on the gateway's machine."""
    finished = ToolFinished("t1", "begin", full_size=40_000, stored="/data/secret/place.txt")
    events = encoded([MessageStarted("m1"), call("t1", "ls"), finished, END])
    assert final(events)["output"][0]["ccapi"]["full_size"] == 40_000
    assert "/data/secret" not in sse(events)
    assert ToolFinished("t1", "begin", full_size=40_000) in decoded(events)


def test_arguments_are_the_text_that_was_streamed() -> None:
    """As the model wrote them, so that deltas put together are the arguments; as they were run, if that differs."""
    cases: list[tuple[Object, str]] = [({"a": 1, "b": [2]}, '{"a":1,  "b":[2]}'), ({"a": 1}, '{"a": 1}')]
    for ran, expected in cases:
        run: list[RunEvent] = [
            MessageStarted("m1"), ToolStarted("t1", "X"), ToolInputDelta("t1", '{"a":1, '),
            ToolInputDelta("t1", ' "b":[2]}'), ToolCalled("t1", "X", ran, "m1"), MessageFinished("m1"), END,
        ]  # fmt: skip
        events = encode([[one] for one in run])
        assert of_type(events, "mcp_call_arguments.done")[0]["arguments"] == expected
        assert "".join(event["delta"] for event in of_type(events, "mcp_call_arguments.delta")) == '{"a":1,  "b":[2]}'


def test_a_call_that_was_never_finished_is_incomplete() -> None:
    """The model's stream broke in the middle of the arguments: what there is of them, and no invented call."""
    run: list[RunEvent] = [MessageStarted("m1"), ToolStarted("t1", "Bash"), ToolInputDelta("t1", '{"comm'), END]
    events = encoded(run)
    assert final(events)["output"][0]["arguments"] == '{"comm'
    assert not any(isinstance(event, ToolCalled) for event in decoded(events))


def test_what_is_held_back_comes_when_nothing_else_does() -> None:
    """The end of a call's arguments waits for the end of its message, but not for ever."""
    encoder = Encoder(response_object("resp_1", "sonnet"))
    encoder.begin()
    assert not of_type(encoder.feed([MessageStarted("m1"), call("t1", "ls")]), "mcp_call_arguments.done")
    assert of_type(encoder.flush(), "mcp_call_arguments.done")
    assert encoder.flush() == []


def test_notices_are_not_in_the_stream() -> None:
    """They are comments of the connection."""
    assert len(encoded([Notice("api_retry", "failed"), END])) == 2


@pytest.mark.parametrize("name", ["fibonacci", "subagents", "early-result", "cut-after-tool"])
def test_a_stream_that_broke_off_can_be_ended(name: str) -> None:
    """From nothing but what was sent of it: the rest continues its numbers, and all items are closed."""
    encoder, sent = Encoder(response_object("resp_1", "sonnet")), list[Object]()
    for batch in batches_of(name)[:-1]:
        sent += encoder.feed(batch) if sent else [*encoder.begin(), *encoder.feed(batch)]
        check(ended(sent))


@pytest.mark.parametrize("name", ["fibonacci", "subagents", "early-result", "cut-after-tool"])
def test_a_stream_that_broke_off_between_two_events_of_a_moment_can_be_ended(name: str) -> None:
    """Perhaps not as neatly, but with its numbers in order and all that was said."""
    events = encode(batches_of(name))
    for place in range(1, len(events)):
        whole = ended(events[:place])
        assert [event["sequence_number"] for event in whole] == list(range(len(whole)))
        assert sj.said(decoded(whole)) == sj.said(decoded(events[:place])) == said(final(whole))


def ended(sent: list[Object]) -> list[Object]:
    """The events, and those that a gateway adds which knows nothing else."""
    encoder, decoder = Encoder(response_object("resp_1", "sonnet")), Decoder()
    for event in sent:
        encoder.feed(decoder.feed(event))
    encoder.resume(len(sent))
    return [*sent, *encoder.feed([FAILED])]


# --- what is shown


STEPS: list[RunEvent] = [
    RunStarted("s", "m"),
    MessageStarted("m1"), ThinkingDelta("m1", "hm"), TextDelta("m1", "I look.", block=1), task("A", "A"),
    MessageFinished("m1"), MessageStarted("a1", "A"), TextDelta("a1", "secret", "A"), ThinkingDelta("a1", "psst", "A"),
    call("i1", "ls", "a1", "A"), MessageFinished("a1", "A"), ToolFinished("i1", "out", parent="A"),
    ToolFinished("A", "report"),
    MessageStarted("m2"), TextDelta("m2", "Do"), TextDelta("m2", "ne."), MessageFinished("m2"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("show", "texts"), [("full", ["I look.", "Done."]), ("text", ["I look.", "Done."]), ("final", ["Done."])]
)
@pytest.mark.parametrize("end", [END, FAILED, RunFinished("s", "length")])
def test_what_may_not_be_shown_is_not_in_the_stream(show: Show, texts: list[str], end: RunEvent) -> None:
    """`text` and `final` hold nothing of tools, subagents and thinking, wherever one looks."""
    events = encode([[one] for one in [*STEPS, end]], show=show)
    output = final(events)["output"]
    assert [item["content"][0]["text"] for item in output if item["type"] == "message"] == texts
    visible = sse(events)
    for hidden in ("secret", "psst", "report", "Task", "i1", "a1", "hm"):
        assert (hidden in visible) == (show == "full")


@pytest.mark.parametrize("show", ["full", "text", "final"])
def test_a_structured_answer_is_the_only_message(show: Show) -> None:
    """Clients parse `output_text`; what was said on the way is reasoning, or not shown."""
    structured = {"name": "Ada", "age": 36, "ok": "é"}
    events = encode(
        [[one] for one in [*STEPS, RunFinished("s", "stop", structured=structured)]], show=show, structured=True
    )
    response = final(events)
    assert json.loads(said(response)) == structured
    assert [item["type"] for item in response["output"]].count("message") == 1
    assert ("I look." in sse(events)) == (show != "final")
    if show == "full":
        assert rendered(decoded(events)).startswith(rendered(STEPS))


def test_a_structured_answer_that_was_cut_is_no_message() -> None:
    """A half of it would be worse than none."""
    events = encode([[*STEPS, RunFinished("s", "length")]], structured=True)
    assert said(final(events)) == ""


def test_a_refusal_to_give_a_structured_answer_is_a_refusal() -> None:
    """In the API's own words for it, not as reasoning alone."""
    events = encode([[*STEPS, RunFinished("s", "content_filter")]], structured=True)
    assert said(final(events)) == ""
    refused = final(events)["output"][-1]
    assert refused["content"] == [{"type": "refusal", "refusal": "Done."}]
    assert [event["refusal"] for event in of_type(events, "refusal.done")] == ["Done."]


def test_an_answer_that_fits_no_schema_has_failed() -> None:
    """The CLI calls it a success."""
    events = encode([[*STEPS, RunFinished("s", "stop", Usage(1, 2))]], structured=True)
    assert events[-2]["code"] == "structured_output_failed"
    assert final(events)["usage"]["input_tokens"] == 1


def test_the_tool_by_which_the_answer_is_given_is_no_item() -> None:
    """Its input is the answer."""
    give = ToolCalled("t9", "StructuredOutput", {"name": "Ada"}, "m3")
    run = [*STEPS, MessageStarted("m3"), ToolStarted("t9", "StructuredOutput"), give, MessageFinished("m3")]
    end = RunFinished("s", "stop", structured={"name": "Ada"})
    events = encode([[*run, ToolFinished("t9", "provided"), end]], structured=True)
    assert "StructuredOutput" not in sse(events)
    assert "StructuredOutput" in sse(encode([[*run, END]]))


def test_a_session_that_is_not_kept_is_not_named() -> None:
    """Nobody can go on with it."""
    events = encode([[*STEPS, RunFinished("sess_1", "stop")]], names_session=False)
    assert "sess_1" not in sse(events)
    assert final(events)["ccapi"]["session_id"] == ""


def test_another_model_is_named() -> None:
    """The one that was asked is retired, say."""
    encoder = Encoder(response_object("resp_1", "claude-old"))
    encoder.begin()
    encoder.feed([RunStarted("s", "claude-old"), RunStarted("s2", "claude-new")])
    encoder.answered_by("sonnet")
    response = encoder.feed([END])[-1]["response"]
    assert (response["model"], response["ccapi"]["model"]) == ("sonnet", "claude-new")


# --- the wire


def test_each_event_is_one_frame_of_ascii() -> None:
    """No client can split it at U+2028; a blank line ends a frame, and is in none."""
    text = "a\n\nb\u2028c\r\n\r\nd\x85 é 😀 \ud800"
    events = encoded([MessageStarted("m1"), TextDelta("m1", text), END])
    frames = sse(events).encode("ascii").split(b"\n\n")
    assert frames.pop() == b""
    assert [json.loads(frame.split(b"\ndata: ")[1]) for frame in frames] == events
    assert [frame.split(b"\n")[0].decode() for frame in frames] == [f"event: {event['type']}" for event in events]


def test_deltas_that_come_together_are_one_event() -> None:
    """That is what keeps a fast stream cheap."""
    run: list[RunEvent] = [MessageStarted("m1"), *(TextDelta("m1", str(n)) for n in range(10)), MessageFinished("m1")]
    deltas = of_type(encoded([*run, END]), "output_text.delta")
    assert [event["delta"] for event in deltas] == ["0123456789"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda event: event.pop("sequence_number"),
        lambda event: event.pop("type"),
        lambda event: event.update(ccapi=[1]),
        lambda event: event.update(response=None),
        lambda event: event["response"].update(usage={"input_tokens": 1}),
        lambda event: event["response"].pop("id"),
    ],
)
def test_an_event_of_another_form_is_a_clear_error(damage: Callable[[Object], object]) -> None:
    """Not a traceback on the host."""
    event = json.loads(json.dumps(encoded([END])[-1]))
    damage(event)
    with pytest.raises(GatewayProtocol):
        Decoder().feed(event)


def test_unknown_events_are_skipped() -> None:
    """A newer gateway may send more."""
    decoder = Decoder()
    assert decoder.feed({"type": "response.new_thing", "sequence_number": 7}) == []
    assert decoder.sequence_number == 7
    later = {"type": "response.output_text.delta", "sequence_number": 8, "item_id": "unseen", "delta": "x"}
    assert decoder.feed(later) == []


# --- any run


def same(events: Sequence[RunEvent], randomness: random.Random) -> None:
    """Both ways, in any batches, with pauses in between: the same transcript."""
    batches: list[list[RunEvent]] = [[]]
    for event in events:
        if randomness.random() < 0.4:
            batches.append([])
        batches[-1].append(event)
    encoder = Encoder(response_object("resp_1", "sonnet"))
    stream = encoder.begin()
    for batch in batches:
        stream += encoder.feed(batch)
        if randomness.random() < 0.3:
            stream += encoder.flush()
    check(stream)
    assert rendered(decoded(stream)) == rendered(events)


@relaxed
@given(st.lists(steps(), max_size=4), st.randoms(use_true_random=False))
def test_any_interleaving_of_results_comes_back(run: list[Step], randomness: random.Random) -> None:
    """The runs of the transcript's own tests."""
    same(events_of(run, in_order=False), randomness)


@pytest.mark.parametrize(
    "run",
    [
        *(late(after=after) for after in range(4)),
        in_the_background(*SAID_LATER),
        subagent("A", task("B", "B", "s1", "A"), TextDelta("s2", "outer ", "A"), TextDelta("b1", "inner ", "B")),
    ],
)
@relaxed
@given(randomness=st.randoms(use_true_random=False))
def test_late_results_and_subagents_come_back(run: list[RunEvent], randomness: random.Random) -> None:
    """However the events came together."""
    same(run, randomness)


_MESSAGES = st.sampled_from(["m1", "m2", "m3"])
_TOOLS = st.sampled_from(["t1", "t2", "t3", "t4"])
_PARENTS = st.sampled_from([None, None, None, "t1", "t2", "nobody"])
_TEXTS = st.text(max_size=8)
_INPUTS = st.dictionaries(st.sampled_from(["command", "path", "x"]), st.text(max_size=5) | st.integers() | st.none())
_ANYTHING: st.SearchStrategy[RunEvent] = st.one_of(
    st.builds(RunStarted, st.just("s"), st.sampled_from(["m", "n"])),
    st.builds(MessageStarted, _MESSAGES, _PARENTS),
    st.builds(TextDelta, _MESSAGES, _TEXTS, _PARENTS, st.integers(0, 3)),
    st.builds(ThinkingDelta, _MESSAGES, _TEXTS, _PARENTS, st.integers(0, 3)),
    st.builds(ToolStarted, _TOOLS, st.sampled_from(["Bash", "mcp__a__b"]), _PARENTS),
    st.builds(ToolInputDelta, _TOOLS, _TEXTS, _PARENTS),
    st.builds(ToolCalled, _TOOLS, st.sampled_from(["Bash", "mcp__a__b"]), _INPUTS, _MESSAGES, _PARENTS),
    st.builds(ToolFinished, _TOOLS, _TEXTS, st.booleans(), st.none() | st.integers(0, 99), _PARENTS),
    st.builds(MessageFinished, _MESSAGES, _PARENTS),
)


def _sensible(events: list[RunEvent]) -> list[RunEvent]:
    """Without a second call of the same id, which Claude never gives: everything else may come in any order."""
    started: dict[str, RunEvent] = {}
    called: set[str] = set()
    kept: list[RunEvent] = []
    for event in events:
        if isinstance(event, ToolStarted | ToolCalled):
            first = started.setdefault(event.tool_use_id, event)
            assert isinstance(first, ToolStarted | ToolCalled)
            if event.tool_use_id in called or (first.name, first.parent) != (event.name, event.parent):
                continue
        if isinstance(event, ToolCalled):
            called.add(event.tool_use_id)
        kept.append(event)
    return kept


@relaxed
@given(st.lists(_ANYTHING, max_size=30), st.sampled_from([END, FAILED]), st.randoms(use_true_random=False))
def test_any_run_at_all_comes_back(run: list[RunEvent], end: RunEvent, randomness: random.Random) -> None:
    """Even one that makes no sense: the stream is well-formed, and its transcript the same."""
    same([*_sensible(run), end], randomness)


@relaxed
@given(st.lists(_ANYTHING, max_size=30), st.sampled_from(["text", "final"]), st.booleans())
def test_any_run_is_well_formed_whatever_is_shown(run: list[RunEvent], show: Show, structured: bool) -> None:
    """With parts left out as well."""
    encode([[one] for one in [*_sensible(run), END]], show=show, structured=structured)


@relaxed
@given(st.lists(_ANYTHING, max_size=30))
def test_coalescing_changes_no_text(run: list[RunEvent]) -> None:
    """It is the same run, in fewer events."""
    events = list(coalesced(run))
    assert len(events) <= len(run)
    assert sj.said(events) == sj.said(run)
    assert sj.thought(events) == sj.thought(run)
    assert rendered(events) == rendered(run)
