"""Why a login failed, and what to do about it, in words for people."""

from __future__ import annotations

import re

from ccapi.errors import LoginFailed, LoginNeeded, UsageError
from ccapi.oauth.catalogue import Entry
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
        """Register an OAuth app there, then: {command} --client-id ID
Or use a token: {command} --with-token""",
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
        "Check both: {command} --client-id ID",
    ),
    (
        r"redirect[_ ]uri",
        "the server does not allow the address that the login comes back to",
        "Register it there, or use the port that it knows: {command} --callback-port PORT",
    ),
    (
        r"invalid_grant|expired",
        "the server's answer had expired, or was used before",
        "Start again: {command}",
    ),
    (
        r"EADDRINUSE|port .* in use",
        "another login in the container uses the same port",
        "Wait until that one is over, or end it: docker restart claude-code-api",
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


class NoRegistration(LoginNeeded):
    """The server takes no client that it does not know; a person can be asked for a token or a client id instead."""


def failed(name: str, command: str, reason: str) -> LoginFailed:
    """For a login that the CLI ended, with its reason. `command` is what a person types to try again."""
    for pattern, meaning, advice in _KNOWN:
        if re.search(pattern, reason):
            return LoginFailed(
                f"Not signed in to {name}: {meaning}", hint=advice.format(name=name, command=command), detail=reason
            )
    said = f": {reason}" if reason else ""
    return LoginFailed(f"Not signed in to {name}{said}", hint=f"Start again: {command}")


def unusable(url: str, probed: Probed) -> LoginFailed:
    """For an address at which there is nothing to sign in to."""
    what = "cannot be reached from the container" if probed.outcome == "unreachable" else "is no MCP server"
    why = f": {probed.detail}" if probed.detail else ""
    return LoginFailed(f"{url} {what}{why}", hint="Check the address: it often ends in /mcp")


def command(name: str, entry: Entry | None, url: str | None) -> str:
    """What a person types to sign in to a server; with its address, if that is known from nowhere else."""
    return f"ccapi auth {name}" + (f" --url {url}" if url and entry is None else "")


def unknown(name: str) -> UsageError:
    """For a name that stands for no address."""
    hint = f"Give its address: ccapi auth {name} --url https://...\nSee which are known: ccapi auth list"
    return UsageError(f"no MCP server is known as {name}", hint=hint)


def no_registration(name: str, command: str, entry: Entry | None) -> NoRegistration:
    """For a server that takes no client it does not know."""
    ways = [f"With a token: {command} --with-token   (read from standard input)"]
    ways.append(f"With an OAuth app of your own: {command} --client-id ID")
    if entry and entry.token.page:
        ways.insert(1, f"Make the token at {entry.token.page}")
    if entry and entry.client.page:
        ways.append(f"Register the app at {entry.client.page}")
    return NoRegistration(f"{name} has no login for programs that it does not know", hint="\n".join(ways))
