"""The transcript: a whole run as text, for clients that know nothing but text.

A *segment* per assistant message: its text, then each tool call it made, each followed by that call's result. Segments
are joined by `SEPARATOR` and by nothing else. Text is passed on as it comes and is never rewritten; what has to wait
for its turn (the second of two parallel calls) is held back, so the order is the same however the events interleave.
What a subagent says and does stands between the call that started it and that call's result.

That is the mode `full`. In `text` a segment is what the assistant itself says, and a message that says nothing is none.
`final` is one segment, the last that `text` would have. Only the end of the run tells which that is, so all of it comes
then: a stream in this mode is silent until its end, and as in the others the pieces are the whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ccapi.wire import toolmarkdown
from ccapi.wire.events import (
    MessageFinished,
    MessageStarted,
    RunEvent,
    RunFailed,
    RunFinished,
    TextDelta,
    ToolCalled,
    ToolFinished,
)

Mode = Literal["full", "text", "final"]

SEPARATOR = "\n\n---\n\n"
_GAP = "\n\n"
_NESTED = "↳ "  # before each step of a subagent, once per depth


@dataclass(slots=True, eq=False)
class _Speech:
    """What a subagent says in one message."""

    message_id: str
    text: str
    ended: bool = False


@dataclass(slots=True, eq=False)
class _Call:
    """A tool call. `steps` are a subagent's that have not been written yet, in the order in which they began."""

    name: str
    head: str
    root: _Call | None  # the top-level call it belongs to; None for a top-level call itself
    steps: list[_Speech | _Call] = field(default_factory=list)
    result: str | None = None
    head_written: bool = False


