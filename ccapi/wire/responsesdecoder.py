"""The stream of the Responses API as run events again: the inverse of `ccapi.wire.responses`, for the host.

Every rendering of the decoded events is the same, byte for byte, as that of the events which the gateway encoded.
Deltas that were sent together come as one, and notices not at all: the gateway sends these as comments.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ccapi.errors import CcapiError, GatewayProtocol
from ccapi.wire import envelope
from ccapi.wire.events import (
    FinishReason,
    MessageFinished,
    MessageStarted,
    RunEvent,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ThinkingDelta,
    ToolCalled,
    ToolFinished,
    ToolInputDelta,
    ToolStarted,
    Usage,
)
from ccapi.wire.responseitems import tool_name

_FINISH: Mapping[str, FinishReason] = {"max_output_tokens": "length", "content_filter": "content_filter"}


@dataclass(slots=True)
class _Item:
    """What an item's later events do not say again."""

    message_id: str = ""
    block: int = 0
    parent: str | None = None
    kind: str = ""
    tool: str = ""


class Decoder:
    """Stateful: feed it every event of one stream, in order. Events that it does not know add nothing.

    A stream that has been left may go on elsewhere (`starting_after`) with the same decoder.
    """

    def __init__(self) -> None:
        self.sequence_number = -1  # of the last event
        self.response_id = ""
        self._started: RunStarted | None = None
        self._items: dict[str, _Item] = {}

    def feed(self, event: Mapping[str, Any]) -> list[RunEvent]:
        """Raises `GatewayProtocol` for an event that has not the shape it should have."""
        try:
            self.sequence_number = event["sequence_number"]
            extra = event.get("ccapi") or {}
            events = [_marked(mark) for mark in extra.get("before", ())]
            events += self._decoded(event, extra)
            return [*events, *(_marked(mark) for mark in extra.get("after", ()))]
        except (LookupError, TypeError, AttributeError, ValueError):
            raise GatewayProtocol("The gateway sent an event in a form that ccapi does not know") from None

    def _decoded(self, event: Mapping[str, Any], extra: Mapping[str, Any]) -> list[RunEvent]:
        match event["type"]:
            case "response.output_text.delta" | "response.reasoning_summary_text.delta" as kind:
                return self._delta(event, thinking=kind != "response.output_text.delta")
            case "response.content_part.added":
                if item := self._items.get(event["item_id"]):
                    item.block = extra.get("block", 0)
                return []
            case "response.mcp_call_arguments.delta":
                item = self._items.get(event["item_id"])
                return [ToolInputDelta(event["item_id"], event["delta"], item.parent)] if item else []
            case "response.mcp_call_arguments.done":
                return self._called(event, extra)
            case "response.output_item.added":
                return self._added(event["item"])
            case "response.output_item.done":
                return self._done(event["item"])
            case str(kind) if kind.startswith("response.") and "response" in event:
                return self._lifecycle(kind, event["response"])
            case _:
                return []

    def _lifecycle(self, kind: str, response: Mapping[str, Any]) -> list[RunEvent]:
        self.response_id = response["id"]
        extra = response.get("ccapi") or {}
        match kind:
            case "response.in_progress" if "session_id" in extra:
                previous, self._started = self._started, RunStarted(extra["session_id"], extra["model"])
                return [] if self._started == previous else [self._started]
            case "response.failed":
                return [_failed(_error(response), response, extra)]
            case "response.incomplete" if response["status"] == "cancelled":
                return [_failed(CcapiError("The response was cancelled"), response, extra)]
            case "response.completed" | "response.incomplete":
                return [_finished(response, extra)]
            case _:
                return []

    def _added(self, item: Mapping[str, Any]) -> list[RunEvent]:
        extra = item.get("ccapi") or {}
        message_id, block = extra.get("message_id", item["id"]), extra.get("block", 0)
        known = self._items[item["id"]] = _Item(message_id, block, extra.get("parent"), extra.get("kind", ""))
        if item["type"] != "mcp_call":
            return []
        known.tool = extra.get("tool") or tool_name(item["server_label"], item["name"])
        return [ToolStarted(item["id"], known.tool, known.parent)]

    def _delta(self, event: Mapping[str, Any], *, thinking: bool) -> list[RunEvent]:
        item = self._items.get(event["item_id"])
        if item is None:
            return []
        kind = ThinkingDelta if thinking and not item.kind else TextDelta
        return [kind(item.message_id, event["delta"], item.parent, item.block)]

    def _called(self, event: Mapping[str, Any], extra: Mapping[str, Any]) -> list[RunEvent]:
        item = self._items.get(event["item_id"])
        if item is None:
            return []
        arguments, message_id = json.loads(event["arguments"]), extra.get("message_id", "")
        return [ToolCalled(event["item_id"], item.tool, arguments, message_id, item.parent)]

    def _done(self, item: Mapping[str, Any]) -> list[RunEvent]:
        known = self._items.pop(item["id"], None)
        if item["type"] != "mcp_call" or item["status"] not in {"completed", "failed"}:
            return []
        return [tool_finished(item, known.parent if known else None)]


def tool_finished(item: Mapping[str, Any], parent: str | None = None) -> ToolFinished:
    """How a call ended, by the item that it is in the end."""
    error = item.get("error")
    output = error["content"][0]["text"] if error else item["output"]
    full_size = (item.get("ccapi") or {}).get("full_size")
    return ToolFinished(item["id"], output, error is not None, full_size, parent)


def _marked(mark: Mapping[str, Any]) -> RunEvent:
    kind = MessageStarted if mark["type"] == "message.started" else MessageFinished
    return kind(mark["message_id"], mark.get("parent"))


def _finished(response: Mapping[str, Any], extra: Mapping[str, Any]) -> RunFinished:
    details = response.get("incomplete_details") or {}
    return RunFinished(
        extra.get("session_id", ""),
        _FINISH.get(details.get("reason", ""), "length") if details else "stop",
        _usage(response),
        structured=_structured(response),
        **_facts(extra),
    )


def _failed(error: CcapiError, response: Mapping[str, Any], extra: Mapping[str, Any]) -> RunFailed:
    return RunFailed(error, _usage(response), **_facts(extra))


def _facts(extra: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "cost_usd": extra.get("cost_usd", 0.0),
        "turns": extra.get("turns", 0),
        "duration_ms": extra.get("duration_ms", 0),
        "billing": extra.get("billing", ""),
    }


def _structured(response: Mapping[str, Any]) -> Any:
    """The output that a JSON schema asked for: the text of the only message, if there is one."""
    if response["text"]["format"]["type"] != "json_schema":
        return None
    messages = [item for item in response["output"] if item["type"] == "message"]
    texts = [part["text"] for item in messages for part in item["content"] if part["type"] == "output_text"]
    return json.loads("".join(texts)) if texts else None


def _error(response: Mapping[str, Any]) -> CcapiError:
    error = response["error"]
    return envelope.load({"error": error.get("ccapi") or error})


def _usage(response: Mapping[str, Any]) -> Usage:
    usage = response.get("usage")
    if not usage:
        return Usage()
    details = usage["input_tokens_details"]
    read, written = details["cached_tokens"], details.get("cache_write_tokens", 0)
    return Usage(usage["input_tokens"] - read - written, usage["output_tokens"], read, written)
