"""Every route of the gateway, and what it takes and answers: the table of which `/openapi.json` and `/docs` are made.

Requests are described by the types that parse them, answers by `ccapi.gateway.schemas`, errors by the classes of
`ccapi.errors`, whose codes and statuses are theirs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from ccapi import errors
from ccapi.errors import CcapiError
from ccapi.gateway import access, schemas
from ccapi.gateway.requests import ChatRequest
from ccapi.gateway.responses_conversations import ConversationRequest
from ccapi.gateway.responses_request import ResponsesRequest

MODEL_NAME = r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,126}(?:\[1m\])?"
ErrorClasses = tuple[type[CcapiError], ...]

JSON, STREAM, TEXT, HTML = "application/json", "text/event-stream", "text/plain", "text/html"
_RUN_NOTE = "Executed tools are part of the answer; nothing is left for the client to run."

# What each request may meet before a handler sees it, ...
_EVERYWHERE: ErrorClasses = (errors.InvalidRequest, errors.RequestRefused, errors.WrongHost, CcapiError)
_KEYED: ErrorClasses = (errors.KeyInvalid, errors.KeysUnreadable)
_WITH_BODY: ErrorClasses = (errors.RequestTooLarge, errors.UnsupportedMediaType, errors.TooManyRequests)
# ... and what a run may end with.
_RUN: ErrorClasses = (
    errors.ContextTooLong,
    errors.NotPermitted,
    errors.ModelNotFound,
    errors.SessionNotFound,
    errors.NotSignedIn,
    errors.RateLimited,
    errors.Busy,
    errors.UpstreamFailed,
    errors.Overloaded,
    errors.UpstreamDenied,
    errors.ModelUnavailable,
    errors.ClaudeNotFound,
    errors.ClaudeFailed,
    errors.StructuredOutputFailed,
    errors.GatewayStopping,
    errors.RunTimeout,
    errors.StoreFailed,
    errors.WorkspaceUnusable,
)
_OF_RESPONSE: ErrorClasses = (errors.ResponseNotFound, errors.StoreFailed)


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    place: str  # path, query or header
    description: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    example: str | None = None

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "in": self.place,
            "required": self.place == "path",
            "description": self.description,
            "schema": dict(self.schema),
            **({"example": self.example} if self.example else {}),
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """What a success, or another status that is no error, holds. `event` is the type of a stream's events."""

    description: str
    schema: type[BaseModel] | None = None
    content_type: str = JSON
    event: type[BaseModel] | None = None
    headers: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)  # operations that take its id, and where that stands


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A route. `path` as in the router, without the patterns of its parameters.

    `example` is a body that works; `query` and `options` are for the curl line alone.
    """

    method: str
    path: str
    tag: str
    summary: str
    description: str = ""
    answers: Mapping[int, Answer]
    request: type[BaseModel] | None = None
    request_needed: bool = True
    example: Mapping[str, Any] | None = None
    query: str = ""
    options: str = ""
    parameters: tuple[Parameter, ...] = ()
    errors: ErrorClasses = ()

    @property
    def id(self) -> str:
        """Such as `get_v1_models_id`: stable, as generated clients name their methods by it."""
        return "_".join([self.method.lower(), *re.findall(r"\w+", self.path)])

    def curl(self, url: str) -> str:
        """The command that asks for it at a gateway."""
        path = self.path
        for parameter in self.parameters:
            path = path.replace(f"{{{parameter.name}}}", parameter.example or "")
        address = f"{url}{path}{self.query}"
        words = ["curl", self.options, f"'{address}'" if self.query else address]
        if self.example is None:
            words[1:1] = [] if self.method == "GET" else [f"-X {self.method}"]
            return " ".join(filter(None, words))
        lines = [
            " ".join(filter(None, words)),
            "-H 'Content-Type: application/json'",
            f"-d '{json.dumps(self.example)}'",
        ]
        return " \\\n  ".join(lines)

    @property
    def is_open(self) -> bool:
        """Whether it answers without a key."""
        return self.path in access.OPEN

    def raised(self) -> Iterator[type[CcapiError]]:
        """Every error that this route can answer with."""
        yield from _EVERYWHERE
        yield from () if self.is_open else _KEYED
        yield from _WITH_BODY if self.method == "POST" else ()
        yield from self.errors


SESSION_HEADER = Parameter("X-Session-Id", "header", "Go on in this session, whatever the messages say.")
TRANSCRIPT_HEADER = Parameter(
    "X-CCAPI-Transcript",
    "header",
    "How much of the steps is shown: all, the assistant's text, or the last step's text.",
    {"type": "string", "enum": ["full", "text", "final"]},
)


_HEADERS_OF_RUNS = ("X-Session-Id", "X-CCAPI-Model", "X-CCAPI-Ignored")


def _id(name: str, what: str, example: str) -> Parameter:
    return Parameter(name, "path", what, {"type": "string", "minLength": 1}, example)


_MODEL_ID = Parameter("id", "path", "The model's name.", {"type": "string", "pattern": f"^{MODEL_NAME}$"}, "sonnet")
_RESPONSE_ID = _id("id", "The response's id.", "resp_123")
_CONVERSATION_ID = _id("id", "The conversation's id.", "conv_123")
_SESSION_ID = _id("id", "The session's id.", "6f1c1e0e-8f0a-4a53-9d6f-2f6a0c3f1d11")
_ID = "$response.body#/id"
_TO_RESPONSE = dict.fromkeys(
    (
        "get_v1_responses_id",
        "post_v1_responses_id_cancel",
        "get_v1_responses_id_input_items",
        "delete_v1_responses_id",
    ),
    _ID,
)
_TO_CONVERSATION = dict.fromkeys(
    ("get_v1_conversations_id", "post_v1_conversations_id", "delete_v1_conversations_id"), _ID
)
_TO_SESSION = ("get_v1_sessions_id", "delete_v1_sessions_id")
_LIMIT = Parameter(
    "limit", "query", "How many at most.", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
)
_AFTER = Parameter("after", "query", "The last id of the page before.")
_FLAG = {"type": "boolean", "default": False}

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="POST",
        path="/v1/chat/completions",
        tag="Chat Completions",
        summary="Ask, and get the whole run as one message",
        description=f"OpenAI's Chat Completions API. {_RUN_NOTE} With `stream` the text comes as it is written.",
        example={"model": "sonnet", "messages": [{"role": "user", "content": "What is in this directory?"}]},
        request=ChatRequest,
        parameters=(SESSION_HEADER, TRANSCRIPT_HEADER),
        answers={
            200: Answer(
                "The completion.",
                schemas.ChatCompletion,
                event=schemas.ChatCompletionChunk,
                headers=_HEADERS_OF_RUNS,
                links=dict.fromkeys(_TO_SESSION, "$response.body#/session_id"),
            )
        },
        errors=_RUN,
    ),
    Operation(
        method="POST",
        path="/v1/responses",
        tag="Responses",
        summary="Ask, and get the run as items",
        description=f"""OpenAI's Responses API. {_RUN_NOTE} Each is an item `mcp_call` with arguments and output.

