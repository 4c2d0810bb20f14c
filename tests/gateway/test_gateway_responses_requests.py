"""What `POST /v1/responses` takes, and what it means as a question."""

from __future__ import annotations

import base64
import json
import tracemalloc
from typing import Any

import pytest
from openai.types.responses import ResponseItem
from pydantic import TypeAdapter

from ccapi.errors import InvalidRequest
from ccapi.gateway.question import Question, Turn
from ccapi.gateway.responses_input import answer_text, kept
from ccapi.gateway.responses_request import ResponsesRequest, parse_responses

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
IMAGE = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
ASSISTANT: dict[str, Any] = {
    "id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
    "content": [{"type": "output_text", "text": "Hello.", "annotations": [], "logprobs": []}],
}  # fmt: skip
CALL: dict[str, Any] = {
    "id": "toolu_1", "type": "mcp_call", "server_label": "claude-code", "name": "Bash", "status": "completed",
    "arguments": '{"command": "ls"}', "output": "a\nb", "error": None, "approval_request_id": None,
}  # fmt: skip


def parsed(given: Any, **fields: Any) -> ResponsesRequest:
    return parse_responses(json.dumps({"model": "sonnet", "input": given, **fields}).encode())


def question(given: Any, **fields: Any) -> Question:
    return parsed(given, **fields).question()


def user(*parts: dict[str, Any] | str) -> dict[str, Any]:
    content = [{"type": "input_text", "text": part} if isinstance(part, str) else part for part in parts]
    return {"role": "user", "content": content}


def refused(given: Any, **fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        question(given, **fields)
    return caught.value


# --- input


def test_a_text_is_the_question() -> None:
    """The shortest request there is."""
    asked = question("Hello?")
    assert (asked.turn, asked.history, asked.system, asked.persist) == ("Hello?", (), None, True)


@pytest.mark.parametrize(
    "item",
    [
        {"role": "user", "content": "Hello?"},
        {"type": "message", "role": "user", "content": "Hello?"},
        user("Hello?"),
        {"id": "msg_9", "type": "message", "status": "completed", **user("Hello?")},
    ],
)
def test_the_forms_of_a_message(item: dict[str, Any]) -> None:
    """With a type or without, with parts or without."""
    assert question([item]).turn == "Hello?"


def test_images_and_files_are_blocks() -> None:
    """Beside the text, which stands first."""
    file = {"type": "input_file", "filename": "notes.txt", "file_data": base64.b64encode(b"one\ntwo").decode()}
    asked = question([user({"type": "input_image", "image_url": IMAGE, "detail": "auto"}, "What is it?", file)])
    assert isinstance(asked.turn, list)
    text, image, document = asked.turn
    assert text == {"type": "text", "text": "What is it?"}
    assert image["source"]["media_type"] == "image/png"
    assert document["source"]["data"] == "one\ntwo"


def test_an_image_alone_is_a_question() -> None:
    """Some clients send nothing else."""
    turn = question([user({"type": "input_image", "image_url": IMAGE})]).turn
    assert isinstance(turn, list)
    assert [block["type"] for block in turn] == ["image"]


@pytest.mark.parametrize("kind", ["input_image", "input_file"])
def test_files_that_were_uploaded_elsewhere_are_refused(kind: str) -> None:
    """There is no place where they could have been uploaded to."""
    error = refused([user("Look", {"type": kind, "file_id": "file-1"})])
    assert error.param == "input[0].content[1].file_id"


def test_instructions_and_system_messages_are_the_system_prompt() -> None:
    """In this order; none of them is a turn."""
    items = [{"role": "developer", "content": "Two."}, user("Hello?"), {"role": "system", "content": "Three."}]
    asked = question(items, instructions="One.")
    assert asked.system == "One.\n\nTwo.\n\nThree."
    assert asked.turn == "Hello?"


def test_what_came_before_the_question_is_the_history() -> None:
    """All that the user said since the last answer is one question."""
    items = [user("First."), ASSISTANT, {"type": "reasoning", "id": "rs_1", "summary": []}, user("A"), user("B")]
    asked = question(items)
    assert asked.history == (Turn("user", "First."), Turn("assistant", "Hello."))
    assert asked.turn == "A\n\nB"


def test_an_answer_that_comes_back_is_the_text_that_was_remembered() -> None:
    """With its tools and without its reasoning or what subagents did: by this the conversation is known again."""
    inner = {**CALL, "id": "toolu_2", "ccapi": {"parent": "toolu_1"}}
    failed = {**CALL, "id": "toolu_3", "output": None, "error": {"type": "x", "content": [{"text": "no such file"}]}}
    reasoning = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}
    output = [reasoning, ASSISTANT, CALL, inner, failed]
    asked = question([user("First."), *output, user("Second.")])
    told = "\n\n".join(turn.text for turn in asked.history[1:])
    assert told == answer_text(output)
    assert "**Bash** `ls`\n\n```\na\nb\n```" in told
    assert "no such file" in told
    assert told.count("**Bash**") == 2
    assert "hm" not in told


