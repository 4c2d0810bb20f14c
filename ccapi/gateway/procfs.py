"""What Linux tells of the container's processes: who started one, and who listens on a port. Source: proc(5)."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

_LISTEN = "0A"  # the state of a socket in /proc/net/tcp


class Processes:
    """Where a process, or the whole of /proc, is not there, nothing is found."""

    def __init__(self, root: Path = Path("/proc")) -> None:
        self._root = root

    def listeners(self, port: int) -> frozenset[int]:
        """The sockets (inodes) that listen on a port, whatever the address."""
        found = set()
        for name in ("tcp", "tcp6"):
            for line in _lines(self._root / "net" / name)[1:]:
                _, local, _, state, *rest = line.split()
                if state == _LISTEN and int(local.rpartition(":")[2], 16) == port:
                    found.add(int(rest[5]))
        return frozenset(found)

    def lineage(self, pid: int) -> list[int]:
        """The process, its parent, and so on, up to the one whose parent is outside of this PID namespace.

        Empty if that is not all there: one of them ended just now.
        """
        found: list[int] = []
        while pid and pid not in found:
            found.append(pid)
            stat = "".join(_lines(self._root / str(pid) / "stat"))
            fields = stat.rpartition(")")[2].split()  # the name before it may hold anything
            if len(fields) < 2:
                return []
            pid = int(fields[1])
        return found

    def holds(self, pid: int, inodes: Collection[int]) -> bool:
        """Whether one of these sockets is the process's own."""
        wanted = {f"socket:[{inode}]" for inode in inodes}
        try:
            return any(_target(entry) in wanted for entry in (self._root / str(pid) / "fd").iterdir())
        except OSError:
            return False

    def runs(self, pid: int, binary: Path) -> bool:
        """Whether this is the very file that the process executes."""
        try:
            return (self._root / str(pid) / "exe").samefile(binary)
        except OSError:
            return False


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _target(link: Path) -> str:
    try:
        return os.readlink(link)  # noqa: PTH115 -- what it says is no path
    except OSError:
        return ""
