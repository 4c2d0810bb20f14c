"""The person's terminal, lent to a program in the container: what is typed goes there, what it prints comes back."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ccapi.cli import context, output
from ccapi.errors import LoginNeeded, StackFailed

if TYPE_CHECKING:
    from ccapi.commands.inside import Inside

_TICK = 0.02  # seconds
_INTERRUPT = b"\x03"
# What a program that was ended may have left on: no cursor, bracketed paste, reports of focus and colours, other keys.
_RESET = b"\x1b[0m\x1b[?25h\x1b[?7h\x1b[?2004l\x1b[?1004l\x1b[?2031l\x1b[<u\r\n"


def run(container: Inside, *argv: str) -> int | None:
    """Run the program until it ends; its exit code. Ctrl-C ends it, as some programs take no notice of the key."""
    if not output.interactive() or os.name != "posix":
        raise LoginNeeded("this needs a terminal", hint=f"docker exec -it {context.home().stack} {' '.join(argv)}")
    columns = shutil.get_terminal_size().columns
    with _raw(), container.terminal(*argv, columns=columns) as terminal:
        while (printed := terminal.read(_TICK)) != b"":
            if printed:
                output.write_raw(printed)
            typed = os.read(sys.stdin.fileno(), 4096) if select.select([sys.stdin], [], [], 0)[0] else b""
            if _INTERRUPT in typed:
                raise KeyboardInterrupt
            with contextlib.suppress(StackFailed):  # it has ended: so will its output
                if typed:
                    terminal.write(typed)
        return terminal.exit_code()


@contextmanager
def _raw() -> Iterator[None]:
    """Each key at once, none of them with a meaning here; what the program asked the terminal for is undone."""
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    tty.setraw(sys.stdin)
    try:
        yield
    finally:
        output.write_raw(_RESET)
        termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, before)
