"""Run events as the stream of the Responses API, and the `response` object that they end in.

    message     what the model says: one item for each stretch of text that nothing else interrupts
    reasoning   what it thinks, as a summary: that is what Claude gives, and what clients show (`reasoning_text` is for
                models that give their raw chain of thought)
    mcp_call    a tool that Claude Code ran: its own under the server label `claude-code`, an MCP server's under that
                server's name

Items stand in the order in which they began; their ids are Claude's, or derived from them. What the API has no place
for is in extension fields named `ccapi` of items, events and the response. Who knows them not loses nothing, and
`ccapi.wire.responsesdecoder` makes run events of them again. An item of a subagent names in `ccapi.parent` the call
that started it; its text is an item of reasoning (`ccapi.kind` is `subagent_text`), as it is no part of the answer.

Source: OpenAI API reference, "Responses", "Streaming events".
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterable
from typing import Any, Literal

from ccapi.errors import CcapiError, StructuredOutputFailed
from ccapi.wire import responseitems as items
from ccapi.wire.coalesce import coalesced
from ccapi.wire.events import (
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
from ccapi.wire.responseitems import Object
from ccapi.wire.responsewriter import Block, Writer

Show = Literal["full", "text", "final"]

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_OUTPUT_TOOL = "StructuredOutput"  # by which the CLI takes what a JSON schema asked for: its input is the answer
_encode = json.JSONEncoder(separators=(",", ":")).encode


def sse(events: Iterable[Object]) -> str:
    """The events as server-sent events, in ASCII. Each is one frame, and no frame holds a blank line."""
    return "".join(f"event: {event['type']}\ndata: {_encode(event)}\n\n" for event in events)


class _Call:
    """A tool call that has no result yet."""

    __slots__ = ("called", "index", "item", "written")

    def __init__(self, item: Object, index: int) -> None:
        self.item = item
        self.index = index
        self.called = False
        self.written = io.StringIO()


class Encoder:
    """Stateful: `begin`, then every event of one run. Each call returns the stream events that have become due."""

    def __init__(
        self, response: Object, *, show: Show = "full", structured: bool = False, names_session: bool = True
    ) -> None:
        """`response` is a `response_object`.

        `show`: all of a run, what the assistant says in each step, or in the last. `names_session`: it can be gone on
        with. Both can be set until the run begins. `structured`: a JSON schema was asked for, so the run's structured
        output is the only message; what is said beside it is reasoning (`ccapi.kind` is `text`).
        """
        self.ended = False
        self.error: CcapiError | None = None  # for which it failed
        self.show = show
        self._structured = structured
        self.names_session = names_session
        self._writer = Writer(response)
        self._blocks: dict[str | None, Block] = {}  # that are being written, by parent
        self._calls: dict[str, _Call] = {}  # by tool use id
        self._count: dict[tuple[str, str], int] = {}  # items of a type that a message has
        self._called_tools = False  # in the current message of the top level
        self._last: list[TextDelta] = []  # what the latest message says, if only the last one is to be shown
        self._held: Object | None = None  # the end of a call's arguments: the end of the message can ride on it
        self._handlers: dict[type, Any] = {
            RunStarted: self._run_started,
            MessageStarted: self._message_started,
            TextDelta: self._text,
            ThinkingDelta: self._thinking,
            ToolStarted: self._tool_started,
            ToolInputDelta: self._tool_input,
            ToolCalled: self._tool_called,
            ToolFinished: self._tool_finished,
            MessageFinished: self._message_finished,
            RunFinished: self._run_finished,
            RunFailed: self._run_failed,
        }

    @property
    def response(self) -> Object:
        """The object so far. What is still being written is in it without its text."""
        return self._writer.snapshot()

    @property
    def empty(self) -> bool:
        """Whether there is no item yet."""
        return not self._writer.output

    def answered_by(self, model: str) -> None:
        """Another model than the one that was asked has to answer."""
        self._writer.response["model"] = model

    def begin(self, *, queued: bool = False) -> list[Object]:
        """How a stream starts. `queued`: the run itself does not begin at once."""
        if not queued:
            self._writer.response["status"] = "in_progress"
        self._writer.lifecycle("response.created")
        if queued:
            self._writer.lifecycle("response.queued")
        return self._writer.due()

    def feed(self, events: Iterable[RunEvent]) -> list[Object]:
        """Nothing may follow the terminal event."""
        for event in coalesced(events):
            handler = self._handlers.get(type(event))
            if handler is None:
                continue
            if self._held and not (type(event) is MessageFinished and event.parent is None):
                self._send_held()
            handler(event)
        marks = self._writer.before
        if any(mark["type"] == "message.finished" and ("parent" in mark or self._calls) for mark in marks):
            self._writer.in_progress()  # who waits for what that message called wants to know at once
        return self._writer.due()

    def resume(self, sequence_number: int) -> None:
        """All that was fed so far has been sent already, in events with smaller numbers than this one."""
        self.flush()
        self._writer.restart(sequence_number)

    def flush(self) -> list[Object]:
        """What was held back for a moment: to be called when nothing comes for a while."""
        if self._held:
            self._send_held()
        return self._writer.due()

    def cancel(self) -> list[Object]:
        """The end that a client asked for. The API has no event of its own for it: the response's status says it."""
        self._close_all("incomplete")
        self._end("cancelled", "response.incomplete")
        return self._writer.due()

    # --- the run

    def _run_started(self, event: RunStarted) -> None:
        session_id = event.session_id if self.names_session else ""
        self._writer.response["ccapi"] = {"session_id": session_id, "model": event.model}
        self._writer.in_progress()

    def _run_finished(self, event: RunFinished) -> None:
        whole = event.finish_reason == "stop"
        if whole and self._structured and event.structured is None:
            error = StructuredOutputFailed("The model gave no output that fits the JSON schema")
            facts = (event.usage, event.cost_usd, event.turns, event.duration_ms, event.billing)
            self._run_failed(RunFailed(error, *facts))
            return
        response = self._writer.response
        self._say_last(event)
        self._close_all("completed" if whole else "incomplete")
        response["usage"] = items.usage_object(event.usage)
        session_id = event.session_id if self.names_session else ""
        response["ccapi"] = {**response.get("ccapi", {}), "session_id": session_id, **items.about(event)}
        if not whole:
            response["incomplete_details"] = {"reason": _INCOMPLETE[event.finish_reason]}
        status = "completed" if whole else "incomplete"
        self._end(status, f"response.{status}")

    def _run_failed(self, event: RunFailed) -> None:
        self._say_last(event)
        self._close_all("incomplete")
        self.error = event.error
        error = self._writer.response["error"] = items.error_object(event.error)
        body = error["ccapi"]
        flat = {"code": body["code"], "message": body["message"], "param": body["param"]}
        self._writer.emit("error", **flat, ccapi={"error": body})
        if event.usage != Usage():
            self._writer.response["usage"] = items.usage_object(event.usage)
        if "ccapi" in self._writer.response:  # else the run had not begun
            self._writer.response["ccapi"] = {**self._writer.response["ccapi"], **items.about(event)}
        self._end("failed", "response.failed")

    def _end(self, status: str, kind: str) -> None:
        self.ended = True
        self._writer.response["status"] = status
        self._writer.response["completed_at"] = int(time.time()) if status == "completed" else None
        self._writer.lifecycle(kind)

    # --- messages

    def _message_started(self, event: MessageStarted) -> None:
        self._close(event.parent)
        self._mark("message.started", event)
        if event.parent is None:
            self._called_tools = False

    def _message_finished(self, event: MessageFinished) -> None:
        if event.parent is None and self._held:
            self._send_held(_mark("message.finished", event))
        elif event.parent in self._blocks:
            phase = "commentary" if self._called_tools else "final_answer"
            self._close(event.parent, phase=phase, after=_mark("message.finished", event))
        else:
            self._mark("message.finished", event)

    def _mark(self, kind: str, event: MessageStarted | MessageFinished) -> None:
        if event.parent is None or self.show == "full":
            self._writer.before.append(_mark(kind, event))

    def _text(self, event: TextDelta) -> None:
        if event.parent is not None:
            if self.show == "full":
                self._reason(event, "subagent_text")
            return
        if event.text and (self._structured or self.show == "final"):
            if self._last and self._last[0].message_id != event.message_id:
                self._last.clear()
            self._last.append(event)
        if self.show != "final":
            self._say(event)

    def _say(self, event: TextDelta) -> None:
        if self._structured:
            self._reason(event, "text")
        else:
            self._writer.delta(self._block("message", "", event), event.text)

    def _say_last(self, end: RunFinished | RunFailed) -> None:
        """What is only known to be the answer now that the run is over."""
        if not self._structured:
            for event in coalesced(self._last):
                assert isinstance(event, TextDelta)
                self._say(event)
        elif isinstance(end, RunFinished):
            item = items.message(f"msg_{self._writer.response['id'].removeprefix('resp_')}", {})
            if end.structured is not None:
                self._message_started(MessageStarted(item["id"]))
                self._writer.whole_message(item, json.dumps(end.structured, ensure_ascii=False))
            elif end.finish_reason == "content_filter":
                self._close(None)
                self._writer.whole_message(item, "".join(event.text for event in self._last), refused=True)

    def _thinking(self, event: ThinkingDelta) -> None:
        if self.show == "full":
            self._reason(event, "")

    def _reason(self, event: TextDelta | ThinkingDelta, kind: str) -> None:
        self._writer.delta(self._block("reasoning", kind, event), event.text)

    def _block(self, type_: str, kind: str, event: TextDelta | ThinkingDelta) -> Block:
        """Where this delta belongs, opened if need be. Neighbouring blocks of text are parts of one message."""
        block = self._blocks.get(event.parent)
        key = (type_, kind, event.message_id)
        if block and block.key == key and (block.block == event.block or type_ == "message"):
            if block.block != event.block:
                self._writer.next_part(block, event.block)
            return block
        self._close(event.parent)
        block = self._blocks[event.parent] = self._writer.open(self._item(key, event), key, event.block)
        return block

    def _item(self, key: tuple[str, str, str], event: TextDelta | ThinkingDelta) -> Object:
        type_, kind, message_id = key
        count = self._count[type_, message_id] = self._count.get((type_, message_id), 0) + 1
        item_id = f"{message_id}_{count}" if count > 1 else message_id
        if type_ == "message":
            return items.message(item_id, {"message_id": message_id})
        extra: Object = {"message_id": message_id, "block": event.block}
        if event.parent is not None:
            extra["parent"] = event.parent
        if kind:
            extra["kind"] = kind
        return items.reasoning(f"rs_{item_id}", extra)

    def _close(self, parent: str | None, *, phase: str | None = None, after: Object | None = None) -> None:
        """End what is being written there, if anything is."""
        if block := self._blocks.pop(parent, None):
            self._writer.close(block, "completed", phase, after)

    def _close_all(self, status: str) -> None:
        """End everything, as the run is over. A call without a result is incomplete, whatever the rest is."""
        if self._held:
            self._send_held()
        open_: list[Block | _Call] = [*self._blocks.values(), *self._calls.values()]
        phase = "final_answer" if status == "completed" and not self._called_tools else None
        for one in sorted(open_, key=lambda one: one.index):
            if isinstance(one, Block):
                self._writer.close(one, status, phase)
            else:
                arguments = one.item["arguments"] or one.written.getvalue()
                self._writer.done({**one.item, "arguments": arguments, "status": "incomplete"}, one.index)
        self._blocks.clear()
        self._calls.clear()

    # --- tools

    def _tool_started(self, event: ToolStarted | ToolCalled) -> None:
        if event.parent is None:
            self._called_tools = True
        if event.tool_use_id in self._calls:
            return
        self._close(event.parent, phase="commentary")
        if self.show != "full" or (self._structured and event.name == _OUTPUT_TOOL):
            return
        item = items.mcp_call(event.tool_use_id, event.name, event.parent)
        call = self._calls[event.tool_use_id] = _Call(item, self._writer.add(item))
        self._writer.emit("response.mcp_call.in_progress", item_id=item["id"], output_index=call.index)

    def _tool_input(self, event: ToolInputDelta) -> None:
        call = self._calls.get(event.tool_use_id)
        if call is None or call.called:
            return
        call.written.write(event.partial_json)
        place: Object = {"item_id": call.item["id"], "output_index": call.index}
        self._writer.emit("response.mcp_call_arguments.delta", **place, delta=event.partial_json)

    def _tool_called(self, event: ToolCalled) -> None:
        self._tool_started(event)
        call = self._calls.get(event.tool_use_id)
        if call is None:
            return
        call.called = True
        arguments = items.arguments(event.input, call.written.getvalue())
        extra = {**call.item.get("ccapi", {}), "message_id": event.message_id}
        call.item = self._writer.output[call.index] = {**call.item, "arguments": arguments, "ccapi": extra}
        self._held = {"item_id": call.item["id"], "output_index": call.index, "arguments": arguments}
        self._held["ccapi"] = {"message_id": event.message_id}
        if event.parent is not None:  # that a subagent's message has ended is only known from what comes next
            self._send_held()

    def _send_held(self, after: Object | None = None) -> None:
        assert self._held is not None
        fields, self._held = self._held, None
        if after:
            fields["ccapi"]["after"] = [after]
        self._writer.emit("response.mcp_call_arguments.done", **fields)

    def _tool_finished(self, event: ToolFinished) -> None:
        call = self._calls.get(event.tool_use_id)
        if call is None or not call.called:
            return
        del self._calls[event.tool_use_id]
        done = {**call.item, **items.tool_result(event.output, is_error=event.is_error)}
        if event.full_size is not None:
            done["ccapi"] = {**done.get("ccapi", {}), "full_size": event.full_size}
        self._writer.emit(f"response.mcp_call.{done['status']}", item_id=done["id"], output_index=call.index)
        self._writer.done(done, call.index)


def _mark(kind: str, event: MessageStarted | MessageFinished) -> Object:
    """An event of the run for which the API has none: it rides on the event before it, or after it."""
    mark = {"type": kind, "message_id": event.message_id}
    return mark if event.parent is None else {**mark, "parent": event.parent}
