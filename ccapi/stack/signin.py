"""How Claude Code itself is signed in, by what lies on its volume; nothing has to run for that.

A quick look for `up`: `ccapi auth status` asks the CLI.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from ccapi.stack import spec

Method = Literal["none", "subscription", "token", "bearer", "api-key"]  # as `ccapi auth status` has them

_LOGINS = f"{spec.CONFIG}/.credentials.json"  # Claude's own, and those to MCP servers
_CREDENTIALS = f"{spec.CONFIG}/credentials.env"
_CONFIG = f"{spec.CONFIG}/.claude.json"
# Which wins over which, as the CLI has it; a login of its own comes after them.
_VARIABLES: dict[str, Method] = {
    "ANTHROPIC_AUTH_TOKEN": "bearer",
    "ANTHROPIC_API_KEY": "api-key",
    "CLAUDE_CODE_OAUTH_TOKEN": "token",
}

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


def _method(file: File) -> Method:
    there = _credentials(file(_CREDENTIALS) or b"")
    for name, method in _VARIABLES.items():
        if name in there:
            return method
    return "subscription" if _has_login(file(_LOGINS) or b"") else "none"


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
