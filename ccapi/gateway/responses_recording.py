"""The stream of a background response in a file, so that any number of clients can follow it, now or later.

A frame is an event with its number, or a comment; the file holds nothing but whole frames. What a client that was cut
off needs is found by counting events, as their numbers begin at 0 and leave none out. Everything here is a short call
of the operating system on a file in its cache: quicker than handing it to another thread.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from ccapi.errors import ResponseNotFound, StoreFailed

CHUNK = 64 * 1024  # bytes
_DATA = b"\ndata: "  # once in each event, as JSON holds no newline
_END = b"\n\n"


class Recorder:
    """Appends to the file, in which everything that was written stays readable whatever happens to the rest."""

    def __init__(self, path: Path) -> None:
        """Raises `StoreFailed`."""
        self.path = path
        self.size = 0
        with _mapped():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self.size = os.fstat(self._file).st_size

    def write(self, frames: str) -> None:
        """All of it, or nothing. Raises `StoreFailed`."""
        data = memoryview(frames.encode("ascii"))
        written = 0
        with _mapped():
            try:
                while written < len(data):
                    written += os.write(self._file, data[written:])
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._file, self.size)
                raise
        self.size += len(data)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # some file systems tell only now that they are full
            os.close(self._file)


class Reader:
    """Follows the file from its beginning, in pieces of bounded size."""

    def __init__(self, path: Path, chunk: int = CHUNK) -> None:
        """Raises `ResponseNotFound` if the response was deleted in this moment, and `StoreFailed`."""
        self._chunk = chunk
        with _mapped():
            try:
                self._file = path.open("rb", buffering=0)
            except FileNotFoundError:
                raise ResponseNotFound("There is no such response, or it was not stored") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def skip(self, events: int) -> bool:
        """Go on behind so many events, counted from the beginning. Whether there are that many."""
        if events == 0:
            return True
        position = held = 0
        kept = b""
        while piece := self.read():
            chunk = kept + piece
            found = chunk.count(_DATA)
            if held + found >= events:
                self._file.seek(self._end_of(position - len(kept) + _nth(chunk, _DATA, events - held)))
                return True
            held += found
            position += len(piece)
            kept = chunk[-(len(_DATA) - 1) :]
        return False

    def read(self) -> bytes:
        """The next piece; none at the end of what there is so far."""
        with _mapped():
            return self._file.read(self._chunk)

    def _end_of(self, position: int) -> int:
        """Where the frame ends that has its data there."""
        self._file.seek(position)
        kept = b""
        while piece := self.read():
            chunk = kept + piece
            if (end := chunk.find(_END)) >= 0:
                return position - len(kept) + end + len(_END)
            position += len(piece)
            kept = chunk[-1:]
        return position


def _nth(chunk: bytes, wanted: bytes, number: int) -> int:
    """Where `wanted` stands for the `number`th time."""
    place = -1
    for _ in range(number):
        place = chunk.index(wanted, place + 1)
    return place


def repair(path: Path, chunk_size: int = CHUNK) -> int:
    """Cut off what a gateway that was killed left half written. How many events there are."""
    events, end, position, kept = 0, 0, 0, b""
    with path.open("rb+", buffering=0) as file:
        while piece := file.read(chunk_size):
            chunk = kept + piece
            events += chunk.count(_DATA) - kept.count(_DATA)
            if (last := chunk.rfind(_END)) >= 0:
                end = position - len(kept) + last + len(_END)
            position += len(piece)
            kept = chunk[-(len(_DATA) - 1) :]
        if end == position:
            return events
        file.seek(end)
        events -= file.read().count(_DATA)
        file.truncate(end)
    return events


def events(path: Path) -> Iterator[Any]:
    """All that were recorded, one after the other."""
    with path.open("rb") as file:
        for line in file:
            if line.startswith(b"data: "):
                yield json.loads(line[len(b"data: ") :])


@contextlib.contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "it failed"
        message = f"The gateway's data directory cannot be used: {reason}"
        raise StoreFailed(message, detail=str(error)) from None
