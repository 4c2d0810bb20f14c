"""The way in: scenarios by name or path."""

from __future__ import annotations

from ccapi.rehearsal.reader import read
from ccapi.rehearsal.shipped import find, names
from ccapi.rehearsal.turns import Scenario

__all__ = ["Scenario", "load", "names"]


def load(name_or_path: str) -> Scenario:
    """The shipped scenario of that name, or the one in that file (anything with a `/` or ending in `.toml`).

    Raises `ScenarioInvalid`; the message names the file, the place in it and what was expected there.
    """
    return read(find(name_or_path))
