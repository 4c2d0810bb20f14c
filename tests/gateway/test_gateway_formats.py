"""The form of an answer: a schema as clients send it becomes one that Claude Code takes, or is refused by name."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from ccapi.errors import InvalidRequest
from ccapi.gateway.formats import Format, json_schema

WHERE = "response_format.json_schema.schema"


def fitted(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json_schema(schema, WHERE))
    return found


def refused(schema: dict[str, Any]) -> str:
    with pytest.raises(InvalidRequest) as caught:
        json_schema(schema, WHERE)
    assert caught.value.param == WHERE
    assert caught.value.message.startswith(f"'{WHERE}': ")
    return caught.value.message


def with_property(**keywords: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": keywords}}


# --- where it stands


def test_the_formats_of_both_apis() -> None:
    """Chat Completions has the schema one level deeper than Responses."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    chat = Format.model_validate(
        {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
    )
    responses = Format.model_validate({"type": "json_schema", "name": "x", "schema": schema, "strict": True})
    assert json.loads(chat.schema_text("response_format") or "") == schema
    assert json.loads(responses.schema_text("text.format") or "") == schema


def test_text_is_no_schema_and_an_object_is_any_object() -> None:
    """The other two formats."""
    assert Format.model_validate({"type": "text"}).schema_text("response_format") is None
    assert Format.model_validate({"type": "json_object"}).schema_text("text.format") == '{"type":"object"}'


@pytest.mark.parametrize(
    ("where", "document", "param"),
    [
        ("response_format", {}, "response_format.json_schema.schema"),
        ("response_format", {"schema": {"type": "object"}}, "response_format.json_schema.schema"),
        ("response_format", {"json_schema": {"schema": {}}}, "response_format.json_schema.schema"),
        ("text.format", {}, "text.format.schema"),
        ("text.format", {"schema": {}}, "text.format.schema"),
    ],
)
def test_a_missing_or_wrong_schema_is_named(where: str, document: dict[str, Any], param: str) -> None:
    """As the client of that API would write it."""
    with pytest.raises(InvalidRequest) as caught:
        Format.model_validate({"type": "json_schema", **document}).schema_text(where)
    assert caught.value.param == param


# --- what clients send


class Inner(BaseModel):
    kind: str
    children: list[Inner] = []


class Outer(BaseModel):
    """A model with what pydantic writes beside the essential."""

    name: str
    inner: Inner | None = None
    tags: dict[str, int] = {}


def test_the_schema_of_a_pydantic_model_is_taken() -> None:
    """With definitions that refer to themselves, as trees do."""
    schema = Outer.model_json_schema()
    assert fitted(schema) == schema


def test_a_schema_of_zod_is_taken() -> None:
    """Its `$schema` would end the CLI with an error, if it is not draft 7's."""
    for draft in ("http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft/2020-12/schema"):
        schema = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
        assert fitted({"$schema": draft, **schema}) == schema


@pytest.mark.parametrize(
    "keyword",
    [
        *({"discriminator": {"propertyName": "kind"}}, {"xml": 1}, {"$id": "x"}, {"id": 5}, {"$comment": "c"}),
        *({"nullable": True}, {"additionalItems": False}, {"deprecated": True}, {"$anchor": "x"}),
    ],
)
def test_what_says_nothing_about_values_is_left_out(keyword: dict[str, Any]) -> None:
    """The CLI's validator stops at words that it does not know; the specification says to pass over them."""
    assert fitted(with_property(anyOf=[{"type": "string"}], **keyword)) == with_property(anyOf=[{"type": "string"}])


def test_names_of_properties_are_no_keywords() -> None:
    """However they are called."""
    names = ["discriminator", "prefixItems", "$ref", "type", "nullable", "$schema"]
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in names}, "required": names}
    assert fitted(schema) == schema


@pytest.mark.parametrize(
    "keywords",
    [
        {
            "type": "string",
            "minLength": 0,
            "maxLength": 5,
            "pattern": r"^(?<year>\d{4})\k<year>\p{L}+\u{1F600}(?<=a+)$",
        },
        {"pattern": "[[a]", "const": None},
        {"type": ["string", "null"], "enum": ["a", None], "default": None, "title": "t", "description": "d"},
        {"type": "number", "minimum": -1.5, "exclusiveMaximum": 10**30, "multipleOf": 0.1},
        {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True, "contains": True},
        {"type": "array", "items": False},
        {"type": "object", "patternProperties": {"^x-": True}, "propertyNames": {"pattern": "a"}, "minProperties": 1},
        {"oneOf": [{"const": 1}, {"not": {"const": [1, {"a": 2}]}}], "if": True, "then": {}, "else": False},
        {"type": "string", "nullable": True, "format": "date-time", "examples": ["x"]},
        {"$ref": "#/properties/b", "allOf": [{"$ref": "#"}]},
    ],
)
def test_what_the_validator_knows_stays(keywords: dict[str, Any]) -> None:
    """Each of these was tried with the real CLI."""
    schema = {**with_property(**keywords), "additionalProperties": {"type": "string"}}
    schema["properties"]["b"] = {"type": "integer"}
    assert fitted(schema) == schema


