"""`POST /v1/chat/completions`: a run as one assistant message, streamed or whole.

Both ways feed the same events through the same transcript, so the streamed deltas concatenate to the content of the
response that is not streamed.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from aiohttp import web

from ccapi.errors import CcapiError, StructuredOutputFailed
from ccapi.gateway import requests
from ccapi.gateway.access import CALLER
from ccapi.gateway.runs import Answer, Runs
from ccapi.gateway.security import body, log_detail
from ccapi.gateway.sse import EventStream
from ccapi.redact import redact
from ccapi.wire import envelope
from ccapi.wire.events import Notice, RunEvent, RunFailed, RunFinished, ThinkingDelta, Usage
from ccapi.wire.responseitems import about
from ccapi.wire.transcript import Transcript

_MODEL_HEADER, _SESSION_HEADER = "X-CCAPI-Model", "X-Session-Id"
_TASK_HEADER, _USER_HEADER = "X-OpenWebUI-Task", "X-OpenWebUI-User-Id"
_TRANSCRIPT_HEADER, _IGNORED_HEADER = "X-CCAPI-Transcript", "X-CCAPI-Ignored"


class Completion:
    """One answer in the making: what events add to it, and the objects of the API that describe it."""

    def __init__(self, completion_id: str, requested: str, answer: Answer, *, include_usage: bool = False) -> None:
        """`requested` is the client's name for the model."""
        self.id = completion_id
        self.created = int(time.time())
        self._requested = requested
        self._answer = answer
        self._include_usage = include_usage
        self._structured = answer.question.json_schema is not None
        # Beside a structured output nothing may stand; what was said instead is only shown as a refusal.
        self._transcript = Transcript("final" if self._structured else answer.transcript)
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._refusal = ""
        self._opened = False
        self._thinking: tuple[str, int] | None = None  # the message and block of the last thinking

    @property
    def content(self) -> str:
        """All of it so far."""
        return "".join(self._content)

    def feed(self, events: Iterable[RunEvent]) -> tuple[str, str]:
        """The content and the reasoning that these events add. Raises `StructuredOutputFailed`."""
        content, reasoning = [], []
        for event in events:
            if isinstance(event, ThinkingDelta):
                if event.parent is None and self._answer.transcript == "full":
                    reasoning.append(self._thought(event))
            elif text := self._transcript.feed(event):
                content.append(text)
            if isinstance(event, RunFinished) and self._structured:
                content = [self._output(event, "".join(content))]
        more_content, more_reasoning = "".join(content), "".join(reasoning)
        self._content.append(more_content)  # one text per batch: many small ones would weigh ten times as much
        self._reasoning.append(more_reasoning)
        return more_content, more_reasoning

    def _output(self, end: RunFinished, said: str) -> str:
        if end.structured is not None:
            return json.dumps(end.structured, ensure_ascii=False)
        if end.finish_reason == "stop":
            raise StructuredOutputFailed("The model gave no output that fits the JSON schema")
        self._refusal = said if end.finish_reason == "content_filter" else ""
        return ""

    def _thought(self, event: ThinkingDelta) -> str:
        """The delta, after a blank line if another block of thinking came before."""
        previous, self._thinking = self._thinking, (event.message_id, event.block)
        return event.text if previous in {None, self._thinking} else f"\n\n{event.text}"

    def chunks(self, events: Iterable[RunEvent]) -> list[dict[str, Any]]:
        """The chunks that these events are worth, the one that opens the message included."""
        content, reasoning = self.feed(events)
        deltas: list[dict[str, Any]] = []
        if not self._opened and self._transcript.messages:
            self._opened = True
            deltas.append({"role": "assistant", "content": ""})
        if reasoning:
            deltas.append({"reasoning_content": reasoning})
        if content:
            deltas.append({"content": content})
        if self._refusal:
            deltas.append({"refusal": self._refusal})
        return [self._chunk(delta) for delta in deltas]

    def last_chunks(self, end: RunFinished) -> list[dict[str, Any]]:
        """How a stream ends: the finish reason, then the usage if it was asked for."""
        chunks = [self._chunk({}, end.finish_reason)]
        if self._include_usage:
            chunks.append({**self._object("chat.completion.chunk", []), "usage": usage_object(end.usage)})
        chunks[-1] |= self._about(end)
        return chunks

    def whole(self, end: RunFinished) -> dict[str, Any]:
        """Source: OpenAI API reference, "The chat completion object"."""
        message: dict[str, Any] = {"role": "assistant", "content": self.content, "refusal": self._refusal or None}
        if any(self._reasoning):
            message["reasoning_content"] = "".join(self._reasoning)
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": end.finish_reason}
        return {**self._object("chat.completion", [choice]), "usage": usage_object(end.usage), **self._about(end)}

    def _about(self, end: RunFinished) -> dict[str, Any]:
        """What OpenAI's objects have no place for."""
        session = end.session_id if self._answer.continues else None
        return {"session_id": session, "ccapi": {"session_id": session, "model": self._answer.api_model, **about(end)}}

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        """Source: OpenAI API reference, "The chat completion chunk object"."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk = self._object("chat.completion.chunk", [choice])
        return {**chunk, "usage": None} if self._include_usage else chunk

    def _object(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        # The client's own name for the model, unless another one than that had to answer.
        name = self._requested if self._answer.model == self._answer.asked_model else self._answer.model
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

    def __init__(self, runs: Runs, *, heartbeat: float) -> None:
        self._runs = runs
        self._heartbeat = heartbeat

    async def handle(self, request: web.Request) -> web.StreamResponse:
        chat = requests.parse_chat(await body(request))
        headers = request.headers
        question = chat.question(session_id=headers.get(_SESSION_HEADER), transcript=headers.get(_TRANSCRIPT_HEADER))
        if question.user is None:  # one key serves all of Open WebUI's users
            question = replace(question, user=headers.get(_USER_HEADER))
        ignored = {_IGNORED_HEADER: ", ".join(question.ignored)} if question.ignored else {}
        stream = EventStream(request, ignored, timeout=self._runs.agent.idle_timeout) if chat.stream else None
        completion_id = f"chatcmpl-{uuid.uuid4().hex}"
        opened = self._runs.open(
            question,
            request[CALLER],
            api="chat",
            answer_id=completion_id,
            waiting=stream.comment if stream else _nothing,
            every=self._heartbeat,
            task=headers.get(_TASK_HEADER),
        )
        try:
            async with opened as answer:
                completion = Completion(completion_id, chat.model, answer, include_usage=chat.include_usage)
                if stream:
                    return await self._stream(stream, answer, completion)
                return await self._whole(answer, completion, ignored)
        except CcapiError as error:
            if not stream:
                raise
            return await _broken_off(stream, error)

    async def _whole(self, answer: Answer, completion: Completion, headers: dict[str, str]) -> web.StreamResponse:
        while not answer.ended:
            completion.feed(await answer.next(self._heartbeat))
        end = answer.end
        if isinstance(end, RunFailed):
            raise end.error
        assert end is not None
        await answer.remember(completion.content)
        return web.json_response(completion.whole(end), headers={**headers, **_about(answer)})

    async def _stream(self, stream: EventStream, answer: Answer, completion: Completion) -> web.StreamResponse:
        while not answer.ended:
            events = await answer.next(max(0.05, self._heartbeat - stream.silent_for))
            if not stream.started:
                stream.headers.update(_about(answer))
            for event in events:
                if type(event) is Notice:
                    await stream.comment(redact(event.message))
            if chunks := completion.chunks(events):
                await stream.data(*chunks)
            elif stream.silent_for >= self._heartbeat:  # a tool call being written is many events, and no text
                await stream.comment()
        end = answer.end
        if isinstance(end, RunFailed):
            return await _broken_off(stream, end.error)  # at once, not after the process has ended
        assert end is not None
        await answer.remember(completion.content)
        await stream.data(*completion.last_chunks(end), "[DONE]")
        return await stream.finish()


def _about(answer: Answer) -> dict[str, str]:
    """The headers that say what answers."""
    session = {_SESSION_HEADER: answer.session_id} if answer.session_id and answer.question.persist else {}
    return {_MODEL_HEADER: answer.model, **session}


async def _broken_off(stream: EventStream, error: CcapiError) -> web.StreamResponse:
    """In mid-answer a failure is an error event and no `[DONE]`, so that nobody takes the answer for a whole one."""
    if not stream.started:
        raise error
    log_detail(error)
    await stream.data(envelope.dump(error))
    return await stream.finish()


async def _nothing() -> None:
    """A client that is not streamed to learns nothing while it waits."""
