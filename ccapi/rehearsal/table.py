"""Reading one TOML table strictly: right types, known keys, errors that name the file and the place."""

from __future__ import annotations

import re
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any, NoReturn

from ccapi.errors import ScenarioInvalid
from ccapi.rehearsal.suggest import suggestion

if TYPE_CHECKING:
    from pathlib import Path


class Table:
    """A TOML table that knows where it stands. Ask for the keys that may be there, then call `done()`."""

    def __init__(self, data: dict[str, Any], path: Path, place: str = "") -> None:
        self._data = data
        self._path = path
        self._place = place
        self._asked: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self._data

    def expect(self, *keys: str) -> None:
        """Makes these keys known without reading them."""
        self._asked += keys

    def text(self, key: str) -> str | None:
        value = self._get(key)
        if value is not None and not isinstance(value, str):
            self.refuse(f"{key!r} must be a string, not {_kind(value)}")
        return value

    def boolean(self, key: str) -> bool | None:
        value = self._get(key)
        if value is not None and not isinstance(value, bool):
            self.refuse(f"{key!r} must be true or false, not {_kind(value)}")
        return value

    def integer(self, key: str, *, least: int) -> int | None:
        value = self._get(key)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
            self.refuse(f"{key!r} must be a whole number, {least} or more, not {_shown(value)}")
        return value

    def seconds(self, key: str) -> float | None:
        value = self._get(key)
        if value is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < float("inf"):
            self.refuse(f"{key!r} must be a number of seconds, 0 or more, not {_shown(value)}")
        return float(value)

    def pattern(self, key: str) -> re.Pattern[str] | None:
        source = self.text(key)
        if source is None:
            return None
        try:
            return re.compile(source)
        except re.error as error:
            self.refuse(f"{key!r} must be a regular expression: {error} in {source!r}")

    def texts(self, key: str) -> list[str]:
        value = self._get(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.refuse(f"{key!r} must be a list of strings, not {_kind(value)}")
        return value

    def plain(self, key: str) -> dict[str, Any]:
        """A table whose content is the scenario's own business, as long as JSON can carry it."""
        value = self._get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.refuse(f"{key!r} must be a table, not {_kind(value)}")
        self._refuse_dates(key, value)
        return value

    def table(self, key: str) -> Table:
        value = self._get(key)
        if value is not None and not isinstance(value, dict):
            self.refuse(f"{key!r} must be a table, not {_kind(value)}")
        return Table(value or {}, self._path, self._at(key))

    def tables(self, key: str) -> list[Table]:
        value = self._get(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.refuse(f"{key!r} must be an array of tables ([[{key}]]), not {_kind(value)}")
        return [Table(item, self._path, self._at(f"{key} {number}")) for number, item in enumerate(value, 1)]

    def done(self) -> None:
        """Refuses the keys that nobody asked for."""
        for key in self._data:
            if key not in self._asked:
                near = suggestion(key, self._asked) or f"; known here: {', '.join(self._asked)}"
                self.refuse(f"unknown key {key!r}{near}")

    def refuse(self, problem: str) -> NoReturn:
        where = f"{self._path}: {self._place}: " if self._place else f"{self._path}: "
        raise ScenarioInvalid(where + problem, hint="the format is described in docs/rehearsal.md")

    def _get(self, key: str) -> Any:
        if key not in self._asked:
            self._asked.append(key)
        return self._data.get(key)

    def _at(self, key: str) -> str:
        return f"{self._place}, {key}" if self._place else key

    def _refuse_dates(self, key: str, value: Any) -> None:
        match value:
            case date() | datetime() | time():
                self.refuse(f"{key!r} must hold JSON values only: quote the date {value.isoformat()!r}")
            case dict():
                for item in value.values():
                    self._refuse_dates(key, item)
            case list():
                for item in value:
                    self._refuse_dates(key, item)


def _kind(value: Any) -> str:
    kinds = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "a table"}
    return kinds.get(type(value), "a date or time")


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else _kind(value)