def test_what_another_model_called_is_told() -> None:
    """A history that began elsewhere."""
    items = [
        user("Weather?"),
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city": "Rome"}'},
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}},
        user("Thanks."),
    ]
    assert question(items).history[1:] == (
        Turn("assistant", '[called weather({"city": "Rome"})]'),
        Turn("tool", "sunny"),
    )


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ("", "input"),
        (" \n", "input"),
        ([], "input"),
        (7, "input"),
        ([ASSISTANT], "input"),
        ([user("Hello?"), ASSISTANT], "input"),
        ([{"role": "system", "content": "x"}], "input"),
        ([user("")], "input"),
        ([{"content": "x"}], "input[0].role"),
        ([{"role": "tool", "content": "x"}], "input[0].role"),
        ([{"type": "item_reference", "id": "msg_1"}, user("x")], "input[0].type"),
        ([{"type": "compaction", "id": "c", "encrypted_content": "x"}, user("x")], "input[0].type"),
        ([{"type": "no_such_item"}, user("x")], "input[0].type"),
        ([user("x", {"type": "input_audio"})], "input[0].content[1].type"),
        ([user("x", {"type": "input_image"})], "input[0].content[1].image_url"),
        ([user("x", {"type": "input_image", "image_url": "http://x/y.png"})], "input[0].content[1].image_url"),
        ([{"role": "system", "content": [{"type": "input_image", "image_url": IMAGE}]}, user("x")], "input[0].content"),
    ],
)
def test_what_is_no_question_is_refused_and_named(given: Any, param: str) -> None:
    """The field at fault, as a path into the request."""
    assert refused(given).param == param


@pytest.mark.parametrize("depth", [300, 900])
@pytest.mark.parametrize("kind", ["mcp_call", "function_call_output", "reasoning", "custom_tool_call"])
def test_what_is_nested_without_end_is_refused(kind: str, depth: int) -> None:
    """Nothing that could be told, or kept, gets that deep."""
    nested: Any = None
    for _ in range(depth):
        nested = [nested]
    request = parsed(
        [{"type": kind, "id": "x", "name": "f", "arguments": nested, "output": nested, "z": nested}, user("x")]
    )
    with pytest.raises(InvalidRequest) as caught:
        kept([*request.input] if request.question() else [])
    assert str(caught.value.param).startswith("input")


@pytest.mark.parametrize("output", [[7], [{"type": 7}], [{"type": "input_text", "text": 7}], [[]]])
def test_an_output_of_another_form_is_refused(output: Any) -> None:
    """With its place."""
    error = refused([{"type": "function_call_output", "call_id": "c", "output": output}, user("x")])
    assert error.param == "input[0].output"


# --- the other fields


def test_the_fields_that_mean_something() -> None:
    """Each becomes what Claude Code knows."""
    asked = question(
        "Hello?", model="opus:text", reasoning={"effort": "minimal", "summary": "auto"}, max_output_tokens=100,
        max_turns=3, max_budget_usd=0.5, allowed_tools=["Read"], workspace="one", permission_mode="plan",
        text={"format": {"type": "json_schema", "name": "n", "strict": True, "schema": SCHEMA}}, store=False, user="me",
    )  # fmt: skip
    assert (asked.model, asked.transcript, asked.effort, asked.max_output_tokens) == ("opus", "text", "low", 100)
    assert (asked.max_turns, asked.max_budget_usd, asked.tools, asked.workspace) == (3, 0.5, ("Read",), "one")
    assert (asked.permission_mode, asked.persist, asked.user) == ("plan", False, "me")
    assert json.loads(asked.json_schema or "") == SCHEMA


