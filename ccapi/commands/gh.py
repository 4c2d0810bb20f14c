"""The token that GitHub's own command, `gh`, has on this machine."""

from __future__ import annotations

import shutil
import subprocess

from ccapi import settings
from ccapi.errors import LoginNeeded, UsageError

_VARIABLES = ("GH_TOKEN", "GITHUB_TOKEN")  # that gh prefers to what it was signed in with
_TIMEOUT = 20.0  # seconds
_OTHERWISE = "Or give a token: ccapi auth github --with-token"


def available() -> bool:
    """Whether there is a `gh` that could be asked."""
    return shutil.which("gh") is not None


def token() -> str:
    """What `gh auth token` gives. Raises `LoginNeeded`, and `UsageError` when that would not be gh's own login."""
    if given := settings.given(_VARIABLES):
        hint = f"To use that one: printenv {given[0]} | ccapi auth github --with-token\nTo use gh's: unset {given[0]}"
        raise UsageError(f"{given[0]} is set in this shell: gh would give that, not its own login", hint=hint)
    if not available():
        raise LoginNeeded("gh is not installed on this machine", hint=_OTHERWISE)
    try:
        done = subprocess.run(
            ["gh", "auth", "token", "--hostname", "github.com"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        raise LoginNeeded("gh does not answer", hint=_OTHERWISE) from None
    if done.returncode:
        raise LoginNeeded("gh is not signed in to github.com", hint=f"Sign in: gh auth login\n{_OTHERWISE}")
    return done.stdout.decode("ascii", "replace").strip()
