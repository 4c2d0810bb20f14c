"""Deltas that came together as one, which is what makes a fast stream cheap: every event that is sent costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ccapi.wire.events import RunEvent, TextDelta, ThinkingDelta, ToolInputDelta


def coalesced(events: Iterable[RunEvent]) -> Iterator[RunEvent]:
    """The same events, with deltas that follow each other in one block as one."""
    held: TextDelta | ThinkingDelta | ToolInputDelta | None = None
    pieces: list[str] = []
    for event in events:
        if held is not None:
            if isinstance(event, ToolInputDelta):
                if isinstance(held, ToolInputDelta) and event.tool_use_id == held.tool_use_id:
                    pieces.append(event.partial_json)
                    continue
            elif (
                isinstance(event, TextDelta | ThinkingDelta)
                and type(event) is type(held)
                and event.block == held.block
                and event.message_id == held.message_id
                and event.parent == held.parent
            ):
                pieces.append(event.text)
                continue
            yield _joined(held, pieces)
            held = None
        if isinstance(event, TextDelta | ThinkingDelta | ToolInputDelta):
            held = event
            pieces = [event.partial_json if isinstance(event, ToolInputDelta) else event.text]
        else:
            yield event
    if held is not None:
        yield _joined(held, pieces)


def _joined(event: TextDelta | ThinkingDelta | ToolInputDelta, pieces: list[str]) -> RunEvent:
    if len(pieces) == 1:
        return event
    if isinstance(event, ToolInputDelta):
        return ToolInputDelta(event.tool_use_id, "".join(pieces), event.parent)
    return type(event)(event.message_id, "".join(pieces), event.parent, event.block)