# --- what is refused


@pytest.mark.parametrize(
    "schema", [{}, {"type": "array"}, {"type": "string"}, {"type": ["object"]}, {"anyOf": [{"type": "object"}]}]
)
def test_an_answer_is_an_object(schema: dict[str, Any]) -> None:
    """The model's API takes nothing else as a tool's input."""
    assert "'type' must be 'object'" in refused(schema)


@pytest.mark.parametrize(
    "name", ["prefixItems", "unevaluatedProperties", "dependentRequired", "minContains", "$dynamicRef"]
)
def test_what_would_not_be_checked_is_refused(name: str) -> None:
    """Leaving it out would change what the schema allows."""
    assert f"'{name}' is not supported" in refused(with_property(**{name: {}}))


WRONG: dict[str, list[Any]] = {
    "type": ["text", "", [], ["string", "string"], ["x"], None, 5, True, {}, [["string"]]],
    "minLength": [-1, 1.5, "1", True, None],
    "minimum": ["1", True, float("inf"), None],
    "multipleOf": [0, -1],
    "enum": [[], "a", [1, 1], [1, 1.0], [{"a": 1}, {"a": 1}]],
    "required": ["a", ["a", "a"], [1], None],
    "pattern": ["(", "[", "*", "a{2,1}", 5, "(?<a>b)(?<a>c)", "(" * 9_000 + ")" * 9_000],
    "items": [[{"type": "string"}], "string", None, 5],
    "anyOf": [[], {}, None, [5], ["x"]],
    "properties": [[], None, {"b": 5}, {"b": []}],
    "patternProperties": [{"(": {}}, []],
    "$ref": [5, "#/nowhere", "#foo", "", "http://127.0.0.1/x.json", "file:///etc/passwd", "#/type", "other.json#/a"],
    "$defs": [[]],
    "uniqueItems": [1],
    "title": [5],
    "examples": [1],
    "not": [None],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_what_is_no_json_schema_is_refused(name: str, value: Any) -> None:
    """Before a run begins, instead of an answer without any schema."""
    refused(with_property(**{name: value}))


def test_references_that_go_in_a_circle_are_refused() -> None:
    """Through any of the keywords that are about the same value; the CLI's validator would not come back."""
    refused({"type": "object", "$ref": "#"})
    refused(with_property(**{"$ref": "#/properties/a"}))
    refused({"type": "object", "allOf": [{"anyOf": [{"$ref": "#"}]}]})
    refused({"type": "object", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"not": {"$ref": "#/$defs/a"}}}})
    chain = {f"a{number}": {"$ref": f"#/$defs/a{number + 1}"} for number in range(5000)}
    refused({"type": "object", "$defs": {**chain, "a5000": {}}})


def test_many_references_to_one_place_are_no_circle() -> None:
    """And are looked at once each, not along each of the ways that lead there."""
    doubled = {f"a{number}": {"anyOf": [{"$ref": f"#/$defs/a{number + 1}"}] * 2} for number in range(45)}
    schema = {
        "type": "object",
        "$defs": {**doubled, "a45": {"type": "string"}},
        "properties": {"x": {"$ref": "#/$defs/a0"}},
    }
    assert fitted(schema) == schema


@pytest.mark.parametrize("depth", [60, 400, 900])
def test_nesting_is_limited(depth: int) -> None:
    """Where schemas stand in each other, and in values, which nobody follows."""
    deep: dict[str, Any] = {}
    for _ in range(depth):
        deep = {"properties": {"a": deep}}
    assert "nested" in refused({"type": "object", **deep})
    value: Any = 1
    for _ in range(depth):
        value = [value]
    with contextlib.suppress(InvalidRequest):
        json_schema(with_property(default=value), WHERE)


def test_the_size_is_limited() -> None:
    """To what is sensible with every request to the model."""
    assert "100,000 characters" in refused(with_property(description="x" * 100_000))


KEYWORDS = [
    "type",
    "properties",
    "items",
    "$ref",
    "anyOf",
    "enum",
    "required",
    "pattern",
    "$defs",
    "not",
    "a",
    "minimum",
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["object", "string", "#", "#/properties/a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYWORDS), inner, max_size=4),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from(KEYWORDS), VALUES))
def test_any_document_is_a_schema_or_refused(schema: dict[str, Any]) -> None:
    """Nothing else happens, and what is taken is taken again as it is."""
    with contextlib.suppress(InvalidRequest):
        text = json_schema({**schema, "type": "object"}, WHERE)
        assert json_schema(json.loads(text), WHERE) == text
