"""stream-json to run events: recordings of the real CLI first, then what it can be made to say only by hand."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccapi.agent.decoder import Decoder
from ccapi.errors import (
    ClaudeFailed,
    InvalidRequest,
    ModelUnavailable,
    NotSignedIn,
    RateLimited,
    UpstreamFailed,
)
from ccapi.wire.events import (
    MessageFinished,
    MessageStarted,
    Notice,
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
from tests.agent import streamjson as sj

RECORDINGS = sorted(path.stem for path in sj.DATA.glob("*.jsonl"))


# --- recordings


@pytest.mark.parametrize("name", RECORDINGS)
def test_every_recording_has_one_end_and_balanced_messages(name: str) -> None:
    """Each message is started once and finished once, tools are called in a message and finished once."""
    events, decoder = sj.decode(sj.recorded(name))
    assert decoder.result is not None
    started = [event.message_id for event in events if isinstance(event, MessageStarted)]
    finished = [event.message_id for event in events if isinstance(event, MessageFinished)]
    assert sorted(started) == sorted(set(started)) == sorted(finished)
    called = [event.tool_use_id for event in events if isinstance(event, ToolCalled)]
    done = [event.tool_use_id for event in events if isinstance(event, ToolFinished)]
    assert len(called) == len(set(called))
    assert sorted(done) == sorted(called)
    assert sum(isinstance(event, RunStarted) for event in events) == 1
    assert all(not isinstance(event, RunFinished | RunFailed) for event in events[:-1])


@pytest.mark.parametrize("name", RECORDINGS)
def test_text_said_twice_is_taken_once(name: str) -> None:
    """The CLI says each block token by token and then whole: the deltas add up to the whole blocks, in order."""
    lines = [json.loads(line) for line in sj.recorded(name)]
    blocks: dict[tuple[str, str], list[str]] = {}
    for line in lines:
        if line["type"] == "assistant" and line["message"]["model"] != "<synthetic>":
            for block in line["message"]["content"]:
                if block["type"] in {"text", "thinking"}:
                    blocks.setdefault((line["message"]["id"], block["type"]), []).append(block[block["type"]])
    assert blocks or name in FAILED_AT_ONCE or name == "broken"
    events, _ = sj.decode(sj.recorded(name))
    for (message_id, kind), texts in blocks.items():
        wanted = TextDelta if kind == "text" else ThinkingDelta
        deltas = [event.text for event in events if isinstance(event, wanted) and event.message_id == message_id]
        assert "".join(deltas).startswith("".join(texts))  # what broke off is never said whole


FAILED_AT_ONCE = {
    "forbidden": NotSignedIn,
    "invalid-request": InvalidRequest,
    "not-logged-in": NotSignedIn,
    "rate-limited": RateLimited,
    "retired-model-old": ModelUnavailable,
    "unauthenticated": NotSignedIn,
}


@pytest.mark.parametrize("name", FAILED_AT_ONCE)
def test_the_synthetic_message_is_never_an_answer(name: str) -> None:
    """What the CLI itself says about an error ends up in the error: there is no message and no text."""
    events, decoder = sj.decode(sj.recorded(name))
    assert not [event for event in events if isinstance(event, MessageStarted | TextDelta)]
    assert isinstance(decoder.result, RunFailed)
    assert type(decoder.result.error) is FAILED_AT_ONCE[name]


def test_an_answer_that_breaks_off_for_good_is_a_failure() -> None:
    """`broken`: what was said stays said, and the end is an error of the model's API."""
    events, decoder = sj.decode(sj.recorded("broken"))
    assert sj.said(events).startswith("This answer breaks off in the")
    assert "API Error" not in sj.said(events)
    assert isinstance(decoder.result, RunFailed)
    assert type(decoder.result.error) is UpstreamFailed


def test_tokens_arrive_one_by_one() -> None:
    """Each token of the recording is a delta of its own, at once and not only when its block is whole."""
    decoder = Decoder()
    seen: list[str] = []
    for line in sj.recorded("thinking"):
        if json.loads(line)["type"] == "assistant":
            break
        seen += [event.text for event in decoder.feed(line) if isinstance(event, ThinkingDelta)]
    assert len(seen) > 10


def test_thinking_is_no_text() -> None:
    """Thinking and text of one message stay apart; the signature is neither."""
    events, _ = sj.decode(sj.recorded("thinking"))
    assert sj.thought(events) == "The question is: hello\nI should think about it before I answer."
    assert sj.said(events) == "I have thought about it. You asked: hello"


