"""`GET /openapi.json`: the whole API, generated from the types that validate it.

`OPERATIONS` has a row for each route; a test holds it against the router, both ways. Requests are described by the
types that parse them, answers by `ccapi.gateway.schemas`, errors by the classes of `ccapi.errors`, whose codes and
statuses are theirs.

Source: OpenAPI Specification 3.1.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from ccapi import __version__, errors
from ccapi.errors import CcapiError
from ccapi.gateway import access, schemas
from ccapi.gateway.requests import ChatRequest

Object = dict[str, Any]
ErrorClasses = tuple[type[CcapiError], ...]

JSON, STREAM, METRICS, HTML = "application/json", "text/event-stream", "text/plain", "text/html"
_REF = "#/components/schemas/{model}"
_URL = "http://127.0.0.1:8000"
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
)


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    place: str  # path, query or header
    description: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})

    def document(self) -> Object:
        return {
            "name": self.name,
            "in": self.place,
            "required": self.place == "path",
            "description": self.description,
            "schema": dict(self.schema),
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """What a success, or another status that is no error, holds. `event` is the type of a stream's events."""

    description: str
    schema: type[BaseModel] | None = None
    content_type: str = JSON
    event: type[BaseModel] | None = None
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A route. `path` as in the router, without the patterns of its parameters."""

    method: str
    path: str
    tag: str
    summary: str
    description: str = ""
    curl: str
    answers: Mapping[int, Answer]
    request: type[BaseModel] | None = None
    parameters: tuple[Parameter, ...] = ()
    errors: ErrorClasses = ()

    @property
    def id(self) -> str:
        """Such as `get_v1_models_id`: stable, as generated clients name their methods by it."""
        return "_".join([self.method.lower(), *re.findall(r"\w+", self.path)])

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


_ABOUT = """Any OpenAI client works: give it this gateway's address and `/v1` as its base URL, and as its key one of
`ccapi key create`, or any text where no key is required. It always is when others than this machine can reach the
gateway. Then add `-H 'Authorization: Bearer KEY'` to the examples.

An answer is a whole run of the agent. The tools that it used have been executed, and are part of the answer.

