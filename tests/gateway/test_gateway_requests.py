"""The Chat Completions request: what is accepted, what is refused and how, and what it means as a question."""

from __future__ import annotations

import contextlib
import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccapi.errors import InvalidRequest, SessionNotFound
from ccapi.gateway.question import Question, Turn
from ccapi.gateway.requests import ChatRequest, parse_chat

USER = {"role": "user", "content": "hello"}
PNG = "data:image/png;base64,iVBORw0KGgoAAAA="
IMAGE = {"type": "image_url", "image_url": {"url": PNG}}
SESSION = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f1"


def body(**members: Any) -> bytes:
    return json.dumps({"model": "sonnet", "messages": [USER], **members}).encode()


def parsed(**members: Any) -> ChatRequest:
    return parse_chat(body(**members))


def asked(*messages: dict[str, Any], **members: Any) -> Question:
    return parsed(**({"messages": list(messages)} if messages else {}), **members).question()


def refusal(request: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse_chat(request).question()
    return caught.value


def refused(**members: Any) -> InvalidRequest:
    return refusal(body(**members))


# --- accepted


def test_the_smallest_request() -> None:
    """A model and a user message; everything else is left to the policy and the gateway."""
    chat = parsed()
    assert chat.question() == Question(model="sonnet", turn="hello")
    assert (chat.model, bool(chat.stream), chat.include_usage) == ("sonnet", False, False)


def test_what_clients_send_always_is_accepted() -> None:
    """Also by null, empty or with the only value that there is; and what nobody knows yet."""
    nothing = dict.fromkeys(
        ("max_tokens", "n", "logprobs", "tools", "tool_choice", "functions", "function_call", "response_format",
         "store", "metadata", "user", "modalities", "audio", "prediction", "reasoning_effort", "stop", "seed", "stream",
         "stream_options", "transcript", "workspace", "allowed_tools", "disallowed_tools", "permission_mode",
         "max_turns", "max_budget_usd", "temperature"),
        None,
    )  # fmt: skip
    assert asked(**nothing) == asked()
    meaningless = {
        "n": 1, "logprobs": False, "top_logprobs": 0, "tools": [], "functions": [], "tool_choice": "auto",
        "function_call": "none", "modalities": ["text"], "response_format": {"type": "text"}, "store": True,
        "metadata": {"a": "b", "c": 1}, "something_of_tomorrow": {"a": 1}, "prompt_cache_key": "x",
    }  # fmt: skip
    assert asked(**meaningless) == asked()


@pytest.mark.parametrize(
    "name",
    [
        *("temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty"),
        *("seed", "stop", "logit_bias", "verbosity", "parallel_tool_calls", "service_tier", "web_search_options"),
    ],
)
@pytest.mark.parametrize("value", [0, 0.7, "x", ["a"], {"50256": -100}, False])
def test_what_has_no_effect_is_accepted_and_named(name: str, value: Any) -> None:
    """Clients send such parameters always; whoever set one on purpose can see that it did nothing."""
    assert asked(**{name: value}).ignored == (name,)
    assert asked(**{name: None}).ignored == ()


def test_ignored_parameters_are_named_in_one_order() -> None:
    """Whatever order the client has."""
    assert asked(seed=1, temperature=0, top_p=1).ignored == ("temperature", "top_p", "seed")


def test_the_parameters_of_a_run() -> None:
    """Each has its place in the question."""
    question = asked(
        max_completion_tokens=500, max_turns=3, max_budget_usd=0.25, reasoning_effort="high", transcript="text",
        workspace="project", allowed_tools=["Read", "Bash(git *)"], disallowed_tools=["mcp__github__*"],
        permission_mode="plan", user="anna",
    )  # fmt: skip
    assert question == Question(
        model="sonnet", turn="hello", max_output_tokens=500, max_turns=3, max_budget_usd=0.25, effort="high",
        transcript="text", workspace="project", tools=("Read", "Bash(git *)"), denied_tools=("mcp__github__*",),
        permission_mode="plan", user="anna",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("members", "field", "value"),
    [
        ({"max_tokens": 7}, "max_output_tokens", 7),
        ({"max_tokens": 7, "max_completion_tokens": 9}, "max_output_tokens", 9),
        ({"reasoning_effort": "minimal"}, "effort", "low"),
        ({"reasoning_effort": "none"}, "effort", "none"),
        ({"reasoning_effort": "xhigh"}, "effort", "xhigh"),
        ({"reasoning_effort": "max"}, "effort", "max"),
        ({"max_budget_usd": 2}, "max_budget_usd", 2.0),
        ({"allowed_tools": []}, "tools", ()),
        ({"allowed_tools": ["Read", "Read"]}, "tools", ("Read",)),
        ({"workspace": "."}, "workspace", "."),
        ({"safety_identifier": "b"}, "user", "b"),
        ({"user": "a", "safety_identifier": "b"}, "user", "a"),
        ({"user": ""}, "user", None),
        ({"metadata": {"session_id": SESSION}}, "session_id", SESSION),
        ({"metadata": {"session_id": SESSION.upper()}}, "session_id", SESSION),
        ({"metadata": {"session_id": ""}}, "session_id", None),
        ({"response_format": {"type": "json_object"}}, "json_schema", '{"type":"object"}'),
    ],
)
def test_what_a_parameter_means(members: dict[str, Any], field: str, value: Any) -> None:
    """Older names, OpenAI's words for what Claude Code calls otherwise, and empty values."""
    assert getattr(asked(**members), field) == value


def test_usage_in_the_stream_is_asked_for() -> None:
    """`stream_options.include_usage`; null options are none."""
    assert parsed(stream=True, stream_options={"include_usage": True}).include_usage
    assert not parsed(stream=True, stream_options={}).include_usage
    assert not parsed(stream=True, stream_options=None).include_usage


# --- the transcript, and the session


@pytest.mark.parametrize(
    ("model", "header", "body_says", "shown"),
    [
        ("sonnet", None, None, None),
        ("sonnet:final", None, None, "final"),
        ("sonnet:final", "text", None, "text"),
        ("sonnet", " Full ", None, "full"),
        ("sonnet:final", "text", "full", "full"),
        ("sonnet:full", None, "final", "final"),
    ],
)
def test_the_transcript_is_asked_for_in_three_ways(
    model: str, header: str | None, body_says: str | None, shown: str | None
) -> None:
    """The body wins over the header, and that over the model's suffix, which is no part of the model's name."""
    question = parsed(model=model, transcript=body_says).question(transcript=header)
    assert (question.model, question.transcript) == ("sonnet", shown)


def test_a_transcript_that_does_not_exist_is_refused() -> None:
    """In the header as in the body; the value is not repeated."""
    with pytest.raises(InvalidRequest) as caught:
        parsed().question(transcript="MARKER")
    assert caught.value.param == "X-CCAPI-Transcript"
    assert "MARKER" not in caught.value.message
    assert refused(transcript="MARKER").param == "transcript"


def test_the_session_is_named_by_the_header_or_in_the_metadata() -> None:
    """Both may, if they agree."""
    assert parsed().question(session_id=SESSION).session_id == SESSION
    assert parsed(metadata={"session_id": SESSION}).question(session_id=SESSION).session_id == SESSION
    with pytest.raises(InvalidRequest, match="different sessions"):
        parsed(metadata={"session_id": SESSION}).question(session_id=SESSION.replace("0", "1"))


@pytest.mark.parametrize(
    "name", ["x", "..", "../../x", "--resume", SESSION[:-1], f"{{{SESSION}}}", f"urn:uuid:{SESSION}", f"{SESSION}\n",
             SESSION.replace("-", ""), "\x00", "a" * 5000]
)  # fmt: skip
def test_what_is_no_session_id_is_no_session(name: str) -> None:
    """404, as for a well-formed id that is unknown: the CLI would look for a session with such a title."""
    for chat, header in ((parsed(metadata={"session_id": name}), None), (parsed(), name)):
        with pytest.raises(SessionNotFound) as caught:
            chat.question(session_id=header)
        assert name not in caught.value.message


# --- content


@pytest.mark.parametrize(
    "content", [[{"type": "text", "text": "hello"}], "hello", [{"type": "input_text", "text": "hello"}]]
)
def test_content_is_a_text_or_text_parts(content: Any) -> None:
    """Open WebUI sends parts, curl a string; the parts of Responses are understood as well."""
    assert asked({"role": "user", "content": content}).turn == "hello"


def test_parts_are_set_apart() -> None:
    """Two texts do not run into each other."""
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert asked({"role": "user", "content": parts}).turn == "one\n\ntwo"


def test_an_image_is_asked_about() -> None:
    """The parts in their order, as blocks of the Messages API; an image alone is a question, too."""
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG.partition(",")[2]}}
    text = {"type": "text", "text": "What is this?"}
    assert asked({"role": "user", "content": [text, IMAGE]}).turn == [text, image]
    assert asked({"role": "user", "content": [IMAGE, {"type": "text", "text": " "}]}).turn == [image]


