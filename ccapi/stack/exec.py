"""Hands the terminal over to a program in the container, as `docker exec` does it: to that command itself."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

from ccapi.errors import DockerUnavailable

_TERMINAL = ("TERM", "COLORTERM")  # what the program is told of it


def run(container: str, argv: Sequence[str], *, terminal: bool, directory: str, environ: Mapping[str, str]) -> int:
    """Become the program, where a process can: then signals, the window's size and the exit code are its own affair.

    `terminal`: standard input and output are one. `environ` is what `docker` gets. Where no process can become another
    one, the exit code is returned. Raises `DockerUnavailable`.
    """
    variables = [f"--env={name}" for name in _TERMINAL if terminal and environ.get(name)]
    streams = ["--interactive", "--tty"] if terminal else ["--interactive"]
    command = ["docker", "exec", *streams, *variables, f"--workdir={directory}", container, *argv]
    try:
        if os.name == "posix":
            os.execvpe(command[0], command, dict(environ))  # noqa: S606 -- there is no shell in between
        return subprocess.run(command, env=dict(environ), check=False).returncode
    except FileNotFoundError:
        raise DockerUnavailable("the docker command was not found", hint="Install Docker's command.") from None
