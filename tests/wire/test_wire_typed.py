"""Values of the wrong type, in everything that is made from a gateway's JSON."""

from __future__ import annotations

from typing import Any

import pytest

from ccapi.errors import GatewayProtocol
from ccapi.wire import itemevents, typed
from ccapi.wire.events import RunEvent, RunFinished, RunStarted, TextDelta, ToolCalled, ToolFinished, Usage

HUGE = 10**400
WRONG: list[Any] = [
    TextDelta("m", None),  # type: ignore[arg-type] # here and below: what JSON may hold
    TextDelta("m", ["text"]),  # type: ignore[arg-type]
    TextDelta("m", "text", block="0"),  # type: ignore[arg-type]
    TextDelta("m", "text", parent=5),  # type: ignore[arg-type]
    RunStarted("session", {"a": 1}),  # type: ignore[arg-type]
    ToolCalled("id", ["Bash"], {}, "m"),  # type: ignore[arg-type]
    ToolCalled("id", "Bash", [], "m"),  # type: ignore[arg-type]
    ToolFinished("id", 5),  # type: ignore[arg-type]
    ToolFinished("id", "out", full_size="9"),  # type: ignore[arg-type]
    RunFinished("session", "stop", Usage(HUGE)),
    RunFinished("session", "stop", Usage(0, HUGE)),
    RunFinished("session", "stop", cost_usd=HUGE),
    RunFinished("session", "stop", cost_usd=float("nan")),
    RunFinished("session", "stop", cost_usd=float("inf")),
    RunFinished("session", "stop", cost_usd=None),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("event", WRONG, ids=str)
def test_an_event_with_a_wrong_value(event: RunEvent) -> None:
    """It is found before anybody shows it."""
    with pytest.raises(ValueError, match=r"^\w+$"):
        typed.checked(event)


def test_events_that_are_right() -> None:
    """They are handed on as they are, also with nothing in what may be missing."""
    for event in (TextDelta("m", "", None, 3), ToolFinished("id", "out", full_size=10**12), RunFinished("s", "stop")):
        assert typed.checked(event) is event


CALL = {"type": "mcp_call", "id": "i", "server_label": "claude-code", "name": "Bash", "status": "completed"}


@pytest.mark.parametrize(
    "item",
    [
        {"type": "message", "role": "user", "content": [{"type": "input_text"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": 5}]},
        {"type": "message", "role": "user", "content": [{"type": ["input_text"]}]},
        {"type": "message", "role": "assistant", "id": "i", "content": [{"type": "output_text", "text": None}]},
        {"type": "message", "role": "assistant", "id": {}, "content": [{"type": "output_text", "text": "a"}]},
        {**CALL, "arguments": "[" * 50_000, "output": "out"},
        {**CALL, "arguments": "{}", "output": 5},
        {**CALL, "arguments": "[]", "output": "out"},
    ],
)
def test_an_item_with_a_wrong_value(item: itemevents.Item) -> None:
    """Whatever is wrong in a session, it is one failure."""
    with pytest.raises(GatewayProtocol):
        list(itemevents.turns([item]))
