"""Reads the proxy's log back, across its files."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from ccapi.errors import ProxyFailed
from ccapi.oauth.log import KEPT

_POLL = 0.3  # seconds


def last(file: Path, lines: int) -> str:
    """The last lines, those of older files among them. Raises `ProxyFailed` when there is no log."""
    return _last([*_older(file), _text(file)], lines)


def follow(file: Path, lines: int) -> Iterator[str]:
    """The last lines and all that come, until the caller stops. Raises `ProxyFailed` when there is no log."""
    _text(file)
    handle = file.open("rb")
    try:
        yield _last([*_older(file), handle.read().decode("utf-8", "replace")], lines)
        while True:
            moved = _moved(file, handle.fileno())
            if text := handle.read():
                yield text.decode("utf-8", "replace")
            elif moved:  # and nothing more was written to it before
                handle.close()
                handle = file.open("rb")
            else:
                time.sleep(_POLL)
    finally:
        handle.close()


def _last(texts: Iterable[str], lines: int) -> str:
    return "".join(deque((line for text in texts for line in text.splitlines(keepends=True)), lines))


def _older(file: Path) -> Iterator[str]:
    for number in reversed(range(1, KEPT)):
        with suppress(OSError):  # the newest one tells why
            yield Path(f"{file}.{number}").read_text("utf-8", "replace")


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        raise ProxyFailed("there is no log yet", hint="Start the proxy: ccapi proxy start") from None
    except OSError as error:
        raise ProxyFailed(f"{file}: {error.strerror}") from None


def _moved(file: Path, descriptor: int) -> bool:
    """Whether another file has the name now; for a moment none has."""
    try:
        return file.stat().st_ino != os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False
