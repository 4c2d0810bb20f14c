"""Something that is wrong with the settings: where, what was expected, and what is near it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ccapi import tomlfile
from ccapi.errors import SettingInvalid
from ccapi.settings import near, values
from ccapi.settings.table import TABLE, Setting
from ccapi.tomlfile import Key, Unreadable

_OPTIONS = {"stack.project": "--project"}  # what a flag is called, where it is not called as its setting


class Problem(NamedTuple):
    """One thing to put right. `file`, or `variable`, or neither: then a flag is at fault. Lines count from 1."""

    message: str
    hint: str | None = None
    key: str | None = None
    file: Path | None = None
    line: int | None = None
    column: int | None = None
    variable: str | None = None

    @property
    def place(self) -> str:
        """`FILE:LINE:COLUMN` as editors know it, or the variable; empty for a flag."""
        if self.file is None:
            return self.variable or ""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)

    @property
    def text(self) -> str:
        """The place and what is wrong there, on one line."""
        return f"{self.place}: {self.message}" if self.place else self.message

    def error(self, others: int = 0) -> SettingInvalid:
        """For a command that cannot go on. `others`: so many problems are there besides."""
        more = f"There are {others} more problems: ccapi config validate" if others > 1 else None
        more = "There is one more problem: ccapi config validate" if others == 1 else more
        return SettingInvalid(self.text, hint="\n".join(line for line in (self.hint, more) if line) or None)


class Place(NamedTuple):
    """Where values come from: a file, the environment or flags (`origin` as in `Resolved`)."""

    origin: str
    file: Path | None = None
    text: str = ""

    def value(self, row: Setting, wrong: Any) -> Problem:
        """A value that is none."""
        message = f"expected {row.expected}, not {values.quoted(wrong)}"
        hint = _meant(row.kind.suggestion(wrong))
        if self.file:
            return self.key(tuple(row.key.split(".")), f"{row.key}: {message}", hint, row.key)
        if self.origin == "environment":
            return Problem(message, hint, row.key, variable=row.env)
        name = _OPTIONS.get(row.key, row.key) if self.origin == "flag" else row.key
        return Problem(f"{name}: {message}", hint, row.key)

    def unknown(self, key: Key) -> Problem:
        """A key that is no setting's."""
        name = tomlfile.dotted(key)
        return self.key(key, f"no setting is called {name!r}", did_you_mean(name), name)

    def unreadable(self, error: Unreadable | OSError) -> Problem:
        """The whole file."""
        if isinstance(error, OSError):
            return Problem(f"cannot be read: {error.strerror}", file=self.file)
        return Problem(f"not valid TOML: {error.message}", file=self.file, line=error.line, column=error.column)

    def key(self, key: Key, message: str, hint: str | None, name: str) -> Problem:
        """Something about what stands in a file below a key."""
        return Problem(message, hint, name, self.file, tomlfile.line_of(self.text, key))


def did_you_mean(name: str) -> str:
    """The settings with a name like this one, or all there are."""
    keys = [row.key for row in TABLE]
    return _meant(*near.names(name, keys)) or f"Known: {', '.join(sorted(keys))}."


def _meant(*found: str | None) -> str | None:
    words = [word for word in found if word is not None]
    return f"Did you mean {' or '.join(words)}?" if words else None


def first(problems: Sequence[Problem]) -> None:
    """Raises `SettingInvalid` for the first, which tells of the others."""
    if problems:
        raise problems[0].error(len(problems) - 1)


def variables(names: Iterable[str], known: Iterable[str]) -> list[Problem]:
    """Variables `CCAPI_*` that nothing reads, and that are called nearly like one of a setting."""
    rows, known = {row.key: row.env for row in TABLE}, set(known) | {row.env for row in TABLE}
    found = {name: near.names(name, rows) for name in names if name.startswith("CCAPI_") and name not in known}
    return [
        Problem("nothing reads this variable", _meant(*(rows[key] for key in keys)), variable=name)
        for name, keys in sorted(found.items())
        if keys
    ]
