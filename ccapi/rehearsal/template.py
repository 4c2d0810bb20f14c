"""Placeholders in scenario texts: `@{prompt}`.

The sign was chosen because neither Python, shell nor JSON gives `@{` a meaning, so that code in a scenario needs no
escaping; `@@{` writes a literal `@{`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PLACEHOLDER = re.compile(r"@(?P<escape>@?)\{(?P<name>[^{}\n]*)\}")
_NUMBERED = re.compile(r"result_[1-9][0-9]*")

BUILT_IN = ("prompt", "model", "cwd", "last_result", "results", "step", "attempt")


def placeholders(text: str) -> Iterator[str]:
    """The names that `text` asks for, escaped ones left out."""
    return (match["name"] for match in _PLACEHOLDER.finditer(text) if not match["escape"])


def is_numbered(name: str) -> bool:
    """Whether the name is that of one result, counted from 1: `result_1`."""
    return _NUMBERED.fullmatch(name) is not None


def fill(text: str, values: Mapping[str, str]) -> str:
    """`text` with its placeholders replaced, in one pass: what a value contains is never looked at again.

    A numbered result that does not exist (yet) is empty.
    """

    def replace(match: re.Match[str]) -> str:
        return match[0][1:] if match["escape"] else values.get(match["name"], "")

    return _PLACEHOLDER.sub(replace, text)


def fill_all(value: Any, values: Mapping[str, str]) -> Any:
    """The same for every string inside a tool's input."""
    match value:
        case str():
            return fill(value, values)
        case dict():
            return {key: fill_all(item, values) for key, item in value.items()}
        case list():
            return [fill_all(item, values) for item in value]
        case _:
            return value


def strings(value: Any) -> Iterator[str]:
    """Every string inside a tool's input."""
    match value:
        case str():
            yield value
        case dict():
            for item in value.values():
                yield from strings(item)
        case list():
            for item in value:
                yield from strings(item)
