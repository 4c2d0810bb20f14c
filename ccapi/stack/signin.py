"""Whether Claude Code itself is signed in, by what lies on its volume; nothing has to run for that.

A quick look for `up`: `ccapi auth status` asks the CLI.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ccapi.stack import spec

_LOGINS = f"{spec.CONFIG}/.credentials.json"  # Claude's own, and those to MCP servers
_CREDENTIALS = f"{spec.CONFIG}/credentials.env"
_VARIABLES = frozenset({"ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"})


def signed_in(file: Callable[[str], bytes | None]) -> bool:
    """`file` gives what is in a file of the container, None if there is none. What is in there leads nowhere else."""
    return _has_login(file(_LOGINS) or b"") or _has_credential(file(_CREDENTIALS) or b"")


def _has_login(content: bytes) -> bool:
    """Whether Claude's own login is among them."""
    try:
        found: Any = json.loads(content)
    except (ValueError, RecursionError):
        return False
    login = found.get("claudeAiOauth") if isinstance(found, dict) else None
    return isinstance(login, dict) and bool(login.get("accessToken") or login.get("refreshToken"))


def _has_credential(content: bytes) -> bool:
    """Whether one of the variables has a value, in the form that the gateway reads."""
    for line in content.decode("utf-8", "replace").splitlines():
        name, _, value = line.partition("=")
        if name.strip() in _VARIABLES and value.strip().strip("\"'"):
            return True
    return False