def test_system_and_developer_messages_are_the_system_prompt() -> None:
    """Wherever they stand; they are no part of the conversation."""
    first, second = {"role": "system", "content": "first"}, {"role": "developer", "content": "second"}
    question = asked(
        first, USER, {"role": "assistant", "content": "hi"}, second, USER, {"role": "system", "content": ""}
    )
    assert question.system == "first\n\nsecond"
    assert question.turn == "hello"
    assert [turn.role for turn in question.history] == ["user", "assistant"]


@pytest.mark.parametrize("content", ["", " \n", None, []])
def test_a_system_message_that_says_nothing_is_none(content: Any) -> None:
    """No empty system prompt, which would be another set of options."""
    assert asked({"role": "system", "content": content}, USER).system is None


@given(st.text(min_size=1).filter(str.strip))
def test_a_single_prompt_is_passed_on_untouched(prompt: str) -> None:
    """No trimming, no template around it."""
    assert asked({"role": "user", "content": prompt}).turn == prompt


def test_what_was_said_before_is_the_history() -> None:
    """In order, with the roles, with images; also what other models left in it."""
    question = asked(
        {"role": "user", "content": [{"type": "text", "text": "weather?"}, IMAGE]},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "w", "arguments": '{"c": 1}'}}]},
        {"role": "tool", "tool_call_id": "1", "content": "rain"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "I won't."}]},
        {"role": "assistant", "content": None, "refusal": "Never."},
        {"role": "assistant", "content": "So", "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "done"},
        {"role": "assistant"},
        {"role": "user", "content": "and now?"},
    )
    said = [(turn.role, turn.text, len(turn.attachments)) for turn in question.history]
    assert said == [
        ("user", "weather?", 1),
        ("assistant", '[called w({"c": 1})]', 0),
        ("tool", "rain", 0),
        ("assistant", "I won't.", 0),
        ("assistant", "Never.", 0),
        ("assistant", "So\n\n[called f({})]", 0),
        ("tool", "done", 0),
        ("assistant", "", 0),
    ]
    assert question.turn == "and now?"


