"""`/openapi.json`: a valid document, of exactly the routes that there are, and true of what they answer."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openapi_spec_validator
import pytest
from openapi_schema_validator import OAS31Validator
from pydantic import BaseModel

from ccapi.errors import CcapiError
from ccapi.gateway import access, internal, models, openapi, operations
from ccapi.gateway.app import create_app
from ccapi.gateway.parts import Parts
from ccapi.gateway.requests import ChatRequest
from ccapi.gateway.responses_conversations import ConversationRequest
from ccapi.gateway.responses_request import ResponsesRequest
from ccapi.gateway.settings import GatewaySettings
from tests.agent import streamjson as sj
from tests.agent.stub import ENVIRONMENT, STUB
from tests.gateway.conftest import Start
from tests.gateway.harness import Gateway

DOCUMENT = openapi.document()
OPERATIONS = {
    (method.upper(), path): operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}


def schema(name: str) -> OAS31Validator:
    """A validator for one of the document's types."""
    return OAS31Validator({"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]})


def references(part: Any) -> Iterator[str]:
    """Every `$ref` in a part of the document."""
    if isinstance(part, dict):
        yield from (value for name, value in part.items() if name == "$ref")
        for value in part.values():
            yield from references(value)
    if isinstance(part, list):
        for value in part:
            yield from references(value)


# --- the document


def test_it_is_valid() -> None:
    """OpenAPI 3.1, says the specification's own schema."""
    assert DOCUMENT["openapi"].startswith("3.1")
    openapi_spec_validator.validate(DOCUMENT)


async def test_its_routes_are_the_applications(tmp_path: Path) -> None:
    """Both ways: no route without a description, no description without a route; but for what ccapi itself asks."""
    (tmp_path / "workspace").mkdir()
    settings = GatewaySettings(
        workspace=tmp_path / "workspace",
        data_dir=tmp_path / "data",
        keys_dir=tmp_path / "keys",
        claude=str(STUB),
        environ={**ENVIRONMENT, "HOME": str(tmp_path)},
    )
    routes = create_app(Parts(settings)).router.routes()
    found = {(route.method, route.resource.canonical) for route in routes if route.resource}
    assert {route for route in found if not route[1].startswith(internal.PREFIX)} == set(OPERATIONS)


def test_every_reference_leads_somewhere_and_every_type_is_used() -> None:
    """Nothing is left over."""
    used = set(references(DOCUMENT))
    components = {
        f"#/components/{kind}/{name}" for kind in ("schemas", "headers") for name in DOCUMENT["components"][kind]
    }
    assert used == components


def test_operations_have_names_of_their_own() -> None:
    """Generated clients name their methods by them."""
    names = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9_]+", name) for name in names)


def test_every_error_is_described() -> None:
    """A new class of error with a status of its own belongs to the routes that can answer with it."""
    described = {one for operation in operations.OPERATIONS for one in operation.raised()}
    classes: list[type[CcapiError]] = [CcapiError]
    for one in classes:
        classes += one.__subclasses__()
    missing = [one for one in classes if one.status != 500 and one not in described]
    # 405 is the answer to what is no operation; the others are of the internal API and the OAuth proxy.
    others = {"usage", "method_not_allowed", "stack_secret_invalid", "port_busy", "code_incomplete"}
    others |= {"login_refused", "login_known", "login_not_found"}
    assert {one.code for one in missing} <= others


def test_every_operation_names_the_statuses_that_any_request_can_meet() -> None:
    """And those with a key what a wrong one meets."""
    for (method, path), operation in OPERATIONS.items():
        expected = {"400", "403", "421", "500"}
        expected |= set() if path in access.OPEN else {"401", "503"}
        expected |= {"413", "415", "429"} if method == "POST" else set()
        assert expected <= set(operation["responses"]), path
        assert operation["security"] == ([{}] if path in access.OPEN else [{"bearer": []}, {"header": []}, {}])


@pytest.mark.parametrize("model", [ChatRequest, ResponsesRequest, ConversationRequest])
def test_a_request_is_described_by_the_type_that_validates_it(model: type[BaseModel]) -> None:
    """Field by field."""
    described = DOCUMENT["components"]["schemas"][model.__name__]
    assert set(described["properties"]) == set(model.model_fields)
    required = {name for name, field in model.model_fields.items() if field.is_required()}
    assert set(described.get("required", ())) == required


def test_a_models_name_is_described_as_it_is_read() -> None:
    """In the path as in a body."""
    assert models._WELL_FORMED.pattern == operations.MODEL_NAME


@pytest.mark.parametrize("operation", operations.OPERATIONS, ids=lambda one: one.id)
def test_the_curl_examples_work(operation: operations.Operation) -> None:
    """They are for this route, and their body is one that is accepted."""
    (sample,) = OPERATIONS[operation.method, operation.path]["x-codeSamples"]
    command, *words = shlex.split(sample["source"].replace("\\\n", " "))
    assert command == "curl"
    (url,) = (word for word in words if word.startswith("http://127.0.0.1:8000/"))
    template = re.sub(r"\{\w+\}", "[^/?]+", re.escape(operation.path).replace(r"\{", "{").replace(r"\}", "}"))
    assert re.fullmatch(template + r"(\?.*)?", url.removeprefix("http://127.0.0.1:8000"))
    method = words[words.index("-X") + 1] if "-X" in words else "POST" if "-d" in words else "GET"
    assert method == operation.method
    if operation.request:
        assert "Content-Type: application/json" in words
        body = json.loads(words[words.index("-d") + 1])
        assert isinstance(operation.request.model_validate(body), BaseModel)


# --- what is answered


def get(gateway: Gateway, path: str) -> Any:
    with gateway.client() as client:
        return client.get(path)


def test_it_is_served(stubbed: Gateway) -> None:
    """As JSON."""
    response = get(stubbed, "/openapi.json")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.json() == DOCUMENT


@pytest.mark.parametrize(
    ("path", "name"),
    [("/health", "Health"), ("/ready", "Ready"), ("/v1/models", "ModelList"), ("/v1/models/sonnet", "Model")],
)
def test_small_answers_are_as_described(stubbed: Gateway, path: str, name: str) -> None:
    """Every member, and no other."""
    schema(name).validate(get(stubbed, path).json())


def test_an_error_is_as_described(stubbed: Gateway) -> None:
    """With and without a hint."""
    for path in ("/v1/models/gpt-9", "/nothing"):
        schema("Error").validate(get(stubbed, path).json())


@pytest.mark.parametrize("name", ["fibonacci", "thinking", "token-limit", "refusal", "subagents"])
def test_a_completion_is_as_described(start: Start, name: str) -> None:
    """Whole and streamed, of a recording of the real CLI."""
    gateway = start()
    text = b"".join(line + b"\n" for line in sj.recorded(name)).decode()
    gateway.stub.plan({"await_input": 2}, {"raw": text}, {"await_end_of_input": None})
    schema("ChatCompletion").validate(gateway.chat("hello"))
    answer = gateway.stream("hello", stream_options={"include_usage": True})
    assert answer.chunks
    for chunk in answer.chunks:
        schema("ChatCompletionChunk").validate(chunk)
