"""The container's command line without a container: the real `claude`, run here with a configuration of its own.

Only the way there (`docker exec`) is another; what is asked of `ccapi.stack.container.Container` is asked of this.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from ccapi.agent.launch import find_claude
from ccapi.errors import StackFailed, StackTimeout
from ccapi.stack.container import Ran


class LocalContainer:
    """`directory` holds what the container's volume would; `environ` is what its environment has besides."""

    def __init__(self, directory: Path, environ: Mapping[str, str] | None = None) -> None:
        self.config = directory / "claude-config"
        self.signals: list[str] = []  # that the gateway was sent
        self.commands: list[tuple[str, ...]] = []  # all that was run: others can read command lines
        programs = directory / "bin"
        for made in (self.config, directory / "container-home", programs):
            made.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            (programs / "claude").symlink_to(find_claude(path=""))
        self.directory = directory
        self.environ = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(directory / "container-home"),
            "CLAUDE_CONFIG_DIR": str(self.config),
            "DISABLE_AUTOUPDATER": "1",
            "LANG": "C.UTF-8",
            "BROWSER": "true",
            **(environ or {}),
        }

    def run(self, *argv: str, stdin: bytes = b"", timeout: float = 60) -> Ran:
        self.commands.append(argv)
        try:
            done = subprocess.run(
                argv,
                input=stdin,
                env=self.environ,
                cwd=self.directory,
                capture_output=True,
                timeout=timeout,
                check=False,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            raise StackTimeout(f"`{argv[0]}` did not end in the container within {timeout:g} seconds") from None
        return Ran(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))

    def terminal(self, *argv: str, columns: int = 4000, timeout: float = 3600) -> LocalTerminal:
        self.commands.append(argv)
        return LocalTerminal(("timeout", "--foreground", str(timeout), *argv), self.environ, self.directory, columns)

    def processes(self) -> list[int]:
        """What runs in it, by its environment."""
        wanted, found = f"CLAUDE_CONFIG_DIR={self.config}".encode(), []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return found

    def signal_gateway(self, name: str) -> None:
        self.signals.append(name)


class LocalTerminal:
    """A program on a pseudo-terminal; as `ccapi.stack.container.Terminal`."""

    def __init__(self, argv: tuple[str, ...], environ: Mapping[str, str], directory: Path, columns: int) -> None:
        self._ended = False
        self._fd, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        try:
            self._process = subprocess.Popen(
                ["setsid", "--ctty", *argv],
                env={"TERM": "xterm", **environ},
                cwd=directory,
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
            )
        finally:
            os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def read(self, timeout: float) -> bytes | None:
        ready, _, _ = select.select([self._fd], [], [], timeout)
        if not ready:
            return None
        try:
            found = os.read(self._fd, 65536)
        except OSError as error:
            if error.errno != errno.EIO:  # Linux: how a terminal says that its last writer has gone
                raise
            found = b""
        self._ended = not found
        return found

    def write(self, data: bytes) -> None:
        try:
            os.write(self._fd, data)
        except OSError as error:
            raise StackFailed("the program in the container has ended", detail=repr(error)) from error

    def exit_code(self) -> int | None:
        deadline = time.monotonic() + (5.0 if self._ended else 0.0)  # it is known a moment after the output ended
        while (code := self._process.poll()) is None and time.monotonic() < deadline:
            time.sleep(0.01)
        return 128 - code if code is not None and code < 0 else code  # as Docker has it, for one that was killed

    def close(self) -> None:
        """Interrupt, then kill. Once more changes nothing."""
        if self._fd < 0:
            return
        if self._process.poll() is None:
            with contextlib.suppress(OSError):
                os.write(self._fd, b"\x03")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(2)
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        os.close(self._fd)
        self._fd = -1