def test_tool_calls_come_whole_after_their_start_and_input() -> None:
    """`ToolStarted`, the pieces of the arguments, then `ToolCalled` with all of them, then the result."""
    events, _ = sj.decode(sj.recorded("failing-tool"))
    first = next(event.tool_use_id for event in events if isinstance(event, ToolStarted))
    kinds = [type(event) for event in events if getattr(event, "tool_use_id", None) == first]
    assert kinds[0] is ToolStarted
    assert set(kinds[1:-2]) == {ToolInputDelta}
    assert kinds[-2:] == [ToolCalled, ToolFinished]
    pieces = [e.partial_json for e in events if isinstance(e, ToolInputDelta) and e.tool_use_id == first]
    call = next(event for event in events if isinstance(event, ToolCalled))
    assert json.loads("".join(pieces)) == call.input
    finished = next(event for event in events if isinstance(event, ToolFinished))
    assert finished.is_error
    assert "Exit code 3" in finished.output


def test_parallel_results_keep_their_own_call() -> None:
    """The slow call's result comes last and carries the slow call's id."""
    events, _ = sj.decode(sj.recorded("parallel"))
    commands = {event.tool_use_id: event.input["command"] for event in events if isinstance(event, ToolCalled)}
    results = [(commands[e.tool_use_id], e.output) for e in events if isinstance(e, ToolFinished)]
    assert results == [("echo fast", "fast"), ("sleep 2; echo slow", "slow")]


def test_separators_of_unicode_survive() -> None:
    """U+2028, U+2029 and U+0085 arrive in text, tool input and tool output as they were sent."""
    events, _ = sj.decode(sj.recorded("unicode"))
    call = next(event for event in events if isinstance(event, ToolCalled))
    output = next(event.output for event in events if isinstance(event, ToolFinished))
    for text in (sj.said(events), str(call.input["command"]), output):
        for character in ("\u2028", "\u2029", "\u0085"):
            assert character in text or f"\\u{ord(character):04x}" in text
    assert "Output: U+2028 [\u2028], U+2029 [\u2029], U+0085 [\u0085]" in output


def test_the_full_size_of_a_large_output_is_told() -> None:
    """A 5 MB output: the CLI kept 30,000 characters and a file; its own words for that are not the output."""
    events, _ = sj.decode(sj.recorded("big-output-5mb"))
    finished = next(event for event in events if isinstance(event, ToolFinished))
    assert finished.full_size == 5_050_000
    assert 29_990 <= len(finished.output) <= 30_000
    assert finished.output.startswith("00001 xxx")
    assert "<persisted-output>" not in finished.output


def test_events_of_subagents_carry_the_call_they_belong_to() -> None:
    """`parent` is the tool use id of the Task call; the subagents' prompts are not said again."""
    events, _ = sj.decode(sj.recorded("subagents"))
    roots = {event.tool_use_id for event in events if isinstance(event, ToolCalled) and event.name == "Task"}
    assert len(roots) == 2
    inner = [event for event in events if isinstance(event, ToolCalled) and event.name == "Bash"]
    assert {event.parent for event in inner} == roots
    spoken = {event.parent for event in events if isinstance(event, TextDelta)}
    assert spoken == {None, *roots}
    assert "sub task A" not in sj.said(events).split("Subagent")[0]


def test_a_result_between_two_blocks_does_not_end_their_message() -> None:
    """The CLI starts a tool while the model still writes: the message is over when its stream says so, not before."""
    events, _ = sj.decode(sj.recorded("early-result"))
    first = next(event.message_id for event in events if isinstance(event, MessageStarted))
    over = events.index(MessageFinished(first))
    of_first = [i for i, event in enumerate(events) if getattr(event, "message_id", None) == first]
    assert max(of_first) == over
    result = next(i for i, event in enumerate(events) if isinstance(event, ToolFinished))
    assert result < over  # this is what the recording is about


def test_work_in_the_background_brings_a_second_result() -> None:
    """The second `result` takes the place of the first, and the state says when no turn is owed any more."""
    decoder = Decoder()
    ends: list[tuple[bool, bool | None]] = []
    for line in sj.recorded("background"):
        decoder.feed(line)
        if json.loads(line)["type"] == "result" or b"session_state_changed" in line:
            ends.append((decoder.result is not None, decoder.idle))
    assert ends == [(False, False), (True, False), (True, True), (True, False), (True, False), (True, True)]


