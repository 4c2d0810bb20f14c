"""`POST /v1/chat/completions`: a run as one assistant message, streamed or whole.

Both ways feed the same events through the same transcript, so the streamed deltas concatenate to the content of the
response that is not streamed.
"""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from aiohttp import web

from ccapi.agent.run import Agent, Run, RunRequest
from ccapi.errors import CcapiError
from ccapi.gateway.models import Models
from ccapi.gateway.requests import parse_chat
from ccapi.gateway.security import log_detail
from ccapi.gateway.slots import RunSlots
from ccapi.gateway.sse import EventStream
from ccapi.redact import redact
from ccapi.wire import envelope
from ccapi.wire.events import Notice, RunEvent, RunFailed, RunFinished, ThinkingDelta, Usage
from ccapi.wire.transcript import Transcript

log = logging.getLogger(__name__)

_MODEL_HEADER = "X-CCAPI-Model"


class Completion:
    """One answer in the making: what events add to it, and the objects of the API that describe it."""

    def __init__(self, requested: str, asked: str, *, include_usage: bool = False) -> None:
        """`requested` is the client's name for the model, `asked` what the CLI is told."""
        self.id = f"chatcmpl-{uuid.uuid4().hex}"
        self.created = int(time.time())
        self.end: RunFinished | RunFailed | None = None
        self.transcript = Transcript()
        self._requested = requested
        self._asked = asked
        self._include_usage = include_usage
        self._opened = False
        self._thinking: tuple[str, int] | None = None  # the message and block of the last thinking

    def feed(self, events: Iterable[RunEvent]) -> tuple[str, str]:
        """The content and the reasoning that these events add."""
        content, reasoning = [], []
        for event in events:
            if isinstance(event, ThinkingDelta) and event.parent is None:
                reasoning.append(self._thought(event))
                continue
            if isinstance(event, RunFinished | RunFailed):
                self.end = event
            content.append(self.transcript.feed(event))
        return "".join(content), "".join(reasoning)

    def _thought(self, event: ThinkingDelta) -> str:
        """The delta, after a blank line if another block of thinking came before."""
        previous, self._thinking = self._thinking, (event.message_id, event.block)
        return event.text if previous in {None, self._thinking} else f"\n\n{event.text}"

    def chunks(self, model: str | None, events: Iterable[RunEvent]) -> list[dict[str, Any]]:
        """The chunks that these events are worth, the one that opens the message included."""
        content, reasoning = self.feed(events)
        deltas: list[dict[str, Any]] = []
        if not self._opened and self.transcript.messages:
            self._opened = True
            deltas.append({"role": "assistant", "content": ""})
        if reasoning:
            deltas.append({"reasoning_content": reasoning})
        if content:
            deltas.append({"content": content})
        return [self._chunk(model, delta) for delta in deltas]

    def last_chunks(self, model: str | None) -> list[dict[str, Any]]:
        """How a stream ends: the finish reason, then the usage if it was asked for."""
        assert isinstance(self.end, RunFinished)
        last = [self._chunk(model, {}, self.end.finish_reason)]
        if self._include_usage:
            last.append({**self._object("chat.completion.chunk", model, []), "usage": usage_object(self.end.usage)})
        return last

    def whole(self, model: str | None, content: str, reasoning: str) -> dict[str, Any]:
        """Source: OpenAI API reference, "The chat completion object"."""
        assert isinstance(self.end, RunFinished)
        message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
        if reasoning:
            message["reasoning_content"] = reasoning
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.end.finish_reason}
        return {**self._object("chat.completion", model, [choice]), "usage": usage_object(self.end.usage)}

    def _chunk(self, model: str | None, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        """Source: OpenAI API reference, "The chat completion chunk object"."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk = self._object("chat.completion.chunk", model, [choice])
        return {**chunk, "usage": None} if self._include_usage else chunk

    def _object(self, kind: str, model: str | None, choices: list[dict[str, Any]]) -> dict[str, Any]:
        # The client's own name for the model, unless another one than that had to answer.
        name = self._requested if model in {None, self._asked} else model
        return {"id": self.id, "object": kind, "created": self.created, "model": name, "choices": choices}


def usage_object(usage: Usage) -> dict[str, Any]:
    """Claude's numbers in OpenAI's terms: cached input is part of the prompt.

    Source: OpenAI API reference, "The chat completion object", `usage`.
    """
    prompt = usage.input_tokens + usage.cache_read_tokens + usage.cache_creation_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": usage.output_tokens,
        "total_tokens": prompt + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens},
    }


class ChatHandler:
    """The route. `heartbeat` is in seconds."""

    def __init__(self, agent: Agent, models: Models, slots: RunSlots, *, heartbeat: float) -> None:
        self._agent = agent
        self._models = models
        self._slots = slots
        self._heartbeat = heartbeat

    async def handle(self, request: web.Request) -> web.StreamResponse:
        chat = parse_chat(await request.read())
        asked = self._models.resolve(chat.model)
        completion = Completion(chat.model, asked, include_usage=chat.include_usage)
        question = RunRequest(prompt=chat.prompt(), model=asked, system=chat.system())
        stream = EventStream(request, {_MODEL_HEADER: asked}, timeout=self._agent.idle_timeout) if chat.stream else None
        try:
            async with (
                self._slots.slot(stream.comment if stream else _nothing, self._heartbeat),
                self._agent.run(question) as run,
            ):
                with _logged(completion, run):
                    return await (self._stream(stream, run, completion) if stream else self._whole(run, completion))
        except CcapiError as error:
            if not stream:
                raise
            return await _broken_off(stream, error)

    async def _whole(self, run: Run, completion: Completion) -> web.StreamResponse:
        content, reasoning = [], []
        while not run.ended:
            events = await run.next(self._heartbeat)
            _notices(events)
            more_content, more_reasoning = completion.feed(events)
            content.append(more_content)
            reasoning.append(more_reasoning)
        if isinstance(completion.end, RunFailed):
            raise completion.end.error
        document = completion.whole(run.model, "".join(content), "".join(reasoning))
        return web.json_response(document, headers={_MODEL_HEADER: str(run.model)})

    async def _stream(self, stream: EventStream, run: Run, completion: Completion) -> web.StreamResponse:
        while not run.ended:
            events = await run.next(max(0.05, self._heartbeat - stream.silent_for))
            if not stream.started:
                stream.headers[_MODEL_HEADER] = str(run.model)
            for notice in _notices(events):
                await stream.comment(notice)
            if chunks := completion.chunks(run.model, events):
                await stream.data(*chunks)
            elif stream.silent_for >= self._heartbeat:  # a tool call being written is many events, and no text
                await stream.comment()
        if isinstance(completion.end, RunFailed):
            return await _broken_off(stream, completion.end.error)  # at once, not after the process has ended
        await stream.data(*completion.last_chunks(run.model), "[DONE]")
        return await stream.finish()


async def _broken_off(stream: EventStream, error: CcapiError) -> web.StreamResponse:
    """In mid-answer a failure is an error event and no `[DONE]`, so that nobody takes the answer for a whole one."""
    if not stream.started:
        raise error
    log_detail(error)
    await stream.data(envelope.dump(error))
    return await stream.finish()


async def _nothing() -> None:
    """A client that is not streamed to learns nothing while it waits."""


def _notices(events: list[RunEvent]) -> list[str]:
    """What an operator should read in the log, and a client that waits may see."""
    messages = [redact(event.message) for event in events if isinstance(event, Notice)]
    for message in messages:
        log.warning("%s", message)
    return messages


@contextlib.contextmanager
def _logged(completion: Completion, run: Run) -> Iterator[None]:
    """One line a run, however it ends."""
    began, cut_short = time.monotonic(), "left by the client"
    try:
        yield
    except Exception as unexpected:
        cut_short = type(unexpected).__name__
        raise
    finally:
        match completion.end:
            case None:
                outcome = cut_short
            case RunFailed(error=error):
                outcome = f"{error.code}: {redact(error.message)}"
            case RunFinished(finish_reason=reason):
                outcome = reason
        log.info(
            "%s model=%s seconds=%.1f: Aggregated %d assistant messages; %s",
            *(completion.id, run.model, time.monotonic() - began, completion.transcript.messages, outcome),
        )
