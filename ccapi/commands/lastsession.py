"""Which session was used last in which directory, and what the sessions that were seen here are called.

That is known on this machine alone: the gateway knows of no directories, and the shell's completion asks nobody. The
file is a convenience. One that is damaged is as good as none, and is written anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ccapi import files, paths
from ccapi.errors import OutputFailed
from ccapi.paths import Home
from ccapi.stack import lock

FILE = "sessions.json"  # in the stack's state directory
_MOST = 1000  # directories, and sessions
_TITLE = 80  # characters

_Place = tuple[str, str]  # a gateway's base URL and a directory, or a session's id


@dataclass(slots=True)
class _Memory:
    """Both with what was used last at the end."""

    last: dict[_Place, str] = field(default_factory=dict)  # by directory, the session's id
    titles: dict[_Place, str] = field(default_factory=dict)  # by session


def remember(home: Home, base_url: str, directory: Path, session_id: str, *, title: str = "") -> None:
    """The session was used in this directory just now. `title`: what is known of it, such as the question.

    Raises `OutputFailed` if that cannot be written down.
    """

    def change(memory: _Memory) -> None:
        place, session = _place(base_url, directory), (_address(base_url), session_id)
        memory.last.pop(place, None)
        memory.last[place] = session_id
        memory.titles[session] = memory.titles.pop(session, "") or _one_line(title)

    _change(home, change)


def last(home: Home, base_url: str, directory: Path) -> str | None:
    """The id of the session that was used last in this directory. Raises `OutputFailed` if the file cannot be read."""
    return _read(home).last.get(_place(base_url, directory))


def learn(home: Home, base_url: str, titles: Mapping[str, str]) -> None:
    """What the gateway calls its sessions, by id, the last used first. Raises `OutputFailed`."""

    def change(memory: _Memory) -> None:
        for session_id, title in reversed([*titles.items()]):
            memory.titles.pop((_address(base_url), session_id), None)
            memory.titles[_address(base_url), session_id] = _one_line(title)

    if titles:
        _change(home, change)


def forget(home: Home, base_url: str, session_ids: Collection[str]) -> None:
    """Sessions that are gone. Raises `OutputFailed`."""

    def change(memory: _Memory) -> None:
        gone = {(_address(base_url), session_id) for session_id in session_ids}
        memory.titles = {session: title for session, title in memory.titles.items() if session not in gone}
        memory.last = {place: name for place, name in memory.last.items() if (place[0], name) not in gone}

    _change(home, change)


def known(home: Home, base_url: str) -> dict[str, str]:
    """The titles of the gateway's sessions that were seen here, by id, the last one first. Raises `OutputFailed`."""
    titles = _read(home).titles
    return {session: title for (url, session), title in reversed(titles.items()) if url == _address(base_url)}


def _place(base_url: str, directory: Path) -> _Place:
    return _address(base_url), os.path.realpath(directory)


def _address(base_url: str) -> str:
    return base_url.rstrip("/")


def _one_line(title: str) -> str:
    return " ".join(title[: 10 * _TITLE].split())[:_TITLE]


# --- the file


def _change(home: Home, change: Callable[[_Memory], None]) -> None:
    """One after the other, so that none of two commands that end at once is forgotten."""
    file = _file(home)
    with lock.exclusive(file.with_suffix(".lock"), lambda _: None):
        memory = _read(home)
        change(memory)
        files.replace(file, _written(memory), mode=0o600)


def _file(home: Home) -> Path:
    return paths.state_dir(home) / FILE


def _read(home: Home) -> _Memory:
    file = _file(home)
    try:
        document = json.loads(file.read_bytes())
        return _Memory(_rows(document["last"]), _rows(document["titles"]))
    except FileNotFoundError:
        return _Memory()
    except OSError as error:
        raise OutputFailed(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, LookupError, TypeError, RecursionError):
        return _Memory()


def _rows(rows: Iterable[Any]) -> dict[_Place, str]:
    """Raises `ValueError` and `TypeError` for what is none of ours."""
    found: dict[_Place, str] = {}
    for address, name, value in rows:
        if not all(isinstance(one, str) for one in (address, name, value)):
            raise TypeError
        found[address, name] = value
    return found


def _written(memory: _Memory) -> str:
    """In ASCII, as a directory's name need not be valid text."""
    last, titles = ([[*key, value] for key, value in found.items()][-_MOST:] for found in (memory.last, memory.titles))
    return json.dumps({"last": last, "titles": titles}) + "\n"
