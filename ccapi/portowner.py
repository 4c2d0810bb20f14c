"""Who listens on a port of this machine: for the sentence that a busy port deserves.

A leaf, since the stack (the API's port) and the OAuth proxy (its own port, and those that logins come back to) both
need it and do not know each other.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_LISTEN = "0A"
_LSOF_TIMEOUT = 3  # seconds


@dataclass(frozen=True, slots=True)
class Process:
    """`command` is the command line, shortened, or the program's name where there is no more to be had."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"{self.command} (PID {self.pid})"


def owner(port: int) -> Process | None:
    """The process that listens; None when it is another user's, or this system does not tell."""
    return _by_proc(port, Path("/proc")) if sys.platform == "linux" else _by_lsof(port)


def _by_proc(port: int, proc: Path) -> Process | None:
    inodes = set(_listening_inodes(port, proc))
    if not inodes:
        return None
    for process in proc.glob("[0-9]*"):
        if inodes & set(_socket_inodes(process)):
            return Process(int(process.name), _command(process))
    return None


def _listening_inodes(port: int, proc: Path) -> Iterator[str]:
    """Columns of /proc/net/tcp: sl, local address, remote address, state, …, the tenth is the inode."""
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for columns in map(str.split, lines):
            if columns[3] == _LISTEN and int(columns[1].rpartition(":")[2], 16) == port:
                yield columns[9]


def _socket_inodes(process: Path) -> Iterator[str]:
    try:
        descriptors = list((process / "fd").iterdir())
    except OSError:  # it ended meanwhile, or belongs to somebody else
        return
    for descriptor in descriptors:
        with suppress(OSError):  # closed meanwhile
            link = str(descriptor.readlink())
            if link.startswith("socket:["):
                yield link.removeprefix("socket:[").removesuffix("]")


def _command(process: Path) -> str:
    """More than the program's name: "python3" alone does not tell which one it is. Of paths the last part will do."""
    try:
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "a process"
    text = " ".join(word.rpartition("/")[2] or word if word.startswith("/") else word for word in words).strip()
    return text if len(text) <= 60 else text[:59] + "…"


def _by_lsof(port: int) -> Process | None:
    """macOS and the BSDs have it; -F prints a field a line, the process id after p, the program's name after c."""
    command = ["lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LSOF_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    fields = {line[0]: line[1:] for line in reversed(done.stdout.splitlines()) if line}
    return Process(int(fields["p"]), fields.get("c", "a process")) if "p" in fields else None
