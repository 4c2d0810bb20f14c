"""The Chat Completions request: what is accepted, what is refused and how, and what it means as a question."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccapi.errors import InvalidRequest
from ccapi.gateway.requests import ChatRequest, parse_chat

USER = {"role": "user", "content": "hello"}


def parsed(**fields: Any) -> ChatRequest:
    return parse_chat(json.dumps({"model": "sonnet", "messages": [USER], **fields}).encode())


def refusal(body: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse_chat(body).prompt()
    return caught.value


def refused(**fields: Any) -> InvalidRequest:
    return refusal(json.dumps({"model": "sonnet", "messages": [USER], **fields}).encode())


# --- accepted


def test_the_smallest_request() -> None:
    """A model and a user message."""
    chat = parsed()
    assert (chat.model, chat.prompt(), chat.system(), bool(chat.stream), chat.include_usage) == (
        "sonnet",
        "hello",
        None,
        False,
        False,
    )


def test_parameters_that_mean_nothing_to_an_agent_are_accepted() -> None:
    """Clients send them always; refusing them would break every client."""
    chat = parsed(
        temperature=0.7, top_p=1, max_tokens=100, max_completion_tokens=5, user="me", stop=["x"], seed=1, tools=[],
        presence_penalty=0, frequency_penalty=0, logit_bias={}, response_format={"type": "text"}, n=1, metadata={},
        parallel_tool_calls=True, reasoning_effort="low", store=False, service_tier="auto", logprobs=False,
        something_of_tomorrow={"a": 1},
    )  # fmt: skip
    assert chat.prompt() == "hello"


@pytest.mark.parametrize("content", [[{"type": "text", "text": "hello"}], "hello"])
def test_content_is_a_text_or_text_parts(content: Any) -> None:
    """Open WebUI sends parts, curl a string."""
    assert parsed(messages=[{"role": "user", "content": content}]).prompt() == "hello"


def test_parts_are_set_apart() -> None:
    """Two texts do not run into each other."""
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert parsed(messages=[{"role": "user", "content": parts}]).prompt() == "one\n\ntwo"


def test_system_and_developer_messages_are_the_system_prompt() -> None:
    """Wherever they stand; they are no part of the question."""
    messages = [{"role": "system", "content": "first"}, USER, {"role": "developer", "content": "second"}]
    assert parsed(messages=messages).system() == "first\n\nsecond"
    assert parsed(messages=[messages[0], messages[2], USER]).prompt() == "hello"


def test_usage_in_the_stream_is_asked_for() -> None:
    """`stream_options.include_usage`; null options are none."""
    assert parsed(stream=True, stream_options={"include_usage": True}).include_usage
    assert not parsed(stream=True, stream_options={}).include_usage
    assert not parsed(stream=True, stream_options=None).include_usage


@given(st.text(min_size=1).filter(str.strip))
def test_a_single_prompt_is_passed_on_untouched(prompt: str) -> None:
    """No trimming, no template around it."""
    assert parsed(messages=[{"role": "user", "content": prompt}]).prompt() == prompt


def test_the_conversation_so_far_is_replayed_before_the_question() -> None:
    """In order, with the roles, whole; the question itself comes last and as it is."""
    messages = [
        {"role": "user", "content": "first question"},
        {"role": "assistant", "content": "first answer"},
        {"role": "user", "content": "second question"},
        {"role": "assistant", "content": None},
        {"role": "user", "content": "third question"},
    ]
    prompt = parsed(messages=messages).prompt()
    texts = ["user", "first question", "assistant", "first answer", "user", "second question", "assistant"]
    places, at = [], 0
    for text in texts:
        at = prompt.index(text, at)
        places.append(at)
    assert places == sorted(places)
    assert prompt.endswith("\n\nthird question")


def test_no_history_is_no_replay() -> None:
    """A first question is not wrapped in anything."""
    assert parsed(messages=[{"role": "system", "content": "s"}, USER]).prompt() == "hello"


# --- refused


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"hello",
        b'{"model": "sonnet",}',
        b"\xff\xfe{}",
        b'{"messages": [' * 1000,
        b"[" * 200_000,
        b"1" * 5000,
    ],
)
def test_malformed_json(body: bytes) -> None:
    """No field is at fault; no limit of the parser comes out as anything else."""
    error = refusal(body)
    assert (error.status, error.param) == (400, None)
    assert "JSON" in error.message


@pytest.mark.parametrize("document", [[], "text", 5, None, True])
def test_a_body_that_is_no_object(document: Any) -> None:
    """Valid JSON is not enough."""
    assert refusal(json.dumps(document).encode()).message == "The body must be a JSON object"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": 5}, "model"),
        ({"model": ["sonnet"]}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": ["hello"]}, "messages[0]"),
        ({"messages": [USER, None]}, "messages[1]"),
        ({"messages": [{"content": "hello"}]}, "messages[0].role"),
        ({"messages": [{"role": "robot", "content": "hello"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": []}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"text": "a"}]}]}, "messages[0].content[0].type"),
        ({"stream": "yes"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"stream_options": "usage"}, "stream_options"),
        ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
        ({"n": 2}, "n"),
        ({"n": "1"}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
    ],
)
def test_a_wrong_value_names_its_field(fields: dict[str, Any], param: str) -> None:
    """`param` and the message, as a client would write the path; 400."""
    error = refused(**fields)
    assert error.param == param
    assert f"'{param}'" in error.message
    assert (error.status, error.type) == (400, "invalid_request_error")


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_a_missing_field_is_named(missing: str) -> None:
    """What must be there."""
    document = {"model": "sonnet", "messages": [USER]}
    del document[missing]
    assert refusal(json.dumps(document).encode()).param == missing


def test_an_image_is_refused_by_its_place() -> None:
    """It is not dropped silently: the answer would be about something else."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    error = refused(messages=[{"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]}])
    assert (error.param or "").startswith("messages[0].content[1]")


