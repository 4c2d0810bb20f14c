"""The unchanged `openai` SDK against the gateway: only the base URL and any key are given."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.agent import streamjson as sj
from tests.gateway.conftest import Start
from tests.gateway.harness import SEPARATOR, Gateway, assert_gone
from tests.gateway.test_gateway_claude import FIBONACCI, OUTPUT

QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": FIBONACCI}]
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]
LEFT = {"await_end_of_input": None}


@contextmanager
def sdk(running: Gateway, **options: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{running.url}/v1", api_key="any", max_retries=0, **options) as client:
        yield client


@asynccontextmanager
async def async_sdk(running: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{running.url}/v1", api_key="any", max_retries=0) as client:
        yield client


# --- answers


def test_the_fibonacci_question_whole_and_streamed(start: Start) -> None:
    """The real CLI: every step in `content`, no `tool_calls` for the client to run again, real usage."""
    running = start("fibonacci")
    with sdk(running) as client:
        whole = client.chat.completions.create(model="claude-3-5-haiku-20241022", messages=QUESTION)
        message = whole.choices[0].message
        assert message.content
        assert len(message.content.split(SEPARATOR)) == 3
        assert f"```\n{OUTPUT}\n```" in message.content
        assert message.tool_calls is None
        assert whole.choices[0].finish_reason == "stop"
        assert whole.usage
        assert whole.usage.prompt_tokens > 1000

        stream = client.chat.completions.create(
            model="sonnet", messages=QUESTION, stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
    content = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert f"```\n{OUTPUT}\n```" in content
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason] == ["stop"]
    assert chunks[-1].usage
    assert chunks[-1].usage.prompt_tokens_details
    assert chunks[-1].usage.prompt_tokens_details.cached_tokens


async def test_the_async_client_whole_and_streamed(stubbed: Gateway) -> None:
    """The same through asyncio (the stub says it, for speed)."""
    stubbed.stub.plan({"await_input": 2}, {"lines": sj.answer("Hello there.")}, LEFT)
    async with async_sdk(stubbed) as client:
        whole = await client.chat.completions.create(model="sonnet", messages=HELLO)
        assert whole.choices[0].message.content == "Hello there."
        stream = await client.chat.completions.create(model="sonnet", messages=HELLO, stream=True)
        content = ""
        async for chunk in stream:
            content += chunk.choices[0].delta.content or ""
        assert content == "Hello there."


def test_the_streaming_helper_of_the_sdk_accumulates_the_answer(stubbed: Gateway) -> None:
    """`client.chat.completions.stream` checks each chunk's form and puts the completion together again."""
    stubbed.stub.plan({"await_input": 2}, {"lines": sj.answer("Hello there.")}, LEFT)
    with sdk(stubbed) as client, client.chat.completions.stream(model="sonnet", messages=HELLO) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    assert final.choices[0].message.content == "Hello there."
    assert final.choices[0].finish_reason == "stop"


def test_reasoning_is_where_clients_look_for_it(stubbed: Gateway) -> None:
    """`reasoning_content`, an extra member that the SDK keeps."""
    lines = [sj.init(), *sj.streamed("m1", sj.thinking("hm hm"), sj.text("So.")), sj.result()]
    stubbed.stub.plan({"lines": lines}, LEFT)
    with sdk(stubbed) as client:
        message = client.chat.completions.create(model="sonnet", messages=HELLO).choices[0].message
        assert message.model_extra == {"reasoning_content": "hm hm"}
        stream = client.chat.completions.create(model="sonnet", messages=HELLO, stream=True)
        deltas = [chunk.choices[0].delta.model_extra or {} for chunk in stream]
        assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "hm hm"


def test_parameters_of_ordinary_clients_are_accepted(stubbed: Gateway) -> None:
    """What Open WebUI, n8n and LangChain send along."""
    stubbed.stub.plan({"lines": sj.answer("ok")}, LEFT)
    with sdk(stubbed) as client:
        answer = client.chat.completions.create(
            model="gpt-4o", messages=HELLO, temperature=0.2, top_p=0.9, max_tokens=100, presence_penalty=0, n=1,
            user="me", seed=1, stop=["x"], response_format={"type": "text"},
        )  # fmt: skip
    assert answer.choices[0].message.content == "ok"
    assert answer.model == "gpt-4o"


def test_leaving_a_stream_ends_the_run(stubbed: Gateway) -> None:
    """`stream.close()` is how the SDK's users stop an answer."""
    lines = [sj.init(), sj.message_start("m1"), sj.block_start(0, sj.text("")), sj.text_delta(0, "Hello")]
    stubbed.stub.plan({"lines": lines}, {"sleep": 60})
    with sdk(stubbed) as client:
        stream = client.chat.completions.create(model="sonnet", messages=HELLO, stream=True)
        next(chunk for chunk in stream if chunk.choices[0].delta.content)
        stream.close()
        assert_gone(stubbed.workspace, within=5)


# --- models


