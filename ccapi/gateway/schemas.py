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


class ModelMeans(Closed):
    """What OpenAI's API has no place for."""

    model: str = Field(description="What Claude Code is asked for under this name.")


class Model(Closed):
    """A name that may be asked for."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    ccapi: ModelMeans


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


Billing = Literal["subscription", "api", "cloud", "none"]
_BILLING = (
    "Who pays: a subscription, the Anthropic API by the token, a cloud provider, or nobody (a scripted model). "
    "Absent if that is not known."
)


class RunFacts(Closed):
    """What OpenAI's API has no place for."""

    session_id: str | None = Field(description="Claude Code's session; null if nothing was kept.")
    model: str = Field(description="The model that answered.")
    cost_usd: float
    turns: int
    duration_ms: int
    billing: Billing = Field(default=None, description=_BILLING)  # type: ignore[arg-type] # else absent


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

ItemStatus = Literal["in_progress", "completed", "incomplete"]


class MessageItem(Closed):
    """What the model says, between other things."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    status: ItemStatus
    content: list[Open] = Field(description="Parts of type `output_text`, or `refusal`.")
    phase: Literal["commentary", "final_answer"] = Field(default="final_answer", description="Once that is known.")
    ccapi: Open = Field(default_factory=dict, description="The message it is of.")


class ReasoningItem(Closed):
    """What it thinks, as a summary. Also what a subagent says: `ccapi.kind` tells."""

    id: str
    type: Literal["reasoning"]
    status: ItemStatus
    summary: list[Open]
    ccapi: Open = Field(description="The message it is of; `parent` is the call that started a subagent.")


class McpCallItem(Closed):
    """A tool that Claude Code ran: its own under the label `claude-code`, an MCP server's under that server's."""

    id: str
    type: Literal["mcp_call"]
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    server_label: str
    name: str
    arguments: str = Field(description="JSON.")
    approval_request_id: None
    output: str | None
    error: Open | None
    ccapi: Open = Field(default_factory=dict, description="`full_size`: bytes, where `output` is only the beginning.")


class InputTokensDetails(Closed):
    cached_tokens: int
    cache_write_tokens: int


class OutputTokensDetails(Closed):
    reasoning_tokens: int


class ResponseUsage(Closed):
    """Claude's numbers in OpenAI's terms: cached input is part of the input."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class ResponseError(Closed):
    """OpenAI's closed list of codes has few; `ccapi` is the error as every other route says it."""

    code: Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]
    message: str
    ccapi: ErrorBody


class Id(Closed):
    id: str


class Incomplete(Closed):
    reason: Literal["max_output_tokens", "content_filter"]


class ResponseFacts(Closed):
    """What OpenAI's API has no place for."""

    session_id: str = Field(description="Claude Code's session; empty if nothing was kept.")
    model: str = Field(default="", description="The model that answers.")
    cost_usd: float = 0
    turns: int = 0
    duration_ms: int = 0
    billing: Billing = Field(default=None, description=_BILLING)  # type: ignore[arg-type] # else absent


class Response(Closed):
    """A run as items. Members that mean nothing here have OpenAI's defaults."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
    background: bool
    completed_at: int | None
    conversation: Id | None
    error: ResponseError | None
    incomplete_details: Incomplete | None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: None
    metadata: dict[str, str]
    model: str
    output: list[MessageItem | ReasoningItem | McpCallItem]
    parallel_tool_calls: bool
    previous_response_id: str | None
    reasoning: Open
    safety_identifier: str | None
    service_tier: None
    store: bool
    temperature: None
    text: Open
    tool_choice: Literal["auto"]
    tools: list[Open]
    top_logprobs: int
    top_p: None
    truncation: Literal["disabled"]
    usage: ResponseUsage | None
    user: str | None
    ccapi: ResponseFacts = Field(default=None, description="Once the run has begun.")  # type: ignore[assignment]


class ResponseEvent(BaseModel):
    """An event of OpenAI's types. The last is `response.completed`, `response.incomplete` or `response.failed`."""

    model_config = ConfigDict(extra="allow")

    type: str
    sequence_number: int


class ResponseDeleted(Closed):
    id: str
    object: Literal["response"]
    deleted: Literal[True]


class Page(Closed):
    """A page of a list; `after=last_id` gives the next one."""

    object: Literal["list"]
    first_id: str | None
    last_id: str | None
    has_more: bool


class InputItems(Page):
    """The items that a response was asked with."""

    data: list[Open]


class Conversation(Closed):
    """A name for a session that may only begin later."""

    id: str
    object: Literal["conversation"]
    created_at: int
    metadata: dict[str, str]


class ConversationDeleted(Closed):
    id: str
    object: Literal["conversation.deleted"]
    deleted: Literal[True]


# --- sessions


class Session(Closed):
    """A conversation that Claude Code keeps."""

    id: str
    object: Literal["session"]
    created_at: int
    last_used_at: int
    title: str = Field(description="How the first question begins.")
    model: str
    workspace: str
    turns: int
    cost_usd: float


class UserItem(Closed):
    """What the user said. Images and files are named and not repeated."""

    id: str
    type: Literal["message"]
    role: Literal["user"]
    status: Literal["completed"]
    content: list[Open]


class SessionWithItems(Session):
    """A session, with what was said and done in it as items of the Responses API."""

    items: list[UserItem | MessageItem | ReasoningItem | McpCallItem]
    truncated: bool = Field(description="Whether its beginning is left out: it is very long.")


class SessionList(Page):
    data: list[Session]


class SessionDeleted(Closed):
    id: str
    object: Literal["session"]
    deleted: Literal[True]
