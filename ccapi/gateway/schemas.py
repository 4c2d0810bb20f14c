"""What the gateway answers, as types: for `/openapi.json`, and for the tests that hold the routes to it.

Requests are described by the very types that validate them (`ccapi.gateway.requests`, `ccapi.gateway.responses`). An
answer is built for speed, as plain objects; these types say what it holds, and nothing else may be in it, except where
another system's objects are passed on (`Open`).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Open = dict[str, Any]


def _without_defaults(schema: Open) -> None:
    """A default here only says that the member may be absent."""
    for described in schema.get("properties", {}).values():
        described.pop("default", None)


class Closed(BaseModel):
    """Nothing may be in it that is not named."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_without_defaults)


class ErrorBody(Closed):
    """What happened. `code` is stable; `hint` (also a part of the message) says what to do about it."""

    message: str
    type: str
    param: str | None = Field(description="The field of the request that is at fault.")
    code: str
    hint: str = Field(default="", description="Only where there is one.")
    retry_after: float = Field(default=0, description="Seconds; only where waiting helps.")


class Error(Closed):
    """The one form of every error, on every route."""

    error: ErrorBody


class Health(Closed):
    """Alive: it answers. Whether a question could be answered says `/ready`."""

    status: Literal["healthy"]
    service: Literal["claude-code-api"]


class ReadyCheck(Closed):
    name: Literal["claude", "sign_in", "workspace", "data", "pool", "slots"]
    ok: bool
    message: str
    hint: str | None = Field(description="What to do about it.")


class Ready(Closed):
    """`ready` when every check is ok."""

    status: Literal["ready", "not_ready"]
    checks: list[ReadyCheck]


# --- models


class Model(Closed):
    """A name that may be asked for."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(Closed):
    object: Literal["list"]
    data: list[Model]


# --- chat completions


class PromptDetails(Closed):
    cached_tokens: int


class ChatUsage(Closed):
    """Claude's numbers in OpenAI's terms: cached input is part of the prompt."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails


class RunFacts(Closed):
    """What OpenAI's API has no place for."""

    session_id: str | None = Field(description="Claude Code's session; null if nothing was kept.")
    model: str = Field(description="The model that answered.")
    cost_usd: float
    turns: int
    duration_ms: int


class ChatMessage(Closed):
    role: Literal["assistant"]
    content: str | None
    refusal: str | None
    reasoning_content: str = Field(default="", description="What the model thought; only if it did.")


FinishReason = Literal["stop", "length", "content_filter"]


class ChatChoice(Closed):
    index: int
    message: ChatMessage
    logprobs: None
    finish_reason: FinishReason


class ChatCompletion(Closed):
    """A whole run, as one message of the assistant."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: ChatUsage
    session_id: str | None = Field(description="Accepted back as X-Session-Id, or as metadata.session_id.")
    ccapi: RunFacts


class ChatDelta(Closed):
    role: Literal["assistant"] = "assistant"
    content: str = ""
    reasoning_content: str = ""
    refusal: str = ""


class ChatChunkChoice(Closed):
    index: int
    delta: ChatDelta
    logprobs: None
    finish_reason: FinishReason | None


class ChatCompletionChunk(Closed):
    """An event of a streamed completion; the stream ends with `data: [DONE]`, or with an error and without that."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChatChunkChoice]
    usage: ChatUsage | None = Field(default=None, description="In the last chunk, if stream_options asked for it.")
    session_id: str | None = Field(default=None, description="In the last chunk.")
    ccapi: RunFacts = Field(default=None, description="In the last chunk.")  # type: ignore[assignment] # else absent


# --- responses


class MessageItem(Closed):
    """What the model says, between other things."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    status: Literal["in_progress", "completed", "incomplete"]
    content: list[Open]
    phase: Literal["commentary", "final_answer"] = "final_answer"
    ccapi: Open = Field(default_factory=dict)


class ReasoningItem(Closed):
    """What it thinks, as a summary."""

    id: str
    type: Literal["reasoning"]
    status: Literal["in_progress", "completed", "incomplete"]
    summary: list[Open]
    ccapi: Open = Field(default_factory=dict)


class McpCallItem(Closed):
    """A tool that Claude Code ran: its own under the label `claude-code`, an MCP server's under that server's."""

    id: str
    type: Literal["mcp_call"]
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    server_label: str
    name: str
    arguments: str
    approval_request_id: None
    output: str | None
    error: Open | None
    ccapi: Open = Field(default_factory=dict)


class InputTokensDetails(Closed):
    cached_tokens: int
    cache_write_tokens: int = 0


class OutputTokensDetails(Closed):
    reasoning_tokens: int


class ResponseUsage(Closed):
    """Claude's numbers in OpenAI's terms: cached input is part of the input."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class Response(BaseModel):
    """A run as items. Fields of OpenAI's object that mean nothing here have its defaults."""

    model_config = ConfigDict(extra="allow", json_schema_extra=_without_defaults)

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
    background: bool | None
    completed_at: int | None
    conversation: Open | None
    error: Open | None
    incomplete_details: Open | None
    instructions: Any
    max_output_tokens: int | None
    metadata: dict[str, str] | None
    model: str
    output: list[MessageItem | ReasoningItem | McpCallItem]
    previous_response_id: str | None
    store: bool | None
    usage: ResponseUsage | None
    ccapi: Open | None = None


class ResponseEvent(BaseModel):
    """An event of a streamed response: OpenAI's types, in order of `sequence_number`."""

    model_config = ConfigDict(extra="allow", json_schema_extra=_without_defaults)

    type: str
    sequence_number: int


class ResponseDeleted(Closed):
    id: str
    object: Literal["response.deleted", "response"]
    deleted: Literal[True]


class InputItems(Closed):
    """The items that a response was asked with."""

    object: Literal["list"]
    data: list[Open]
    first_id: str | None
    last_id: str | None
    has_more: bool


# --- sessions


class Session(Closed):
    """A conversation that Claude Code keeps. Times are Unix seconds."""

    id: str
    object: Literal["session"]
    workspace: str
    model: str
    title: str
    turns: int
    cost_usd: float
    created: int
    updated: int


class SessionList(Closed):
    object: Literal["list"]
    data: list[Session]
    first_id: str | None
    last_id: str | None
    has_more: bool


class SessionDeleted(Closed):
    id: str
    object: Literal["session.deleted"]
    deleted: Literal[True]
