"""Runs `tests.oauth.drive` on a pseudo-terminal, or in a pipe."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tests.cli.support import DEADLINE, Terminal, clean_environ, on_terminal
from tests.oauth.localcontainer import LocalContainer

# No test depends on a network, or on its absence. (This machine's loopback is reached all the same.)
NO_NETWORK = {
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "localhost,127.0.0.1",
}


class Driven:
    """One container, and the commands in it. `environ` is what the command's own environment has besides."""

    def __init__(self, directory: Path, **environ: str) -> None:
        self.container = LocalContainer(directory / "container")
        self.container_environ = dict(NO_NETWORK)
        self.directory = directory
        self.environ = clean_environ(directory / "home", **environ)

    def run(self, what: str, stdin: str = "", **options: Any) -> subprocess.CompletedProcess[str]:
        """To its end, where nobody can be asked."""
        return subprocess.run(
            self._command(what, options),
            cwd=self.directory,
            env=self.environ,
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            timeout=DEADLINE * 2,
            check=False,
        )

    def terminal(self, what: str, **options: Any) -> AbstractContextManager[Terminal]:
        """With a person at the keyboard."""
        return on_terminal(self._command(what, options), self.environ, self.directory, columns=200)

    def _command(self, what: str, options: dict[str, Any]) -> list[str]:
        where = [str(self.container.directory), json.dumps(self.container_environ)]
        return [sys.executable, "-m", "tests.oauth.drive", *where, what, json.dumps(options)]