def test_a_question_becomes_the_same_turn_of_the_history() -> None:
    """What was asked is told in the next request; both must be known for the same, so they are made the same way."""
    parts = [{"type": "text", "text": "a"}, IMAGE, {"type": "text", "text": "b"}, {"type": "text", "text": ""}]
    now = asked({"role": "user", "content": parts})
    later = asked({"role": "user", "content": parts}, {"role": "assistant", "content": "x"}, USER).history[0]
    texts = [block["text"] for block in now.turn if isinstance(block, dict) and block["type"] == "text"]
    assert later == Turn("user", "\n\n".join(texts), (now.turn[1],))  # type: ignore[arg-type] # blocks, not a text


# --- refused


@pytest.mark.parametrize(
    "request_",
    [
        b"", b"{", b"hello", b'{"model": "sonnet",}', b"\xff\xfe{}", b"\xff", b'{"model": "\xe9"}',
        b'{"messages": [' * 1000, b"[" * 200_000, b'{"a":' * 200_000, b"1" * 5000, b'{"temperature": NaN}',
        b'{"max_budget_usd": Infinity}', b'{"max_budget_usd": -Infinity}', '{"model": 1}'.encode("utf-16"),
    ],
)  # fmt: skip
def test_malformed_json(request_: bytes) -> None:
    """No field is at fault; no limit of the parser comes out as anything else."""
    error = refusal(request_)
    assert (error.status, error.param) == (400, None)
    assert "JSON" in error.message