def test_usage_counts_all_turns_of_a_run() -> None:
    """Two `result`s: the usage is that of both turns (the CLI's own `modelUsage`), not that of the last alone."""
    _, decoder = sj.decode(sj.recorded("background"))
    assert isinstance(decoder.result, RunFinished)
    total = Usage(input_tokens=2744, output_tokens=130, cache_read_tokens=24738, cache_creation_tokens=9847)
    assert decoder.result.usage == total


def test_usage_counts_subagents() -> None:
    """What subagents used is part of the run's usage."""
    _, decoder = sj.decode(sj.recorded("subagents"))
    assert isinstance(decoder.result, RunFinished)
    total = Usage(input_tokens=7626, output_tokens=338, cache_read_tokens=28915, cache_creation_tokens=22374)
    assert decoder.result.usage == total


def test_an_answer_at_the_token_limit_has_the_reason_length() -> None:
    """The model stops at its limit every time: what it said is the answer, `length` says why there is no more."""
    events, decoder = sj.decode(sj.recorded("token-limit"))
    assert isinstance(decoder.result, RunFinished)
    assert decoder.result.finish_reason == "length"
    assert "API Error" not in sj.said(events)


def test_an_answer_that_was_stopped_for_safety_has_the_reason_content_filter() -> None:
    """A refusal that stands is the end of an answer, not a failure of the API."""
    events, decoder = sj.decode(sj.recorded("refusal"))
    assert isinstance(decoder.result, RunFinished)
    assert decoder.result.finish_reason == "content_filter"
    assert "safeguards" not in sj.said(events)


def test_an_answer_that_was_taken_up_again_is_noted() -> None:
    """The CLI's own prompt to go on is no tool result and no text: it is a notice."""
    events, decoder = sj.decode(sj.recorded("resumed"))
    assert [event.kind for event in events if isinstance(event, Notice)] == ["resumed"]
    assert isinstance(decoder.result, RunFinished)
    assert sj.said(events).startswith("The first text came whole.")
    assert sj.said(events).endswith("The rest came at attempt 2.")


def test_retries_of_the_api_are_notices() -> None:
    """Each names the reason, its number and the wait."""
    events, decoder = sj.decode(sj.recorded("overloaded"))
    notices = [event.message for event in events if isinstance(event, Notice)]
    assert len(notices) == 2
    assert "overloaded (529)" in notices[0]
    assert re.search(r"retry 1 of 10 in 0\.\d s", notices[0])
    assert re.search(r"retry 2 of 10 in \d\.\d s", notices[1])
    assert isinstance(decoder.result, RunFinished)


def test_a_stored_login_may_renew_itself_once() -> None:
    """Without a credential in the environment the first 401 may only mean that the CLI has to renew its token."""
    decoder = Decoder(fixed_credential=False)
    lines = sj.encoded([sj.api_retry(401, attempt=1), sj.api_retry(401, attempt=2)])
    assert [event.kind for event in decoder.feed(lines[0]) if isinstance(event, Notice)] == ["api_retry"]
    assert decoder.feed(lines[1]) == []
    assert isinstance(decoder.result, RunFailed)
    assert isinstance(decoder.result.error, NotSignedIn)


def test_a_refused_sign_in_is_final_at_the_first_refusal() -> None:
    """The CLI would go on for minutes; the decoder does not wait for its `result`."""
    decoder = Decoder()
    for line in sj.recorded("unauthenticated"):
        decoder.feed(line)
        if b"api_retry" in line:
            break
    assert isinstance(decoder.result, RunFailed)
    assert isinstance(decoder.result.error, NotSignedIn)
    assert "claude auth login" in (decoder.result.error.hint or "")


# --- by hand


def test_messages_without_tokens_are_taken_whole() -> None:
    """Without partial messages (another version, a subagent) the whole message is all there is."""
    lines = [
        sj.init(),
        sj.assistant("m1", sj.thinking("hm"), sj.text("one"), sj.tool_use("t1", command="ls")),
        sj.tool_result("t1", "a\nb"),
        sj.assistant("m2", sj.text("two")),
        sj.result(),
    ]
    events, _ = sj.decode(sj.encoded(lines))
    assert events[1:-1] == [
        MessageStarted("m1"),
        ThinkingDelta("m1", "hm"),
        TextDelta("m1", "one", block=1),
        ToolCalled("t1", "Bash", {"command": "ls"}, "m1"),
        MessageFinished("m1"),
        ToolFinished("t1", "a\nb"),
        MessageStarted("m2"),
        TextDelta("m2", "two"),
        MessageFinished("m2"),
    ]


