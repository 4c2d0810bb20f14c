"""An answer for a program: one JSON document, a line for each event of the run, or the JSON that a schema asked for.

Of a run that did not come to its end the same data says what there was, in the document that tells of the failure.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ccapi.cli import output
from ccapi.cli.answer.dataview import DataView, Write
from ccapi.cli.context import mode
from ccapi.commands.ask import interruption
from ccapi.errors import Interrupted, OutputFailed
from ccapi.wire import events
from ccapi.wire.events import RunEvent, RunFailed, RunFinished, ToolCalled, ToolFinished, Usage
from ccapi.wire.transcript import Mode, Transcript

if TYPE_CHECKING:
    from ccapi.commands.ask import Summary

Object = dict[str, Any]

_NAMES: Mapping[type[RunEvent], str] = {
    events.RunStarted: "run.started",
    events.MessageStarted: "message.started",
    events.TextDelta: "text.delta",
    events.ThinkingDelta: "thinking.delta",
    events.ToolStarted: "tool.started",
    events.ToolInputDelta: "tool.input.delta",
    events.ToolCalled: "tool.called",
    events.ToolFinished: "tool.finished",
    events.MessageFinished: "message.finished",
    events.Notice: "notice",
    events.RunFinished: "run.finished",
    events.RunFailed: "run.failed",
}
_GATEWAYS_OWN = {"checkpoint", "stored"}  # never sent to a client


class JsonView(DataView):
    """Writes the one document of the command once it is known how the run ended."""

    def __init__(self, transcript: Mode, summary: Summary, write: Write) -> None:
        """`summary` is filled in by others, before each event comes here."""
        super().__init__(write)
        self._summary = summary
        self._shown = Transcript(transcript)
        self._final = Transcript("final")
        self._text: list[str] = []
        self._transcript: list[str] = []
        self._tools = _Tools()

    def feed(self, event: RunEvent) -> None:
        self._transcript.append(self._shown.feed(event))
        self._text.append(self._final.feed(event))
        self._tools.feed(event)

    def close(self, *, patient: bool = True) -> None:
        super().close(patient=patient)
        JsonView.feed(self, RunFailed(Interrupted("interrupted")))  # what the transcripts still hold back

    def _finished(self) -> None:
        mode.sink = self._put_json
        mode.data = self._data()
        if self._summary.finish_reason == "stop":
            self._write_success(mode.data)

    def _failed(self, error: BaseException) -> None:
        self.close()
        mode.data = self._data() if self._summary.response_id else None  # nothing had begun
        if isinstance(error, OutputFailed | BrokenPipeError):
            return  # there may still be a standard output that can be told
        mode.sink = self._put_json
        if not isinstance(error, Exception):  # Ctrl-C, or a signal: nobody else will say so in JSON
            go_on = 'Go on: ccapi ask -c "..."' if self._summary.begun else None
            output.write_failure(Interrupted(interruption(error), hint=go_on))

    def _write_success(self, data: Object) -> None:
        output.write_json(data)

    def _put_json(self, text: str) -> None:
        """As it is: output has seen to it that it commands no terminal."""
        try:
            self._write(text)
        except (OutputFailed, OSError):
            mode.sink = None  # standard output may be told of it
            raise

    def _data(self) -> Object:
        known = self._summary
        ended = known.finish_reason is not None
        return {
            "text": "".join(self._text),
            "transcript": "".join(self._transcript),
            "session_id": known.session_id or None,
            "response_id": known.response_id or None,
            "requested_model": known.model,
            "model": known.answered_by or None,
            "finish_reason": known.finish_reason,
            "turns": known.turns if ended or known.turns else None,
            "usage": _usage(known.usage) if ended or known.usage != Usage() else None,
            "cost_usd": known.cost_usd if ended or known.cost_usd else None,
            "billing": known.billing or None,
            "duration_ms": _milliseconds(known.duration),
            "first_text_ms": None if known.first_text is None else _milliseconds(known.first_text),
            "tools": self._tools.documents(),
            "structured": known.structured,
        }


class EventsView(JsonView):
    """Writes a line for each event at once, and as the last one what `JsonView` has as its document."""

    def feed(self, event: RunEvent) -> None:
        super().feed(event)
        self._put(output.json_line({"type": _NAMES[type(event)], **_fields(event)}))

    def _write_success(self, data: Object) -> None:
        output.write_result(data)


class StructuredView(DataView):
    """Writes the output that a JSON schema asked for, as the API has it."""

    def __init__(self, summary: Summary, write: Write) -> None:
        super().__init__(write)
        self._summary = summary

    def _finished(self) -> None:
        value = self._summary.structured
        if value is None:
            return  # a limit, or a refusal: the summary says so
        self._put(json.dumps(value, ensure_ascii=False, indent=2 if self._on_screen else None) + "\n")


class _Tools:
    """The tool calls of a run, in the order in which they were made."""

    def __init__(self) -> None:
        self._calls: dict[str, Object] = {}
        self._began: dict[str, float] = {}

    def feed(self, event: RunEvent) -> None:
        if isinstance(event, ToolCalled):
            self._began[event.tool_use_id] = time.monotonic()
            self._calls[event.tool_use_id] = {
                "id": event.tool_use_id,
                "name": event.name,
                "arguments": event.input,
                "output": None,
                "full_size": None,
                "is_error": None,
                "duration_ms": None,
                "parent": event.parent,
            }
        elif isinstance(event, ToolFinished) and (call := self._calls.get(event.tool_use_id)):
            took = _milliseconds(time.monotonic() - self._began[event.tool_use_id])
            ended = {"output": event.output, "full_size": event.full_size, "is_error": event.is_error}
            call.update(ended, duration_ms=took)

    def documents(self) -> list[Object]:
        return list(self._calls.values())


def _fields(event: RunEvent) -> Object:
    known = {field.name: getattr(event, field.name) for field in fields(event) if field.name not in _GATEWAYS_OWN}
    if isinstance(event, RunFinished | RunFailed):
        known["usage"] = _usage(event.usage)
        known["billing"] = event.billing or None
    if isinstance(event, RunFailed):
        from ccapi.cli import problem

        known["error"] = problem.document(event.error)
    return known


def _usage(usage: Usage) -> Object:
    """`input` is what neither came from the cache nor was written to it."""
    return {
        "input": usage.input_tokens,
        "output": usage.output_tokens,
        "cached_read": usage.cache_read_tokens,
        "cached_write": usage.cache_creation_tokens,
    }


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
