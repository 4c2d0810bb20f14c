"""The proxy's log: lines of two processes in one file that never grows large, and that nobody else may read.

The standard library's `logging` would cost the supervisor more than all of its own code, and its rotation is for one
process only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

LARGEST = 1_000_000  # bytes, of one file
KEPT = 3  # files, the one that is written to among them
STDERR = 2


class Log:
    """Called with a line of text. `file`: None is standard error. What cannot be written is lost, and nothing else."""

    def __init__(self, file: str | None) -> None:
        self._file = file

    def __call__(self, text: str) -> None:
        shown = "".join(letter if letter.isprintable() else " " for letter in text)
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {shown}\n".encode(errors="replace")
        with suppress(OSError):  # a full disk is no reason to let a login fail
            if self._file is None:
                os.write(STDERR, line)
            else:
                _append(self._file, line)


def opened(file: str) -> int:
    """A descriptor to append to it."""
    return os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def _append(file: str, line: bytes) -> None:
    if _size(file) > LARGEST:
        with _alone(os.path.dirname(file)):  # noqa: PTH120 -- see the module's first sentences
            if _size(file) > LARGEST:  # nobody else was quicker
                _rotate(file)
    descriptor = opened(file)
    try:
        os.write(descriptor, line)  # in one piece, so that lines of two processes stay apart
    finally:
        os.close(descriptor)


def _size(file: str) -> int:
    try:
        return os.stat(file).st_size  # noqa: PTH116 -- as above
    except FileNotFoundError:
        return 0


def _rotate(file: str) -> None:
    names = [file, *(f"{file}.{number}" for number in range(1, KEPT))]
    for older, newer in reversed(list(zip(names[1:], names, strict=False))):
        with suppress(FileNotFoundError):
            os.replace(newer, older)  # noqa: PTH105 -- as above


@contextmanager
def _alone(directory: str) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # not a POSIX system: there is one process only
        yield
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
