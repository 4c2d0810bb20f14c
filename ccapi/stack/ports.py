"""Whether a port of this host is free, and who has it if not."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_LISTEN = "0A"
_LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    """Connects *and* binds: each sees listeners that the other one does not."""
    with socket.socket() as client:
        client.settimeout(0.5)
        if client.connect_ex((_LOOPBACK, port)) == 0:
            return False
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Docker does: TIME_WAIT is no obstacle
        try:
            server.bind((_LOOPBACK, port))
        except OSError as error:
            return error.errno != errno.EADDRINUSE  # EACCES below 1024 is ours only; the engine may be root
    return True


def free_near(port: int) -> int:
    """A free port to suggest: the next one, and so on."""
    return next((candidate for candidate in range(port + 1, min(port + 100, 65536)) if is_free(candidate)), 0)


@dataclass(frozen=True, slots=True)
class Process:
    """`command` is the command line, shortened."""

    pid: int
    command: str


def owner(port: int, proc: Path = Path("/proc")) -> Process | None:
    """The process that listens; None when it is another user's, or this is not Linux."""
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
    """More than the program's name: "python3" alone does not tell which one it is."""
    try:
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "a process"
    words[0] = words[0].rpartition("/")[2]
    text = " ".join(words).strip()
    return text if len(text) <= 60 else text[:59] + "…"
