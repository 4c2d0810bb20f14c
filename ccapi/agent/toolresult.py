"""A tool's result as the CLI reports it, as one event: whole where the CLI kept it whole, honest where it did not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ccapi.wire.events import ToolFinished

# What the CLI tells the model when it moved an output into a file, with a preview of it.
_PERSISTED = re.compile(
    r"<persisted-output>\nOutput too large \((?P<size>[\d.]+) ?(?P<unit>[KMG]?)B\)\..*?"
    r"(?:\nPreview \(first [^)]*\):\n(?P<preview>.*?)(?:\n\.\.\.)?)?\n?</persisted-output>\s*",
    re.DOTALL,
)
_LAUNCHED = "Async agent launched successfully."
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}


def tool_finished(block: Mapping[str, Any], extra: Any, parent: str | None) -> ToolFinished:
    """`block` is the `tool_result` block, `extra` the message's `tool_use_result` (any shape, or none)."""
    text = _text(block.get("content"))
    if text.startswith(_LAUNCHED):  # the rest is the CLI's own bookkeeping
        text = "(runs in the background)"
    tool_use_id, is_error = str(block["tool_use_id"]), bool(block.get("is_error"))
    persisted = _PERSISTED.fullmatch(text)
    details = extra if isinstance(extra, Mapping) else {}
    if not persisted or details.get("stdout") == text:  # or the tool itself said so
        return ToolFinished(tool_use_id, text, is_error, parent=parent)
    if extra and isinstance(extra, list):  # an MCP tool's content, whole
        return ToolFinished(tool_use_id, _text(extra), is_error, parent=parent)
    # The CLI keeps the first 30,000 characters itself, beside the preview that it gives the model.
    streams = [details.get("stdout"), details.get("stderr"), persisted["preview"]]
    kept = next((stream for stream in streams if isinstance(stream, str) and stream), "")
    size = details.get("persistedOutputSize")
    if not isinstance(size, int):
        size = int(float(persisted["size"]) * _UNITS[persisted["unit"]])
    stored = details.get("persistedOutputPath")
    return ToolFinished(tool_use_id, kept, is_error, size, parent, stored if isinstance(stored, str) else None)


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
