"""Changing one setting in a TOML file, and nothing else: comments, order and spelling stay as the person wrote them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from ccapi.errors import SettingInvalid

_Leaves = dict[tuple[str, ...], Any]


def with_value(text: str, key: str, value: Any, file: Path) -> str:
    """The text with `key` (dotted) set. A table as `value` replaces the one that is there, entry by entry.

    Raises `SettingInvalid`, which names the `file`, if the text is no TOML or has no place for the key.
    """
    path = tuple(key.split("."))
    expected = _without_leaf(_leaves_of(text, file), path) | _leaves(value, path)
    return _edited(text, file, expected, lambda document: _set(document, path, value))


def without(text: str, key: str, file: Path) -> str:
    """The text without `key`, or as it was where there is no such key. Raises like `with_value`."""
    path = tuple(key.split("."))
    present = _leaves_of(text, file)
    expected = _without_leaf(present, path)
    if len(expected) == len(present):
        return text
    return _edited(text, file, expected, lambda document: _delete(document, path))


def _edited(text: str, file: Path, expected: _Leaves, edit: Callable[[Any], None]) -> str:
    """What came out is read back: nothing but the one setting may have changed."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(text if text.endswith("\n") or not text else text + "\n")
        edit(document)
        result = tomlkit.dumps(document)
        if "\r\n" in text:
            result = re.sub(r"(?<!\r)\n", "\r\n", result)
        understood = _leaves(tomllib.loads(result))
    except (TOMLKitError, tomllib.TOMLDecodeError, TypeError, KeyError, AttributeError):
        understood = None  # a table where a value is, or the other way round; dotted keys in a form that it cannot edit
    if understood != expected:
        raise SettingInvalid(f"{file}: cannot be changed without touching more than that", hint="Edit it by hand.")
    return result


def _set(document: MutableMapping[str, Any], path: tuple[str, ...], value: Any) -> None:
    import tomlkit

    table = document
    for name in path[:-1]:
        if name not in table:
            table[name] = tomlkit.table()
        table = table[name]
    present = table.get(path[-1])
    if not isinstance(value, Mapping):
        table[path[-1]] = value
    elif isinstance(present, MutableMapping):
        for name in [name for name in present if name not in value]:
            del present[name]
        present.update(value)
    else:
        table[path[-1]] = tomlkit.inline_table()
        table[path[-1]].update(value)


def _delete(document: MutableMapping[str, Any], path: tuple[str, ...]) -> None:
    table = document
    for name in path[:-1]:
        table = table[name]
    del table[path[-1]]


def _leaves_of(text: str, file: Path) -> _Leaves:
    try:
        return _leaves(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SettingInvalid(f"{file}: not valid TOML: {error}") from None


def _leaves(value: Any, path: tuple[str, ...] = ()) -> _Leaves:
    if not isinstance(value, Mapping):
        return {path: value}
    return {place: leaf for name, inner in value.items() for place, leaf in _leaves(inner, (*path, name)).items()}


def _without_leaf(leaves: _Leaves, path: tuple[str, ...]) -> _Leaves:
    return {place: leaf for place, leaf in leaves.items() if place[: len(path)] != path}