def test_what_means_nothing_is_named() -> None:
    """For the header; a client that sets it should know."""
    fields = {"temperature": 0.1, "top_p": 1, "max_tool_calls": 3, "include": ["reasoning.encrypted_content"]}
    request = parsed("Hello?", text={"verbosity": "low"}, **fields)
    named = request.ignored(request.question())
    assert set(named) == {"temperature", "top_p", "max_tool_calls", "include", "text.verbosity"}


def test_unknown_fields_are_accepted() -> None:
    """Clients are newer than gateways."""
    fields = {"prompt_cache_key": "x", "truncation": "auto", "stream_options": {"include_obfuscation": False}}
    assert question("Hello?", invented=True, **fields).turn == "Hello?"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "function", "name": "f", "parameters": {}}]}, "tools"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "name": "f"}}, "tool_choice"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"include": ["message.output_text.logprobs"]}, "include[0]"),
        ({"include": ["web_search_call.results", "everything"]}, "include[1]"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"background": True, "store": False}, "background"),
        ({"previous_response_id": "resp_1", "conversation": "conv_1"}, "previous_response_id"),
        (
            {"conversation": {"id": "c"}, "metadata": {"session_id": "0b1f0cf5-8e0f-4c42-b9f6-0a2c2f6f0a11"}},
            "conversation",
        ),
        ({"metadata": {"n": 1}}, "metadata.n"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": "9"}, "max_output_tokens"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema"),
        ({"text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "array"}}}}, "text.format.schema"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type"),
        ({"reasoning": {"effort": "heroic"}}, "reasoning.effort"),
        ({"model": None}, "model"),
    ],
)
def test_what_cannot_be_done_is_refused_and_named(fields: dict[str, Any], param: str) -> None:
    """Never done by half, and never silently not done."""
    assert refused("Hello?", **fields).param == param


def test_tools_that_are_none_are_no_tools() -> None:
    """Some clients always send the field."""
    assert question("Hello?", tools=[], tool_choice="auto", top_logprobs=0, include=[]).turn == "Hello?"


# --- what is kept of the input


def test_items_are_listed_as_the_sdk_reads_them() -> None:
    """With ids; what was sent as data is not kept."""
    items = [
        {"role": "developer", "content": "Be short."}, ASSISTANT, CALL,
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": None},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "x"},
        user("Look", {"type": "input_image", "image_url": IMAGE}, {"type": "input_image", "image_url": "https://x/y"},
             {"type": "input_file", "filename": "a.txt", "file_data": "b25l"}),
    ]  # fmt: skip
    listed = kept(parsed(items).input)
    adapter: TypeAdapter[Any] = TypeAdapter(ResponseItem)
    for item in listed:
        assert adapter.validate_python(item).id
    assert [item["type"] for item in listed] == [
        "message", "message", "mcp_call", "reasoning", "function_call", "function_call_output", "message"
    ]  # fmt: skip
    assert [part.get("image_url") for part in listed[-1]["content"]] == [None, None, "https://x/y", None]
    assert "base64" not in json.dumps(listed)
    assert "b25l" not in json.dumps(listed)


def test_a_text_is_listed_as_a_message() -> None:
    """As OpenAI does."""
    (item,) = kept("Hello?")
    assert item["role"] == "user"
    assert item["content"] == [{"type": "input_text", "text": "Hello?"}]


MANY = 200_000


@pytest.mark.parametrize(
    "fields",
    [
        {"input": [1] * MANY},
        {"input": [{"role": "user", "content": [1] * MANY}]},
        {"input": [{"role": "user", "content": "x"}] * MANY},
        {"input": "x", "include": ["x"] * MANY},
        {"input": "x", "metadata": {str(number): "x" for number in range(MANY)}},
        {"input": "x", "allowed_tools": [1] * MANY},
    ],
    ids=["items", "parts", "valid items", "include", "metadata", "tools"],
)
def test_a_mistake_is_not_told_a_thousand_times(fields: dict[str, object]) -> None:
    """One complaint of one mistake, however many there are: otherwise a small body takes gigabytes."""
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest):
            parse_responses(json.dumps({"model": "sonnet", **fields}).encode())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 150_000_000
