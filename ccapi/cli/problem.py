"""An error as a program reads it, which asked for JSON."""

from __future__ import annotations

import re
from typing import Any

from ccapi.errors import CcapiError

# Hints are for people: a command stands at the end of a line, behind a colon, or alone on it, or in backquotes.
_COMMAND = re.compile(r"(?:^|: |`)((?:ccapi|docker|claude|gh|sudo|ssh|rm|mkdir|pip|uv) [^`]*)")
_REMARK = re.compile(r"`|   +|, | \(")


def document(error: CcapiError) -> dict[str, Any]:
    """`actions` are commands that help, as far as the hint has some; the whole hint is among the details."""
    details = {"hint": error.hint, "param": error.param, "retry_after": error.retry_after}
    return {
        "code": error.code,
        "category": error.category,
        "message": error.message,
        "retryable": error.retryable or error.retry_after is not None,
        "details": {name: value for name, value in details.items() if value is not None},
        "actions": actions(error.hint or ""),
    }


def actions(hint: str) -> list[str]:
    """The commands in a hint."""
    found = (_COMMAND.search(line.strip()) for line in hint.splitlines() if not line.startswith("Usage: "))
    return [_REMARK.split(match[1], maxsplit=1)[0].strip() for match in found if match]