`previous_response_id` and `conversation` go on natively. With `background` the run goes on without a connection; with
`stream` a client that lost its own can read the rest of the stream later.""",
        example={"model": "sonnet", "input": "What is in this directory?"},
        request=ResponsesRequest,
        parameters=(SESSION_HEADER, TRANSCRIPT_HEADER),
        answers={
            200: Answer(
                "The response.",
                schemas.Response,
                event=schemas.ResponseEvent,
                headers=_HEADERS_OF_RUNS,
                links=_TO_RESPONSE,
            )
        },
        errors=(*_RUN, errors.ResponseNotFound),
    ),
    Operation(
        method="GET",
        path="/v1/responses/{id}",
        tag="Responses",
        summary="Look at a response, or read its stream again",
        description="`stream` is for a response with `background`: everything after the event `starting_after`, live.",
        query="?stream=true&starting_after=41",
        options="-N",
        parameters=(
            _RESPONSE_ID,
            Parameter("stream", "query", "As events.", _FLAG),
            Parameter("starting_after", "query", "A `sequence_number`.", {"type": "integer", "minimum": 0}),
        ),
        answers={200: Answer("The response as it stands.", schemas.Response, event=schemas.ResponseEvent)},
        errors=_OF_RESPONSE,
    ),
    Operation(
        method="DELETE",
        path="/v1/responses/{id}",
        tag="Responses",
        summary="Forget a response",
        description="One that still runs is cancelled first. Its session stays.",
        parameters=(_RESPONSE_ID,),
        answers={200: Answer("It is gone.", schemas.ResponseDeleted)},
        errors=_OF_RESPONSE,
    ),
    Operation(
        method="POST",
        path="/v1/responses/{id}/cancel",
        tag="Responses",
        summary="Cancel a response that runs in the background",
        description="One that is over stays as it is. No body is needed.",
        parameters=(_RESPONSE_ID,),
        answers={200: Answer("The response as it then stands.", schemas.Response)},
        errors=_OF_RESPONSE,
    ),
    Operation(
        method="GET",
        path="/v1/responses/{id}/input_items",
        tag="Responses",
        summary="List what a response was asked with",
        parameters=(
            _RESPONSE_ID,
            _LIMIT,
            _AFTER,
            Parameter("order", "query", "By default the last one first.", {"type": "string", "enum": ["asc", "desc"]}),
        ),
        answers={200: Answer("The items.", schemas.InputItems)},
        errors=_OF_RESPONSE,
    ),
    Operation(
        method="POST",
        path="/v1/conversations",
        tag="Conversations",
        summary="Begin a conversation",
        description="A name to give as `conversation`; its session begins with the first response.",
        example={"metadata": {"topic": "demo"}},
        request=ConversationRequest,
        request_needed=False,
        answers={200: Answer("The conversation.", schemas.Conversation, links=_TO_CONVERSATION)},
        errors=(errors.StoreFailed,),
    ),
    Operation(
        method="GET",
        path="/v1/conversations/{id}",
        tag="Conversations",
        summary="Look at a conversation",
        parameters=(_CONVERSATION_ID,),
        answers={200: Answer("The conversation.", schemas.Conversation)},
        errors=(errors.NotFound, errors.StoreFailed),
    ),
    Operation(
        method="POST",
        path="/v1/conversations/{id}",
        tag="Conversations",
        summary="Replace a conversation's metadata",
        example={"metadata": {"topic": "demo"}},
        request=ConversationRequest,
        request_needed=False,
        parameters=(_CONVERSATION_ID,),
        answers={200: Answer("The conversation.", schemas.Conversation)},
        errors=(errors.NotFound, errors.StoreFailed),
    ),
    Operation(
        method="DELETE",
        path="/v1/conversations/{id}",
        tag="Conversations",
        summary="Forget a conversation",
        description="Its session stays.",
        parameters=(_CONVERSATION_ID,),
        answers={200: Answer("It is gone.", schemas.ConversationDeleted)},
        errors=(errors.NotFound, errors.StoreFailed),
    ),
    Operation(
        method="GET",
        path="/v1/sessions",
        tag="Sessions",
        summary="List the sessions",
        description="Whatever API they came by; the last used first.",
        parameters=(_LIMIT, _AFTER),
        answers={200: Answer("A page of them.", schemas.SessionList)},
        errors=(errors.StoreFailed,),
    ),
    Operation(
        method="GET",
        path="/v1/sessions/{id}",
        tag="Sessions",
        summary="Read a session",
        parameters=(_SESSION_ID,),
        answers={200: Answer("The session.", schemas.SessionWithItems)},
        errors=(errors.SessionNotFound, errors.StoreFailed),
    ),
    Operation(
        method="DELETE",
        path="/v1/sessions/{id}",
        tag="Sessions",
        summary="Delete a session",
        description="With its files, its responses and all that is known about it.",
        parameters=(_SESSION_ID,),
        answers={200: Answer("It is gone.", schemas.SessionDeleted)},
        errors=(errors.SessionNotFound, errors.SessionInUse, errors.StoreFailed),
    ),
    Operation(
        method="GET",
        path="/v1/sessions/{id}/tool-results/{tool_use_id}",
        tag="Sessions",
        summary="Get the whole of a tool's output",
        description="Of one that was too large for the conversation: there it is a preview, and names its full size.",
        options="-O",
        parameters=(_SESSION_ID, _id("tool_use_id", "The id of the call.", "toolu_123")),
        answers={200: Answer("The output.", content_type=TEXT)},
        errors=(errors.SessionNotFound, errors.NotFound, errors.NotPermitted, errors.StoreFailed),
    ),
    Operation(
        method="GET",
        path="/v1/models",
        tag="Models",
        summary="List the models that may be asked for",
        description="Any `claude-*` id works as well.",
        answers={200: Answer("The models.", schemas.ModelList)},
    ),
    Operation(
        method="GET",
        path="/v1/models/{id}",
        tag="Models",
        summary="Look at one model",
        parameters=(_MODEL_ID,),
        answers={200: Answer("The model.", schemas.Model)},
        errors=(errors.NotFound, errors.ModelNotFound),
    ),
    Operation(
        method="GET",
        path="/health",
        tag="Operation",
        summary="Is the gateway alive?",
        description="Needs no key, and says no more than that.",
        answers={200: Answer("It is.", schemas.Health)},
    ),
    Operation(
        method="GET",
        path="/ready",
        tag="Operation",
        summary="Could a question be answered now?",
        description="Whether Claude Code is there and signed in, and whether there is room. No model is asked.",
        answers={
            200: Answer("It could.", schemas.Ready),
            503: Answer("It could not; a check says why.", schemas.Ready),
        },
    ),
    Operation(
        method="GET",
        path="/metrics",
        tag="Operation",
        summary="Numbers for Prometheus",
        answers={200: Answer("Prometheus' text format.", content_type=TEXT)},
    ),
    Operation(
        method="GET",
        path="/openapi.json",
        tag="Operation",
        summary="This description of the API",
        answers={200: Answer("An OpenAPI 3.1 document.", None)},
    ),
    Operation(
        method="GET",
        path="/docs",
        tag="Operation",
        summary="This description as a page",
        answers={200: Answer("The page.", content_type=HTML)},
    ),
)
