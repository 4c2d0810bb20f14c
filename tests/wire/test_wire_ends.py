"""How a run ended, on its way to the host: what it took, who pays, and the output that a JSON schema asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccapi.errors import ClaudeFailed, StructuredOutputFailed
from ccapi.wire.events import (
    Billing,
    MessageFinished,
    MessageStarted,
    RunEvent,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    Usage,
)
from ccapi.wire.responseitems import response_object
from ccapi.wire.responses import Encoder
from ccapi.wire.responsesdecoder import Decoder
from ccapi.wire.transcript import Transcript

STARTED = RunStarted("sess_1", "claude-sonnet")
SAID: list[RunEvent] = [MessageStarted("msg_1"), TextDelta("msg_1", "I look."), MessageFinished("msg_1")]
SCHEMA = {"format": {"type": "json_schema", "name": "answer", "schema": {}}}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def through(events: Sequence[RunEvent], *, structured: bool = False) -> tuple[dict[str, Any], list[RunEvent]]:
    """The response in the end, and the events as the host sees them."""
    given_: dict[str, Any] = {"text": SCHEMA} if structured else {}
    encoder, decoder = Encoder(response_object("resp_1", "sonnet", **given_), structured=structured), Decoder()
    encoded = encoder.begin() + encoder.feed(events)
    seen = [event for one in encoded for event in decoder.feed(json.loads(json.dumps(one)))]
    return encoder.response, seen


@pytest.mark.parametrize("billing", ["subscription", "api", "cloud", "none"])
def test_who_pays(billing: Billing) -> None:
    """It stands in the response's `ccapi`, for a run that came to its end and for one that did not."""
    for end in (
        RunFinished("sess_1", "stop", Usage(1, 2), 0.5, 3, 99, billing=billing),
        RunFailed(ClaudeFailed("it died"), Usage(1, 2), 0.5, 3, 99, billing),
    ):
        response, seen = through([STARTED, *SAID, end])
        facts = {"cost_usd": 0.5, "turns": 3, "duration_ms": 99, "billing": billing}
        assert response["ccapi"] == {"session_id": "sess_1", "model": "claude-sonnet", **facts}
        last = seen[-1]
        assert isinstance(last, RunFinished | RunFailed)
        assert (last.usage, last.cost_usd, last.turns, last.duration_ms, last.billing) == (
            Usage(1, 2), 0.5, 3, 99, billing,
        )  # fmt: skip


def test_what_is_not_known_is_not_said() -> None:
    """A run that nobody pays for and one of which that is not known are two things; so are a failure's zeros."""
    response, seen = through([STARTED, *SAID, RunFinished("sess_1", "stop")])
    assert "billing" not in response["ccapi"]
    assert seen[-1] == RunFinished("sess_1", "stop")
    response, seen = through([STARTED, *SAID, RunFailed(ClaudeFailed("it died"))])
    assert response["ccapi"] == {"session_id": "sess_1", "model": "claude-sonnet"}
    assert isinstance(seen[-1], RunFailed)
    response, seen = through([RunFailed(ClaudeFailed("it never began"))])
    assert "ccapi" not in response


@given(value=json_values.filter(lambda value: value is not None))
def test_the_structured_output_comes_through(value: Any) -> None:
    """As a value, and as the last segment of the transcript, apart from what was said on the way."""
    _, seen = through([STARTED, *SAID, RunFinished("sess_1", "stop", structured=value)], structured=True)
    assert isinstance(seen[-1], RunFinished)
    assert seen[-1].structured == value
    for mode, expected in (("full", "I look.\n\n---\n\n"), ("final", "")):
        transcript = Transcript(mode)  # type: ignore[arg-type] # both are modes
        text = "".join(transcript.feed(event) for event in seen)
        assert text == expected + json.dumps(value, ensure_ascii=False)


def test_json_that_nobody_asked_for_is_text() -> None:
    """Without a schema an answer that happens to be JSON is an answer."""
    said: list[RunEvent] = [MessageStarted("msg_1"), TextDelta("msg_1", '{"a": 1}'), MessageFinished("msg_1")]
    _, seen = through([STARTED, *said, RunFinished("sess_1", "stop")])
    assert isinstance(seen[-1], RunFinished)
    assert seen[-1].structured is None


def test_a_structured_output_that_never_came() -> None:
    """A limit leaves none; without one it is a failure, which keeps what is known of the run."""
    _, seen = through([STARTED, *SAID, RunFinished("sess_1", "length", Usage(1, 2))], structured=True)
    assert seen[-1] == RunFinished("sess_1", "length", Usage(1, 2))
    end = RunFinished("sess_1", "stop", Usage(1, 2), 0.5, 3, 99, billing="api")
    _, seen = through([STARTED, *SAID, end], structured=True)
    last = seen[-1]
    assert isinstance(last, RunFailed)
    assert isinstance(last.error, StructuredOutputFailed)
    assert (last.usage, last.cost_usd, last.turns, last.billing) == (Usage(1, 2), 0.5, 3, "api")
