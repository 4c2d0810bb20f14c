"""The person's editor, which has the terminal until it ends."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from ccapi import settings
from ccapi.errors import CcapiError, UsageError


def edit(file: Path) -> None:
    """Have the file edited. Raises `UsageError` if no editor is known, `CcapiError` if it ends with a failure.

    Ctrl-C is the editor's while it runs.
    """
    command = known()
    before = signal.signal(signal.SIGINT, lambda *_: None)  # ignored outright, it would be in the editor as well
    try:
        code = subprocess.run([*command, str(file)], check=False).returncode
    except OSError as error:
        raise UsageError(f"the editor {command[0]} cannot be started: {error.strerror}", hint=_HINT) from None
    finally:
        signal.signal(signal.SIGINT, before)
    if code:
        raise CcapiError(f"the editor ended with exit code {code}; nothing was changed")


def known() -> list[str]:
    """The editor's command. Raises `UsageError` and `SettingInvalid`."""
    command = settings.editor()
    if not command:
        raise UsageError("no editor is known: neither VISUAL nor EDITOR is set", hint=_HINT)
    return command


_HINT = "EDITOR=nano ccapi config edit\nOr change one setting by a command: ccapi config set KEY VALUE"