@pytest.mark.parametrize("document", [[], "text", 5, None, True])
def test_a_body_that_is_no_object(document: Any) -> None:
    """Valid JSON is not enough."""
    assert refusal(json.dumps(document).encode()).message == "The body must be a JSON object"


HUGE = 10**400

OUT_OF_RANGE: dict[str, list[Any]] = {
    "n": [0, 2, "1", True, 1.0, [1]],
    "logprobs": [True, 5, 0],
    "max_turns": [0, -1, True, 1.5, "3", HUGE, [], 1e3],
    "max_budget_usd": [0, -1, True, "1", HUGE, 1e300, {}],
    "max_tokens": [0, -1, True, 1.5, "3", HUGE],
    "reasoning_effort": ["", "extreme", "HIGH", 1, True],
    "workspace": ["", "..", "../x", "/etc", "a/b", ".git", "-x", "a\0b", 5, "é"],
    "permission_mode": ["", "yolo", "auto", "BypassPermissions", 1, ["plan"]],
}

WRONG: list[tuple[dict[str, Any], str]] = [
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
    ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "messages[0].content[0].type"),
    ({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]},
     "messages[0].content[0].type"),
    ({"messages": [{"role": "system", "content": [IMAGE]}, USER]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [IMAGE] * 21}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [IMAGE] * 20}] * 6}, "messages"),
    ({"stream": "yes"}, "stream"),
    ({"stream": 1}, "stream"),
    ({"stream_options": "usage"}, "stream_options"),
    ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
    ({"top_logprobs": 3}, "top_logprobs"),
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
    ({"tools": "all"}, "tools"),
    ({"functions": [{"name": "f"}]}, "functions"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
    ({"function_call": {"name": "f"}}, "function_call"),
    ({"audio": {"voice": "alloy", "format": "wav"}}, "audio"),
    ({"modalities": ["text", "audio"]}, "modalities[1]"),
    ({"prediction": {"type": "content", "content": "x"}}, "prediction"),
    *(({name: value}, name) for name, values in OUT_OF_RANGE.items() for value in values),
    ({"max_completion_tokens": 0}, "max_completion_tokens"),
    ({"transcript": "all"}, "transcript"),
    ({"transcript": True}, "transcript"),
    ({"allowed_tools": "Read"}, "allowed_tools"),
    ({"allowed_tools": ["Read", 5]}, "allowed_tools[1]"),
    ({"allowed_tools": ["Read"] * 201}, "allowed_tools"),
    ({"disallowed_tools": ["-x"]}, "disallowed_tools[0]"),
    ({"metadata": []}, "metadata"),
    ({"metadata": {"session_id": 5}}, "metadata.session_id"),
    ({"user": 5}, "user"),
    ({"user": "x" * 513}, "user"),
    ({"store": "yes"}, "store"),
    ({"response_format": "json"}, "response_format"),
    ({"response_format": {}}, "response_format.type"),
    ({"response_format": {"type": "xml"}}, "response_format.type"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "response_format.json_schema.schema"),
    ({"response_format": {"type": "json_schema", "json_schema": {"schema": []}}}, "response_format.json_schema.schema"),
    ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "array"}}}},
     "response_format.json_schema.schema"),
]  # fmt: skip