def test_a_whole_message_in_several_lines_is_one_message() -> None:
    """The CLI prints a line per block, with the message's id on each."""
    lines = [
        sj.assistant("m1", sj.text("one ")),
        sj.assistant("m1", sj.text("two")),
        sj.assistant("m1", sj.tool_use("t1")),
        sj.assistant("m1", sj.tool_use("t1")),  # said again
    ]
    events, _ = sj.decode(sj.encoded(lines))
    assert sum(isinstance(event, MessageStarted) for event in events) == 1
    assert sj.said(events) == "one two"
    assert sum(isinstance(event, ToolCalled) for event in events) == 1


def test_what_the_tokens_left_out_is_taken_from_the_whole_block() -> None:
    """A block whose tokens stopped early (or never came) is completed when it is said whole."""
    lines = [
        sj.message_start("m1"),
        sj.block_start(0, sj.text("")),
        sj.text_delta(0, "Hel"),
        sj.assistant("m1", sj.text("Hello")),
        sj.block_stop(0),
        sj.block_start(1, sj.text("")),
        sj.assistant("m1", sj.text(" world")),
        sj.block_stop(1),
        sj.message_stop(),
    ]
    events, _ = sj.decode(sj.encoded(lines))
    assert sj.said(events) == "Hello world"


@given(
    st.lists(
        st.one_of(
            st.text(min_size=1, max_size=30).map(sj.text),
            st.text(min_size=1, max_size=30).map(sj.thinking),
            st.text(max_size=10).map(lambda command: sj.tool_use("t", command=command)),
        ),
        max_size=6,
    )
)
def test_streamed_and_whole_say_the_same(blocks: list[dict[str, Any]]) -> None:
    """Any message means the same with tokens and without."""
    named = [block | {"id": f"t{i}"} if block["type"] == "tool_use" else block for i, block in enumerate(blocks)]
    streamed, _ = sj.decode(sj.encoded(sj.streamed("m1", *named)))
    whole, _ = sj.decode(sj.encoded([sj.assistant("m1", *named), sj.message_start("m2")]))
    assert sj.said(streamed) == sj.said(whole) == "".join(b["text"] for b in named if b["type"] == "text")
    assert sj.thought(streamed) == sj.thought(whole)
    calls = [event for event in whole if isinstance(event, ToolCalled)]
    assert [event for event in streamed if isinstance(event, ToolCalled)] == calls


def test_the_init_message_of_a_later_turn_starts_no_run() -> None:
    """It is said again at every turn; a run starts once."""
    events, decoder = sj.decode(sj.encoded([sj.init("a"), sj.init("a")]))
    assert events == [RunStarted("a", sj.MODEL)]
    assert decoder.session_id == "a"


@pytest.mark.parametrize(
    "line",
    [
        {"type": "telemetry", "anything": 1},
        {"type": "system", "subtype": "unheard_of"},
        {"type": "system"},
        {"type": "control_response", "response": {"subtype": "success"}},
        {"type": "stream_event", "event": {"type": "ping"}},
        {"type": "stream_event", "event": {"type": "unheard_of"}},
        {"type": None},
        {},
        sj.message_start("m") | {"unknown": "field"},
    ],
)
def test_unknown_types_are_skipped(line: dict[str, Any]) -> None:
    """A newer CLI says more; nothing of it ends a run."""
    events, decoder = sj.decode(sj.encoded([line]))
    assert [event for event in events if not isinstance(event, MessageStarted)] == []
    assert decoder.result is None


@pytest.mark.parametrize("block", [{"type": "server_tool_use", "id": "s"}, {"type": "redacted_thinking", "data": "x"}])
def test_unknown_blocks_are_skipped(block: dict[str, Any]) -> None:
    """A block of a kind that no event stands for adds nothing, streamed or whole."""
    lines = [sj.message_start("m"), sj.block_start(0, block), sj.assistant("m", block), sj.block_stop(0)]
    lines += [sj.block_start(1, sj.text("")), sj.text_delta(1, "after"), sj.message_stop()]
    events, _ = sj.decode(sj.encoded(lines))
    assert events == [MessageStarted("m"), TextDelta("m", "after", block=1), MessageFinished("m")]


