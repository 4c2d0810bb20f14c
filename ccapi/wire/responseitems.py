"""The objects of the Responses API: the response itself, its items and their parts.

Source: OpenAI API reference, "Responses", "The response object".
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from ccapi.errors import CcapiError
from ccapi.wire import envelope
from ccapi.wire.events import RunFailed, RunFinished, Usage

Object = dict[str, Any]

OWN_LABEL = "claude-code"


def response_object(response_id: str, model: str, *, created_at: int | None = None, **given: Any) -> Object:
    """A response that has not begun. `given` are the fields that say what was asked, such as `instructions`."""
    return {
        "id": response_id,
        "object": "response",
        "created_at": int(time.time()) if created_at is None else created_at,
        "status": "queued",
        "background": False,
        "completed_at": None,
        "conversation": None,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "metadata": {},
        "model": model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": None,
        "store": True,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": None,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        **given,
    }


def usage_object(usage: Usage) -> Object:
    """Claude's numbers in OpenAI's terms: cached input is part of the input.

    Claude does not count reasoning apart from other output.
    """
    total = usage.input_tokens + usage.cache_read_tokens + usage.cache_creation_tokens
    details = {"cached_tokens": usage.cache_read_tokens, "cache_write_tokens": usage.cache_creation_tokens}
    return {
        "input_tokens": total,
        "input_tokens_details": details,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": total + usage.output_tokens,
    }


def about(end: RunFinished | RunFailed) -> Object:
    """What a run was, in an answer's field `ccapi`. What is not known is absent."""
    facts = {"cost_usd": end.cost_usd, "turns": end.turns, "duration_ms": end.duration_ms}
    if isinstance(end, RunFailed):
        facts = {name: value for name, value in facts.items() if value}
    return {**facts, "billing": end.billing} if end.billing else facts


def error_object(error: CcapiError) -> Object:
    """A failed response's `error`. Its codes are a closed list; ours is in the envelope's body beside it."""
    body = envelope.dump(error)["error"]
    code = "server_error"
    if error.type == "rate_limit_error":
        code = "rate_limit_exceeded"
    elif error.type == "invalid_request_error":
        code = "invalid_prompt"
    return {"code": code, "message": body["message"], "ccapi": body}


# --- tools


def server_and_name(tool: str) -> tuple[str, str]:
    """`("github", "search")` for `mcp__github__search`; Claude Code's own tools have its label."""
    prefix, server, name = (*tool.split("__", 2), "", "")[:3]
    return (server, name) if prefix == "mcp" and server and name else (OWN_LABEL, tool)


def tool_name(label: str, name: str) -> str:
    """What Claude Code calls that tool: the inverse of `server_and_name`, but for a server with Claude Code's label."""
    return name if label == OWN_LABEL else f"mcp__{label}__{name}"


def arguments(given: Mapping[str, Any], written: str) -> str:
    """The arguments as JSON: as the model wrote them, unless Claude Code made something else of them."""
    text = json.dumps(given, ensure_ascii=False)
    try:
        same = bool(written) and json.dumps(json.loads(written), ensure_ascii=False) == text
    except (ValueError, RecursionError):
        same = False
    return written if same else text


# --- items


def message(item_id: str, extra: Object) -> Object:
    item: Object = {"id": item_id, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    return {**item, "ccapi": extra} if extra else item


def reasoning(item_id: str, extra: Object) -> Object:
    return {"id": item_id, "type": "reasoning", "status": "in_progress", "summary": [], "ccapi": extra}


def mcp_call(tool_use_id: str, tool: str, parent: str | None) -> Object:
    label, name = server_and_name(tool)
    item: Object = {
        "id": tool_use_id,
        "type": "mcp_call",
        "status": "in_progress",
        "server_label": label,
        "name": name,
        "arguments": "",
        "approval_request_id": None,
        "output": None,
        "error": None,
    }
    extra: Object = {} if parent is None else {"parent": parent}
    if tool_name(label, name) != tool:
        extra["tool"] = tool
    return {**item, "ccapi": extra} if extra else item


def tool_result(output: str, *, is_error: bool) -> Object:
    """The fields of a call's item that say how it ended."""
    if not is_error:
        return {"status": "completed", "output": output}
    content = [{"type": "text", "text": output}]
    return {"status": "failed", "error": {"type": "mcp_tool_execution_error", "content": content}}


def text_part(text: str) -> Object:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def refusal_part(text: str) -> Object:
    return {"type": "refusal", "refusal": text}


def summary_part(text: str) -> Object:
    return {"type": "summary_text", "text": text}
