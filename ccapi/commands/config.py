"""The settings' use cases: look at them, check them, and change them in one of the files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ccapi import configfile, files, paths, settings, tomlfile
from ccapi.errors import CcapiError, OutputFailed, SettingInvalid, UsageError
from ccapi.paths import Home
from ccapi.settings import TABLE, Resolved, Setting, Settings, check, problems
from ccapi.settings.problems import Problem
from ccapi.settings.table import BY_KEY
from ccapi.stack import lock
from ccapi.stack.lock import Waiting
from ccapi.tomlfile import Unreadable


class Change(NamedTuple):
    """What became of a change. `value` is what counts now, from wherever; None if `problem` says why nothing does.

    `row`: the setting; None for a key that is none, which was taken out.
    """

    key: str
    file: Path
    changed: bool
    row: Setting | None
    value: Resolved | None
    problem: CcapiError | None = None

    @property
    def overridden(self) -> bool:
        """Whether another place has the last word."""
        return self.value is not None and self.value.origin not in {str(self.file), "default"}


class Origin(NamedTuple):
    """Where a value comes from. `kind`: flag, environment, file or default. `line` counts from 1."""

    kind: str
    file: Path | None = None
    line: int | None = None
    variable: str | None = None

    def __str__(self) -> str:
        if self.file:
            return f"{self.file}:{self.line}" if self.line else str(self.file)
        return f"environment {self.variable}" if self.variable else self.kind


class Report(NamedTuple):
    """What was checked, what is wrong with it, and what only looks like a slip."""

    files: list[Path]
    problems: list[Problem]
    warnings: list[Problem]


# --- look


def value(wanted: Settings, key: str) -> Resolved:
    """One setting. Raises `UsageError` for an unknown one."""
    return wanted.resolved[row(key).key]


def row(key: str) -> Setting:
    """A row of the table. Raises `UsageError`, which tells what is near."""
    if key not in BY_KEY:
        hint = problems.did_you_mean(key)
        known = "See them all: ccapi config show" if hint.startswith("Known") else hint
        raise UsageError(f"no setting is called {key!r}", hint=known)
    return BY_KEY[key]


def origins(found: Mapping[str, Resolved]) -> dict[str, Origin]:
    """Where each value comes from, with the lines of files."""
    texts: dict[str, str] = {}
    return {key: _origin(key, resolved.origin, texts) for key, resolved in found.items()}


def _origin(key: str, origin: str, texts: dict[str, str]) -> Origin:
    if origin == "environment":
        return Origin(origin, variable=BY_KEY[key].env)
    if origin in {"flag", "default"}:
        return Origin(origin)
    if origin not in texts:
        texts[origin] = read(Path(origin))
    return Origin("file", Path(origin), tomlfile.line_of(texts[origin], tuple(key.split("."))))


def file(home: Home, *, local: bool = False, key: str | None = None) -> Path:
    """Where a change goes (of `key`); the file need not exist. `local`: the current directory's."""
    if local:
        return Path.cwd() / settings.PROJECT_FILE
    own = paths.project_config_file(home) if key != "stack.project" else None  # which cannot name itself
    return own or paths.config_file(home)


# --- check


def validate(home: Home, *, one: Path | None = None) -> Report:
    """Look at all files that count here and at the environment, or at `one` file.

    Raises `UsageError` if that is not there.
    """
    if one is None:
        return Report(check.places(home), check.everything(home), check.unread())
    if not one.is_file():
        raise UsageError(f"{one}: there is no such file")
    return Report([one], check.text_of(one, read(one), of_stack=of_stack(home, one)), [])


def of_stack(home: Home, place: Path) -> bool:
    """Whether a file is that of one of several stacks."""
    any_of_them = paths.project_config_file(home._replace(project="any"))
    return any_of_them is not None and place.resolve().parent == any_of_them.resolve().parent


# --- change


def set_value(home: Home, key: str, text: str, *, local: bool, waiting: Waiting) -> Change:
    """Write a setting down. Raises `UsageError`, `SettingInvalid` and `OutputFailed`, and has written nothing then."""
    parsed = _as_toml(_parsed(row(key), text))

    def edit(content: str, place: Path) -> str:
        return configfile.with_value(content, key, parsed, place)

    return _change(home, key, edit, local=local, waiting=waiting)


def unset(home: Home, key: str, *, local: bool, waiting: Waiting) -> Change:
    """Take a setting out, so that the next place counts. A key that is no setting can go as well, if it is there.

    Raises like `set_value`.
    """

    def edit(content: str, place: Path) -> str:
        remaining = configfile.without(content, key, place)
        if remaining == content or any(setting.key.startswith(f"{key}.") for setting in TABLE):
            row(key)  # a word that is no setting, or a table with settings in it
        return remaining

    return _change(home, key, edit, local=local, waiting=waiting)


def remember(home: Home, chosen: Mapping[str, Any], waiting: Waiting) -> Path:
    """Write down what ccapi has chosen for this stack, all of it or nothing, in the stack's own file, which it names.

    (The user's file, for the stack without a name.) `chosen`: values by the keys of the table, as the program has
    them. Raises `SettingInvalid` and `OutputFailed`, and has written nothing then.
    """
    place = file(home)

    def edit(content: str) -> str:
        for key, wanted in chosen.items():
            content = configfile.with_value(content, key, _as_toml(row(key).parse(wanted)), place)
        return content

    _edited(home, place, edit, waiting)
    return place


def replace(home: Home, place: Path, before: str, after: str, waiting: Waiting) -> None:
    """Put a whole new text in the place of `before`. Raises `OutputFailed`, also if that is no longer what is there."""

    def edit(content: str) -> str:
        if content != before:
            raise OutputFailed(f"{place} was changed by somebody else meanwhile")
        return after

    _edited(home, place, edit, waiting)


def read(place: Path) -> str:
    """The text of a file of settings, empty if there is none. Raises `SettingInvalid`."""
    try:
        return tomlfile.read(place) or ""
    except Unreadable as error:
        raise SettingInvalid(tomlfile.complaint(place, error)) from None
    except OSError as error:
        raise SettingInvalid(f"{place}: cannot be read: {error.strerror}") from None


def _change(home: Home, key: str, edit: Callable[[str, Path], str], *, local: bool, waiting: Waiting) -> Change:
    place = file(home, local=local, key=key)
    changed = _edited(home, place, lambda content: edit(content, place), waiting)
    resolved, problem = _resolved(home, key)
    return Change(key, place, changed, BY_KEY.get(key), resolved, problem)


def _edited(home: Home, place: Path, edit: Callable[[str], str], waiting: Waiting) -> bool:
    """Whether that made a difference. One at a time, whichever stack and file: they share files."""
    with lock.exclusive(paths.state_dir(home._replace(project=None)) / "config.lock", waiting):
        before = read(place)
        after = edit(before)
        if after != before:
            files.replace(place, after)
    return after != before


def _resolved(home: Home, key: str) -> tuple[Resolved | None, CcapiError | None]:
    """What counts now; something else in the files or the environment may be wrong, and must be said."""
    try:
        return settings.load(home=home).resolved.get(key), None
    except SettingInvalid as error:
        return None, error


def _parsed(setting: Setting, text: str) -> Any:
    """The value that was typed: as the environment would have it, or a table as TOML would."""
    try:
        return setting.parse(tomlfile.loads(f"value = {text}")["value"] if text.lstrip()[:1] in {"{", "["} else text)
    except ValueError:
        raise problems.Place("command").value(setting, text).error() from None


def _as_toml(value: Any) -> Any:
    """As a person would write it."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return dict(value) if isinstance(value, Mapping) else value
