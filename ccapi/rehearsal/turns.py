"""A scenario: what the scripted model says, and when.

A scenario is a list of turns, tried in order; the first whose conditions all hold answers the request. The file format
is described in `docs/rehearsal.md`; `reader.py` turns files into these classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class When:
    """The conditions of a turn. None means: does not matter."""

    prompt: re.Pattern[str] | None = None
    result: re.Pattern[str] | None = None
    model: re.Pattern[str] | None = None
    results: int | None = None
    results_below: int | None = None
    attempt: int | None = None
    attempt_below: int | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """`delay` is in seconds per token, here and below. The text is said `repeat` times in a row, as one block."""

    text: str
    delay: float = 0.0
    repeat: int = 1


@dataclass(frozen=True, slots=True)
class Thinking:
    text: str
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class ToolCall:
    tool: str
    input: Mapping[str, Any] = field(default_factory=dict)
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class Failure:
    """An API error: an HTTP error when it comes first, an `error` event when part of the answer has been sent."""

    status: int
    message: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection breaks here."""


Step = Text | Thinking | ToolCall | Pause | Failure | Cut


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer. `stop_reason` None means what the content implies: `tool_use` or `end_turn`."""

    when: When
    steps: tuple[Step, ...]
    stop_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    description: str
    turns: tuple[Turn, ...]
