"""Bytes to lines."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccapi.agent.framer import MAX_LINE, LineFramer
from ccapi.errors import ClaudeFailed

LINES = st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), min_size=1, max_size=12)
CUTS = st.lists(st.integers(min_value=0, max_value=600), max_size=20)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """`data` in pieces, cut at these places; empty pieces included."""
    edges = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(LINES, CUTS)
def test_any_chunking_yields_the_same_lines(lines: list[bytes], cuts: list[int]) -> None:
    """Where the reads happen to end changes nothing; what follows the last line end is held until `flush`."""
    *whole, rest = lines
    framer = LineFramer()
    found = [line for chunk in cut(b"\n".join([*whole, rest]), cuts) for line in framer.feed(chunk)]
    assert found == whole
    assert framer.flush() == rest
    assert framer.flush() == b""


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\u0085", "\r", "\x0b", "\x0c", "\x1c", "\x1e"])
def test_only_the_line_feed_ends_a_line(character: str) -> None:
    """What `str.splitlines` would split at is an ordinary character of a line, in every chunking."""
    line = f'{{"text":"before{character}after"}}'.encode()
    framer = LineFramer()
    assert [found for byte in line + b"\n" for found in framer.feed(bytes([byte]))] == [line]


def test_a_line_over_the_limit_is_a_failure() -> None:
    """A child that never ends its line must not use up the memory."""
    framer = LineFramer(max_line=10)
    assert framer.feed(b"0123456789\n") == [b"0123456789"]
    framer.feed(b"01234")
    with pytest.raises(ClaudeFailed, match="more than 10 bytes"):
        framer.feed(b"567890")


def test_a_line_over_the_limit_in_one_chunk_is_a_failure() -> None:
    """The limit holds for a line that comes whole, too: first, in the middle, or last in its chunk."""
    for chunk in (b"01234567890\n", b"ok\n01234567890\nok\n", b"ok\n01234567890"):
        with pytest.raises(ClaudeFailed):
            LineFramer(max_line=10).feed(chunk)


def test_the_limit_counts_one_line_not_all_of_them() -> None:
    """Any number of short lines passes."""
    framer = LineFramer(max_line=10)
    assert sum(len(framer.feed(b"01234\n56789")) for _ in range(1000)) == 1000


def test_a_large_line_in_small_chunks_is_collected_in_linear_time() -> None:
    """16 MB in chunks of 4 KB: joining at each chunk would copy 32 GB."""
    framer = LineFramer()
    began = time.process_time()
    for _ in range(4096):
        assert framer.feed(b"x" * 4096) == []
    assert len(framer.feed(b"\n")[0]) == 4096 * 4096
    assert time.process_time() - began < 2.0


def test_the_real_limit_leaves_room_for_what_claude_code_prints() -> None:
    """Lines of 5 MB are real (`facts.md`); the limit is far above them."""
    assert MAX_LINE >= 64 * 1024 * 1024
