"""A run on a terminal: what is finished is written once and stays, what is not is in the live area below it.

The order is that of the transcript (`ccapi.wire.transcript`): what a message says, then its tool calls, each with what
came of it, in the order in which they were made, with the steps of a subagent inside its call. What has to wait for
its turn is in the live area meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, Self

from ccapi.cli import output
from ccapi.cli.answer.cells import chop, fit
from ccapi.cli.answer.figures import duration
from ccapi.cli.answer.given import drafted
from ccapi.cli.answer.toolview import State, ToolView
from ccapi.cli.answer.undisturbed import undisturbed
from ccapi.wire.events import (
    MessageFinished,
    MessageStarted,
    Notice,
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
)

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from ccapi.cli.answer.markdown import Markdown
    from ccapi.cli.answer.paint import Paint

_ROWS = 8  # of the live area, at most
_CALLS = 4  # of these rows for tool calls, while something is said
_PACE = 0.05  # seconds between two drawings, at least; ten times as long as one takes
_RULE = 40  # cells
_DRAFT = 2_000  # characters of a call's arguments that are looked at while they are written
_INDENT = 2  # cells for each depth of subagents
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_SENDING, _WAITING = "Sending", "Waiting for Claude"
_DIM, _LIVELY = "2", "36"

Kind = Literal["", "text", "thinking", "tools", "note"]
Show = Literal["full", "text", "final", "nothing"]


class Area(Protocol):
    """Where it is shown: `LiveArea`, or what takes only lines that are finished."""

    @property
    def size(self) -> os.terminal_size: ...
    @property
    def room(self) -> int: ...  # cells of a line that is not finished
    def update(self, finished: Sequence[str], live: Sequence[str]) -> None: ...
    def close(self) -> None: ...


class _Block(NamedTuple):
    """Where text belongs: a block of a message."""

    message_id: str
    number: int
    thinking: bool


@dataclass(slots=True, eq=False)
class _Speech:
    """What a subagent says or thinks in one block."""

    block: _Block
    pieces: list[str] = field(default_factory=list)
    ended: bool = False


@dataclass(slots=True, eq=False)
class _Call:
    """A tool call. `steps` are a subagent's that were not written yet, in the order in which they began."""

    name: str
    since: float
    arguments: Any = None  # as far as they are known
    draft: str = ""  # the beginning of them as JSON
    result: ToolFinished | None = None
    seconds: float | None = None  # that it took
    steps: list[_Speech | _Call] = field(default_factory=list)
    headed: bool = False  # its heading is there, for the steps below it
    said: str = ""  # by a subagent at last
    written: bool = False

    def state(self, unfinished: State = "running") -> State:
        if self.result is None:
            return unfinished
        return "failed" if self.result.is_error else "ok"


