"""Server-sent events, for both sides: the comment that says nothing but that somebody is there, and how bytes are read.

Lines end at `\\n` and nowhere else: Python's own ways to split lines would also do it at U+2028, which JSON may hold.

Source: WHATWG HTML, "Server-sent events", of which ccapi's streams use `data`, and comments.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

KEEP_ALIVE = "keep-alive"


class Frame(NamedTuple):
    """The data of an event, or a comment."""

    data: bytes = b""
    comment: str = ""


def frames(chunks: Iterable[bytes]) -> Iterator[Frame]:
    """What a stream holds that was cut anywhere. An event without its blank line at the end is none."""
    data: list[bytes] = []
    for line in _lines(chunks):
        if line.startswith(b":"):
            yield Frame(comment=line[1:].decode("utf-8", "replace").strip())
        elif line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif not line and data:
            yield Frame(b"\n".join(data))
            data.clear()


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines, of any length: what is held back is looked at once."""
    held: list[bytes] = []
    for chunk in chunks:
        first, *rest = chunk.split(b"\n")
        held.append(first)
        for piece in rest:
            yield b"".join(held)
            held = [piece]
