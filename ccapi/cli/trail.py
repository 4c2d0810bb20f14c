"""What is kept of a failure, and what is told on the way with --verbose: both without anything secret."""

from __future__ import annotations

import logging
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from ccapi import __version__, files, paths
from ccapi.cli import context, output
from ccapi.errors import CcapiError
from ccapi.redact import redact

if TYPE_CHECKING:
    from ccapi.paths import Home

MOST = 512 * 1024  # characters in the file; then the older half goes
_OURS = ("ccapi", "urllib3")  # whose details are worth it: the second is each request to the engine


def text(error: BaseException) -> str:
    """The traceback, and what else is known, without the values of any variable."""
    lines = traceback.format_exception(error)
    if detail := getattr(error, "detail", None):
        lines.append(f"{detail}\n")
    return redact("".join(lines))


def keep(error: BaseException) -> Path | None:
    """Add it to the log of this stack's state; the file, or None if that cannot be written."""
    try:
        file = log_file(context.home())
        before = file.read_text("utf-8", "replace")[-MOST // 2 :] if file.is_file() else ""
        head = f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} ccapi {__version__} {context.mode.command}".rstrip()
        entry = f"{head} (Python {sys.version.split()[0]}, {sys.platform})\n{text(error)[-MOST // 2 :]}\n"
        files.replace(file, before + entry, mode=0o600)
    except (CcapiError, OSError):
        return None
    return file


def log_file(home: Home) -> Path:
    """Of the failures; it need not exist."""
    return paths.state_dir(home) / "log" / "ccapi.log"


def tell(verbosity: int) -> None:
    """From now on what is done is told on standard error: 1 each command and each request to the gateway, 2 all."""
    handler = logging.StreamHandler(_Stderr())
    handler.setFormatter(_Redacted("%(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in _OURS if verbosity > 1 else ():
        logging.getLogger(name).setLevel(logging.DEBUG)


class _Redacted(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return output.printable(redact(super().format(record)))


class _Stderr:
    """Standard error as it is when something is said."""

    @staticmethod
    def write(said: str) -> None:
        if said.strip():
            output.say(said.rstrip("\n"))

    @staticmethod
    def flush() -> None:
        """Each line is written at once."""
