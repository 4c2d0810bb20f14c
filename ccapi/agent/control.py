"""The CLI's control protocol: requests to the process itself, beside the turns of the conversation.

Source: claude-agent-sdk, `_internal/query.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ccapi.errors import ClaudeFailed


def request(subtype: str, **fields: Any) -> Mapping[str, Any]:
    """The stream-json line for a control request; its id is its subtype."""
    return {"type": "control_request", "request_id": subtype, "request": {"subtype": subtype, **fields}}


def raise_if_refused(message: Mapping[str, Any]) -> None:
    """Raises `ClaudeFailed` for a control response that says no."""
    response = message.get("response") or {}
    if response.get("subtype") == "error":
        what = f"Claude Code refused the request {response.get('request_id')}"
        raise ClaudeFailed(what, detail=str(response.get("error")))
