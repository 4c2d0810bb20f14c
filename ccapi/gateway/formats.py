"""The form that an answer must have: `response_format` of Chat Completions, `text.format` of Responses.

The CLI enforces a JSON Schema by a tool that the model has to call. It knows draft 7 in the strict reading of its
validator: a keyword that it does not know, a `$schema` of another draft, or a reference that leads nowhere, and no run
begins, or one without any schema. So what clients send (pydantic's and zod's schemas, mostly) is made into what it
takes: what says nothing about values is left out, as the specification has it for unknown keywords. What would change
the meaning, and what is wrong, is refused.

Source: OpenAI API reference, `response_format`; JSON Schema draft 7 and 2020-12; tried with Claude Code 2.1.330.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal
from urllib.parse import unquote

from pydantic import Field

from ccapi.errors import InvalidRequest
from ccapi.gateway.fields import Lenient

MAX_SCHEMA = 100_000  # characters of JSON text
_MAX_DEPTH = 50
_MAX_CHAIN = 100  # references that follow from each other

Schema = dict[str, Any]

_TYPES = frozenset({"null", "boolean", "object", "array", "number", "string", "integer"})
_SCHEMAS = ("additionalProperties", "propertyNames", "contains", "items", "not", "if", "then", "else")
_LISTS = ("allOf", "anyOf", "oneOf")
_MAPS = ("properties", "patternProperties", "$defs", "definitions")
# These say something about values, and the CLI's validator knows none of them.
_UNSUPPORTED = (
    *("prefixItems", "unevaluatedItems", "unevaluatedProperties", "dependentRequired", "dependentSchemas"),
    *("dependencies", "minContains", "maxContains", "$dynamicRef", "$recursiveRef"),
)


class Named(Lenient):
    """`json_schema` of Chat Completions' `response_format`."""

    name: str | None = None
    schema_: Schema | None = Field(None, alias="schema")


