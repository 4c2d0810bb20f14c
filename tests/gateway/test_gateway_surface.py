"""What a request can ask besides its question, with the real Claude Code and the real `openai` SDK."""

from __future__ import annotations

import base64
import json
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from pydantic import BaseModel, Field

from ccapi.commands import keys
from ccapi.paths import Home
from ccapi.wire.keys import Policy
from tests.gateway.conftest import Start
from tests.gateway.harness import Gateway, body, gateway
from tests.gateway.test_gateway_openai import sdk

BASH = """
[[turn]]
when.results = 0
step = [{ text = "Let me see. " }, { tool = "Bash", input.command = "pwd; touch made-here" }]

[[turn]]
step = [{ text = "It said: @{last_result}" }]
"""


class Person(BaseModel):
    name: str
    n: int = Field(ge=3)


@pytest.fixture(scope="module")
def structured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("structured"), "structured") as running:
        yield running


@pytest.fixture
def bash(tmp_path: Path, start: Start) -> Gateway:
    """A model that runs a command, and says what came of it."""
    (tmp_path / "bash.toml").write_text(BASH, "utf-8")
    return start(str(tmp_path / "bash.toml"))


def requests(running: Gateway) -> list[dict[str, Any]]:
    """What the model was asked, without what Claude Code asks on its own account."""
    assert running.model
    return [one for one in running.model.bodies if one.get("stream")]


def tools(running: Gateway) -> list[str]:
    """What the model was offered at first, without what holds the place of tools that come later."""
    names = [str(tool["name"]) for tool in requests(running)[0].get("tools", [])]
    return [name for name in names if name != "DeferredToolPlaceholder"]


# --- structured output


def test_the_sdk_parses_a_structured_output(structured: Gateway) -> None:
    """The first output does not fit the schema, the second does: only that one is the content."""
    with sdk(structured) as client:
        done = client.chat.completions.parse(
            model="sonnet", messages=[{"role": "user", "content": "a structure please"}], response_format=Person
        )
    assert done.choices[0].message.parsed == Person(name="Ada", n=7)
    assert done.choices[0].finish_reason == "stop"


def test_a_streamed_structured_output_is_the_same(structured: Gateway) -> None:
    """Nothing but the JSON, in the stream as well, and by the Responses API as well."""
    schema = {"type": "json_schema", "json_schema": {"name": "p", "schema": Person.model_json_schema()}}
    assert json.loads(structured.stream("a structure please", response_format=schema).content) == {
        "name": "Ada",
        "n": 7,
    }
    with sdk(structured) as client:
        parsed = client.responses.parse(model="sonnet", input="a structure please", text_format=Person)
    assert parsed.output_parsed == Person(name="Ada", n=7)


def test_a_model_that_gives_no_structure_is_an_error(structured: Gateway) -> None:
    """Text is no answer to a question for JSON."""
    response = structured.post(body("hello", response_format={"type": "json_object"}))
    assert (response.status_code, response.json()["error"]["code"]) == (502, "structured_output_failed")
    assert (structured.stream("hello", response_format={"type": "json_object"}).error or {})["code"] == (
        "structured_output_failed"
    )


# --- images and files


def png() -> str:
    """A picture of one black pixel, as a data URL."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    data = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(b"\0\0"))
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + data + chunk(b"IEND", b"")).decode()


def sent_blocks(running: Gateway) -> list[dict[str, Any]]:
    content = requests(running)[-1]["messages"][0]["content"]
    assert isinstance(content, list)
    return content


def test_an_image_and_a_text_file_reach_the_model(start: Start) -> None:
    """In both APIs, in the terms of the model's API."""
    running = start("chat")
    text = "data:text/plain;base64," + base64.b64encode(b"the text of the file").decode()
    with sdk(running) as client:
        client.chat.completions.create(
            model="sonnet",
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is this?"},
                        {"type": "image_url", "image_url": {"url": png()}},
                        {"type": "file", "file": {"filename": "notes.txt", "file_data": text}},
                    ],
                }
            ],
        )
        kinds = [block["type"] for block in sent_blocks(running)]
        assert "image" in kinds
        assert "the text of the file" in json.dumps(sent_blocks(running))
        client.responses.create(
            model="sonnet",
            input=[
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "And this?"},
                        {"type": "input_image", "image_url": png(), "detail": "auto"},
                    ],
                }
            ],
        )
    assert "image" in [block["type"] for block in sent_blocks(running)]


# --- limits


def test_a_limit_on_turns_ends_the_answer_with_length(bash: Gateway) -> None:
    """What was said up to there is the answer; it can be gone on with."""
    done = bash.chat("go", max_turns=1)
    assert done["choices"][0]["finish_reason"] == "length"
    assert done["choices"][0]["message"]["content"].startswith("Let me see.")
    again = bash.chat("go on", metadata={"session_id": done["session_id"]})
    assert again["session_id"] == done["session_id"]


