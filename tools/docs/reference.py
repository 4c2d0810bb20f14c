"""docs/reference.md: every endpoint and field, from the gateway's OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ccapi.gateway.openapi import document
from tools.docs.markdown import table

_STREAM = "text/event-stream"
_ERROR = "[`Error`](#error)"
_LIMITS = {"minimum": "≥", "maximum": "≤", "exclusiveMinimum": ">", "minLength": "length ≥", "maxLength": "length ≤"}

Object = Mapping[str, Any]


def text() -> str:
    """The list of the endpoints, each of them, and the types that they take and answer with."""
    described = document()
    return "\n".join([_contents(described), *_operations(described), *_types(described)])


def _contents(described: Object) -> str:
    rows = []
    for path, method, operation in _each(described):
        title = f"{method.upper()} {path}"
        rows.append((f"[`{title}`](#{_anchor(title)})", operation["summary"]))
    return table(("endpoint", ""), rows)


def _each(described: Object) -> Iterator[tuple[str, str, Object]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _operations(described: Object) -> Iterator[str]:
    tag = ""
    for path, method, operation in _each(described):
        if operation["tags"][0] != tag:
            tag = operation["tags"][0]
            yield f"## {tag}\n"
        yield from _operation(path, method, operation)


def _operation(path: str, method: str, operation: Object) -> Iterator[str]:
    yield f"### {method.upper()} {path}\n"
    yield f"{operation['summary']}\n"
    if words := operation.get("description"):
        yield f"{' '.join(words.split())}\n"
    if operation["security"] == [{}]:
        yield "Needs no key.\n"
    if operation["parameters"]:
        rows = [
            (f"`{one['name']}`", one["in"], _kind(one["schema"]), one["description"]) for one in operation["parameters"]
        ]
        yield table(("parameter", "in", "type", ""), rows)
    if body := operation.get("requestBody"):
        (media,) = body["content"].values()
        yield f"Body{'' if body['required'] else ' (may be left out)'}: {_kind(media['schema'])}\n"
    yield table(("status", "answer"), (_answer(*one) for one in operation["responses"].items()))


def _answer(status: str, answer: Object) -> tuple[str, str]:
    kinds = " or ".join(_media(name, media) for name, media in answer["content"].items())
    return status, answer["description"] + ("" if kinds == _ERROR else f" {kinds}")


def _media(name: str, media: Object) -> str:
    if name == _STREAM:
        *_, text = media["schema"]["properties"]["data"]["anyOf"]
        return f"a stream (`{name}`) of {_kind(text['contentSchema'])}"
    return _kind(media["schema"]) if "json" in name else f"`{name}`"


def _types(described: Object) -> Iterator[str]:
    yield "## Types\n"
    for name, schema in sorted(described["components"]["schemas"].items()):
        yield f"### {name}\n"
        if words := schema.get("description"):
            yield f"{' '.join(words.split())}\n"
        if fields := schema.get("properties"):
            required = schema.get("required", ())
            yield table(("field", "type", ""), (_field(name, one, name in required) for name, one in fields.items()))
        else:
            yield f"{_kind(schema)}\n"


def _field(name: str, about: Object, required: bool) -> tuple[str, str, str]:  # noqa: FBT001 -- two of three cells
    said = "; ".join(filter(None, ("" if required else "optional", about.get("description", ""))))
    return f"`{name}`", _kind(about), said


def _kind(schema: Object) -> str:
    """A schema in a few words."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return f"[`{name}`](#{_anchor(name)})"
    for many in ("anyOf", "oneOf", "allOf"):
        if many in schema:
            kinds = dict.fromkeys(_kind(one) for one in schema[many])
            if values := [f"`{one}`" for one in schema.get("enum", ()) if one is not None]:
                return " or ".join(values)
            return " or ".join(kinds)
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{one}`" for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return f"{schema.get('type', 'anything')}{_limits(schema)}"


def _limits(schema: Object) -> str:
    found = [f"{sign} {schema[name]:,}" for name, sign in _LIMITS.items() if name in schema]
    return f" ({', '.join(found)})" if found else ""


def _anchor(heading: str) -> str:
    """As GitHub makes it."""
    return "".join(one for one in heading.lower() if one.isalnum() or one in " _-").replace(" ", "-")