class ScreenView:
    """A view (`ccapi.commands.ask.View`)."""

    def __init__(
        self,
        area: Area,
        paint: Paint,
        *,
        show: Show = "full",
        full: bool = False,
        thinking: bool = False,
        timed: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`show`: the whole transcript, what is said in it, or what is said last; `nothing`: only the live area.

        `full`: no output is folded. `thinking`: what the model thinks is shown. `timed`: calls take time.
        """
        self._area = area
        self._paint = paint
        self._tools = ToolView(paint, full=full)
        self._show = show
        self._with_thinking = thinking and show == "full"
        self._timed = timed
        self._clock = clock
        self._began = clock()
        self._frame = 0
        self._phase = _SENDING
        self._due: list[str] = []  # finished lines that were not drawn yet
        self._drawn, self._pace = 0.0, _PACE
        self._last: Kind = ""  # what was written last
        self._rule_due = False  # another step has begun
        self._closed = False
        self._last_said: list[str] = []  # with `final`: what would be all, if the run ended now
        self._last_message = ""  # that they are of
        self._joined = False  # nothing stands between what the block said before and what it says next
        self._speaking: _Block | None = None  # the block that the top level is in
        self._markdown: Markdown | None = None
        self._message_open = False
        self._calls: list[_Call] = []  # of the current message, not written to their end
        self._late: list[_Call] = []  # of earlier messages, without a result
        self._background: list[_Call] = []  # written to their end, but with steps that came after it
        self._by_id: dict[str, _Call] = {}

    # --- a view

    def __enter__(self) -> Self:
        with undisturbed():
            self._draw()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def feed(self, event: RunEvent) -> None:
        """Show what has come, at the latest with the next `tick`."""
        with undisturbed():
            first = self._phase in {_SENDING, _WAITING}
            self._take(event)
            self._advance()
            now = self._clock()
            if first or now - self._drawn >= self._pace:
                self._draw()

    def tick(self) -> None:
        """Show how time goes by."""
        with undisturbed():
            self._frame += 1
            self._draw()

    def close(self, *, patient: bool = True) -> None:
        """Write what is there of everything that has not ended, and leave the terminal, which has little patience."""
        del patient
        if self._closed:
            return
        self._closed = True
        with undisturbed():
            self._end_message()
            self._say_last()
            self._advance(final=True)
            self._area.update(self._due, ())
            self._due = []
            self._area.close()

    # --- events

    def _take(self, event: RunEvent) -> None:
        match event:
            case TextDelta() | ThinkingDelta():
                self._say(event) if event.parent is None else self._say_below(event)
            case ToolStarted() | ToolCalled():
                self._called(event)
            case ToolInputDelta():
                self._draft(event)
            case ToolFinished():
                self._finished(event)
            case Notice():
                self._put("note", self._dimmed(self._plain(event.message)))
            case MessageStarted(parent=None):
                self._begin_message()
            case MessageFinished(parent=str(parent)):
                self._end_below(parent)
            case MessageFinished() | RunFinished() | RunFailed():
                self._end_message()
            case RunStarted():
                self._phase = _WAITING

    def _begin_message(self) -> None:
        self._end_speech()
        self._advance()
        self._late += self._calls
        self._calls = []
        self._message_open = True
        self._rule_due = bool(self._last)
        self._phase = _WAITING

    def _end_message(self) -> None:
        self._end_speech()
        self._message_open = False
        self._phase = _WAITING

    def _say(self, event: TextDelta | ThinkingDelta) -> None:
        thinking = isinstance(event, ThinkingDelta)
        self._phase = "Thinking" if thinking else "Writing"
        if (thinking and not self._with_thinking) or not event.text or self._show == "nothing":
            return
        if self._show == "final":
            if self._last_message != event.message_id:
                self._last_message = event.message_id
                self._last_said.clear()
            self._last_said.append(event.text)
            return
        block = _Block(event.message_id, event.block, thinking)
        if self._speaking != block:
            self._end_speech()
            self._speaking, self._markdown = block, self._new_markdown(thinking=thinking)
            self._joined = False
        assert self._markdown
        self._spoken(self._markdown.feed(event.text, self._width()))

    def _end_speech(self) -> None:
        if self._markdown is None:
            return
        self._spoken(self._markdown.end(self._width()))
        self._speaking = self._markdown = None

    def _spoken(self, lines: list[str]) -> None:
        """Lines of the block that the top level is in."""
        assert self._speaking
        if lines:
            self._put_speech(lines, thinking=self._speaking.thinking, joined=self._joined)
            self._joined = True

    def _say_last(self) -> None:
        """With `final`: what is only known to be the last word now."""
        if self._last_said:
            self._put("text", self._rendered(self._last_said, self._width()))

    def _say_below(self, event: TextDelta | ThinkingDelta) -> None:
        call = self._by_id.get(event.parent or "")
        block = _Block(event.message_id, event.block, isinstance(event, ThinkingDelta))
        if call is None or (block.thinking and not self._with_thinking):
            return
        last = call.steps[-1] if call.steps else None
        if not isinstance(last, _Speech) or last.block != block:
            last = _Speech(block)
            self._step(call, last)
        last.pieces.append(event.text)

    def _end_below(self, parent: str) -> None:
        call = self._by_id.get(parent)
        last = call.steps[-1] if call and call.steps else None
        if isinstance(last, _Speech):
            last.ended = True

    def _called(self, event: ToolStarted | ToolCalled) -> None:
        call = self._by_id.get(event.tool_use_id)
        if call is None:
            if event.parent is None:
                self._end_speech()  # what the model says next is another block
            parent = self._by_id.get(event.parent) if event.parent else None
            call = self._by_id[event.tool_use_id] = _Call(event.name, self._clock())
            if parent:
                self._step(parent, call)
            elif event.parent is None:
                self._calls.append(call)
        if isinstance(event, ToolCalled):
            call.arguments, call.since = event.input, self._clock()

    def _draft(self, event: ToolInputDelta) -> None:
        """The first arguments are shown while the model writes the others, which may take long."""
        call = self._by_id.get(event.tool_use_id)
        if call and len(call.draft) < _DRAFT:
            call.draft += event.partial_json
            call.arguments = drafted(call.draft[:_DRAFT]) or None

    def _step(self, call: _Call, step: _Speech | _Call) -> None:
        call.steps.append(step)
        if call.written and call not in self._background:
            self._background.append(call)

    def _finished(self, event: ToolFinished) -> None:
        call = self._by_id.get(event.tool_use_id)
        if call and call.result is None:
            call.result = event
            call.seconds = self._clock() - call.since if self._timed else None

    # --- what is due

    def _advance(self, *, final: bool = False) -> None:
        """Write the calls whose turn it is. `final`: what has not come by now will not come any more."""
        if self._markdown is not None:
            return  # nothing comes between the lines of a block
        self._late = [call for call in self._late if not self._written(call, 0, final=final)]
        if not self._message_open:
            while self._calls and self._written(self._calls[0], 0, final=final):
                self._calls.pop(0)
        for call in self._background:
            call.headed = False
            self._write_steps(call, 0, ended=final)
        self._background = [call for call in self._background if call.steps]

    def _written(self, call: _Call, depth: int, *, final: bool) -> bool:
        """Write what is due of a call; whether that was the last of it."""
        ended = final or call.result is not None
        if not self._write_steps(call, depth, ended=ended) or not ended:
            return False
        self._write_call(call, depth)
        call.written = True
        return True

    def _write_steps(self, call: _Call, depth: int, *, ended: bool) -> bool:
        """Write the steps that are complete, in their order; whether those were all."""
        while call.steps:
            step = call.steps[0]
            if isinstance(step, _Speech):
                if not (step.ended or ended or len(call.steps) > 1):
                    return False
                self._head(call, depth)
                self._write_speech(step, depth + 1)
                call.said = "" if step.block.thinking else "".join(step.pieces).strip()
            else:
                if step.result or ended:
                    self._head(call, depth)
                if not self._written(step, depth + 1, final=ended):
                    return False
            call.steps.pop(0)
        return True

    def _head(self, call: _Call, depth: int) -> None:
        """The heading of a subagent's steps."""
        if not call.headed and self._show == "full":
            self._put("tools", [self._call_line(call, depth, "running", None, "●")])
            call.headed = True

    def _write_speech(self, speech: _Speech, depth: int) -> None:
        if self._show != "full":
            return
        thinking = speech.block.thinking
        if lines := self._rendered(speech.pieces, self._width(depth), thinking=thinking):
            self._put_speech(_indented(lines, depth), thinking=thinking)

    def _write_call(self, call: _Call, depth: int) -> None:
        if self._show != "full":
            return
        lines = [self._call_line(call, depth, call.state("unfinished"), call.seconds)]
        if (result := call.result) and not (call.said and call.said in result.output):  # it is there already
            arguments, width = call.arguments or {}, self._width(depth)
            details = self._tools.details(
                call.name, arguments, result.output, width, is_error=result.is_error, full_size=result.full_size
            )
            lines += _indented(details, depth)
        self._put("tools", lines)
        if result:
            call.result = replace(result, output="")  # which may be large

    def _call_line(self, call: _Call, depth: int, state: State, seconds: float | None, sign: str = "") -> str:
        line = self._tools.line(
            call.name, call.arguments, self._width(depth), state=state, seconds=seconds, spinner=sign or self._sign
        )
        return _indented([line], depth)[0]

    def _put(self, kind: Kind, lines: list[str], *, joined: bool = False) -> None:
        """Finished lines, apart from what came before as its kind wants it, or `joined` to it."""
        if self._rule_due:
            self._due.append(self._paint("─" * min(_RULE, self._width()), _DIM))
            self._rule_due = False
        elif not joined and self._last and not (kind == self._last and kind in {"tools", "note"}):
            self._due.append("")
        self._due += lines
        self._last, self._joined = kind, False

    def _dimmed(self, lines: list[str]) -> list[str]:
        return [self._paint(line, _DIM) for line in lines]

    def _put_speech(self, lines: list[str], *, thinking: bool, joined: bool = False) -> None:
        if thinking:
            self._put("thinking", self._dimmed(lines), joined=joined)
        else:
            self._put("text", lines, joined=joined)

    def _plain(self, text: str) -> list[str]:
        lines = output.printable(text).expandtabs().split("\n")
        return [part for line in lines for part in chop(line, self._width())]

    def _rendered(self, pieces: list[str], width: int, *, thinking: bool = False) -> list[str]:
        """What was said, all of it at once."""
        markdown = self._new_markdown(thinking=thinking)
        lines = markdown.feed("".join(pieces), width)
        return lines + markdown.end(width)

    def _new_markdown(self, *, thinking: bool) -> Markdown:
        from ccapi.cli.answer.markdown import Markdown
        from ccapi.cli.answer.paint import Paint

        return Markdown(Paint(colour=False) if thinking else self._paint)

    # --- the live area

    def _draw(self) -> None:
        began = self._clock()
        rows = max(1, min(_ROWS, self._area.size.lines - 2))
        self._area.update(self._due, self._live(self._area.room, rows))
        self._due = []
        self._drawn = self._clock()
        self._pace = max(_PACE, 10 * (self._drawn - began))

    def _live(self, width: int, rows: int) -> list[str]:
        calls = self._active(rows - 1 if self._last and rows > 1 else rows)
        tail: list[str] = []
        if self._markdown and self._speaking and rows > len(calls):
            tail = self._markdown.tail(width, rows - max(1, len(calls)))
            tail = self._dimmed(tail) if self._speaking.thinking else tail
        state = calls or [self._paint(fit(f"{self._sign} {self._phase}  {self._elapsed}", width), _LIVELY)]
        apart = [""] if self._last and rows > len(state) + len(tail) and not (tail and self._joined) else []
        return [*apart, *tail, *state]

    def _active(self, rows: int) -> list[str]:
        """The calls that were not written yet; of a subagent's, those that run. What has ended gives way to them."""
        found = list(_below([*self._late, *self._calls], 0))
        most = max(1, min(_CALLS, rows) if self._markdown else rows)
        shown = found
        if len(found) > most:
            by_need = sorted(found, key=lambda at: at[0].result is not None)[: most - 1]
            shown = [at for at in found if at in by_need]
        lines = [self._call_line(call, depth, call.state(), self._so_far(call)) for call, depth in shown]
        if left := len(found) - len(shown):
            lines.append(self._paint(fit(f"  … {left} more", self._width()), _DIM))
        return lines

    def _so_far(self, call: _Call) -> float | None:
        return self._clock() - call.since if call.result is None else call.seconds

    @property
    def _sign(self) -> str:
        return _FRAMES[self._frame % len(_FRAMES)]

    @property
    def _elapsed(self) -> str:
        return duration(self._clock() - self._began, whole=True)

    def _width(self, depth: int = 0) -> int:
        return max(1, self._area.size.columns - _INDENT * depth)


def _below(calls: list[_Call], depth: int) -> Iterator[tuple[_Call, int]]:
    for call in calls:
        yield call, depth
        running = [step for step in call.steps if isinstance(step, _Call) and step.result is None]
        yield from _below(running, depth + 1)


def _indented(lines: list[str], depth: int) -> list[str]:
    return [f"{' ' * (_INDENT * depth)}{line}" if line else line for line in lines]
