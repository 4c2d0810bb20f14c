"""The transcript: a whole run as text, for clients that know nothing but text.

A *segment* per assistant message: its text, then each tool call it made, each followed by that call's result. Segments
are joined by `SEPARATOR` and by nothing else. Text is passed on as it comes and is never rewritten; what has to wait
for its turn (the second of two parallel calls) is held back, so the order is the same however the events interleave.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ccapi.agent import toolmarkdown
from ccapi.agent.events import (
    MessageFinished,
    MessageStarted,
    RunEvent,
    RunFailed,
    RunFinished,
    TextDelta,
    ToolCalled,
    ToolFinished,
)

SEPARATOR = "\n\n---\n\n"
_GAP = "\n\n"
_NESTED = "↳ "  # before what a subagent says and does


@dataclass(slots=True)
class _Call:
    name: str
    head: str
    inner: list[str] = field(default_factory=list)  # a subagent's steps that have not been written yet
    result: str | None = None
    head_written: bool = False


class Transcript:
    """Feed it every event of a run; each call returns the text that has become due."""

    def __init__(self) -> None:
        self.messages = 0  # assistant messages at the top level
        self._wrote = False  # anything at all
        self._gap = ""  # what has to come before the next piece of text
        self._waiting: list[_Call] = []  # calls of the current message, in order, not finished writing
        self._text_open = True  # the current message may still bring text
        self._calls: dict[str, _Call] = {}  # by tool use id, until their result came
        self._nested: dict[str, tuple[_Call, str]] = {}  # a subagent's calls: the call they belong to, their head
        self._speaking: dict[str, str] = {}  # root tool use id -> the subagent message being written

    def feed(self, event: RunEvent) -> str:
        """What this event adds to the transcript; often nothing."""
        match event:
            case MessageStarted(parent=None):
                return self._new_message()
            case TextDelta(parent=None):
                return self._write(event.text)
            case ToolCalled(parent=None):
                call = _Call(event.name, toolmarkdown.call(event.name, event.input))
                self._calls[event.tool_use_id] = call
                self._waiting.append(call)
                return self._release()
            case ToolFinished(parent=None):
                return self._finished(event)
            case MessageFinished(parent=None):
                self._text_open = False
                return self._release()
            case RunFinished() | RunFailed():
                return self._release(final=True)
            case TextDelta() | ToolCalled() | ToolFinished():
                return self._inside(event)
            case _:
                return ""

    def _new_message(self) -> str:
        due = self._release(final=True)
        self.messages += 1
        self._gap = SEPARATOR if self._wrote else ""
        self._text_open = True
        return due

    def _write(self, text: str) -> str:
        """`text`, after whatever has to stand between it and what came before."""
        if not text:
            return ""
        gap, self._gap, self._wrote = self._gap, "", True
        return gap + text

    def _block(self, text: str) -> str:
        """`text` as a block of its own within the segment."""
        if self._wrote and not self._gap:
            self._gap = _GAP
        return self._write(text)

    def _finished(self, event: ToolFinished) -> str:
        call = self._calls.pop(event.tool_use_id, None)
        text = toolmarkdown.result(event.output, is_error=event.is_error, full_size=event.full_size)
        if call is None:
            return ""
        if call in self._waiting:
            call.result = text
            return self._release()
        # Its message is long over (a call that went on in the background): name it again.
        return self._block(f"**{call.name}** (result)") + self._block(text)

    def _release(self, *, final: bool = False) -> str:
        """Write the calls whose turn it is. `final`: their results will not come any more."""
        if self._text_open and not final:
            return ""
        due = ""
        while self._waiting:
            call = self._waiting[0]
            due += self._write_call(call)
            if call.result is None and not final:
                break
            if call.result is not None:
                due += self._block(call.result)
            self._waiting.pop(0)
        return due

    def _write_call(self, call: _Call) -> str:
        due = "" if call.head_written else self._block(call.head)
        call.head_written = True
        due += "".join(self._block(part) for part in call.inner)
        call.inner.clear()
        return due

    # --- subagents: their steps stand between the call that started them and its result

    def _inside(self, event: TextDelta | ToolCalled | ToolFinished) -> str:
        assert event.parent is not None
        root = self._root(event.parent)
        if root is None:
            return ""
        match event:
            case TextDelta():
                return self._inside_text(root, event)
            case ToolCalled():
                self._nested[event.tool_use_id] = (root, toolmarkdown.call(event.name, event.input))
            case ToolFinished() if event.tool_use_id in self._nested:
                _, head = self._nested.pop(event.tool_use_id)
                root.inner.append(_NESTED + head)
                root.inner.append(toolmarkdown.result(event.output, is_error=event.is_error, full_size=event.full_size))
        return self._release()

    def _inside_text(self, root: _Call, event: TextDelta) -> str:
        assert event.parent is not None
        if self._speaking.get(event.parent) == event.message_id and root.inner:
            root.inner[-1] += event.text
        else:
            self._speaking[event.parent] = event.message_id
            root.inner.append(_NESTED + event.text)
        return ""  # written with the step that follows, or with the result

    def _root(self, parent: str) -> _Call | None:
        """The top-level call that a subagent's event belongs to, however deep it is nested."""
        if parent in self._calls:
            return self._calls[parent]
        return self._nested[parent][0] if parent in self._nested else None