class Format(Lenient):
    """Either API's: the schema stands in `json_schema`, or beside the type."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: Named | None = None
    schema_: Schema | None = Field(None, alias="schema")

    def schema_text(self, where: str) -> str | None:
        """JSON text for `Question.json_schema`; `where` is the name of this field. Raises `InvalidRequest`."""
        if self.type == "text":
            return None
        if self.type == "json_object":
            return '{"type":"object"}'
        nested = self.json_schema is not None or where == "response_format"
        where = f"{where}.json_schema.schema" if nested else f"{where}.schema"
        found = self.json_schema.schema_ if self.json_schema else None if nested else self.schema_
        if found is None:
            raise InvalidRequest(f"'{where}': field required", param=where)
        return json_schema(found, where)


class _Unfit(ValueError):
    """What is wrong with a schema, in none of its own words."""


def json_schema(schema: Schema, where: str) -> str:
    """The schema as JSON text that Claude Code takes. Raises `InvalidRequest`."""
    try:
        if len(json.dumps(schema, separators=(",", ":"))) > MAX_SCHEMA:
            raise _Unfit(f"longer than {MAX_SCHEMA:,} characters")  # noqa: TRY301 -- one place makes the answer
        root = _fitted(schema, 0)
        assert isinstance(root, dict)
        _check_references(root)
        if root.get("type") != "object":
            raise _Unfit("its 'type' must be 'object'")  # noqa: TRY301 -- as above
        return json.dumps(root, separators=(",", ":"))
    except (_Unfit, RecursionError) as error:
        problem = str(error) if isinstance(error, _Unfit) else "nested too deep"
        raise InvalidRequest(f"'{where}': {problem}", param=where) from None


def _fitted(schema: Any, depth: int) -> Schema | bool:
    if depth > _MAX_DEPTH:
        raise _Unfit(f"nested more than {_MAX_DEPTH} levels deep")
    if isinstance(schema, bool) and depth:
        return schema
    if not isinstance(schema, dict):
        raise _Unfit("a schema in it is no object")
    _check_keywords(schema)
    fitted: Schema = {}
    for name, value in schema.items():
        if name in _SCHEMAS:
            fitted[name] = _fitted(value, depth + 1)
        elif name in _LISTS:
            fitted[name] = [_fitted(inner, depth + 1) for inner in value]
        elif name in _MAPS:
            fitted[name] = {key: _fitted(inner, depth + 1) for key, inner in value.items()}
        elif name in _VALUES and (name != "nullable" or "type" in schema):
            fitted[name] = value
    return fitted


def _check_keywords(schema: Schema) -> None:
    for name in _UNSUPPORTED:
        if name in schema:
            raise _Unfit(f"the keyword '{name}' is not supported")
    for name, valid in _VALID.items():
        if name in schema and not valid(schema[name]):
            raise _Unfit(f"a value of '{name}' is not as JSON Schema has it, or not supported")


# --- references


def _check_references(root: Schema) -> None:
    """Each leads to a schema in this one, and none says nothing but that it is itself."""
    seen: dict[int, bool] = {}  # by the schema's identity: whether all that it consists of was looked at

    def follow(schema: Any, chain: int) -> None:
        if not isinstance(schema, dict) or seen.get(id(schema)):
            return
        if id(schema) in seen or chain > _MAX_CHAIN:
            raise _Unfit("a '$ref' leads in a circle, or too far")
        seen[id(schema)] = False
        for inner in _same_value(schema):
            follow(inner, chain + 1)
        if "$ref" in schema:
            follow(_target(root, schema["$ref"]), chain + 1)
        seen[id(schema)] = True

    for schema in _all(root):
        follow(schema, 0)


def _same_value(schema: Schema) -> Iterator[Any]:
    """The schemas in it that are about the same value as itself."""
    for name in ("not", "if", "then", "else"):
        yield schema.get(name)
    for name in _LISTS:
        yield from schema.get(name, ())


def _all(schema: Any) -> Iterator[Schema]:
    if isinstance(schema, dict):
        yield schema
        for name in _SCHEMAS:
            yield from _all(schema.get(name))
        for name in _LISTS:
            for inner in schema.get(name, ()):
                yield from _all(inner)
        for name in _MAPS:
            for inner in schema.get(name, {}).values():
                yield from _all(inner)


def _target(root: Schema, reference: str) -> Any:
    found: Any = root
    if reference != "#":
        if not reference.startswith("#/"):
            raise _Unfit("a '$ref' leads out of the schema")
        for step in unquote(reference[2:]).split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list):
                found = found[int(name)] if re.fullmatch(r"[0-9]{1,4}", name) and int(name) < len(found) else None
            else:
                found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, dict | bool):
        raise _Unfit("a '$ref' leads nowhere")
    return found


# --- values


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _number(value: Any) -> bool:
    return type(value) is int or (type(value) is float and abs(value) < float("inf"))


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value) and len(set(value)) == len(value)


def _types(value: Any) -> bool:
    return value in _TYPES if isinstance(value, str) else bool(value) and _names(value) and _TYPES.issuperset(value)


def _choices(value: Any) -> bool:
    if not isinstance(value, list) or not value:
        return False
    whole = (int(one) if isinstance(one, float) and one.is_integer() else one for one in value)  # 1.0 is 1
    return len({json.dumps(one, sort_keys=True) for one in whole}) == len(value)


def _pattern(value: Any) -> bool:
    """JavaScript's regular expressions, tried as Python's after the commonest differences are gone."""
    if not isinstance(value, str):
        return False
    python = re.sub(r"\\[pP]\{[^{}]*\}|\\u\{[0-9a-fA-F]+\}|\\c[A-Za-z]", ".", value)
    python = re.sub(r"\(\?<(?![=!])", "(?P<", python)
    python = re.sub(r"\\k<(\w+)>", r"(?P=\1)", python)
    try:
        with warnings.catch_warnings(action="ignore"):  # of what Python means to change in its own syntax
            re.compile(python)
    except (re.error, OverflowError) as error:
        return "look-behind" in str(error)  # of any width in JavaScript
    return True


def _patterns(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_pattern, value))


_VALID: Mapping[str, Callable[[Any], bool]] = {
    "type": _types,
    **dict.fromkeys(("title", "description", "format", "$ref"), _text),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), _count),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _number),
    "multipleOf": lambda value: _number(value) and value > 0,
    **dict.fromkeys(("uniqueItems", "nullable"), lambda value: isinstance(value, bool)),
    "required": _names,
    "enum": _choices,
    "examples": lambda value: isinstance(value, list),
    "pattern": _pattern,
    **dict.fromkeys(_SCHEMAS, lambda value: isinstance(value, dict | bool)),
    **dict.fromkeys(_LISTS, lambda value: isinstance(value, list) and bool(value)),
    **dict.fromkeys(_MAPS, lambda value: isinstance(value, dict)),
    "patternProperties": _patterns,
}
_VALUES = frozenset(_VALID).difference(_SCHEMAS, _LISTS, _MAPS) | {"const", "default"}
