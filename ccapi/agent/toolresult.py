"""A tool's result as the CLI reports it, as one event: whole where the CLI kept it whole, honest where it did not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ccapi.agent.events import ToolFinished

_PERSISTED = "<persisted-output>"
_SIZE = re.compile(r"Output too large \(([\d.]+) ?([KMG]?)B\)")
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}
_PREVIEW = re.compile(r"\nPreview \(first [^)]*\):\n(.*?)(?:\n\.\.\.)?\n?</persisted-output>", re.DOTALL)


def tool_finished(block: Mapping[str, Any], extra: Any, parent: str | None) -> ToolFinished:
    """`block` is the `tool_result` block, `extra` the message's `tool_use_result` (any shape, or none)."""
    text = _text(block.get("content"))
    tool_use_id, is_error = str(block["tool_use_id"]), bool(block.get("is_error"))
    if not text.startswith(_PERSISTED):
        return ToolFinished(tool_use_id, text, is_error, parent=parent)
    # The CLI moved the output into a file and left the model a preview; it keeps the first 30,000 characters itself.
    output, size = _kept(text, extra)
    return ToolFinished(tool_use_id, output, is_error, size, parent)


def _kept(text: str, extra: Any) -> tuple[str, int]:
    details = extra if isinstance(extra, Mapping) else {}
    output = details.get("stdout") or details.get("stderr")
    if not isinstance(output, str) or not output:
        preview = _PREVIEW.search(text)
        output = preview.group(1) if preview else ""
    size = details.get("persistedOutputSize")
    return output, size if isinstance(size, int) else _stated_size(text)


def _stated_size(text: str) -> int:
    stated = _SIZE.search(text)
    return int(float(stated.group(1)) * _UNITS[stated.group(2)]) if stated else 0


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "\n".join(_part(part) for part in content if isinstance(part, Mapping))


def _part(part: Mapping[str, Any]) -> str:
    if part.get("type") == "text":
        return str(part.get("text", ""))
    source = part.get("source")
    media = source.get("media_type") if isinstance(source, Mapping) else None
    return f"[{part.get('type', 'unknown')}{f', {media}' if media else ''}]"
