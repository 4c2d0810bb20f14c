"""Values out of JSON that somebody else wrote, each of the type that it should have.

What is of another one raises `LookupError`, `TypeError` or `ValueError`: to be told as one failure where it is known
what the document is.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import Any, TypeGuard

from ccapi.wire.events import RunEvent, RunFailed, RunFinished, Usage

_MOST = 2**53  # larger numbers are not exact in JSON, and nothing that is counted here comes near
_ANY, _TEXT, _WHOLE, _NUMBER = object, str, int, (int, float)
_TYPES: Mapping[str, type | tuple[type, ...]] = {  # by the field of an event; what is not here is not JSON's
    **dict.fromkeys(("session_id", "model", "message_id", "text", "tool_use_id", "name"), _TEXT),
    **dict.fromkeys(("partial_json", "output", "billing"), _TEXT),
    **dict.fromkeys(("block", "turns", "input_tokens", "output_tokens"), _WHOLE),
    **dict.fromkeys(("cache_read_tokens", "cache_creation_tokens"), _WHOLE),
    **dict.fromkeys(("cost_usd", "duration_ms"), _NUMBER),
    "parent": (str, NoneType),
    "full_size": (int, NoneType),
    "input": dict,
}


def is_number(value: object) -> TypeGuard[float]:
    """One that can be reckoned with: Python's JSON has NaN, infinity, and integers of any length."""
    return isinstance(value, int | float) and -_MOST < value < _MOST


def text(document: Mapping[str, Any], name: str) -> str:
    value = document[name]
    if not isinstance(value, str):
        raise TypeError(name)
    return value


def number(document: Mapping[str, Any], name: str) -> float:
    value = document[name]
    if not is_number(value):
        raise ValueError(name)
    return value


def count(document: Mapping[str, Any], name: str) -> int:
    """A whole number from 0 on, such as Unix seconds."""
    value = document[name]
    if not (isinstance(value, int) and 0 <= value < _MOST):
        raise ValueError(name)
    return value


def checked(event: RunEvent) -> RunEvent:
    """The event, if all of its fields are what they should be."""
    _check(event)
    if isinstance(event, RunFinished | RunFailed):
        _check(event.usage)
    return event


def _check(fields: RunEvent | Usage) -> None:
    for name in fields.__slots__:
        value, types = getattr(fields, name), _TYPES.get(name, _ANY)
        if not isinstance(value, types) or (type(value) in _NUMBER and not is_number(value)):
            raise ValueError(name)