def test_models_are_listed_and_retrieved(stubbed: Gateway) -> None:
    """`models.list()` and `models.retrieve()`, with an id that is not in the list as well."""
    with sdk(stubbed) as client:
        assert [model.id for model in client.models.list()] == ["sonnet", "opus", "haiku", "gpt-4o"]
        model = client.models.retrieve("claude-3-5-haiku-20241022")
        assert (model.id, model.object, model.owned_by) == ("claude-3-5-haiku-20241022", "model", "anthropic")
        assert model.created > 1_600_000_000
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("gpt-9")


async def test_models_are_listed_by_the_async_client(stubbed: Gateway) -> None:
    """Its pagination ends after the one page."""
    async with async_sdk(stubbed) as client:
        assert [model.id async for model in client.models.list()] == ["sonnet", "opus", "haiku", "gpt-4o"]


# --- errors


def code_of(error: openai.APIError) -> tuple[str | None, str | None, str | None]:
    return error.code, error.type, error.param


def test_an_unaccepted_sign_in_is_an_authentication_error(start: Start) -> None:
    """With the real CLI, and in the stream too, since nothing was sent before it; the message says how to sign in."""
    with sdk(start("unauthenticated")) as client, pytest.raises(openai.AuthenticationError) as caught:
        client.chat.completions.create(model="sonnet", messages=HELLO, stream=True)
    assert code_of(caught.value) == ("not_signed_in", "authentication_error", None)
    assert "claude auth login" in caught.value.message


def test_a_rate_limit_is_a_rate_limit_error(start: Start) -> None:
    """With the real CLI; the header that the SDK's own retries heed is there."""
    with sdk(start("rate-limited", max_retries=0)) as client, pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="sonnet", messages=HELLO)
    assert code_of(caught.value)[:2] == ("rate_limited", "rate_limit_error")
    assert int(caught.value.response.headers["retry-after"]) >= 1


def test_an_unknown_model_is_a_not_found_error(stubbed: Gateway) -> None:
    """`model_not_found`, the code that clients know."""
    with sdk(stubbed) as client, pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-9", messages=HELLO)
    assert code_of(caught.value) == ("model_not_found", "invalid_request_error", "model")


def test_a_wrong_value_is_a_bad_request_error(stubbed: Gateway) -> None:
    """With the field at fault."""
    wrong: Any = [{"role": "robot", "content": "hello"}]
    with sdk(stubbed) as client, pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="sonnet", messages=wrong)
    assert code_of(caught.value) == ("invalid_request", "invalid_request_error", "messages[0].role")


def test_functions_of_the_client_are_a_bad_request_error(stubbed: Gateway) -> None:
    """Rather than an answer that never calls them."""
    tools: Any = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    with sdk(stubbed) as client, pytest.raises(openai.BadRequestError, match="tools of its own"):
        client.chat.completions.create(model="sonnet", messages=HELLO, tools=tools)


def test_a_failure_of_the_cli_is_an_internal_server_error(stubbed: Gateway) -> None:
    """502, when the whole was asked for."""
    stubbed.stub.plan({"lines": [sj.init()]}, {"exit": 3})
    with sdk(stubbed) as client, pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="sonnet", messages=HELLO)
    assert caught.value.status_code == 502
    assert code_of(caught.value)[0] == "claude_failed"


def test_a_failure_in_mid_stream_is_an_api_error(stubbed: Gateway) -> None:
    """After what was said; the stream does not just end."""
    lines = [sj.init(), *list(sj.streamed("m1", sj.text("Half of")))[:-2]]
    stubbed.stub.plan({"lines": lines}, {"sleep": 0.2}, {"kill_self": signal.SIGKILL})
    with sdk(stubbed) as client:
        stream = client.chat.completions.create(model="sonnet", messages=HELLO, stream=True)
        said: list[str] = []
        with pytest.raises(openai.APIError) as caught:
            said.extend(chunk.choices[0].delta.content or "" for chunk in stream)
    assert "".join(said) == "Half of"
    assert code_of(caught.value)[:2] == ("claude_failed", "server_error")
    assert "killed by signal 9" in caught.value.message


async def test_a_failure_in_mid_stream_is_an_api_error_of_the_async_client(start: Start) -> None:
    """With the real CLI, whose connection to the model breaks for good."""
    said: list[str] = []

    async def collect(client: openai.AsyncOpenAI) -> None:
        async for chunk in await client.chat.completions.create(model="sonnet", messages=HELLO, stream=True):
            said.append(chunk.choices[0].delta.content or "")  # noqa: PERF401 -- a comprehension would lose what came

    async with async_sdk(start("broken", max_retries=0)) as client:
        with pytest.raises(openai.APIError) as caught:
            await collect(client)
    assert "This answer breaks off in the" in "".join(said)
    assert code_of(caught.value)[0] == "upstream_failed"


def test_the_sdks_own_retries_work(stubbed: Gateway) -> None:
    """It comes back by itself after a failure of the server, as often as it is told to."""
    stubbed.stub.plan({"lines": [sj.init()]}, {"exit": 3})
    with sdk(stubbed) as client, pytest.raises(openai.InternalServerError) as caught:
        client.with_options(max_retries=1).chat.completions.create(model="sonnet", messages=HELLO)
    assert caught.value.request.headers["x-stainless-retry-count"] == "1"
