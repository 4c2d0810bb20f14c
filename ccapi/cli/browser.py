"""Opens the person's browser, without waiting for it and without letting it write to the terminal."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable

from ccapi import paths

# The address comes through standard input: it is nobody's business who lists our processes.
_OPEN = "import sys, webbrowser; sys.exit(not webbrowser.open(sys.stdin.read()))"


def open_(url: str, failed: Callable[[], None]) -> None:
    """Open `url`, as Python's `webbrowser` does (so `$BROWSER` counts). `failed` may be called from another thread."""
    process = subprocess.Popen(
        [paths.interpreter(), "-P", "-c", _OPEN],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C here is no reason to close it there
    )

    def see() -> None:
        process.communicate(url.encode())
        if process.returncode:
            failed()

    threading.Thread(target=see, daemon=True).start()
