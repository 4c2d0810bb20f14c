"""Which turn answers a request, and with what values its placeholders are filled."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from typing import TYPE_CHECKING

from ccapi.rehearsal.template import fill, fill_all
from ccapi.rehearsal.turns import Cut, Failure, Pause, Step, Text, Thinking, ToolCall, Turn, When

if TYPE_CHECKING:
    from ccapi.rehearsal.conversation import Conversation
    from ccapi.rehearsal.turns import Scenario

_REMEMBERED = 1024


class Attempts:
    """How often each state of each session has been asked for: the one thing the server remembers.

    Claude Code repeats a request that failed; that is the next attempt of the same state: the same prompt of the same
    session, with the same tool results. (The history may be longer: what survived of an answer that broke off is in
    it.) Only the 1,024 states that were asked for last are remembered.
    """

    def __init__(self) -> None:
        self._counts: OrderedDict[str, int] = OrderedDict()

    def count(self, session: str, conversation: Conversation) -> int:
        """The number of this attempt, from 1."""
        said = json.dumps([session, conversation.prompt, conversation.results, conversation.prompts])
        key = hashlib.sha256(said.encode()).hexdigest()
        self._counts[key] = self._counts.pop(key, 0) + 1
        while len(self._counts) > _REMEMBERED:
            self._counts.popitem(last=False)
        return self._counts[key]


def choose(scenario: Scenario, conversation: Conversation, attempt: int) -> Turn | None:
    """The first turn whose conditions hold, its texts filled in; None when there is none."""
    for turn in scenario.turns:
        if (groups := _match(turn.when, conversation, attempt)) is not None:
            values = _values(conversation, attempt) | groups
            return Turn(turn.when, tuple(_filled(step, values) for step in turn.steps), turn.stop_reason)
    return None


def _match(when: When, conversation: Conversation, attempt: int) -> dict[str, str] | None:
    """The named groups of the patterns that matched, or None when a condition does not hold."""
    results = conversation.results
    if not (
        when.results in (None, len(results))
        and (when.results_below is None or len(results) < when.results_below)
        and when.attempt in (None, attempt)
        and (when.attempt_below is None or attempt < when.attempt_below)
    ):
        return None
    last = results[-1] if results else None
    groups: dict[str, str] = {}
    for pattern, text in ((when.prompt, conversation.prompt), (when.result, last), (when.model, conversation.model)):
        if pattern is None:
            continue
        found = None if text is None else pattern.search(text)
        if found is None:
            return None
        groups |= found.groupdict(default="")
    return groups


def _values(conversation: Conversation, attempt: int) -> dict[str, str]:
    results = conversation.results
    return {
        "prompt": conversation.prompt,
        "model": conversation.model,
        "cwd": conversation.cwd,
        "last_result": results[-1] if results else "",
        "results": str(len(results)),
        "step": str(len(results) + 1),
        "attempt": str(attempt),
    } | {f"result_{number}": result for number, result in enumerate(results, 1)}


def _filled(step: Step, values: dict[str, str]) -> Step:
    match step:
        case Text(text, delay, repeat):
            rounds = (fill(text, {"number": str(number)} | values) for number in range(1, repeat + 1))
            return Text("".join(rounds), delay)
        case Thinking(text, delay):
            return Thinking(fill(text, values), delay)
        case ToolCall(tool, given, delay):
            return ToolCall(tool, fill_all(dict(given), values), delay)
        case Failure(status, message, retry_after):
            return Failure(status, fill(message, values), retry_after)
        case Pause() | Cut():
            return step