@pytest.mark.parametrize(("members", "param"), WRONG)
def test_a_wrong_value_names_its_field(members: dict[str, Any], param: str) -> None:
    """`param` and the message, as a client would write the path; 400."""
    error = refused(**members)
    assert error.param == param
    assert f"'{param.partition('[1]')[0] if param.startswith('modalities') else param}'" in error.message
    assert (error.status, error.type) == (400, "invalid_request_error")


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" * 4000])
def test_numbers_beyond_all_bounds(number: str) -> None:
    """JSON allows them; they are out of range, and no more than that."""
    for name in ("max_budget_usd", "max_turns", "max_tokens"):
        request_ = f'{{"model": "sonnet", "messages": [{json.dumps(USER)}], "{name}": {number}}}'
        assert refusal(request_.encode()).param == name


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_a_missing_field_is_named(missing: str) -> None:
    """What must be there."""
    document = json.loads(body())
    del document[missing]
    assert refusal(json.dumps(document).encode()).param == missing


def test_functions_of_the_client_are_refused_with_the_reason() -> None:
    """Executed tools are never handed back; a client that waits for a call must know that none comes."""
    assert "Claude Code uses tools of its own" in refused(tools=[{"type": "function"}]).message


RULES = ["Read", "Bash", "Bash(git *)", "Bash(git log --oneline:*)", "WebFetch(domain:example.com)", "Read(//etc/**)",
         "mcp__github", "mcp__github__get_me", "mcp__github__*", "mcp__my-server__do_it", "Agent(Explore)"]  # fmt: skip
NO_RULES = ["", " ", "-p", "--dangerously-skip-permissions", "Read,Write", "Bash(a,b)", "Bash(", "Bash)", "Bash()",
            "Bash(a)b", "Bash((a))", "Bash (a)", "Read\n", "Bash(a\nb)", "Bash(a\x00b)", "Bash(a\u2028b)", "*",
            "mcp__*", "mcp__a__*x", "1x", "é", "Bash(git\\)", "a" * 300, "Read Write", "$(id)", "Read=1"]  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ["allowed_tools", "disallowed_tools"])
def test_names_of_tools_and_rules(name: str, rule: str) -> None:
    """As Claude Code has them."""
    question = asked(**{name: [rule]})
    assert rule in (question.tools or question.denied_tools)


@pytest.mark.parametrize("rule", NO_RULES)
@pytest.mark.parametrize("name", ["allowed_tools", "disallowed_tools"])
def test_what_is_no_rule_is_refused(name: str, rule: str) -> None:
    """Nothing becomes a flag, ends its list, or adds another tool to it; the place is named, the value not repeated."""
    error = refused(**{name: ["Read", rule]})
    assert error.param == f"{name}[1]"
    assert len(rule) < 3 or rule == "Bash" or f" {rule} " not in f" {error.message} "


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": "s"}],
        [{"role": "assistant", "content": "a"}],
        [USER, {"role": "assistant", "content": "a"}],
        [USER, {"role": "tool", "content": "a"}],
        [{"role": "user", "content": ""}],
        [{"role": "user", "content": " \n"}],
        [{"role": "user"}],
        [{"role": "user", "content": [{"type": "text", "text": " "}]}],
        [USER, {"role": "user", "content": None}],
    ],
)
def test_there_must_be_a_question(messages: list[dict[str, Any]]) -> None:
    """No user message, or nothing in the last one."""
    error = refused(messages=messages)
    assert error.param == "messages"
    assert "user message" in error.message


# --- hostile


@pytest.mark.parametrize(
    "text", ['"\\ud800"', '"a\\udfffb"', '"\\uD83D"', '"\\uDE00\\uD83D"', '{"\\ud800": 1}', '[["\\udc00"]]']
)
@pytest.mark.parametrize("where", ["model", "user", "unknown", "stop"])
def test_half_of_a_surrogate_pair_is_refused(where: str, text: str) -> None:
    """JSON can say it, and no encoder further on could: 400 here, wherever it stands, and no crash there."""
    request_ = f'{{"model": "sonnet", "messages": [{json.dumps(USER)}], "{where}": {text}}}'
    assert refusal(request_.encode()).status == 400


