"""The person's terminal, lent to a program in the container: what is typed goes there, what it prints comes back."""

from __future__ import annotations

import os
import select
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ccapi.cli import output
from ccapi.errors import LoginNeeded

if TYPE_CHECKING:
    from ccapi.commands.inside import Inside

_TICK = 0.02  # seconds


def run(container: Inside, *argv: str) -> int | None:
    """Run the program until it ends; its exit code. Ctrl-C is a key like any other, for the program."""
    if not output.interactive() or os.name != "posix":
        raise LoginNeeded("this needs a terminal", hint=f"docker exec -it claude-code-api {' '.join(argv)}")
    columns = shutil.get_terminal_size().columns
    with container.terminal(*argv, columns=columns) as terminal, _raw():
        while (printed := terminal.read(_TICK)) != b"":
            if printed:
                output.write_raw(printed)
            if select.select([sys.stdin], [], [], 0)[0]:
                terminal.write(os.read(sys.stdin.fileno(), 4096))
        return terminal.exit_code()


@contextmanager
def _raw() -> Iterator[None]:
    """Each key at once, none of them with a meaning here."""
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    tty.setraw(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, before)
