"""The items of a session as run events again, turn by turn: what `ccapi.wire.responses` made of a run, the other way.

The transcript of a turn is that of its run, byte for byte and in every mode, but for what a session does not keep:

- what subagents said and did stands in files of their own: the call that started them is there, with its result
- when a result came: it follows the message that called. A run that went on before it came shows it later, under the
  name of its call
- the JSON that a schema asked for: it stands in the arguments of the call `StructuredOutput`
- a message that broke off, which the model was asked for once more, and an answer that was cut off

Results have no duration, and the end of a turn has neither usage nor cost.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ccapi.errors import GatewayProtocol
from ccapi.wire.events import (
    MessageFinished,
    MessageStarted,
    RunEvent,
    RunFinished,
    TextDelta,
    ThinkingDelta,
    ToolCalled,
    ToolStarted,
)
from ccapi.wire.responseitems import tool_name
from ccapi.wire.responsesdecoder import tool_finished
from ccapi.wire.typed import checked, text

Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """`asked`: the content parts of the user's message, none where the session's beginning was left out.

    `events` end with a `RunFinished`, which says nothing but that.
    """

    asked: tuple[Item, ...]
    events: list[RunEvent]


def turns(items: Iterable[Item]) -> Iterator[Turn]:
    """In the order of the session. Items of a kind that is not known add nothing.

    Raises `GatewayProtocol` for an item that has not the shape it should have.
    """
    asked: tuple[Item, ...] = ()
    answer = _Answer()
    try:
        for item in items:
            if item["type"] == "message" and item["role"] == "user":
                if asked or answer.events:
                    yield Turn(asked, answer.end())
                asked, answer = tuple(map(_part, item["content"])), _Answer()
            else:
                answer.add(item)
        if asked or answer.events:
            yield Turn(asked, answer.end())
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError):
        raise GatewayProtocol("The gateway sent a session in a form that ccapi does not know") from None


def _part(part: Item) -> Item:
    """Of what was asked: its kind is there, and text has its text."""
    if text(part, "type") == "input_text":
        text(part, "text")
    return part


class _Answer:
    """The events of one turn, as far as its items were added."""

    def __init__(self) -> None:
        self.events: list[RunEvent] = []
        self._message_id = ""  # of the message that goes on
        self._results: list[RunEvent] = []  # of its calls

    def add(self, item: Item) -> None:
        extra = item.get("ccapi") or {}
        match item["type"]:
            case "message":
                self._begin(extra.get("message_id") or item["id"])
                self._say(item["content"], extra.get("blocks"))
            case "reasoning":
                self._begin(extra.get("message_id") or item["id"])
                self._think(item, extra)
            case "mcp_call":
                self._begin(extra.get("message_id") or self._message_id or item["id"])
                self._call(item, extra)

    def end(self) -> list[RunEvent]:
        self._begin("")
        return [*map(checked, self.events), RunFinished("", "stop")]

    def _begin(self, message_id: str) -> None:
        """The message that goes on is this one, or none."""
        if message_id == self._message_id:
            return
        if self._message_id:
            self.events += [MessageFinished(self._message_id), *self._results]
            self._results.clear()
        if message_id:
            self.events.append(MessageStarted(message_id))
        self._message_id = message_id

    def _say(self, content: Iterable[Item], blocks: list[int] | None) -> None:
        for position, part in enumerate(content):
            if part["type"] == "output_text":
                block = blocks[position] if blocks else position
                self.events.append(TextDelta(self._message_id, part["text"], block=block))

    def _think(self, item: Item, extra: Mapping[str, Any]) -> None:
        kind = TextDelta if extra.get("kind") else ThinkingDelta
        text = "".join(part["text"] for part in item["summary"])
        self.events.append(kind(self._message_id, text, block=extra.get("block", 0)))

    def _call(self, item: Item, extra: Mapping[str, Any]) -> None:
        tool = extra.get("tool") or tool_name(item["server_label"], item["name"])
        arguments = json.loads(item["arguments"])
        self.events += [ToolStarted(item["id"], tool), ToolCalled(item["id"], tool, arguments, self._message_id)]
        if item["status"] in {"completed", "failed"}:
            self._results.append(tool_finished(item))