def test_a_whole_surrogate_pair_is_a_character() -> None:
    """However it is escaped."""
    request_ = b'{"model": "sonnet", "messages": [{"role": "user", "content": "\\ud83d\\ude00 \\\\ud800"}]}'
    assert parse_chat(request_).question().turn == "😀 \\ud800"


@pytest.mark.parametrize("depth", [50, 900, 5_000])
@pytest.mark.parametrize("where", ["unknown", "metadata", "logit_bias", "response_format", "tools"])
def test_nesting_is_no_weapon(where: str, depth: int) -> None:
    """Deep documents are a question or a 400, wherever they stand."""
    deep = '{"a":' * depth + "1" + "}" * depth
    request_ = f'{{"model": "sonnet", "messages": [{json.dumps(USER)}], "{where}": {deep}}}'
    with contextlib.suppress(InvalidRequest):
        parse_chat(request_.encode()).question()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["role", "content", "type", "text", "url", "image_url", "file", "file_data", "schema",
                         "json_schema", "session_id", "properties", "$ref"]), inner),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(sorted(ChatRequest.model_fields)), JSON))
def test_no_document_raises_anything_else(document: dict[str, Any]) -> None:
    """Any JSON is a question or an `InvalidRequest` (or names a session that does not exist)."""
    with contextlib.suppress(InvalidRequest, SessionNotFound):
        parse_chat(body(**document)).question()


PARTS = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["text", "image_url", "input_image", "file", "input_file", "refusal", "input_audio"])},
        optional=dict.fromkeys(("text", "image_url", "file", "file_data", "file_url", "file_id", "filename"), JSON),
    ),
    max_size=3,
)


@given(
    st.lists(st.builds(dict, role=st.sampled_from(["user", "assistant", "tool", "system"]), content=PARTS), max_size=3)
)
def test_no_content_raises_anything_else(messages: list[dict[str, Any]]) -> None:
    """Whatever parts are made of."""
    with contextlib.suppress(InvalidRequest):
        parse_chat(body(messages=[*messages, USER])).question()


@pytest.mark.parametrize("where", ["content", "model", "role", "tools", "effort", "schema"])
def test_no_value_of_the_request_is_repeated(where: str) -> None:
    """Error messages end up in logs and pages: they name the field, never what was in it."""
    marker = "MARKER<script>"
    wrong: dict[str, dict[str, Any]] = {
        "content": {"messages": [{"role": "user", "content": [{"type": marker, "text": marker}]}]},
        "model": {"model": {"x": marker}},
        "role": {"messages": [{"role": marker, "content": marker}]},
        "tools": {"allowed_tools": [marker]},
        "effort": {"reasoning_effort": marker},
        "schema": {"response_format": {"type": "json_schema", "json_schema": {"schema": {marker: {}, "type": marker}}}},
    }
    assert "MARKER" not in refused(**wrong[where]).message


def test_every_field_of_the_question_can_be_asked_for_or_is_the_gateways() -> None:
    """A new field of `Question` is noticed here."""
    ours = {"model", "turn", "history", "system", "session_id", "workspace", "transcript", "tools", "denied_tools"}
    ours |= {"permission_mode", "effort", "max_turns", "max_budget_usd", "max_output_tokens", "json_schema", "user"}
    ours |= {"ignored", "persist"}
    assert {field.name for field in fields(Question)} == ours


def test_the_request_describes_itself() -> None:
    """For `/openapi.json`."""
    schema = ChatRequest.model_json_schema()
    assert set(schema["required"]) == {"model", "messages"}
    assert {"temperature", "workspace", "response_format"} <= set(schema["properties"])
