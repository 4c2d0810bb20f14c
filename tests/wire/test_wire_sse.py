"""Reading server-sent events: what a stream of bytes holds, wherever it was cut."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccapi.wire.sse import Frame, Reader

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


def frames(chunks: Iterable[bytes], longest: int = 1 << 30) -> list[Frame]:
    """All of a stream."""
    reader = Reader(longest)
    return [frame for chunk in chunks for frame in reader.feed(chunk)]


@given(st.lists(st.integers(0, 1000), max_size=10))
def test_a_stream_cut_anywhere(positions: list[int]) -> None:
    """Events and comments are the same in one piece and in many; what has no end is not there."""
    data = STREAM.encode()
    edges = [0, *sorted(position % len(data) for position in positions), len(data)]
    assert frames(data[start:end] for start, end in itertools.pairwise(edges)) == HELD


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


@pytest.mark.parametrize("line", [b"data: ", b": ", b"", b"data: x\n", b"event: x\n"])
def test_what_has_no_end(line: bytes) -> None:
    """A line or an event that goes on for ever is given up, however little comes at once; many small ones are not."""
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        frames([line, *itertools.repeat(line if line.endswith(b"\n") else b"x", 2000)], longest=1000)
    many = [b"data: {}\n\n: keep-alive\n\n"] * 500
    assert len(frames(many, longest=100)) == len(frames([b"".join(many)], longest=100)) == 1000
