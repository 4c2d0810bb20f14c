"""Standard input, by what kind of thing it is.

A command inherits its standard input from whatever runs it: from cron, CI or an SSH session often a pipe to which
nobody writes, and which nobody closes. So what is only offered is waited for but a moment, and what is asked for
(`-`) as long as it takes.
"""

from __future__ import annotations

import os
import stat
import sys

from ccapi.cli import output
from ccapi.errors import UsageError
from ccapi.wire import media

GRACE = 2.0  # seconds until the first byte, or the end, of what nobody asked for
NAME = "standard input"
_DESCRIPTOR = 0
_CHUNK = 1 << 16


def is_terminal() -> bool:
    return output.terminal(sys.stdin)


def offered() -> bytes | None:
    """All that a file, a pipe or a socket holds, empty for anything else; None if nothing came in time.

    After the first byte it is read to its end. Raises `UsageError`.
    """
    kind = stat.S_IFMT(os.fstat(_DESCRIPTOR).st_mode) if sys.stdin else 0  # closed: the number may be another's
    if kind not in {stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK}:
        return b""
    first = _chunk(GRACE)
    return first if not first else _rest(first)


def insisted(what: str) -> bytes:
    """All of it, whatever it is and however long it takes; at a terminal a note asks for `what`.

    Raises `UsageError`, also where there is no standard input.
    """
    if sys.stdin is None:
        raise UsageError(f"{NAME} is closed")
    if is_terminal():
        output.note(f"Type {what}, and Ctrl-D at the beginning of a line when it is done")
    return _rest(b"")


def _rest(first: bytes) -> bytes:
    """What was read, and what follows, as far as it may be sent and a bit more."""
    chunks, size = [first], len(first)
    while size <= media.MAX_FILE and (chunk := _chunk(None)):
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)


def _chunk(seconds: float | None) -> bytes | None:
    """What can be read next, empty at the end; None if nothing came in time (None: wait as long as it takes)."""
    if os.name != "posix":
        return _read() if seconds is None else _read_in_a_thread(seconds)
    import select

    while select.select([_DESCRIPTOR], [], [], seconds)[0]:
        try:
            return _read()
        except BlockingIOError:  # somebody made it non-blocking, and somebody else read what there was
            continue
    return None


def _read() -> bytes:
    try:
        return os.read(_DESCRIPTOR, _CHUNK)
    except BlockingIOError:
        raise
    except OSError as error:
        raise UsageError(f"{NAME} cannot be read: {error.strerror}") from None


def _read_in_a_thread(seconds: float) -> bytes | None:
    """For Windows, where a pipe cannot be waited for: whoever reads it waits. The thread ends with the process."""
    import threading

    found: list[bytes | UsageError] = []

    def read() -> None:
        try:
            found.append(_read())
        except UsageError as error:
            found.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(seconds)
    if found and isinstance(found[0], UsageError):
        raise found[0]
    return found[0] if found and isinstance(found[0], bytes) else None
