"""Changing one setting in a TOML file, and nothing else: comments, order and spelling stay as the person wrote them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from ccapi import tomlfile
from ccapi.errors import SettingInvalid
from ccapi.tomlfile import Unreadable

_Leaves = dict[tuple[str, ...], Any]


def with_value(text: str, key: str, value: Any, file: Path) -> str:
    """The text with `key` (dotted) set. A table as `value` replaces the one that is there, entry by entry.

    Raises `SettingInvalid`, which names the `file`, if the text is no TOML or has no place for the key.
    """
    path = tuple(key.split("."))
    expected = _without_leaf(_leaves_of(text, file), path) | _leaves_at(path, value)
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

    mark = "\ufeff" if text.startswith("\ufeff") else ""  # of Windows' editors, which want it back
    text = text.removeprefix(mark)
    try:
        document = tomlkit.parse(text if text.endswith("\n") or not text else text + "\n")
        edit(document)
        result = tomlkit.dumps(document)
        if "\r\n" in text:
            result = re.sub(r"(?<!\r)\n", "\r\n", result)
        understood = _leaves(tomlfile.loads(result))
    except (TOMLKitError, Unreadable, TypeError, KeyError, AttributeError):
        understood = None  # a table where a value is, or the other way round; dotted keys in a form that it cannot edit
    if understood != expected:
        raise SettingInvalid(
            f"{file}: cannot be changed without touching more than that", hint="Edit it by hand: ccapi config edit"
        )
    return mark + result


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
        return _leaves(tomlfile.loads(text))
    except Unreadable as error:
        raise SettingInvalid(tomlfile.complaint(file, error)) from None


def _leaves(document: Mapping[str, Any], path: tuple[str, ...] = ()) -> _Leaves:
    return {leaf.key: leaf.value for leaf in tomlfile.leaves(document, path)}


def _leaves_at(path: tuple[str, ...], value: Any) -> _Leaves:
    return _leaves(value, path) if isinstance(value, Mapping) else {path: value}


def _without_leaf(leaves: _Leaves, path: tuple[str, ...]) -> _Leaves:
    return {place: leaf for place, leaf in leaves.items() if place[: len(path)] != path}
