"""The files in which the CLI keeps its sessions.

    projects/<workspace's path, spelt with dashes>/<session id>.jsonl    one entry a line, only ever appended to
    projects/<...>/<session id>/tool-results/, subagents/                outputs too large for an entry, subagents
    session-env/<session id>/, ...                                       what other parts of the CLI keep by session

and outside the config directory /tmp/claude-<uid>/<...>/<session id>/, with what was shown to it or runs on.

An entry names the one before it (`parentUuid`), so a session is a tree: a branch begins where it was resumed at an
earlier entry. The CLI copes with a line that was cut off in mid-write (killed, disk full): it begins a new line after
it, and skips it when it reads (tested in `tests/agent/test_agent_sessionfiles.py`). What it does not notice is that
entries are missing, which a full disk causes: it goes on from whatever is left. Hence `whole`.

Everything here blocks: call it in a thread.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PROJECTS = "projects"
_MAX_READ = 64 * 1024 * 1024  # bytes of one session; more is read from its end
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO must not make anybody wait


class SessionFiles:
    """The sessions below one config directory. An id that is no UUID is one that does not exist."""

    def __init__(self, config: Path, scratch: Path | None = None) -> None:
        """`scratch` is where the CLI has its temporary files, None if that is not to be touched."""
        self.config = config
        self.scratch = scratch

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> SessionFiles:
        """Where a CLI with this environment keeps them."""
        config = environment.get("CLAUDE_CONFIG_DIR")
        scratch = Path(environment.get("CLAUDE_CODE_TMPDIR") or "/tmp")  # noqa: S108 -- says the CLI, not we
        return cls(
            Path(config) if config else Path(environment.get("HOME") or "/") / ".claude",
            scratch / f"claude-{os.geteuid()}",
        )

    def exists(self, session_id: str) -> bool:
        """Whether there is a transcript."""
        return self._transcript(session_id) is not None

    def whole(self, session_id: str, checkpoint: str) -> bool:
        """Whether the session can be resumed at this entry, with all that was said before it."""
        transcript = self._transcript(session_id)
        if transcript is None:
            return False
        try:
            entries = _entries(transcript, 0, having=b'"parentUuid"')
            parents = {entry["uuid"]: entry.get("parentUuid") for entry in entries if "uuid" in entry}
        except OSError:
            return False
        at: Any = checkpoint
        while at in parents:
            at = parents.pop(at)  # once: a ring is not whole, either
        return at is None

    def read(self, session_id: str, limit: int = _MAX_READ) -> Iterator[dict[str, Any]]:
        """The entries, in the order of the file; of one that is longer than `limit` bytes, the last.

        What is no entry (cut off in mid-write, or damaged) is left out. Raises `OSError`.
        """
        transcript = self._transcript(session_id)
        if transcript is not None:
            yield from _entries(transcript, max(0, transcript.stat().st_size - limit))

    def delete(self, session_id: str) -> bool:
        """Everything that is kept of a session, by its name. Whether there was anything. Raises `OSError`."""
        if not _ID.fullmatch(session_id):
            return False
        kept = [*self.config.glob(f"{_PROJECTS}/*/{session_id}*"), *self.config.glob(f"*/{session_id}*")]
        kept += self.scratch.glob(f"*/{session_id}") if self.scratch else []
        for path in kept:
            with contextlib.suppress(FileNotFoundError):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
        return bool(kept)

    def open_result(self, session_id: str, path: str) -> BinaryIO | None:
        """An output that the CLI moved to `path`; None unless that is a plain file in the session's own directory.

        `path` is the CLI's word, but what is there was within the agent's reach: no step of the way may be a link.
        """
        steps = self._steps(session_id, path)
        if steps is None:
            return None
        try:
            return _open_beneath(self.config, steps)
        except OSError:
            return None

    def _transcript(self, session_id: str) -> Path | None:
        if not _ID.fullmatch(session_id):
            return None
        found = (self.config / _PROJECTS).glob(f"*/{session_id}.jsonl")
        files = [path for path in found if path.is_file() and not path.is_symlink()]
        # More than one: the CLI moved to another directory. The one that is written to is the newer.
        return max(files, key=lambda path: path.stat().st_mtime, default=None)

    def _steps(self, session_id: str, path: str) -> tuple[str, ...] | None:
        """The way from the config directory to `path`, if it leads through the session's own directory."""
        for base in {self.config, self.config.resolve()}:
            with contextlib.suppress(ValueError):
                steps = Path(path).relative_to(base).parts
                own = len(steps) > 3 and steps[0] == _PROJECTS and steps[2] == session_id
                return steps if own and ".." not in steps and _ID.fullmatch(session_id) else None
        return None


def _entries(transcript: Path, start: int, having: bytes = b"") -> Iterator[dict[str, Any]]:
    with transcript.open("rb") as file:
        if start:
            file.seek(start - 1)
            file.readline()
        for line in file:
            if having not in line:
                continue
            with contextlib.suppress(ValueError, RecursionError):
                entry = json.loads(line)
                if isinstance(entry, dict):
                    yield entry


def _open_beneath(directory: Path, steps: tuple[str, ...]) -> BinaryIO | None:
    with contextlib.ExitStack() as stack:
        at = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, at)
        for step in steps[:-1]:
            at = os.open(step, _DIRECTORY, dir_fd=at)
            stack.callback(os.close, at)
        file = os.fdopen(os.open(steps[-1], _FILE, dir_fd=at), "rb")
        status = os.fstat(file.fileno())
        if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_uid == os.geteuid():
            return file
        file.close()
        return None