class Transcript:
    """Feed it every event of a run; each call returns the text that has become due."""

    def __init__(self, mode: Mode = "full") -> None:
        self._render = {"full": self._everything, "text": self._texts, "final": self._last_text}[mode]
        self._held: list[str] = []  # in mode `final`: what would be all, if the run ended now
        self.messages = 0  # assistant messages at the top level
        self._wrote = False  # anything at all
        self._gap = ""  # what has to come before the next piece of text
        self._line_ended = False  # the first newline of that was already written
        self._text_open = True  # the current message may still bring text
        self._text_block = -1  # the block that its last text was in
        self._waiting: list[_Call] = []  # top-level calls in their order, not written to their end
        self._calls: dict[str, _Call] = {}  # every call whose result has not come, by tool use id
        self._late: list[str] = []  # results that came after their message was over
        self._background: list[_Call] = []  # calls that are written, but whose subagent still speaks
        self._speaker: _Call | None = None  # the one of these that wrote last, with nothing after it

    def feed(self, event: RunEvent) -> str:
        """What this event adds to the transcript; often nothing."""
        return self._render(event)

    def _last_text(self, event: RunEvent) -> str:
        match event:
            case MessageStarted(parent=None):
                self.messages += 1
                self._begin_text()
            case TextDelta(parent=None) if event.text:
                if self._text_block < 0:  # only text takes the place of text
                    self._held.clear()
                self._held.append(self._say(event))
            case RunFinished() | RunFailed():
                due = "".join(self._held)
                self._held.clear()
                return due
        return ""

    def _texts(self, event: RunEvent) -> str:
        match event:
            case MessageStarted(parent=None):
                self.messages += 1
                self._begin_text(SEPARATOR)
            case TextDelta(parent=None):
                return self._say(event)
        return ""

    def _begin_text(self, separator: str = "") -> None:
        self._gap = separator if self._wrote else ""
        self._text_open, self._text_block = True, -1

    def _everything(self, event: RunEvent) -> str:
        match event:
            case MessageStarted(parent=None):
                return self._new_message()
            case TextDelta(parent=None):
                return self._say(event)
            case TextDelta(parent=str(parent)):
                return self._subagent_says(parent, event)
            case ToolCalled():
                return self._called(event)
            case ToolFinished():
                return self._finished(event)
            case MessageFinished(parent=None):
                self._text_open = False
                return self._release()
            case MessageFinished(parent=str(parent)):
                return self._subagent_said(parent, event)
            case RunFinished() | RunFailed():
                return self._release(final=True) + self._from_background(spoken=True, final=True)
            case _:
                return ""

    def _new_message(self) -> str:
        due = self._release(final=True) + self._from_background(spoken=True)
        self.messages += 1
        self._begin_text(SEPARATOR)
        return due

    def _say(self, event: TextDelta) -> str:
        # Neighbouring text blocks are one text (citations split it); with something between them they are two.
        if event.block > self._text_block + 1 and self._wrote and not self._gap and self._text_block >= 0:
            self._gap = _GAP
        self._text_block = event.block
        return self._write(event.text)

    def _called(self, event: ToolCalled) -> str:
        parent = self._calls.get(event.parent) if event.parent else None
        if event.parent and parent is None:
            return ""  # a subagent of nobody
        root = (parent.root or parent) if parent else None
        call = _Call(event.name, toolmarkdown.call(event.name, event.input), root)
        self._calls[event.tool_use_id] = call
        (parent.steps if parent else self._waiting).append(call)
        return self._inside(root) if root else self._release()

    def _finished(self, event: ToolFinished) -> str:
        call = self._calls.get(event.tool_use_id)  # it stays: a subagent in the background speaks after its result
        if call is None or call.result is not None:
            return ""
        call.result = toolmarkdown.result(event.output, is_error=event.is_error, full_size=event.full_size)
        if call.root is None and call not in self._waiting:
            # Its message is long over (it went on in the background): name it again, after the current text.
            self._late += [f"**{call.name}** (result)", call.result]
        return self._release()

    def _subagent_says(self, parent: str, event: TextDelta) -> str:
        call = self._calls.get(parent)
        if call is None:
            return ""
        last = call.steps[-1] if call.steps else None
        if isinstance(last, _Speech) and last.message_id == event.message_id:
            last.text += event.text
        else:
            call.steps.append(_Speech(event.message_id, event.text))
        return self._inside(call.root or call)

    def _subagent_said(self, parent: str, event: MessageFinished) -> str:
        call = self._calls.get(parent)
        last = call.steps[-1] if call and call.steps else None
        if not isinstance(last, _Speech) or last.message_id != event.message_id:
            return ""
        last.ended = True
        return self._release()

    def _inside(self, root: _Call) -> str:
        """Something was added below a top-level call."""
        if root not in self._waiting and root not in self._background:
            self._background.append(root)
        return self._release()

    # --- what is due

    def _release(self, *, final: bool = False) -> str:
        """Write the calls whose turn it is. `final`: what has not come by now will not come any more."""
        if self._text_open and not final:
            return ""
        due = ""
        while self._waiting:
            call = self._waiting[0]
            due += self._top_level(call, final=final)
            if call.result is None and not final:
                return due
            self._waiting.pop(0)
        due += "".join(self._block(text) for text in self._late)
        self._late.clear()
        return due + self._from_background()

    def _from_background(self, *, spoken: bool = False, final: bool = False) -> str:
        """What subagents did whose call was written long ago: under its name, as soon as a step of it is whole.

        `spoken`: nothing more is said in their current messages; `final`: no result comes any more, either.
        """
        due = ""
        for call in self._background:
            blocks: list[str] = []
            while call.steps and (final or _complete(call.steps, spoken=spoken)):
                blocks += _blocks(call.steps.pop(0), 1)
            if blocks:
                heading = [] if self._speaker is call else [f"{call.head.splitlines()[0]} (in the background)"]
                due += "".join(self._block(text) for text in (*heading, *blocks))
                self._speaker = call
        return due

    def _top_level(self, call: _Call, *, final: bool) -> str:
        due = "" if call.head_written else self._line(call.head)
        call.head_written = True
        ended = final or call.result is not None
        while call.steps and (ended or _complete(call.steps)):
            due += "".join(self._block(block) for block in _blocks(call.steps.pop(0), 1))
        return due + (self._block(call.result) if call.result is not None else "")

    def _write(self, text: str) -> str:
        """`text`, after whatever has to stand between it and what came before."""
        if not text:
            return ""
        gap = self._gap.removeprefix("\n") if self._line_ended else self._gap
        self._gap, self._wrote, self._line_ended = "", True, False
        self._speaker = None
        return gap + text

    def _line(self, text: str) -> str:
        """A block whose newline comes at once: while the tool runs, a reader of lines sees what is being done."""
        due = self._block(text) + "\n"
        self._line_ended = True
        return due

    def _block(self, text: str) -> str:
        """`text` as a block of its own within the segment."""
        if self._wrote and not self._gap:
            self._gap = _GAP
        return self._write(text)


def _complete(steps: list[_Speech | _Call], *, spoken: bool = False) -> bool:
    """Whether the first of these steps can be written: nothing will be added to it."""
    first = steps[0]
    return first.result is not None if isinstance(first, _Call) else spoken or first.ended or len(steps) > 1


def _blocks(step: _Speech | _Call, depth: int) -> list[str]:
    """A subagent's step, whole, with everything below it."""
    if isinstance(step, _Speech):
        return [_nested(step.text, depth)]
    blocks = [_nested(step.head, depth)]
    for inner in step.steps:
        blocks += _blocks(inner, depth + 1)
    return [*blocks, step.result] if step.result is not None else blocks


def _nested(text: str, depth: int) -> str:
    # A fence, a list or a heading must stay at the start of its line.
    return _NESTED * depth + (text if text[:1].isalnum() or text.startswith("**") else f"{_GAP}{text}")
