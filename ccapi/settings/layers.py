"""The places that settings come from, each with what it says: flags, the environment, and the files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ccapi import paths, tomlfile
from ccapi.paths import Home
from ccapi.settings.environment import own
from ccapi.settings.problems import Place, Problem
from ccapi.settings.table import BY_KEY, OWN_PORTS, TABLE
from ccapi.tomlfile import Key, Unreadable

PROJECT_FILE = "ccapi.toml"


class Layer(NamedTuple):
    """`values` by the keys of the table, as they were written. `problems`: what in the place is no setting's."""

    place: Place
    values: Mapping[str, Any]
    problems: tuple[Problem, ...] = ()
    unreadable: bool = False  # nothing is known about what the file says


def of_flags(flags: Mapping[str, Any] | None) -> Layer:
    """What the command line says; None counts as not given."""
    return Layer(Place("flag"), {key: value for key, value in (flags or {}).items() if value is not None})


def of_environment(environ: Mapping[str, str] | None) -> Layer:
    """The variables that are settings; an empty one counts as not set."""
    environ = own(environ)
    return Layer(Place("environment"), {row.key: environ[row.env] for row in TABLE if environ.get(row.env)})


def directory_of(environ: Mapping[str, str] | None) -> str | None:
    """`CCAPI_HOME`."""
    return own(environ).get("CCAPI_HOME") or None


def shared(home: Home, directory: Path | None = None) -> tuple[Path, Path]:
    """The files that count for whichever stack is meant, and that can say which: the directory's, then the user's."""
    return (directory or _here()) / PROJECT_FILE, paths.config_file(home)


def _here() -> Path:
    """The current directory. Where that was removed nothing is in it, and no command need fail for that."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return Path()


def of_files(home: Home, directory: Path | None = None) -> list[Layer]:
    """The files of settings there are, the one that counts most first."""
    here, user = shared(home, directory)
    stack = paths.project_config_file(home)
    found = [of_file(here), of_file(stack, of_stack=True) if stack else None, _users(home, user)]
    return [layer for layer in found if layer and (layer.values or layer.problems or layer.place.text)]


def _users(home: Home, file: Path) -> Layer:
    layer = of_file(file)
    if home.config and not layer.unreadable and not file.is_file():
        missing = Problem(f"--config {home.config}: there is no such file")
        return layer._replace(problems=(missing,), unreadable=True)
    if home.project:  # it is shared by all stacks, which cannot share a port
        return layer._replace(values={key: value for key, value in layer.values.items() if key not in OWN_PORTS})
    return layer


def of_file(file: Path, *, of_stack: bool = False) -> Layer:
    """What a file says; one that does not exist says nothing. `of_stack`: it is the file of one of several stacks."""
    try:
        text = tomlfile.read(file) or ""
    except (Unreadable, OSError) as error:
        place = Place(str(file), file)
        return Layer(place, {}, (place.unreadable(error),), unreadable=True)
    return of_text(text, file, of_stack=of_stack)


def of_text(text: str, file: Path, *, of_stack: bool = False) -> Layer:
    """What the file says if this is its text."""
    place = Place(str(file), file, text)
    try:
        document = tomlfile.loads(text)
    except Unreadable as error:
        return Layer(place, {}, (place.unreadable(error),), unreadable=True)
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for key, value in _settings(document):
        name = tomlfile.dotted(key)
        if name not in BY_KEY:
            problems.append(place.unknown(key))
        elif of_stack and name == "stack.project":
            message = "stack.project cannot stand in the file of one stack: the file's name is the stack's"
            problems.append(place.key(key, message, "Take it out.", name))
        else:
            values[name] = value
    return Layer(place, values, tuple(problems))


def _settings(document: Mapping[str, Any], above: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Keys and values; a table that is a setting's value stays whole."""
    for name, value in document.items():
        key = (*above, name)
        if isinstance(value, dict) and tomlfile.dotted(key) not in BY_KEY:
            yield from _settings(value, key)
        else:
            yield key, value
