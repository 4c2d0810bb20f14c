"""Signing in to an MCP server with a token: looked at, tried against the server, kept, and tried once more."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ccapi.commands import loginadvice, mcpservers
from ccapi.commands.inside import Inside
from ccapi.errors import LoginFailed, UsageError
from ccapi.oauth.catalogue import Entry
from ccapi.redact import masked
from ccapi.wire.internal import Probed

Probe = Callable[[str, str | None], Probed]  # `client.internal.InternalClient.probe`

_SCHEME = re.compile(r"(?i)^bearer(\s+|$)")  # copied along, out of a header
_MAX = 4096  # characters; the gateway takes no more


@dataclass(frozen=True, slots=True)
class Target:
    """The server that is signed in to; `entry` is the catalogue's, the address may be `typed` by the person."""

    name: str
    url: str
    entry: Entry | None = None
    typed: bool = False

    @property
    def title(self) -> str:
        return self.entry.title if self.entry else self.name


@dataclass(frozen=True, slots=True)
class Kept:
    """A token that works. `shown` is what a person may see of it."""

    name: str
    shown: str
    tools: tuple[str, ...]


def check(text: str) -> str:
    """What was typed or piped, as a token. Raises `UsageError`, which does not repeat it."""
    token = _SCHEME.sub("", text.strip())
    if not token or not token.isascii() or not token.isprintable() or " " in token or len(token) > _MAX:
        raise UsageError("that is no token: one line of letters, digits and signs is expected")
    return token


def sign_in(container: Inside, probe: Probe, target: Target, token: str) -> Kept:
    """Keep the token for this server, if it works: the server itself says so before, and Claude Code after.

    Where it does not, everything is as it was. Raises `LoginFailed` and `ClaudeFailed`.
    """
    tools = _tried(probe, target, token).tools
    before = mcpservers.put(container, target.name, mcpservers.document(target.url, token=token))
    try:
        _confirm(container, target.name)
    except BaseException:
        mcpservers.restore(container, target.name, before)
        raise
    return Kept(target.name, masked(token), tools)


def _tried(probe: Probe, target: Target, token: str) -> Probed:
    found = probe(target.url, token)
    if found.outcome == "ok":
        return found
    if found.outcome in {"unreachable", "no_mcp"}:
        raise loginadvice.unusable(target.url, found, typed=target.typed)
    page = target.entry.token.page if target.entry else None
    says = "knows this token, and does not let it in" if found.outcome == "forbidden" else "does not accept this token"
    raise LoginFailed(
        f"{target.title} {says}; nothing was kept", hint=f"Make another: {page}" if page else None, detail=found.detail
    )


def _confirm(container: Inside, name: str) -> None:
    found = next((server for server in mcpservers.listed(container) if server.name == name), None)
    if found is None or found.status != "connected":
        reason = (found.reason or found.status) if found else "Claude Code does not list it"
        raise LoginFailed(f"The token works, but Claude Code does not connect with it: {reason}; nothing was kept")
