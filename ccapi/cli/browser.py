"""Opens the person's browser, without waiting for it and without letting it write to the terminal."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable

from ccapi import openurl
from ccapi import settings as host_settings
from ccapi.cli import context


def opens(*, wanted: bool) -> bool:
    """Whether a page is opened for the person: it is wanted, allowed by the settings, and can appear before them."""
    return wanted and context.settings().value("oauth.open_browser") != "never" and host_settings.seat().display


def open_(url: str, failed: Callable[[], None]) -> None:
    """Open `url`. `failed` may be called from another thread."""
    process = subprocess.Popen(
        openurl.COMMAND,
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
