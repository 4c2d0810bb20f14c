"""Server-sent events, for both sides: the comment that says nothing but that somebody is there, and how bytes are read.

Lines end at `\\n` and nowhere else: Python's own ways to split lines would also do it at U+2028, which JSON may hold.

Source: WHATWG HTML, "Server-sent events", of which ccapi's streams use `data`, and comments.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

KEEP_ALIVE = "keep-alive"


class Frame(NamedTuple):
    """The data of an event, or a comment."""

    data: bytes = b""
    comment: str = ""


class Reader:
    """Feed it a stream that was cut anywhere. An event without its blank line at the end is none."""

    def __init__(self, longest: int) -> None:
        """`longest`: bytes that may be held for what is not complete."""
        self._longest = longest
        # Of the unfinished line. What is held back is looked at once, so any length will do.
        self._held: list[bytes] = []
        self._data: list[bytes] = []
        self._size = 0  # bytes of what is not complete

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """What is complete now. Raises `ValueError` when something is longer than it may be."""
        first, *rest = chunk.split(b"\n")
        self._hold(first)
        for piece in rest:
            line = b"".join(self._held)
            self._held.clear()
            if frame := self._frame(line):
                yield frame
            self._hold(piece)

    def _hold(self, piece: bytes) -> None:
        self._held.append(piece)
        self._size += len(piece)
        if self._size > self._longest:
            raise ValueError(f"an event of more than {self._longest} bytes")

    def _frame(self, line: bytes) -> Frame | None:
        """What ends with this line."""
        if line.startswith(b":"):
            self._size -= len(line)
            return Frame(comment=line[1:].decode("utf-8", "replace").strip())
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
        elif not line:
            data, self._data, self._size = self._data, [], 0
            return Frame(b"\n".join(data)) if data else None
        return None
