"""Reading TOML that a person wrote, and saying where in it something stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

Key = tuple[str, ...]  # the names of the tables from the outermost on, and the name in the last of them
_BARE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


class Unreadable(ValueError):
    """The text is no TOML. `line` and `column` count from 1; None where the parser names no place."""

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


class Leaf(NamedTuple):
    """A value, and where it stands."""

    key: Key
    value: Any


def read(file: Path) -> str | None:
    """The file's text, with the line ends that it has; None if there is no such file.

    Raises `Unreadable` if it is no UTF-8, and `OSError`.
    """
    try:
        data = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise Unreadable(f"not UTF-8: the byte 0x{data[error.start]:02x}", line, column) from None


def loads(text: str) -> dict[str, Any]:
    """What the text means; it may begin with a byte order mark, as files of Windows do. Raises `Unreadable`."""
    if not text:
        return {}  # most people have no such file, and the parser takes longer to import than all else
    import tomllib

    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        raise _unreadable(str(error), text) from None
    except RecursionError:
        raise Unreadable("nested too deeply") from None


def complaint(file: Path, error: Unreadable) -> str:
    """`FILE:LINE:COLUMN: not valid TOML: ...`, as editors know such a place."""
    place = ":".join(str(part) for part in (file, error.line, error.column) if part is not None)
    return f"{place}: not valid TOML: {error.message}"


def _unreadable(said: str, text: str) -> Unreadable:
    """The parser's words, without the place, which it has at the end: `... (at line 3, column 7)`."""
    import re

    if found := re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", said, re.DOTALL):
        return Unreadable(found[1], int(found[2]), int(found[3]))
    message = said.removesuffix(" (at end of document)")
    return Unreadable(said) if message == said else Unreadable(f"{message} at the end of the file", _last_line(text))


def _last_line(text: str) -> int:
    return max(1, len(text.rstrip().split("\n")))


def leaves(document: Mapping[str, Any], above: Key = ()) -> Iterator[Leaf]:
    """Every value that is no table, with its key, in the order of the text."""
    for name, value in document.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*above, name))
        else:
            yield Leaf((*above, name), value)


def dotted(key: Key) -> str:
    """As one writes it in the file: names with other characters than letters, digits, - and _ are quoted."""
    import json

    return ".".join(name if name and _BARE.issuperset(name) else json.dumps(name, ensure_ascii=False) for name in key)


def line_of(text: str, key: Key) -> int | None:
    """The line (from 1) on which the value or the table `key` begins, in whatever way it is written there.

    None where the text has no such key, is no TOML, or has a value of more than `_LONGEST` lines above it.
    """
    table: Key = ()
    for line, statement in _statements(text.removeprefix("\ufeff")):
        if _has(statement.means if statement.header else _below(table, statement.means), key):
            return line
        if statement.header:
            table = _header(statement.means)
    return None


_LONGEST = 200  # lines of one value: each further one is an attempt to read it


class _Statement(NamedTuple):
    means: dict[str, Any]
    header: bool


def _statements(text: str) -> Iterator[tuple[int, _Statement]]:
    """Headers and values, each with the line it begins on.

    Nothing but a whole statement can be read for itself: what lacks its end never can. So the lines are put together
    until that works, and no second grammar of TOML is needed.
    """
    import tomllib

    begun: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        begun.append(line.removesuffix("\r"))
        try:
            means = tomllib.loads("\n".join(begun))
        except tomllib.TOMLDecodeError:
            if len(begun) == _LONGEST:
                return
            continue
        if means:
            yield number - len(begun) + 1, _Statement(means, header=begun[0].lstrip().startswith("["))
        begun.clear()


def _header(means: Mapping[str, Any]) -> Key:
    """`[a.b]` and `[[a.b]]` both mean nothing but `a.b`."""
    for name, value in means.items():
        inner = value[0] if isinstance(value, list) else value
        return (name, *_header(inner))
    return ()


def _below(table: Key, means: Any) -> Any:
    for name in reversed(table):
        means = {name: means}
    return means


def _has(means: Any, key: Key) -> bool:
    if not key:
        return True
    if isinstance(means, list):
        return any(_has(inner, key) for inner in means)
    return isinstance(means, Mapping) and key[0] in means and _has(means[key[0]], key[1:])
