"""One `up` or `down` at a time: two of them would build and replace the same container."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from ccapi.errors import OutputFailed

Waiting = Callable[[str], None]  # told the PID of the process that has the lock

_POLL = 0.2  # seconds
_FAR = 1 << 30  # bytes: Windows locks a range, which nobody else can read then; the holder's PID stands before it

_held: set[int] = set()


@contextmanager
def exclusive(file: Path, waiting: Waiting) -> Iterator[None]:
    """Hold the lock. A second caller waits as long as it takes; `waiting` is called once with the holder's PID.

    The kernel releases it with the process, whatever happens to that, and its children that were given `held()`.
    Raises `OutputFailed` when there is no place for the lock.
    """
    with ExitStack() as at_end:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            handle = at_end.enter_context(file.open("a+", encoding="ascii"))
            if not _acquire(handle):
                handle.seek(0)
                waiting(handle.read().strip() or "?")
                while not _acquire(handle):
                    time.sleep(_POLL)
            handle.seek(0)
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
        except OSError as error:
            raise OutputFailed(f"{file}: {error.strerror}") from error
        _held.add(handle.fileno())
        at_end.callback(_held.discard, handle.fileno())
        yield


def held() -> tuple[int, ...]:
    """The file descriptors to give a child that shall hold this process's locks as well, should it be the survivor.

    None on Windows, where a child cannot.
    """
    return () if sys.platform == "win32" else tuple(_held)


def _acquire(handle: TextIO) -> bool:
    """Whether it was free, or this system has no locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            handle.seek(_FAR)
            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # as POSIX and as Windows say it
        return False
    except ImportError:
        return True
    return True
