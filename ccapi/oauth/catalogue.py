"""The MCP servers that `ccapi auth` knows: catalogue.toml, as it was checked at its date."""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal, get_args

Way = Literal["browser", "token", "client-id"]
Grade = Literal["A", "B", "C"]

WAYS: tuple[Way, ...] = get_args(Way)
OWN_APP_PORT = 18888  # that logins of an app of one's own come back to, unless the vendor or a setting says another


@dataclass(frozen=True, slots=True)
class Help:
    """Where the vendor makes a token, or registers an app; `url` is the endpoint for it, where it is another one."""

    page: str | None = None
    how: str = ""
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One server. `ways`: how to sign in, the best first. `sure`: how good the evidence is (A: the vendor's page).

    `client_id`: what the vendor knows Claude Code by, where it registers no clients; public, and without a secret.
    """

    name: str
    title: str
    about: str
    url: str
    ways: tuple[Way, ...]
    sure: Grade
    guide: str = ""
    revoke: str | None = None
    callback_port: int | None = None
    client_id: str | None = None
    token: Help = Help()
    client: Help = Help()

    def endpoint(self, way: Way) -> str:
        """The endpoint for signing in this way."""
        other = {"browser": None, "token": self.token.url, "client-id": self.client.url}[way]
        return other or self.url


@dataclass(frozen=True, slots=True)
class Catalogue:
    """`checked`: the year and month in which the entries were true."""

    checked: str
    entries: tuple[Entry, ...]

    def get(self, name: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.name == name), None)


@functools.cache
def load() -> Catalogue:
    """The catalogue of this release."""
    text = resources.files("ccapi.oauth").joinpath("catalogue.toml").read_text("utf-8")
    return parse(tomllib.loads(text))


def parse(document: dict[str, Any]) -> Catalogue:
    """Raises `TypeError` and `KeyError` for what is no catalogue; a test holds the shipped one to more than that."""
    return Catalogue(document["checked"], tuple(_entry(**row) for row in document["server"]))


def _entry(
    *, ways: list[Way], token: dict[str, str] | None = None, client: dict[str, str] | None = None, **rest: Any
) -> Entry:
    rest = {key: value.strip() if isinstance(value, str) else value for key, value in rest.items()}
    return Entry(ways=tuple(ways), token=_help(token), client=_help(client), **rest)


def _help(row: dict[str, str] | None) -> Help:
    return Help(**{key: value.strip() for key, value in (row or {}).items()})
