"""The form that an answer must have: `response_format` of Chat Completions, `text.format` of Responses.

The CLI enforces a JSON Schema by a tool that the model has to call. It takes a wrong schema without a word in some
cases, and ends with a message on stderr in others, so schemas are looked at here first: what is no JSON Schema at all,
what the model's API would refuse, and what would cost too much to compile.

Source: OpenAI API reference, `response_format`; JSON Schema 2020-12, "Validation" and "Applicator" vocabularies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from ccapi.errors import InvalidRequest
from ccapi.gateway.fields import Lenient

MAX_SCHEMA = 100_000  # characters of JSON text
_MAX_DEPTH = 50

_TYPES = frozenset({"null", "boolean", "object", "array", "number", "string", "integer"})
_SCHEMAS = ("additionalProperties", "propertyNames", "contains", "items", "not", "if", "then", "else")
_SCHEMAS += ("unevaluatedItems", "unevaluatedProperties", "additionalItems")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains")
_COUNTS += ("maxContains",)
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_STRINGS = ("$ref", "$id", "$anchor", "$schema", "$comment", "title", "description", "format", "pattern")


class Named(Lenient):
    """`json_schema` of Chat Completions' `response_format`."""

    name: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")


class Format(Lenient):
    """Either API's: the schema stands in `json_schema`, or beside the type."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: Named | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")

    def schema_text(self, where: str) -> str | None:
        """JSON text for `Question.json_schema`; `where` is the name of this field. Raises `InvalidRequest`."""
        if self.type == "text":
            return None
        if self.type == "json_object":
            return '{"type":"object"}'
        nested = self.json_schema is not None
        found = self.json_schema.schema_ if self.json_schema else self.schema_
        where = f"{where}.json_schema.schema" if nested or where == "response_format" else f"{where}.schema"
        if found is None:
            raise InvalidRequest(f"'{where}': field required", param=where)
        return json_schema(found, where)


def json_schema(schema: Any, where: str) -> str:
    """The schema as JSON text. Raises `InvalidRequest` for one that Claude Code could not use."""
    problem = next(_problems(schema), None)
    if problem is None and schema.get("type") != "object":
        problem = "its 'type' must be 'object'"
    if problem is None and len(text := json.dumps(schema, separators=(",", ":"))) <= MAX_SCHEMA:
        return text
    raise InvalidRequest(f"'{where}': {problem or f'longer than {MAX_SCHEMA:,} characters'}", param=where)


def _problems(root: Any) -> Iterator[str]:
    """What is wrong, without any of the schema's own words."""
    rest: list[tuple[Any, int]] = [(root, 0)]
    while rest:
        schema, depth = rest.pop()
        if isinstance(schema, bool) and depth:
            continue
        if not isinstance(schema, dict):
            yield "a schema in it is no object"
            return
        if depth > _MAX_DEPTH:
            yield f"nested more than {_MAX_DEPTH} levels deep"
            return
        yield from _wrong_values(schema)
        rest += [(inner, depth + 1) for inner in _inner(schema)]


def _inner(schema: Mapping[str, Any]) -> Iterator[Any]:
    for name in _SCHEMAS:
        if name in schema:
            found = schema[name]
            yield from found if name == "items" and isinstance(found, list) else [found]  # a list: before 2020-12
    for name in _LISTS:
        yield from schema.get(name, ())
    for name in _MAPS:
        yield from schema.get(name, {}).values()


def _wrong_values(schema: Mapping[str, Any]) -> Iterator[str]:
    types = schema.get("type", "object")
    if not (types in _TYPES if isinstance(types, str) else _distinct(types) and _TYPES.issuperset(types)):
        yield "a 'type' is none of JSON Schema's"
    for name, valid in _VALID.items():
        if name in schema and not valid(schema[name]):
            yield f"a value of '{name}' is not as JSON Schema has it"
            return  # what follows looks into these


def _distinct(value: Any) -> bool:
    """A list of different strings."""
    return isinstance(value, list) and all(isinstance(one, str) for one in value) and len(set(value)) == len(value)


def _pattern(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        re.compile(re.sub(r"\\p\{[^}]*\}|\(\?<(?=[A-Za-z])", "(?:.|(" if "(?<" in value else ".", value))
    except (re.error, RecursionError, OverflowError):
        return False
    return True


_VALID: Mapping[str, Any] = {
    **dict.fromkeys(_LISTS, lambda value: isinstance(value, list) and value),
    **dict.fromkeys(_MAPS, lambda value: isinstance(value, dict)),
    **dict.fromkeys(_COUNTS, lambda value: type(value) is int and value >= 0),
    **dict.fromkeys(_NUMBERS, lambda value: type(value) in {int, float}),
    **dict.fromkeys(_STRINGS, lambda value: isinstance(value, str)),
    "multipleOf": lambda value: type(value) in {int, float} and value > 0,
    "uniqueItems": lambda value: isinstance(value, bool),
    "required": _distinct,
    "enum": lambda value: isinstance(value, list) and value,
    "dependentRequired": lambda value: isinstance(value, dict) and all(map(_distinct, value.values())),
}
