"""How Claude Code itself is signed in, by what lies on its volume; nothing has to run for that.

A quick look for `up`: `ccapi auth status` asks the CLI.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from ccapi.stack import spec

Method = Literal["none", "subscription", "console", "token", "bearer", "api-key"]  # as `ccapi auth status` has them

_LOGINS = f"{spec.CONFIG}/.credentials.json"  # Claude's own, and those to MCP servers
_CREDENTIALS = f"{spec.CONFIG}/credentials.env"
_CONFIG = f"{spec.CONFIG}/.claude.json"
# Which wins over which, as the CLI has it; a login of its own comes after them.
_VARIABLES: dict[str, Method] = {
    "ANTHROPIC_AUTH_TOKEN": "bearer",
    "ANTHROPIC_API_KEY": "api-key",
    "CLAUDE_CODE_OAUTH_TOKEN": "token",
}

FILES = (_LOGINS, _CREDENTIALS, _CONFIG)  # those that `look` looks into

File = Callable[[str], bytes | None]


@dataclass(frozen=True, slots=True)
class SignIn:
    """`method` is what runs are paid by; `servers` are the MCP servers that are configured for every workspace."""

    method: Method
    servers: tuple[str, ...] = ()

    @property
    def signed_in(self) -> bool:
        return self.method != "none"


def look(file: File) -> SignIn:
    """`file` gives what is in a file of the container, None if there is none. What is in there leads nowhere else."""
    servers = _document(file(_CONFIG) or b"").get("mcpServers")
    return SignIn(_method(file), tuple(sorted(servers)) if isinstance(servers, dict) else ())


ServerAuth = Literal["signed-in", "expired", "token", "none", "command"]


@dataclass(frozen=True, slots=True)
class Server:
    """An MCP server of the configuration, and the sign-in to it that is stored.

    `none`: there is none, and it may want none. `command`: a program in the container. Whether a server still takes
    what is stored only it can say.
    """

    name: str
    auth: ServerAuth


@dataclass(frozen=True, slots=True)
class Details:
    """How Claude Code is signed in, by what is stored. `expires`: when the sign-in itself ends, if that is known."""

    method: Method
    account: str | None
    plan: str | None
    expires: datetime | None
    servers: tuple[Server, ...]


def details(file: File) -> Details:
    """More than `look`; `file` as there."""
    config, logins = _document(file(_CONFIG) or b""), _document(file(_LOGINS) or b"")
    method = _method(file)
    by_login = method in {"subscription", "console"}
    login, account = _table(logins, "claudeAiOauth"), _table(config, "oauthAccount")
    return Details(
        method=method,
        account=_text(account.get("emailAddress")) if by_login else None,
        plan=_text(login.get("subscriptionType")) if method == "subscription" else None,
        expires=_moment(login.get("refreshTokenExpiresAt")) if method == "subscription" else None,
        servers=tuple(
            Server(name, _server_auth(name, entry, _table(logins, "mcpOAuth")))
            for name, entry in sorted(_table(config, "mcpServers").items())
        ),
    )


def stored(file: File) -> tuple[str, ...]:
    """The MCP servers that a login or a token is stored for, in whatever workspace: their names. `file` as there."""
    config, logins = _document(file(_CONFIG) or b""), _document(file(_LOGINS) or b"")
    found = {
        str(login["serverName"])
        for login in _table(logins, "mcpOAuth").values()
        if isinstance(login, dict) and _text(login.get("serverName")) and login.get("accessToken")
    }
    workspaces = [one for one in _table(config, "projects").values() if isinstance(one, dict)]
    for place in (config, *workspaces):
        servers = _table(place, "mcpServers")
        found |= {name for name, entry in servers.items() if _server_auth(name, entry, {}) == "token"}
    return tuple(sorted(found))


def _server_auth(name: str, entry: Any, logins: dict[str, Any]) -> ServerAuth:
    if not isinstance(entry, dict) or not isinstance(entry.get("url"), str):
        return "command"
    if any(header.lower() == "authorization" for header in _table(entry, "headers")):
        return "token"
    for login in logins.values():
        if isinstance(login, dict) and login.get("serverName") == name and login.get("accessToken"):
            expires = _moment(login.get("expiresAt"))
            over = expires is not None and expires < datetime.now(UTC)
            return "expired" if over and not login.get("refreshToken") else "signed-in"
    return "none"


def _table(document: dict[str, Any], key: str) -> dict[str, Any]:
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _moment(value: Any) -> datetime | None:
    """Milliseconds since 1970."""
    try:
        return datetime.fromtimestamp(value / 1000, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def _method(file: File) -> Method:
    there = _credentials(file(_CREDENTIALS) or b"")
    for name, method in _VARIABLES.items():
        if name in there:
            return method
    if _has_login(file(_LOGINS) or b""):
        return "subscription"
    return "console" if _document(file(_CONFIG) or b"").get("primaryApiKey") else "none"


def _has_login(content: bytes) -> bool:
    """Whether Claude's own login is among them."""
    login = _document(content).get("claudeAiOauth")
    return isinstance(login, dict) and bool(login.get("accessToken") or login.get("refreshToken"))


def _document(content: bytes) -> dict[str, Any]:
    try:
        found: Any = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _credentials(content: bytes) -> set[str]:
    """The variables that have a value, in the form that the gateway reads."""
    pairs = (line.partition("=") for line in content.decode("utf-8", "replace").splitlines())
    return {name.strip() for name, _, value in pairs if value.strip().strip("\"'")}
