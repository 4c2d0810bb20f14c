"""Lines of stream-json as the real CLI prints them, for tests that need what it cannot be made to say.

`test_agent_streamjson.py` holds these builders against recordings of the real one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ccapi.agent.decoder import Decoder
from ccapi.wire.events import RunEvent, TextDelta, ThinkingDelta
from ccapi.wire.transcript import Transcript

DATA = Path(__file__).parent / "data"
MODEL = "claude-sonnet-5-5"
Line = dict[str, Any]


def recorded(name: str) -> list[bytes]:
    """The lines of a recording of Claude Code 2.1.330 against the scripted model (trimmed, without `\\n`)."""
    return (DATA / f"{name}.jsonl").read_bytes().splitlines()


def encoded(lines: Iterable[Mapping[str, Any]]) -> list[bytes]:
    return [json.dumps(line).encode() for line in lines]


# --- lines


def init(session: str = "session-1") -> Line:
    return {"type": "system", "subtype": "init", "session_id": session, "model": MODEL}


def state(name: str) -> Line:
    return {"type": "system", "subtype": "session_state_changed", "state": name}


def background(*tasks: str) -> Line:
    listed = [{"task_id": task, "task_type": "local_bash", "description": task} for task in tasks]
    return {"type": "system", "subtype": "background_tasks_changed", "tasks": listed}


def api_retry(status: int | None, *, error: str = "server_error", delay_ms: int = 500, attempt: int = 1) -> Line:
    retry = {"attempt": attempt, "max_retries": 10, "retry_delay_ms": delay_ms, "error_status": status, "error": error}
    return {"type": "system", "subtype": "api_retry", **retry}


def stream_event(event: Mapping[str, Any], parent: str | None = None) -> Line:
    return {"type": "stream_event", "event": dict(event), "parent_tool_use_id": parent}


def message_start(message_id: str, parent: str | None = None) -> Line:
    message = {"id": message_id, "type": "message", "role": "assistant", "model": MODEL, "content": []}
    return stream_event({"type": "message_start", "message": message}, parent)


def block_start(index: int, block: Mapping[str, Any], parent: str | None = None) -> Line:
    return stream_event({"type": "content_block_start", "index": index, "content_block": dict(block)}, parent)


def block_delta(index: int, delta: Mapping[str, Any], parent: str | None = None) -> Line:
    return stream_event({"type": "content_block_delta", "index": index, "delta": dict(delta)}, parent)


def text_delta(index: int, text: str, parent: str | None = None) -> Line:
    return block_delta(index, {"type": "text_delta", "text": text}, parent)


def block_stop(index: int, parent: str | None = None) -> Line:
    return stream_event({"type": "content_block_stop", "index": index}, parent)


def message_stop(parent: str | None = None) -> Line:
    return stream_event({"type": "message_stop"}, parent)


def assistant(message_id: str, *blocks: Mapping[str, Any], parent: str | None = None, model: str = MODEL) -> Line:
    message = {"id": message_id, "type": "message", "role": "assistant", "model": model, "content": list(blocks)}
    return {"type": "assistant", "message": message, "parent_tool_use_id": parent}


def synthetic(text_: str, message_id: str = "synthetic-1") -> Line:
    return assistant(message_id, text(text_), model="<synthetic>") | {"is_api_error_message": True}


def tool_result(
    tool_use_id: str, content: Any, *, is_error: bool = False, extra: Any = None, parent: str | None = None
) -> Line:
    block = {"type": "tool_result", "tool_use_id": tool_use_id, "content": content, "is_error": is_error}
    line: Line = {"type": "user", "message": {"role": "user", "content": [block]}, "parent_tool_use_id": parent}
    return line | ({} if extra is None else {"tool_use_result": extra})


def result(**fields: Any) -> Line:
    usage = {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2}
    end: Line = {"type": "result", "subtype": "success", "is_error": False, "session_id": "session-1", "num_turns": 1}
    return end | {"stop_reason": "end_turn", "api_error_status": None, "usage": usage, "result": ""} | fields


# --- content blocks, and whole messages


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def thinking(value: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": value, "signature": "s"}


def tool_use(tool_use_id: str, name: str = "Bash", **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": tool_use_id, "name": name, "input": arguments}


def streamed(message_id: str, *blocks: Mapping[str, Any], parent: str | None = None) -> Iterator[Line]:
    """A message as the CLI says it: token by token, each block whole before its stop."""
    yield message_start(message_id, parent)
    for index, block in enumerate(blocks):
        yield block_start(index, _opened(block), parent)
        yield from (block_delta(index, delta, parent) for delta in _deltas(block))
        yield assistant(message_id, block, parent=parent)
        yield block_stop(index, parent)
    yield message_stop(parent)


def _opened(block: Mapping[str, Any]) -> dict[str, Any]:
    empty: dict[str, dict[str, Any]] = {
        "text": {"text": ""},
        "thinking": {"thinking": "", "signature": ""},
        "tool_use": {"input": {}},
    }
    return {**block, **empty[block["type"]]}


def _deltas(block: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    match block["type"]:
        case "text":
            yield from ({"type": "text_delta", "text": piece} for piece in pieces(block["text"]))
        case "thinking":
            yield from ({"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"]))
            yield {"type": "signature_delta", "signature": block["signature"]}
        case "tool_use":
            written = json.dumps(block["input"])
            yield from ({"type": "input_json_delta", "partial_json": piece} for piece in pieces(written))


def pieces(value: str, size: int = 7) -> list[str]:
    return [value[start : start + size] for start in range(0, len(value), size)]


def answer(value: str, message_id: str = "msg_1") -> list[Line]:
    """A whole run that says one text."""
    return [init(), *streamed(message_id, text(value)), result(result=value)]


# --- what becomes of them


def decode(lines: Iterable[bytes]) -> tuple[list[RunEvent], Decoder]:
    """The events of these lines, the terminal one last if there is one."""
    decoder = Decoder()
    events = [event for line in lines for event in decoder.feed(line)]
    return ([*events, decoder.result] if decoder.result else events), decoder


def transcript(events: Iterable[RunEvent]) -> str:
    rendering = Transcript()
    return "".join(rendering.feed(event) for event in events)


def said(events: Iterable[RunEvent]) -> str:
    """The text of the assistant, at the top level."""
    return "".join(event.text for event in events if isinstance(event, TextDelta) and event.parent is None)


def thought(events: Iterable[RunEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, ThinkingDelta))