def test_functions_of_the_client_are_refused_with_the_reason() -> None:
    """Executed tools are never handed back; a client that waits for a call must know that none comes."""
    assert "Claude Code uses tools of its own" in refused(tools=[{"type": "function"}]).message


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": "s"}],
        [{"role": "assistant", "content": "a"}],
        [USER, {"role": "assistant", "content": "a"}],
        [{"role": "user", "content": ""}],
        [{"role": "user", "content": " \n"}],
        [{"role": "user"}],
        [USER, {"role": "user", "content": None}],
    ],
)
def test_there_must_be_a_question(messages: list[dict[str, Any]]) -> None:
    """No user message, or nothing in the last one."""
    error = refused(messages=messages)
    assert error.param == "messages"
    assert "user message" in error.message


FIELDS = st.sampled_from(["model", "messages", "stream", "n", "tools", "stream_options"])
INNER = st.sampled_from(["role", "content", "type", "text"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(INNER, inner),
    max_leaves=5,
)


@given(st.dictionaries(FIELDS, VALUES))
def test_no_document_raises_anything_else(document: dict[str, Any]) -> None:
    """Any JSON is a question or an `InvalidRequest`."""
    with contextlib.suppress(InvalidRequest):
        parse_chat(json.dumps(document).encode()).prompt()


@pytest.mark.parametrize("where", ["content", "model", "role"])
def test_no_value_of_the_request_is_repeated(where: str) -> None:
    """Error messages end up in logs and pages: they name the field, never what was in it."""
    marker = "MARKER<script>"
    wrong: dict[str, dict[str, Any]] = {
        "content": {"messages": [{"role": "user", "content": [{"type": marker, "text": marker}]}]},
        "model": {"model": {"x": marker}},
        "role": {"messages": [{"role": marker, "content": marker}]},
    }
    assert "MARKER" not in refused(**wrong[where]).message


def test_what_other_models_left_in_the_history_is_replayed() -> None:
    """A refusal and the calls of a client's functions are told as text; nulls count as not given."""
    history = [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "w", "arguments": '{"c": 1}'}}]},
        {"role": "tool", "tool_call_id": "1", "content": "rain"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "I won't."}]},
        {"role": "user", "content": "and now?"},
    ]
    document = {"model": "sonnet", "messages": history, "stream": None, "stream_options": {"include_usage": None}}
    chat = parse_chat(json.dumps(document).encode())
    assert not chat.stream
    assert not chat.include_usage
    for part in ('[called w({"c": 1})]', "rain", "I won't.", "and now?"):
        assert part in chat.prompt()
