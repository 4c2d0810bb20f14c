"""The JSON Schema that an answer must fit: read from the command line, and held against the answer.

What a schema may say is for the gateway to know, which refuses what Claude Code's validator would not take.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ccapi.commands import attachments
from ccapi.errors import StructuredOutputFailed, UsageError

_MOST = 300  # characters of what is wrong: it repeats the value


def read(given: str) -> Mapping[str, Any]:
    """The schema itself if `given` begins with `{`, else the file of that name. Raises `UsageError`."""
    if not given.strip():
        raise UsageError("--schema names no schema")
    if given.lstrip().startswith("{"):
        try:
            given.encode()
        except UnicodeEncodeError:
            raise UsageError("--schema is not valid UTF-8") from None
        return _schema(given, "--schema")
    return _schema(attachments.text(attachments.read(given), given), given)


def check(schema: Mapping[str, Any], value: Any) -> None:
    """Raises `StructuredOutputFailed`, which says where `value` does not fit."""
    from jsonschema.exceptions import best_match
    from referencing.exceptions import Unresolvable

    try:
        error = best_match(_validator(schema).iter_errors(value))
    except Unresolvable as missing:
        raise StructuredOutputFailed(f"the schema refers to {missing.ref}, which is not in it") from None
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001 # no schema that the gateway takes; a panic in Rust is no `Exception`
        return
    if error is not None:
        what = error.message if len(error.message) <= _MOST else f"{error.message[:_MOST]}…"
        raise StructuredOutputFailed(f"the answer does not fit the schema: {error.json_path}: {what}")


def _schema(text: str, name: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text, parse_constant=_no_json, parse_float=_finite)
        json.dumps(found, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise UsageError(f"{name}:{error.lineno}:{error.colno}: {error.msg}") from None
    except UnicodeEncodeError:
        raise UsageError(f"{name}: a string has half of a surrogate pair, which is no character") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name}: {error if isinstance(error, ValueError) else 'nested too deep'}") from None
    if not isinstance(found, dict) or found.get("type") != "object":
        raise UsageError(f'{name}: this is no JSON Schema of an object: {{"type": "object", ...}}')
    return found


def _no_json(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _finite(number: str) -> float:
    found = float(number)
    if math.isinf(found):
        raise ValueError(f"the number {number} is too large")
    return found


def _validator(schema: Mapping[str, Any]) -> Any:
    """As Claude Code's own validator reads it, which knows `nullable`; it is fetched from nowhere.

    A regular expression of JavaScript that is none of Python's is not looked at.
    """
    from jsonschema import Draft202012Validator, validators
    from referencing import Registry

    base = validators.validator_for(schema, default=Draft202012Validator)
    known = base.VALIDATORS
    lenient = {
        name: _as_far_as_python_reads_it(known[name])
        for name in ("pattern", "patternProperties", "additionalProperties", "unevaluatedProperties")
        if name in known
    }
    cls = validators.extend(base, {**lenient, "type": _or_null(known["type"])})
    return cls(schema, registry=Registry())


_Keyword = Callable[[Any, Any, Any, Any], Iterator[Any] | None]


def _as_far_as_python_reads_it(keyword: _Keyword) -> _Keyword:
    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
        try:
            yield from keyword(validator, value, instance, schema) or ()
        except re.error:
            return

    return check


def _or_null(keyword: _Keyword) -> _Keyword:
    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if instance is None and schema.get("nullable") is True:
            return
        yield from keyword(validator, value, instance, schema) or ()

    return check