@pytest.mark.parametrize(
    "line", [b"{", b'{"type":', b'{"type":"assistant"} trailing', b"{'type': 'result'}", b'{"a":"\xff"}']
)
def test_a_line_that_starts_as_json_and_is_none_is_a_failure(line: bytes) -> None:
    """It may have been a piece of the answer: better a clear failure than a hole in the answer."""
    with pytest.raises(ClaudeFailed, match="does not understand"):
        Decoder().feed(line)


@pytest.mark.parametrize("line", [b"", b"   ", b"[debug] hello", b"warning: something", b"\xff\xfe", b'"text"', b"[1]"])
def test_a_line_that_is_no_json_is_ignored(line: bytes) -> None:
    """What a wrapper or a library prints is no message."""
    assert Decoder().feed(line) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
TYPES = st.sampled_from(["stream_event", "assistant", "user", "system", "result", "other"])
EVENT = st.fixed_dictionaries(
    {"type": st.sampled_from(["message_start", "content_block_start", "content_block_delta", "message_stop"])},
    optional={
        "message": JSON | st.fixed_dictionaries({"id": JSON}),
        "index": JSON,
        "content_block": JSON
        | st.fixed_dictionaries({"type": st.sampled_from(["text", "tool_use"])}, optional={"id": JSON}),
        "delta": JSON
        | st.fixed_dictionaries({"type": st.sampled_from(["text_delta", "input_json_delta"])}, optional={"text": JSON}),
    },
)
BLOCK = JSON | st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "thinking", "tool_use", "tool_result"])},
    optional={"text": JSON, "id": JSON, "name": JSON, "input": JSON, "tool_use_id": JSON, "content": JSON},
)
MESSAGE = st.fixed_dictionaries(
    {"type": TYPES},
    optional={
        "event": JSON | EVENT,
        "message": JSON
        | st.fixed_dictionaries({"id": st.text(max_size=3), "content": JSON | st.lists(BLOCK, max_size=3)}),
        "subtype": st.sampled_from(["init", "api_retry", "session_state_changed", "success", "error"]),
        "parent_tool_use_id": JSON,
        "tool_use_result": JSON,
        "usage": JSON,
        "modelUsage": JSON,
        "error_status": JSON,
        "retry_delay_ms": JSON,
        "errors": JSON,
        "total_cost_usd": JSON,
        "num_turns": JSON,
        "is_error": st.booleans(),
    },
)


@given(st.lists(MESSAGE, min_size=1, max_size=4))
def test_no_json_of_any_shape_raises_anything_but_claude_failed(messages: list[dict[str, Any]]) -> None:
    """A message of an unexpected shape is skipped or is a `ClaudeFailed`; nothing else may come out of the decoder,
    since only a `ClaudeFailed` becomes the terminal event of its run.
    """
    decoder = Decoder()
    try:
        for line in sj.encoded(messages):
            decoder.feed(line)
    except ClaudeFailed:
        pass


