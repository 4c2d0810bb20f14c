"""Reading server-sent events: what a stream of bytes holds, wherever it was cut."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccapi.wire.sse import Frame, frames

STREAM = (
    "retry: 100\n\n: keep-alive\n\nevent: one\nid: 5\ndata: {}\n\n\n"
    ": notice 世界 \u2028 \u0085 end\n\ndata:first\ndata: second\n\ndata: lost"
)
HELD = [
    Frame(comment="keep-alive"),
    Frame(b"{}"),
    Frame(comment="notice 世界 \u2028 \x85 end"),
    Frame(b"first\nsecond"),
]


@given(st.lists(st.integers(0, 1000), max_size=10))
def test_a_stream_cut_anywhere(positions: list[int]) -> None:
    """Events and comments are the same in one piece and in many; what has no end is not there."""
    data = STREAM.encode()
    edges = [0, *sorted(position % len(data) for position in positions), len(data)]
    assert list(frames(data[start:end] for start, end in itertools.pairwise(edges))) == HELD


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c"])
def test_lines_end_at_newlines_only(separator: str) -> None:
    """What Python takes for the end of a line may stand in the JSON of an event."""
    text = json.dumps(f"a{separator}b", ensure_ascii=False)
    (frame,) = frames([f"data: {text}\n\n".encode()])
    assert frame.data.decode() == text


def test_a_long_line_is_read_in_linear_time() -> None:
    """20 MB in one event, in small pieces: nothing is copied again and again."""
    piece = b"x" * 1000
    (frame,) = frames([b"data: ", *(piece for _ in range(20_000)), b"\n", b"\n"])
    assert len(frame.data) == 20_000_000