Every failure has one form, `Error`, whose `code` never changes its meaning. Every answer has the header `X-Request-Id`:
the client's own, or a new one, under which the gateway's log speaks of it."""

SESSION_HEADER = Parameter("X-Session-Id", "header", "Go on in this session, whatever the messages say.")
TRANSCRIPT_HEADER = Parameter(
    "X-CCAPI-Transcript",
    "header",
    "How much of the steps is shown: all, the assistant's text, or the last step's text.",
    {"type": "string", "enum": ["full", "text", "final"]},
)


def _id(name: str, what: str) -> Parameter:
    return Parameter(name, "path", what, {"type": "string", "minLength": 1})


_PAGE = (
    Parameter("limit", "query", "How many at most.", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}),
    Parameter("after", "query", "The last id of the page before."),
)

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="POST",
        path="/v1/chat/completions",
        tag="Chat Completions",
        summary="Ask, and get the whole run as one message",
        description=f"OpenAI's Chat Completions API. {_RUN_NOTE} With `stream` the text comes as it is written.",
        curl="""curl {url}/v1/chat/completions \\
  -H 'Content-Type: application/json' \\
  -d '{{"model": "sonnet", "messages": [{{"role": "user", "content": "What is in this directory?"}}]}}'""",
        request=ChatRequest,
        parameters=(SESSION_HEADER, TRANSCRIPT_HEADER),
        answers={
            200: Answer(
                "The completion.",
                schemas.ChatCompletion,
                event=schemas.ChatCompletionChunk,
                headers=("X-Session-Id", "X-CCAPI-Model", "X-CCAPI-Ignored"),
            )
        },
        errors=_RUN,
    ),
    Operation(
        method="GET",
        path="/v1/models",
        tag="Models",
        summary="List the models that may be asked for",
        description="Any `claude-*` id works as well.",
        curl="curl {url}/v1/models",
        answers={200: Answer("The models.", schemas.ModelList)},
    ),
    Operation(
        method="GET",
        path="/v1/models/{id}",
        tag="Models",
        summary="Look at one model",
        curl="curl {url}/v1/models/sonnet",
        parameters=(_id("id", "The model's name."),),
        answers={200: Answer("The model.", schemas.Model)},
        errors=(errors.NotFound, errors.ModelNotFound),
    ),
    Operation(
        method="GET",
        path="/health",
        tag="Operation",
        summary="Is the gateway alive?",
        description="Needs no key, and says no more than that.",
        curl="curl {url}/health",
        answers={200: Answer("It is.", schemas.Health)},
    ),
    Operation(
        method="GET",
        path="/ready",
        tag="Operation",
        summary="Could a question be answered now?",
        description="Whether Claude Code is there and signed in, and whether there is room. No model is asked.",
        curl="curl {url}/ready",
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
        curl="curl {url}/metrics",
        answers={200: Answer("Prometheus' text format.", content_type=METRICS)},
    ),
    Operation(
        method="GET",
        path="/openapi.json",
        tag="Operation",
        summary="This description of the API",
        curl="curl {url}/openapi.json",
        answers={200: Answer("An OpenAPI 3.1 document.", None)},
    ),
    Operation(
        method="GET",
        path="/docs",
        tag="Operation",
        summary="This description as a page",
        curl="curl {url}/docs",
        answers={200: Answer("The page.", content_type=HTML)},
    ),
)


async def handle(request: web.Request) -> web.Response:
    del request
    return web.Response(body=rendered(), content_type=JSON)


@functools.cache
def rendered() -> bytes:
    return json.dumps(document()).encode("ascii")


@functools.cache
def document() -> Object:
    """The OpenAPI document."""
    references, definitions = _schemas()
    paths: dict[str, Object] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, references)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Claude Code API",
            "version": __version__,
            "summary": "Claude Code behind OpenAI's APIs",
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(operation.tag for operation in OPERATIONS)],
        "paths": paths,
        "components": {"schemas": definitions, "headers": _HEADERS, "securitySchemes": _SECURITY_SCHEMES},
    }


_HEADERS: Object = {
    "X-Request-Id": {"description": "The client's own, or a new one.", "schema": {"type": "string"}},
    "X-Session-Id": {"description": "Claude Code's session, if it was kept.", "schema": {"type": "string"}},
    "X-CCAPI-Model": {"description": "The model that answers.", "schema": {"type": "string"}},
    "X-CCAPI-Ignored": {
        "description": "Parameters that were accepted and mean nothing here, separated by commas.",
        "schema": {"type": "string"},
    },
    "Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}},
}
_SECURITY_SCHEMES: Object = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key: `ccapi key create`."},
    "header": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same key."},
}


def _schemas() -> tuple[dict[type[BaseModel], Object], Object]:
    """A reference for each type, and the definitions that they lead to."""
    used: list[type[BaseModel] | None] = [schemas.Error]
    for operation in OPERATIONS:
        used += [
            operation.request,
            *(one for answer in operation.answers.values() for one in (answer.schema, answer.event)),
        ]
    wanted: Any = [(one, "validation") for one in dict.fromkeys(used) if one]
    references, definitions = models_json_schema(wanted, ref_template=_REF)
    found: dict[Any, Object] = {model: reference for (model, _), reference in references.items()}
    return found, _untitled(definitions["$defs"])


def _untitled(schema: Any) -> Any:
    """Without pydantic's titles, which only repeat the names."""
    if isinstance(schema, list):
        return [_untitled(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: _untitled(value) for name, value in schema.items() if (name, type(value)) != ("title", str)}


def _operation(operation: Operation, references: Mapping[type[BaseModel], Object]) -> Object:
    described: Object = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        **({"description": operation.description} if operation.description else {}),
        "security": [{}] if operation.is_open else [{"bearer": []}, {"header": []}, {}],
        "parameters": [parameter.document() for parameter in operation.parameters],
        "responses": dict(_responses(operation, references)),
        "x-codeSamples": [{"lang": "Shell", "label": "curl", "source": operation.curl.format(url=_URL)}],
    }
    if operation.request:
        content = {JSON: {"schema": references[operation.request]}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _responses(operation: Operation, references: Mapping[type[BaseModel], Object]) -> Iterator[tuple[str, Object]]:
    """Successes first, then errors by status. A status may be both: `/ready` says 503 in its own form."""
    grouped = _by_status(operation.raised())
    for status, answer in operation.answers.items():
        also = grouped.pop(status, [])
        yield str(status), _response(answer, also, references)
    for status, classes in grouped.items():
        description = f"{_names(classes)}."
        yield str(status), _response(Answer(description, schemas.Error), classes, references)


def _response(answer: Answer, also: list[type[CcapiError]], references: Mapping[type[BaseModel], Object]) -> Object:
    schema: Object = references[answer.schema] if answer.schema else {"type": "object"}
    if answer.schema is not schemas.Error and also:
        schema = {"anyOf": [schema, references[schemas.Error]]}
    if answer.content_type != JSON:
        schema = {"type": "string"}
    content: Object = {answer.content_type: {"schema": schema}}
    if answer.event:
        content[STREAM] = {"schema": {"type": "string"}, "x-event-schema": references[answer.event]}
    names = ["X-Request-Id", *answer.headers]
    if any(one.status in {429, 503} for one in also):
        names.append("Retry-After")
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    return {"description": answer.description, "headers": headers, "content": content}


def _by_status(classes: Iterable[type[CcapiError]]) -> dict[int, list[type[CcapiError]]]:
    """In order of status, each class once."""
    unique = dict.fromkeys(classes)
    return {
        status: [one for one in unique if one.status == status] for status in sorted({one.status for one in unique})
    }


def _names(classes: Iterable[type[CcapiError]]) -> str:
    return ", ".join(f"`{one.code}`" for one in classes)
