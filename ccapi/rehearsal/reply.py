"""An answer as the Messages API sends it: one JSON message, or the sequence of stream events."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ccapi.rehearsal.turns import Cut, Failure, Pause, Text, Thinking, ToolCall, Turn
from ccapi.rehearsal.usage import tokens

if TYPE_CHECKING:
    from collections.abc import Iterator


Content = Text | Thinking | ToolCall
Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is sent for this long."""

    seconds: float


@dataclass(frozen=True)
class Reply:
    """One assistant message in the making. `input_usage` is the usage that `message_start` carries."""

    model: str
    turn: Turn
    input_usage: dict[str, Any]
    id: str = field(default_factory=lambda: f"msg_{secrets.token_hex(12)}")

    def message(self) -> dict[str, Any]:
        """The whole message, for a request that does not stream."""
        return self._envelope(
            content=[_block(step) for step in self._content],
            stop_reason=self.stop_reason,
            output_tokens=self._output_tokens,
        )

    def events(self) -> Iterator[Event | Wait | Failure | Cut]:
        """The stream events in order, with the pauses between them.

        A failure or a cut is the last item, and the content block before it stays open: the answer breaks off inside.
        """
        yield {"type": "message_start", "message": self._envelope(content=[], stop_reason=None, output_tokens=1)}
        yield {"type": "ping"}
        index = 0
        for step in self.turn.steps:
            match step:
                case Pause(seconds):
                    yield Wait(seconds)
                case Failure() | Cut():
                    yield step
                    return
                case _:
                    yield from _begin(index, step)
                    index += 1
                    if index < len(self._content) or not self._breaks_off:
                        yield from _end(index - 1, step)
        yield {
            "type": "message_delta",
            "delta": {"stop_reason": self.stop_reason, "stop_sequence": None},
            "usage": self.input_usage | {"output_tokens": self._output_tokens},
        }
        yield {"type": "message_stop"}

    @property
    def stop_reason(self) -> str:
        calls_a_tool = any(isinstance(step, ToolCall) for step in self._content)
        return self.turn.stop_reason or ("tool_use" if calls_a_tool else "end_turn")

    @property
    def _content(self) -> list[Content]:
        return [step for step in self.turn.steps if isinstance(step, Content)]

    @property
    def _output_tokens(self) -> int:
        return sum(len(_pieces(step)) for step in self._content)

    @property
    def _breaks_off(self) -> bool:
        return isinstance(self.turn.steps[-1], Failure | Cut)

    def _envelope(self, *, content: list[Event], stop_reason: str | None, output_tokens: int) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "stop_reason": stop_reason,
            "stop_sequence": None,
            "usage": self.input_usage | {"output_tokens": output_tokens},
        }


def _begin(index: int, step: Content) -> Iterator[Event | Wait]:
    yield {"type": "content_block_start", "index": index, "content_block": _opened(step)}
    for piece in _pieces(step):
        if step.delay:
            yield Wait(step.delay)
        yield {"type": "content_block_delta", "index": index, "delta": _delta(step, piece)}


def _end(index: int, step: Content) -> Iterator[Event]:
    if isinstance(step, Thinking):
        signature = {"type": "signature_delta", "signature": _signature(step)}
        yield {"type": "content_block_delta", "index": index, "delta": signature}
    yield {"type": "content_block_stop", "index": index}


def _block(step: Content) -> Event:
    match step:
        case Text(text):
            return {"type": "text", "text": text}
        case Thinking(text):
            return {"type": "thinking", "thinking": text, "signature": _signature(step)}
        case ToolCall(tool, given):
            return {"type": "tool_use", "id": f"toolu_{secrets.token_hex(12)}", "name": tool, "input": dict(given)}


def _opened(step: Content) -> Event:
    """The block as `content_block_start` shows it: without what the deltas will bring."""
    block = _block(step)
    empty: dict[str, Event] = {
        "text": {"text": ""},
        "thinking": {"thinking": "", "signature": ""},
        "tool_use": {"input": {}},
    }
    return {**block, **empty[block["type"]]}


def _delta(step: Content, piece: str) -> Event:
    match step:
        case Text():
            return {"type": "text_delta", "text": piece}
        case Thinking():
            return {"type": "thinking_delta", "thinking": piece}
        case ToolCall():
            return {"type": "input_json_delta", "partial_json": piece}


def _pieces(step: Content) -> list[str]:
    match step:
        case Text(text) | Thinking(text):
            return tokens(text)
        case ToolCall(_, given):
            return tokens(json.dumps(dict(given), ensure_ascii=False))


def _signature(step: Thinking) -> str:
    return hashlib.sha256(step.text.encode()).hexdigest()