def test_cost_turns_and_time_are_told(bash: Gateway) -> None:
    """In the last chunk as well, and each run's alone."""
    first = bash.chat("go")
    about = first["ccapi"]
    assert about["turns"] == 2
    assert about["cost_usd"] > 0
    assert about["duration_ms"] > 0
    assert first["usage"]["prompt_tokens_details"]["cached_tokens"] > 0
    streamed = bash.stream("go", metadata={"session_id": first["session_id"]}, stream_options={"include_usage": True})
    last = streamed.chunks[-1]
    assert last["usage"]["completion_tokens"] == first["usage"]["completion_tokens"]
    assert last["ccapi"]["turns"] == 2
    assert last["ccapi"]["cost_usd"] < 1.5 * about["cost_usd"]


def test_the_effort_reaches_the_model(start: Start) -> None:
    """In the model's own terms."""
    running = start("chat")
    running.chat("hello", reasoning_effort="low")
    assert requests(running)[-1]["output_config"]["effort"] == "low"
    running.chat("hello", reasoning_effort="none")
    assert "thinking" not in requests(running)[-1]


# --- transcripts


@pytest.mark.parametrize("how", ["field", "header", "suffix"])
def test_what_is_shown_of_the_steps(bash: Gateway, how: str) -> None:
    """`final`: the last message alone; streamed or not."""
    fields = {"field": {"transcript": "final"}, "suffix": {"model": "sonnet:final"}}.get(how, {})
    headers = {"X-CCAPI-Transcript": "final"} if how == "header" else {}
    response = bash.post(body("go", **fields), headers=headers)
    content = response.json()["choices"][0]["message"]["content"]
    assert content.startswith("It said: /")
    assert "Let me see" not in content
    if how != "header":
        assert bash.stream("go", **fields).content.startswith("It said: /")


# --- tools and workspaces


def test_no_tools_is_no_tools(bash: Gateway) -> None:
    """The model is not even told of any, so none runs."""
    bash.chat("go", allowed_tools=[])
    assert not requests(bash)[0].get("tools")
    assert not list(bash.workspace.rglob("made-here"))


def test_a_tool_that_is_not_on_the_list_does_not_run(bash: Gateway) -> None:
    """Also when the model calls it all the same."""
    bash.chat("go", allowed_tools=["Read"])
    assert tools(bash) == ["Read"]
    assert not list(bash.workspace.rglob("made-here"))


def test_each_workspace_is_a_directory_of_its_own(bash: Gateway) -> None:
    """The agent works there; none is the default one."""
    assert f"It said: {bash.workspace / 'one'}" in bash.content("go", workspace="one")
    assert (bash.workspace / "one" / "made-here").is_file()
    assert f"It said: {bash.workspace}\n" in bash.content("go") + "\n"


@pytest.mark.parametrize("name", ["..", "../x", "/etc", "a/b", ".hidden", "-x", "", "a" * 65, "a\0b"])
def test_a_workspace_is_no_path(bash: Gateway, name: str) -> None:
    response = bash.post(body("go", workspace=name))
    assert (response.status_code, response.json()["error"]["param"]) == (400, "workspace")
    assert requests(bash) == []


def test_the_key_decides_what_may_be_asked(bash: Gateway, tmp_path: Path) -> None:
    """Its policy is narrowed by a request, never widened; a revoked key is good for nothing."""
    home = str(tmp_path / "home-of-keys")
    policy = Policy(models=("haiku",), tools=("Read",), transcript="text", workspaces=("mine",), rate=50)
    created = keys.create(Home(home), "narrow", policy, print)
    bash.settings.keys_dir.parent.mkdir(parents=True, exist_ok=True)
    bash.settings.keys_dir.symlink_to(keys.directory(Home(home)))
    with openai.OpenAI(base_url=f"{bash.url}/v1", api_key=created.key, max_retries=0) as client:

        def ask(**fields: Any) -> Any:
            extra = {key: fields.pop(key) for key in list(fields) if key != "model"}
            return client.chat.completions.create(
                model=fields.get("model", "haiku"), messages=[{"role": "user", "content": "go"}], extra_body=extra
            )

        content = ask().choices[0].message.content
        assert "Let me see." in content
        assert "**Bash**" not in content, "the steps are not shown"
        assert tools(bash) == ["Read"]
        assert (bash.workspace / "mine").is_dir()
        assert not list(bash.workspace.rglob("made-here"))
        for wider in (
            {"model": "opus"},
            {"allowed_tools": ["Bash"]},
            {"transcript": "full"},
            {"workspace": "other"},
        ):
            with pytest.raises(openai.PermissionDeniedError):
                ask(**wider)
        keys.revoke(Home(home), created.record.id, print)
        time.sleep(1.1)  # the gateway looks at its keys once a second
        with pytest.raises(openai.AuthenticationError):
            ask(transcript="final", allowed_tools=[])


# --- clients' own questions


def test_open_webuis_own_questions_cost_little(start: Start) -> None:
    """A title: the small model, no tools, nothing that is kept."""
    running = start("chat")
    prompt = (
        "### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat history.\n### Guidelines:\n"
        "- The title should clearly represent the main theme or subject of the conversation.\n### Output:\n"
        'JSON format: { "title": "your concise title here" }\n'
        "### Chat History:\n<chat_history>\nUSER: hi\n</chat_history>"
    )
    running.chat(prompt, model="opus")
    (asked,) = requests(running)
    assert "haiku" in asked["model"]
    assert not asked.get("tools")
    with running.client() as client:
        assert client.get("/v1/sessions").json()["data"] == []
