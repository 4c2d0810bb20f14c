"""The JSON Schema of an answer: how it is given, and what does not fit it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ccapi.commands import answerschema
from ccapi.errors import InvalidRequest, StructuredOutputFailed, UsageError
from ccapi.gateway.formats import json_schema

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "jobs": {"type": "array", "items": {"$ref": "#/$defs/job"}},
        "born": {"type": "integer", "nullable": True},
    },
    "required": ["name"],
    "additionalProperties": False,
    "$defs": {"job": {"type": "object", "properties": {"since": {"type": "integer", "minimum": 1900}}}},
}


def refused(given: str) -> str:
    with pytest.raises(UsageError) as caught:
        answerschema.read(given)
    return caught.value.message


def unfit(value: Any, schema: dict[str, Any] = PERSON) -> str:
    with pytest.raises(StructuredOutputFailed) as caught:
        answerschema.check(schema, value)
    return caught.value.message.removeprefix("the answer does not fit the schema: ")


# --- given


@pytest.mark.parametrize("before", ["", " \n"])
def test_given_as_json(before: str) -> None:
    """What begins with `{` is the schema itself."""
    assert answerschema.read(before + json.dumps(PERSON)) == PERSON


@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "utf-16"])
def test_given_as_a_file(tmp_path: Path, code: str) -> None:
    """Anything else is the name of a file, in any encoding that a text file may have; `~` is understood."""
    schema = {"type": "object", "description": "世界"}
    (tmp_path / "home" / "person.json").write_text(json.dumps(schema, ensure_ascii=False), code)
    assert answerschema.read(str(tmp_path / "home" / "person.json")) == schema
    assert answerschema.read("~/person.json") == schema


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"type": object}', "--schema:1:10: Expecting value"),
        ('{\n  "type": object\n}', "--schema:2:11: Expecting value"),
        ('{"type": "object", "minimum": NaN}', "--schema: NaN is no JSON"),
        ('{"type": "object", "maximum": 1e999}', "--schema: the number 1e999 is too large"),
        (
            '{"type": "object", "title": "\\ud800"}',
            "--schema: a string has half of a surrogate pair, which is no character",
        ),
        ('{"type": "object", "title": "\udcff"}', "--schema is not valid UTF-8"),
        ("", "--schema names no schema"),
        (" \n", "--schema names no schema"),
        ('{"a":' * 100_000, "--schema: nested too deep"),
        ("{}", '--schema: this is no JSON Schema of an object: {"type": "object", ...}'),
        ('{"type": "array"}', '--schema: this is no JSON Schema of an object: {"type": "object", ...}'),
    ],
)
def test_json_that_is_no_schema(text: str, says: str) -> None:
    """The place, where there is one."""
    assert refused(text) == says


def test_a_file_that_is_no_schema(tmp_path: Path) -> None:
    """It is named."""
    file = tmp_path / "schema.json"
    assert refused(str(file)) == f"there is no file {file}"
    assert refused(str(tmp_path)) == f"{tmp_path} is a directory; only files can be sent"
    file.write_text("[1,\n 2")
    assert refused(str(file)).startswith(f"{file}:2:3: Expecting ',' delimiter")
    file.write_text("[1]")
    assert refused(str(file)).startswith(f"{file}: this is no JSON Schema")


# --- held against the answer


@pytest.mark.parametrize(
    "value", [{"name": "Ada"}, {"name": "Ada", "born": None, "jobs": []}, {"name": "", "jobs": [{"since": 1900}, {}]}]
)
def test_what_fits(value: Any) -> None:
    """And the gateway takes the schema."""
    answerschema.check(PERSON, value)
    assert json_schema(PERSON, "schema")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({}, "$: 'name' is a required property"),
        ([], "$: [] is not of type 'object'"),
        (None, "$: None is not of type 'object'"),
        ({"name": None}, "$.name: None is not of type 'string'"),
        ({"name": "Ada", "jobs": [{}, {"since": 1850}]}, "$.jobs[1].since: 1850 is less than the minimum of 1900"),
        ({"name": "", "a b": 1}, "$: Additional properties are not allowed ('a b' was unexpected)"),
    ],
)
def test_what_does_not_fit(value: Any, says: str) -> None:
    """Where, and why."""
    assert unfit(value) == says


def test_what_is_said_is_short() -> None:
    """Whatever the answer is."""
    assert len(unfit({"name": ["x" * 10_000]})) < 400


def test_the_draft_is_the_schemas_own() -> None:
    """`$schema`; by default 2020-12, where what stands beside a `$ref` counts as well, as for Claude Code."""
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/definitions/text", "maxLength": 2}},
        "definitions": {"text": {"type": "string"}},
    }
    assert unfit({"a": "abc"}, schema) == "$.a: 'abc' is too long"
    answerschema.check({"$schema": "http://json-schema.org/draft-07/schema#", **schema}, {"a": "abc"})


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"type": "string", "pattern": r"^\p{Lu}"}}},
        {"patternProperties": {r"^\p{Lu}": {"type": "string"}}, "additionalProperties": False},
        {"patternProperties": {r"^\p{Lu}": {"type": "string"}}, "unevaluatedProperties": False},
    ],
)
def test_what_python_cannot_read(schema: dict[str, Any]) -> None:
    """A regular expression of JavaScript's that is none of Python's is left to Claude Code, which knows it."""
    answerschema.check({"type": "object", **schema}, {"a": "x"})
    readable = {"type": "object", "properties": {"a": {"pattern": "^[A-Z]"}}}
    assert unfit({"a": "x"}, readable) == "$.a: 'x' does not match '^[A-Z]'"


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}]},
        {"properties": {"a": {"multipleOf": 0}}},
        {"properties": {"a": {"type": "any"}}},
        {"properties": {"a": {"pattern": 5}}},
        {"properties": {"a": 5}},
        {"required": 5},
    ],
)
def test_a_schema_that_is_none_is_held_against_nothing(schema: dict[str, Any]) -> None:
    """No gateway takes it. An answer that came all the same is given to whoever asked for it."""
    given = {"type": "object", **schema}
    with pytest.raises(InvalidRequest):
        json_schema(given, "schema")
    answerschema.check(given, {"a": 1})


def test_nothing_is_fetched() -> None:
    """A reference that leads out of the schema is refused by the gateway; here nobody follows it."""
    schema = {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/schema"}}}
    assert "http://127.0.0.1:9/schema" in unfit({"a": 1}, schema)