def test_json_nested_too_deeply_is_a_failure() -> None:
    """The parser's own limit is met as any other malformed line is."""
    with pytest.raises(ClaudeFailed):
        Decoder().feed(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")


def test_the_last_synthetic_text_is_not_blamed_for_a_later_failure() -> None:
    """The CLI remarked on a cut and went on; a failure afterwards has its own reason."""
    lines = [
        sj.synthetic("API Error: Connection lost mid-response. The response above may be incomplete."),
        *sj.streamed("m1", sj.text("It went on.")),
        sj.result(subtype="error_during_execution", is_error=True, errors=["the disk is full"]),
    ]
    _, decoder = sj.decode(sj.encoded(lines))
    assert isinstance(decoder.result, RunFailed)
    assert "the disk is full" in decoder.result.error.message
    assert "Connection lost" not in decoder.result.error.message


def test_a_subscriptions_limit_says_when_it_ends() -> None:
    """The time to come back is the end of the limit, not the delay of the last retry."""
    info = {"status": "rejected", "resetsAt": time.time() + 90, "rateLimitType": "five_hour"}
    limit = {"type": "rate_limit_event", "rate_limit_info": info}
    lines = [sj.api_retry(429, delay_ms=500), limit, sj.result(is_error=True, api_error_status=429, result="limit")]
    _, decoder = sj.decode(sj.encoded(lines))
    assert isinstance(decoder.result, RunFailed)
    assert isinstance(decoder.result.error, RateLimited)
    assert 85 < (decoder.result.error.retry_after or 0) <= 91


@pytest.mark.parametrize(
    "info", [None, {}, {"status": "allowed", "resetsAt": 9e9}, {"status": "rejected"}, {"resetsAt": "x"}]
)
def test_a_limit_that_is_not_reached_changes_nothing(info: Any) -> None:
    """The CLI tells of its limits in passing, too."""
    events, decoder = sj.decode(sj.encoded([{"type": "rate_limit_event", "rate_limit_info": info}, sj.result()]))
    assert events == [decoder.result]
    assert isinstance(decoder.result, RunFinished)


def test_a_limit_of_the_caller_ends_with_the_reason_length() -> None:
    """`--max-turns` and a budget cut an answer as `max_tokens` does."""
    for subtype in ("error_max_turns", "error_max_budget_usd"):
        _, decoder = sj.decode(sj.encoded([sj.result(subtype=subtype, is_error=True)]))
        assert isinstance(decoder.result, RunFinished)
        assert decoder.result.finish_reason == "length"


def test_interleaved_subagents_keep_their_own_messages() -> None:
    """Tokens of two subagents and the top level in turns: each goes to the message of its own parent."""
    lines = [
        sj.message_start("m"), sj.message_start("a", "A"), sj.message_start("b", "B"),
        sj.block_start(0, sj.text("")), sj.block_start(0, sj.text(""), "A"), sj.block_start(0, sj.text(""), "B"),
        sj.text_delta(0, "a1", "A"), sj.text_delta(0, "m1"), sj.text_delta(0, "b1", "B"),
        sj.text_delta(0, "a2", "A"), sj.text_delta(0, "b2", "B"), sj.text_delta(0, "m2"),
    ]  # fmt: skip
    events, _ = sj.decode(sj.encoded(lines))
    texts: dict[tuple[str, str | None], str] = {}
    for event in events:
        if isinstance(event, TextDelta):
            texts[event.message_id, event.parent] = texts.get((event.message_id, event.parent), "") + event.text
    assert texts == {("m", None): "m1m2", ("a", "A"): "a1a2", ("b", "B"): "b1b2"}


@pytest.mark.parametrize("blank", ["", "\n\n"])
def test_blocks_that_are_not_said_whole_shift_nothing(blank: str) -> None:
    """The CLI says an empty or blank text block by tokens only; the text of the next one is still said once."""
    lines = [
        sj.message_start("m"),
        sj.block_start(0, {"type": "text", "text": ""}),
        *([sj.text_delta(0, blank)] if blank else []),
        sj.block_stop(0),
        sj.block_start(1, {"type": "text", "text": ""}),
        sj.text_delta(1, "Hello there."),
        sj.assistant("m", sj.text("Hello there.")),
        sj.block_stop(1),
        sj.message_stop(),
        sj.result(),
    ]
    events, _ = sj.decode(sj.encoded(lines))
    assert sj.said(events) == blank + "Hello there."


# --- who pays


@pytest.mark.parametrize(
    ("info", "billing"),
    [
        ({"status": "allowed", "isUsingOverage": False}, "subscription"),
        ({"status": "rejected", "resetsAt": 4102444800}, "subscription"),
        ({"status": "allowed", "isUsingOverage": True}, "api"),
    ],
)
def test_a_subscription_shows_by_its_limit(info: dict[str, Any], billing: str) -> None:
    """Only a subscription has one. What goes beyond it is paid for by the token."""
    _, decoder = sj.decode(sj.encoded([sj.init(), {"type": "rate_limit_event", "rate_limit_info": info}]))
    assert decoder.billing == billing


@pytest.mark.parametrize(
    ("source", "billing"),
    [("ANTHROPIC_API_KEY", "api"), ("apiKeyHelper", "api"), ("/login managed key", "api"), ("none", "")],
)
def test_a_key_is_said_at_every_turn(source: str, billing: str) -> None:
    """No key is no answer: a login, a bearer token and another provider all have none."""
    _, decoder = sj.decode(sj.encoded([{**sj.init(), "apiKeySource": source}]))
    assert decoder.billing == billing


def test_a_failure_after_a_first_result_has_the_numbers_of_both() -> None:
    """What was paid for before it stays paid for."""
    first, second = (
        sj.result(num_turns=2, total_cost_usd=0.5),
        sj.result(num_turns=1, is_error=True, result="API Error"),
    )
    _, decoder = sj.decode(sj.encoded([sj.init(), first, second]))
    assert isinstance(decoder.result, RunFailed)
    assert (decoder.result.turns, decoder.result.cost_usd) == (3, 0.5)
