"""One proxy per port: who holds the lock on a file is it, and the file says which process and with what configuration.

The kernel lets go of the lock with the process, so that a file which was left behind means nothing.
"""

from __future__ import annotations

import json
import os
import time
from typing import NamedTuple

from ccapi.oauth import config as proxy_config
from ccapi.oauth.config import ProxyConfig

_PATIENCE = 1.0  # seconds; whoever asks who holds a lock takes it for a moment
_POLL = 0.02


class Instance(NamedTuple):
    """A proxy that runs. `config`: None when it was written by a ccapi that knows other ones."""

    pid: int
    config: ProxyConfig | None


class Lock:
    """Of one port. `take`, then `sign`; it is held until the process ends."""

    def __init__(self, file: str) -> None:
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)

    def take(self) -> bool:
        """False: another process has it."""
        deadline = time.monotonic() + _PATIENCE
        while not (taken := _lock(self._descriptor)) and time.monotonic() < deadline:
            time.sleep(_POLL)
        if taken:
            os.ftruncate(self._descriptor, 0)
        return taken

    def sign(self, config: ProxyConfig) -> None:
        """Write down which process this is; after a fork, the child does so."""
        text = json.dumps({"pid": os.getpid(), "config": config._asdict()}).encode()
        os.pwrite(self._descriptor, text, 0)
        os.ftruncate(self._descriptor, len(text))


def running(file: str) -> Instance | None:
    """Who holds the lock; None if nobody does. Waits a moment for one that has just taken it to sign."""
    deadline = time.monotonic() + _PATIENCE
    while (text := _text_of_holder(file)) is not None and time.monotonic() < deadline:
        if signed := _read(text):
            return signed
        time.sleep(_POLL)
    return None


def _read(text: str) -> Instance | None:
    try:
        document = json.loads(text)
    except ValueError:
        return None
    try:
        config = proxy_config.loads(json.dumps(document["config"]))
    except ValueError:
        config = None
    return Instance(document["pid"], config)


def _text_of_holder(file: str) -> str | None:
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        return None if _lock(descriptor) else os.read(descriptor, 64 * 1024).decode(errors="replace")
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:  # not a POSIX system: the port itself is the only lock
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
