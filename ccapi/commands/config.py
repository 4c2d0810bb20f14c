"""The settings' use cases: look at them, and change them in one of the two files."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccapi import configfile, files, paths, settings
from ccapi.errors import CcapiError, OutputFailed, SettingInvalid, UsageError
from ccapi.paths import Home
from ccapi.settings import TABLE, Resolved, Setting, Settings
from ccapi.stack import lock

# The gateway is not told of these, but the container is made from them.
_OF_THE_CONTAINER = ("gateway.", "stack.", "oauth.port")

Waiting = Callable[[str], None]  # told the PID of another ccapi that is changing settings at this moment


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a change. `value` is what counts now, from wherever; None if `problem` says why nothing does."""

    key: str
    file: Path
    changed: bool
    restart: bool  # a running stack goes on with the old value until `ccapi up`
    value: Resolved | None
    problem: CcapiError | None = None

    @property
    def overridden(self) -> bool:
        """Whether another place has the last word."""
        return self.value is not None and self.value.origin not in {str(self.file), "default"}


def value(wanted: Settings, key: str) -> Resolved:
    """One setting. Raises `UsageError` for an unknown one."""
    return wanted.resolved[_row(key).key]


def file(home: Home, *, local: bool = False) -> Path:
    """Where a change goes; the file need not exist. `local`: the current directory's."""
    if local:
        return Path.cwd() / settings.PROJECT_FILE
    return paths.project_config_file(home) or paths.config_file(home)


def set_value(home: Home, key: str, text: str, *, local: bool, waiting: Waiting) -> Change:
    """Write a setting down. Raises `UsageError`, `SettingInvalid` and `OutputFailed`, and has written nothing then."""
    row = _row(key)
    written = _as_toml(_parsed(row, text))

    def edit(content: str, place: Path) -> str:
        return configfile.with_value(content, key, written, place)

    return _change(home, row.key, edit, local=local, waiting=waiting)


def unset(home: Home, key: str, *, local: bool, waiting: Waiting) -> Change:
    """Take a setting out, so that the next place counts. A key that is no setting can go as well, if it is there.

    Raises like `set_value`.
    """

    def edit(content: str, place: Path) -> str:
        remaining = configfile.without(content, key, place)
        if remaining == content or any(row.key.startswith(f"{key}.") for row in TABLE):
            _row(key)  # a word that is no setting, or a table with settings in it
        return remaining

    return _change(home, key, edit, local=local, waiting=waiting)


def _change(home: Home, key: str, edit: Callable[[str, Path], str], *, local: bool, waiting: Waiting) -> Change:
    place, guarded = file(home, local=local), paths.state_dir(home) / "config.lock"
    try:
        with lock.exclusive(guarded, waiting):
            before = _read(place)
            after = edit(before, place)
            if after != before:
                files.replace(place, after)
    except OSError as error:  # the lock's: reading and writing the file have errors of their own
        raise OutputFailed(f"{guarded}: {error.strerror}") from error
    restart = any(row.gateway or row.key.startswith(_OF_THE_CONTAINER) for row in TABLE if row.key == key)
    resolved, problem = _resolved(home, key)
    return Change(key, place, after != before, restart, resolved, problem)


def _resolved(home: Home, key: str) -> tuple[Resolved | None, CcapiError | None]:
    """What counts now; something else in the files or the environment may be wrong, and must be said."""
    try:
        return settings.load(home=home).resolved.get(key), None
    except SettingInvalid as error:
        return None, error


def _row(key: str) -> Setting:
    rows = {row.key: row for row in TABLE}
    if key not in rows:
        near = difflib.get_close_matches(key, rows, 1)
        known = f"Did you mean {near[0]}?" if near else "See them all: ccapi config show"
        raise UsageError(f"no setting is called {key!r}", hint=known)
    return rows[key]


def _parsed(row: Setting, text: str) -> Any:
    """The value that was typed: as the environment would have it, or a table as TOML would."""
    try:
        return row.parse(tomllib.loads(f"value = {text}")["value"] if text.lstrip()[:1] in {"{", "["} else text)
    except (ValueError, tomllib.TOMLDecodeError):
        raise SettingInvalid(f"{row.key}: expected {row.expected}, not {text!r}") from None


def _as_toml(value: Any) -> Any:
    """As a person would write it."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return dict(value) if isinstance(value, Mapping) else value


def _read(place: Path) -> str:
    try:
        return place.read_bytes().decode("utf-8")  # with the line ends that it has
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise SettingInvalid(f"{place}: not valid TOML: {error}") from None
    except OSError as error:
        raise SettingInvalid(f"{place}: cannot be read: {error.strerror}") from None
