"""Which files in ccapi's directories are its own. Whatever else lies there is somebody's, and stays.

No symbolic link is followed: one that has the name of a file of ours goes, and what it points to stays; one in the
place of a directory is left alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ccapi.paths import Home, Kind

__all__ = ["Found", "Kind", "look", "remove", "stacks"]

_STATE = (
    r"stack\.secret|(stack|keys|config|ports|sessions)\.lock|build\.log|(upgrade|sessions)\.json"
    r"|proxy-\d{1,5}\.(json|lock)|log/(proxy|ccapi)\.log(\.\d)?|keys/(keys\.json|stack\.sha256)|drafts/[^/]+\.toml|gateway/.+"
)
_STATE_DIRECTORIES = r"log|keys|drafts|gateway(/.+)?"
_PROJECT = r"projects/[a-z0-9][a-z0-9_-]*"
# By their path in the directory.
_FILES: dict[Kind, str] = {
    "config": rf"config\.toml|{_PROJECT}\.toml|completion/ccapi\.(bash|zsh|ps1)",
    "state": rf"{_STATE}|{_PROJECT}/({_STATE})",
    "cache": r"update\.json|build-[^/]+/.+",
}
_DIRECTORIES: dict[Kind, str] = {
    "config": r"\.|projects|completion",
    "state": rf"\.|projects|{_STATE_DIRECTORIES}|{_PROJECT}(/({_STATE_DIRECTORIES}))?",
    "cache": r"\.|build-[^/]+(/.+)?",
}
_SHARED = r"(config|ports)\.lock"  # in the state of the stack that has no name, and of use to all
_HALF = re.compile(r"\.(.+)\.[0-9a-f]{16}")  # what an interruption leaves beside a file: see `ccapi.files`
_KINDS: tuple[Kind, ...] = ("config", "state", "cache")


class Found(NamedTuple):
    """`own`: what goes. `kept`: what lies between that, and stays."""

    own: list[Path]
    kept: list[Path]


def look(home: Home, *, every: bool) -> Found:
    """The files of all stacks and those that they share, or with `every` False only those of this one."""
    own: list[Path] = []
    kept: list[Path] = []
    for kind in _KINDS:
        directory = home.below(kind)
        if directory.is_symlink():
            kept += [directory] if every else []
            continue
        for name in _walk(directory):
            if _meant(kind, name, home, every=every):
                own.append(directory / name)
            elif every:
                kept.append(directory / name)
    return Found(sorted(own), sorted(kept))


def remove(home: Home, *, every: bool) -> dict[Path, str]:
    """Remove them, and the directories that are empty then; what could not be removed, and why."""
    problems: dict[Path, str] = {}
    for file in look(home, every=every).own:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            problems[file] = error.strerror or str(error)
    for kind in _KINDS:
        directory = home.below(kind)
        if not directory.is_symlink():
            _tidy(kind, directory)
    if every and home.directory:
        _remove_empty(Path(home.directory).expanduser())
    return problems


def stacks(home: Home) -> set[str]:
    """The names of projects of which there is a directory or a file of settings."""
    found: set[str] = set()
    with suppress(OSError):
        found |= {entry.name for entry in (home.below("state") / "projects").iterdir() if entry.is_dir()}
    with suppress(OSError):
        found |= {file.stem for file in (home.below("config") / "projects").glob("*.toml")}
    return {name for name in found if re.fullmatch(_PROJECT, f"projects/{name}")}


def _meant(kind: Kind, name: str, home: Home, *, every: bool) -> bool:
    parent, _, last = name.rpartition("/")
    if half := _HALF.fullmatch(last):
        name = f"{parent}/{half[1]}" if parent else half[1]
    if not re.fullmatch(_FILES[kind], name, re.DOTALL):
        return False
    if every:
        return True
    if home.project:
        return name == f"projects/{home.project}.toml" or name.startswith(f"projects/{home.project}/")
    return kind == "state" and not name.startswith("projects/") and not re.fullmatch(_SHARED, name)


def _walk(directory: Path) -> Iterator[str]:
    """Everything below it but directories, by its path in there."""
    for place, directories, files in os.walk(directory):
        links = [name for name in directories if Path(place, name).is_symlink()]
        for name in (*files, *links):
            yield Path(place, name).relative_to(directory).as_posix()


def _tidy(kind: Kind, directory: Path) -> None:
    for place, _, _ in os.walk(directory, topdown=False):
        if re.fullmatch(_DIRECTORIES[kind], Path(place).relative_to(directory).as_posix(), re.DOTALL):
            _remove_empty(Path(place))


def _remove_empty(directory: Path) -> None:
    with suppress(OSError):  # it is not empty, or a link, or the system needs it
        directory.rmdir()
