"""A real terminal with a memory: tmux, which wraps its lines anew when it is made narrower, as most terminals do."""

from __future__ import annotations

import shlex
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.cli.support import DEADLINE

_CONFIG = """
set -g history-limit 200000
set -g status off
set -g default-terminal tmux-256color
set -g escape-time 0
"""
_ENDED = "ended-with"


class Tmux:
    """A session with one program in it."""

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        self._directory = directory
        self._environ = environ
        self._socket = f"ccapi-{uuid.uuid4().hex[:12]}"
        self._ended = directory / f"{self._socket}.ended"
        self._config = directory / "tmux.conf"
        self._config.write_text(_CONFIG, "ascii")

    def start(self, program: Sequence[str], *, columns: int, rows: int) -> None:
        # What the pane's own process has written may be lost when it ends, so that it waits for the end of the test.
        # The code is the terminal's title: the terminal learns of it behind everything else that was written.
        told = f'printf "\\033]2;{_ENDED} $code\\007"; touch {shlex.quote(str(self._ended))}'
        kept = f"trap : INT; {shlex.join(program)}; code=$?; {told}; exec sleep {2 * DEADLINE}"
        self._run("new-session", "-d", "-x", str(columns), "-y", str(rows), kept)

    def end(self) -> None:
        self._run("kill-server", check=False)

    def type(self, *keys: str) -> None:
        """As `tmux send-keys` has them: `C-c`, `Enter`, or text."""
        self._run("send-keys", *keys)

    def paste(self, text: str) -> None:
        """As a terminal does: in brackets, where the program asks for it."""
        self._run("set-buffer", text)
        self._run("paste-buffer", "-p")

    def resize(self, columns: int, rows: int) -> None:
        self._run("resize-window", "-x", str(columns), "-y", str(rows))

    @property
    def screen(self) -> list[str]:
        """The rows that are seen now."""
        return self._captured()

    @property
    def history(self) -> list[str]:
        """All rows since the start, without those at the end in which nothing stands."""
        return "\n".join(self._captured("-S", "-")).rstrip("\n").split("\n")

    @property
    def lines(self) -> list[str]:
        """As `history`, with the rows that the terminal itself has wrapped put together again."""
        return "\n".join(self._captured("-J", "-S", "-")).rstrip("\n").split("\n")

    @property
    def styled(self) -> str:
        """As `history`, in one piece and with its colours."""
        return "\n".join(self._captured("-e", "-S", "-")).rstrip("\n")

    @property
    def exit_code(self) -> int | None:
        """None while the program runs, and until all that it has written is on the screen."""
        title = self._run("display-message", "-p", "#{pane_title}") if self._ended.exists() else ""
        word, _, code = title.strip().partition(" ")
        return int(code) if word == _ENDED else None

    def await_that(self, what: Callable[[], object]) -> None:
        """Until it is so; fails with what is to be seen, after the deadline or at the program's end without it."""
        deadline = time.monotonic() + DEADLINE
        while not what():
            ended = self.exit_code is not None
            assert what() or not (ended or time.monotonic() > deadline), "\n".join(self.history)
            time.sleep(0.03)

    def await_text(self, text: str) -> None:
        self.await_that(lambda: any(text in row for row in self.history))

    def await_end(self) -> int:
        """The exit code."""
        self.await_that(lambda: self.exit_code is not None)
        code = self.exit_code
        assert code is not None
        return code

    def _captured(self, *options: str) -> list[str]:
        return self._run("capture-pane", "-p", *options).removesuffix("\n").split("\n")

    def _run(self, *args: str, check: bool = True) -> str:
        done = subprocess.run(
            ["tmux", "-u", "-L", self._socket, "-f", str(self._config), *args],
            cwd=self._directory,
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def tmux(
    program: Sequence[str], environ: Mapping[str, str], directory: Path, *, columns: int, rows: int
) -> Iterator[Tmux]:
    """`program` in a terminal of that size; both are gone at the end of the block."""
    terminal = Tmux(directory, environ)
    terminal.start(program, columns=columns, rows=rows)
    try:
        yield terminal
    finally:
        terminal.end()
