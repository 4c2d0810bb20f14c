"""The builders of the other tests, held against recordings of the real CLI."""

from __future__ import annotations

import json
from typing import Any

from tests.agent import streamjson as sj


def shape(line: dict[str, Any]) -> Any:
    """What a decoder looks at: the type and the keys that it reads."""
    match line["type"]:
        case "stream_event":
            event = line["event"]
            inner = event.get("content_block") or event.get("delta") or event.get("message") or {}
            return line["type"], event["type"], event.get("index"), inner.get("type"), sorted(inner)
        case "assistant":
            return line["type"], line["message"]["role"], [sorted(block) for block in line["message"]["content"]]
        case "user":
            return line["type"], line["message"]["role"], [sorted(block) for block in line["message"]["content"]]
        case _:
            return line["type"], line.get("subtype")


def without_repeats(shapes: list[Any]) -> list[Any]:
    """Runs of equal shapes (tokens) as one."""
    return [one for place, one in enumerate(shapes) if place == 0 or shapes[place - 1] != one]


def test_built_lines_look_like_recorded_ones() -> None:
    """Thinking, text, parallel calls and results: the same lines in the same order, with the same keys inside."""
    recordings = {
        "thinking": [*sj.streamed("m", sj.thinking("hm hm hm"), sj.text("so and so")), sj.result()],
        "parallel": [
            *sj.streamed("m", sj.text("both now"), sj.tool_use("t1", command="a"), sj.tool_use("t2", command="b")),
            sj.tool_result("t2", "b"),
            sj.tool_result("t1", "a"),
            *sj.streamed("n", sj.text("both over")),
            sj.result(),
        ],
    }
    for name, built in recordings.items():
        lines = [json.loads(line) for line in sj.recorded(name)]
        ours = without_repeats([shape(line) for line in built])
        theirs = [one for one in (shape(line) for line in lines) if one[0] != "system"]
        theirs = [one for one in theirs if one[:2] != ("stream_event", "message_delta")]
        assert [_comparable(one) for one in without_repeats(theirs)] == [_comparable(one) for one in ours]


def _comparable(one: Any) -> Any:
    """Without keys that no decoder reads (the recorded message has more of them than the built one)."""
    if one[0] == "stream_event" and one[1] == "message_start":
        return one[:2]
    return one


def test_a_built_result_has_the_recorded_keys() -> None:
    """Every key of the built `result` is one that the CLI prints."""
    recorded = json.loads(sj.recorded("thinking")[-1])
    assert recorded["type"] == "result"
    assert set(sj.result()) <= set(recorded)
    assert set(sj.result()["usage"]) <= set(recorded["usage"])
