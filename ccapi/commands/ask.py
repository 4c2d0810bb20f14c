"""Ask the running gateway one question."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ccapi.client import gateway
from ccapi.client.gateway import Tick
from ccapi.client.question import Question
from ccapi.wire.events import (
    Billing,
    FinishReason,
    MessageStarted,
    RunEvent,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    Usage,
)

if TYPE_CHECKING:
    from ccapi.client.answer import Answer

TICK = 0.1  # seconds: how often a view is called that shows how time goes by


class View(AbstractContextManager["View"], Protocol):
    """Shows an answer, or writes it down. Entered before the question is sent; leaving it ends what it shows."""

    def feed(self, event: RunEvent) -> None:
        """The next event of the run."""

    def tick(self) -> None:
        """Nothing came for a moment."""

    def close(self, *, patient: bool = True) -> None:
        """Nothing will come any more; may be called twice. Not `patient`: no slow reader is waited for."""


@dataclass(slots=True)
class Summary:
    """What is known of an answer, filled in as it comes.

    `model` is the one that was asked for, `answered_by` the one that answered. Durations are in seconds, as seen here,
    from the moment at which the question was ready. `turns` are the model's messages. `finish_reason` is None unless
    the run came to its end.
    """

    model: str
    answered_by: str = ""
    session_id: str = ""
    response_id: str = ""
    turns: int = 0
    usage: Usage = field(default_factory=Usage)
    cost_usd: float = 0.0
    billing: Billing = ""
    finish_reason: FinishReason | None = None
    structured: Any = None
    first_text: float | None = None
    duration: float = 0.0
    begun: bool = False  # something was said: only from then on the session can be gone on with
    started: float = field(default_factory=time.monotonic)

    def stop(self) -> None:
        """Nothing will come any more."""
        self.duration = time.monotonic() - self.started

    def feed(self, event: RunEvent) -> None:
        """Learn from the next event of the run."""
        match event:
            case RunStarted():
                self.session_id, self.answered_by = event.session_id, event.model
            case TextDelta(parent=None) if event.text and self.first_text is None:
                self.first_text = time.monotonic() - self.started
            case MessageStarted(parent=None):
                self.turns += 1  # Claude Code's own count has every call of a tool
            case RunFinished() | RunFailed():
                self.usage = event.usage
                self.cost_usd, self.billing = event.cost_usd, event.billing
                if isinstance(event, RunFinished):
                    self.session_id = event.session_id or self.session_id
                    self.finish_reason, self.structured = event.finish_reason, event.structured


def interruption(end: BaseException) -> str:
    """What is known of a run that somebody ended: the notes of the exception that did, if one had begun."""
    what = "terminated" if isinstance(end, SystemExit) else "interrupted"
    return "; ".join([what, *getattr(end, "__notes__", ())])


def ask(
    base_url: str,
    question: Question,
    view: View,
    *,
    summary: Summary | None = None,
    api_key: str | None = None,
    timeout: float | None = None,
    on_sent: Callable[[], None] | None = None,
) -> Summary:
    """Ask, and hand each event of the run to `view`; says at last what is known of it.

    `summary` is filled in on the way, for a caller who needs it whatever happens. `timeout`: seconds for the whole
    answer. Raises what the run failed with, and `StructuredOutputFailed` for a value that does not fit the schema. An
    exception in between ends the run on the server and says how that went: one of ours in its hint, another one, such
    as that of Ctrl-C, in a note. The view has shown by then all that came.
    """
    summary = summary or Summary(question.model)
    asked = gateway.ask(base_url, question, api_key=api_key, tick=TICK, timeout=timeout, on_sent=on_sent)
    with view, asked as answer:
        try:
            _follow(answer, view, summary)
            _check(question, summary)
        except BaseException as end:
            summary.stop()
            # What has come is there to be read, while the run is ended on the server.
            view.close(patient=isinstance(end, Exception))
            raise
        summary.stop()
    return summary


def _follow(answer: Answer, view: View, summary: Summary) -> None:
    """Up to the end of the run, which is always there. Raises what it failed with."""
    for event in answer:
        if isinstance(event, Tick):
            view.tick()
            continue
        summary.response_id, summary.begun = answer.response_id, answer.begun
        summary.feed(event)
        view.feed(event)
        if isinstance(event, RunFailed):
            raise event.error


def _check(question: Question, summary: Summary) -> None:
    """What does not fit the schema is no answer, in whatever form it is wanted."""
    if question.schema is None or summary.structured is None:
        return
    from ccapi.commands import answerschema

    answerschema.check(question.schema, summary.structured)
