"""Why a login failed, and what to do about it, in words for people."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from ccapi.errors import LoginFailed, NoRegistration, UsageError
from ccapi.oauth.catalogue import Entry, Way
from ccapi.wire.internal import Probed

# What the CLI says, and what it means; the first that fits.
_KNOWN: tuple[tuple[str, str, str], ...] = (
    (
        r"access_denied",
        "the server was told not to allow access",
        "If that was a mistake, start again: {command}",
    ),
    (
        r"does not support dynamic client registration",
        "the server knows only registered clients, and Claude Code is none",
        """Register an OAuth app there, then: {command.with_client}
Or use a token: {command.with_token}""",
    ),
    (
        r"[Ii]ssuer mismatch",
        "the answer came from another server than the one that was asked: that may be an attack",
        "If the server moved lately, try later. Otherwise tell whoever runs it.",
    ),
    (
        r"non-https",
        "the server wants the login sent unencrypted, which Claude Code refuses",
        "The server must offer https, or be on localhost.",
    ),
    (
        r"invalid_client|unauthorized_client",
        "the server does not know this client id, or not this secret",
        "Check both: {command.with_client}",
    ),
    (
        r"redirect[_ ]uri",
        "the server does not allow the address that the login comes back to",
        "Register it there, or use the port that it knows: {command.with_port}",
    ),
    (
        r"invalid_grant|expired",
        "the server's answer had expired, or was used before",
        "Start again: {command}",
    ),
    (
        r"EADDRINUSE|port .* in use",
        "another login in the container uses the same port",
        "Wait until that one is over, or end it: ccapi restart",
    ),
    (
        r"ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|fetch failed|Unable to connect",
        "the server cannot be reached from the container",
        "Is the address right? See: ccapi auth list",
    ),
    (
        r"`?Authorization`? header",
        "it is set up with a token in a header, which a login does not replace",
        "Take it out first: ccapi auth logout {name}",
    ),
)


@dataclass(frozen=True, slots=True)
class Command:
    """What a person types to sign in to a server as before: with all that was given, but nothing that is secret."""

    name: str
    url: str | None = None
    trust_url: bool = False
    client_id: str | None = None
    callback_port: int | str | None = None

    def __str__(self) -> str:
        options = {"--url": self.url, "--client-id": self.client_id, "--callback-port": self.callback_port}
        words = [f"{option} {shlex.quote(str(value))}" for option, value in options.items() if value]
        return " ".join(["ccapi auth", self.name, *words, *(["--trust-url"] if self.trust_url else [])])

    @property
    def with_client(self) -> str:
        """The same as another client."""
        return str(replace(self, client_id="ID"))

    @property
    def with_port(self) -> str:
        """The same with another port to come back to."""
        return str(replace(self, callback_port="PORT"))

    @property
    def with_token(self) -> str:
        """The same with a token, instead of the browser."""
        return f"{replace(self, client_id=None, callback_port=None)} --with-token"


def failed(command: Command, reason: str) -> LoginFailed:
    """For a login that the CLI ended, with its reason."""
    name = command.name
    for pattern, meaning, advice in _KNOWN:
        if re.search(pattern, reason):
            return LoginFailed(
                f"Not signed in to {name}: {meaning}", hint=advice.format(name=name, command=command), detail=reason
            )
    said = f": {reason}" if reason else ""
    return LoginFailed(f"Not signed in to {name}{said}", hint=f"Start again: {command}")


def unusable(url: str, probed: Probed, *, typed: bool) -> LoginFailed:
    """For an address at which there is nothing to sign in to. `typed`: it is the person's, not the catalogue's."""
    why = f": {probed.detail}" if probed.detail else ""
    if probed.outcome == "unreachable":
        return LoginFailed(f"{url} cannot be reached from the container{why}", hint=_unreachable(url, probed.detail))
    hint = "Check the address: it often ends in /mcp" if typed else None
    return LoginFailed(f"{url} is no MCP server{why}", hint=hint)


def _unreachable(url: str, detail: str | None) -> str:
    """How to look, from where it was tried, and what is the matter most of the time."""
    look = f"See for yourself: ccapi shell curl -I {shlex.quote(url)}"
    if urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"}:
        return f"{look}\nThat is the container itself, not this machine."
    if "TLS" in (detail or ""):
        look += "\nIf your network has certificates of its own: ccapi config set stack.ca_file FILE, then ccapi up"
    return f"{look}\nIf your network has a proxy: set HTTPS_PROXY, then ccapi up"


def unknown(name: str) -> UsageError:
    """For a name that stands for no address."""
    hint = f"Give its address: ccapi auth {name} --url https://...\nSee which are known: ccapi auth list"
    return UsageError(f"no MCP server is known as {name}", hint=hint)


def other_ways(entry: Entry | None) -> tuple[Way, ...]:
    """How to sign in where the browser alone does not do: what the catalogue has, or all if it has nothing else."""
    known = tuple(way for way in entry.ways if way != "browser") if entry else ()
    return known or ("token", "client-id")


def no_registration(command: Command, entry: Entry | None) -> NoRegistration:
    """For a server that takes no client it does not know."""
    ways = other_ways(entry)
    lines: list[str] = []
    if "token" in ways:
        lines.append(f"With a token: {command.with_token}   (read from standard input)")
        if entry and entry.token.page:
            lines.append(f"Make the token at {entry.token.page}")
    if "client-id" in ways:
        lines.append(f"With an OAuth app of your own: {command.with_client}")
        if entry and entry.client.page:
            lines.append(f"Register the app at {entry.client.page}")
    return NoRegistration(f"{command.name} has no login for programs that it does not know", hint="\n".join(lines))
