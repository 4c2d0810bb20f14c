"""`GET /openapi.json`: the whole API as one document, generated from the types that validate it.

A test holds it against the router, both ways. Source: OpenAPI Specification 3.1.
"""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from ccapi import __version__
from ccapi.errors import CcapiError
from ccapi.gateway import schemas
from ccapi.gateway.operations import JSON, OPERATIONS, STREAM, Answer, Operation

Object = dict[str, Any]

_URL = "http://127.0.0.1:8000"
_REF = "#/components/schemas/{model}"
_ABOUT = """Any OpenAI client works: give it this gateway's address and `/v1` as its base URL, and as its key one of
`ccapi key create`, or any text where no key is required. It always is when others than this machine can reach the
gateway. Then add `-H 'Authorization: Bearer KEY'` to the examples.

An answer is a whole run of the agent. The tools that it used have been executed, and are part of the answer.

Every failure has one form, `Error`, whose `code` never changes its meaning. Every answer has the header `X-Request-Id`:
the client's own, or a new one, under which the gateway's log speaks of it."""


async def handle(request: web.Request) -> web.Response:
    del request
    body = await asyncio.to_thread(rendered)  # a tenth of a second the first time, which no stream should wait
    return web.Response(body=body, content_type=JSON)


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
        "x-codeSamples": [{"lang": "Shell", "label": "curl", "source": operation.curl(_URL)}],
    }
    if operation.request:
        content = {JSON: {"schema": references[operation.request], "example": operation.example}}
        described["requestBody"] = {"required": operation.request_needed, "content": content}
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
        content[STREAM] = {"schema": _event(references[answer.event], references[schemas.Error])}
    names = ["X-Request-Id", *answer.headers]
    if any(one.status in {429, 503} for one in also):
        names.append("Retry-After")
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    links = {name: {"operationId": name, "parameters": {"id": place}} for name, place in answer.links.items()}
    described = {"description": answer.description, "headers": headers, "content": content}
    return {**described, "links": links} if links else described


def _event(data: Object, error: Object) -> Object:
    """An event of a stream: OpenAPI 3.1 has no word for the stream, so it is described as what it consists of."""
    text = {"type": "string", "contentMediaType": JSON, "contentSchema": {"anyOf": [data, error]}}
    properties = {"event": {"type": "string"}, "data": {"anyOf": [{"const": "[DONE]"}, text]}}
    return {"type": "object", "properties": properties, "required": ["data"]}


def _by_status(classes: Iterable[type[CcapiError]]) -> dict[int, list[type[CcapiError]]]:
    """In order of status, each class once."""
    unique = dict.fromkeys(classes)
    return {
        status: [one for one in unique if one.status == status] for status in sorted({one.status for one in unique})
    }


def _names(classes: Iterable[type[CcapiError]]) -> str:
    return ", ".join(f"`{one.code}`" for one in classes)
