"""Editing a whole file of settings: on a copy, which takes the file's place once nothing is wrong with it."""

from __future__ import annotations

import secrets
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ccapi import files, paths
from ccapi.commands import config
from ccapi.paths import Home
from ccapi.settings import TABLE, check, values
from ccapi.settings.problems import Problem
from ccapi.stack.lock import Waiting

_WIDTH = 100


class Draft(NamedTuple):
    """`file` is the copy of `place`; `before` is what that held when the copy was made."""

    file: Path
    place: Path
    before: str
    begun_with: str

    def changed(self) -> bool:
        """Whether anything was done to it. Raises `SettingInvalid`."""
        return config.read(self.file) != self.begun_with

    def discard(self) -> None:
        with suppress(OSError):
            self.file.unlink()


def begin(home: Home, *, local: bool) -> Draft:
    """A copy to edit; where there is no file yet, one that lists all settings. Raises as reading and writing do."""
    place = config.file(home, local=local)
    before = config.read(place)
    text = before or template(of_stack=config.of_stack(home, place))
    draft = paths.state_dir(home) / "drafts" / f"{place.stem}-{secrets.token_hex(4)}.toml"
    files.replace(draft, text, mode=0o600)
    return Draft(draft, place, before, text)


def problems(home: Home, draft: Draft) -> list[Problem]:
    """All that is wrong with the copy; places are those in the copy. Raises `SettingInvalid` if it cannot be read."""
    return check.text_of(draft.file, config.read(draft.file), of_stack=config.of_stack(home, draft.place))


def finish(home: Home, draft: Draft, waiting: Waiting) -> None:
    """Put the copy in the file's place. Raises `OutputFailed`, and the copy is still there then."""
    config.replace(home, draft.place, draft.before, config.read(draft.file), waiting)
    draft.discard()


def template(*, of_stack: bool) -> str:
    """A file that says nothing yet: each setting with what it means, its default commented out."""
    head = "# Settings of ccapi. What begins with # counts for nothing: take it away and change the value.\n"
    return head + "".join(_lines(of_stack=of_stack))


def _lines(*, of_stack: bool) -> Iterator[str]:
    begun = None
    for row in TABLE:
        table, _, name = row.key.partition(".")
        if table != begun:
            begun = table
            yield f"\n[{table}]\n"
        if of_stack and row.key == "stack.project":
            continue
        about = f"{row.help} ({row.expected[0].upper()}{row.expected[1:]}.)"
        yield "\n" + "".join(f"# {line}\n" for line in textwrap.wrap(about, _WIDTH, break_on_hyphens=False))
        default = "" if row.default is None else f" {values.toml(row.default)}"
        yield f"# {name} ={default}\n"
