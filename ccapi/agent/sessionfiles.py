"""The files in which the CLI keeps its sessions.

    projects/<workspace's path, spelt with dashes>/<session id>.jsonl    one entry a line, only ever appended to
    projects/<...>/<session id>/tool-results/, subagents/                outputs too large for an entry, subagents
    session-env/<session id>/, ...                                       what other parts of the CLI keep by session

and outside the config directory /tmp/claude-<uid>/<...>/<session id>/, with what was shown to it or runs on.

An entry names the one before it (`parentUuid`), so a session is a tree: a branch begins where it was resumed at an
earlier entry. What the real CLI does (see `tests/agent/test_agent_sessionfiles.py`):

- A line that was cut off in mid-write (killed, disk full) is no harm: it begins a new line after it, and skips it when
  it reads.
- It does not notice that entries are missing, which a full disk causes, and goes on from whatever is left.
- It reads back from the last entry, and no further than to the last summary, which it makes of a conversation that gets
  too long: a place before that, or on a branch that was left, cannot be resumed any more.

Hence `whole`.

- It can be resumed at any entry, also between a call and its result (the model is told that there is none). A run that
  was interrupted wrote down how far it got; one that was killed, all but the message that it was in and what it had
  said in the last moment before (it writes several entries at once). So an answer that was cut off can be gone on with
  behind the last that was said in it.

Hence `end`.

Everything here blocks: call it in a thread.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shutil
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ccapi.agent.decoder import SYNTHETIC
from ccapi.agent.launch import config_dir

log = logging.getLogger(__name__)

Entry = dict[str, Any]

MAX_READ = 64 * 1024 * 1024  # bytes of one session; more is read from its end

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PROJECTS = "projects"
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
        scratch = Path(environment.get("CLAUDE_CODE_TMPDIR") or "/tmp")  # noqa: S108 -- says the CLI, not we
        return cls(config_dir(environment), scratch / f"claude-{os.geteuid()}")

    def exists(self, session_id: str) -> bool:
        """Whether there is a transcript."""
        return self._transcript(session_id) is not None

    def whole(self, session_id: str, checkpoint: str) -> bool:
        """Whether the session can be resumed at this entry, with all that was said before it."""
        tree = _Tree()
        try:
            for entry in self._read(session_id, having=b'"parentUuid"'):
                tree.add(entry)
        except OSError:
            return False
        return tree.resumable(checkpoint)

    def end(self, session_id: str, after: str | None) -> str | None:
        """Where a session ends that can be resumed there, if the assistant said something after the entry `after`.

        `after` None: at all. What the CLI says in its place about an error is no answer. To be called when nobody
        writes to the session.
        """
        tree, answers = _Tree(), set()
        try:
            for entry in self._read(session_id, having=b'"parentUuid"'):
                if tree.add(entry) and _is_answer(entry):
                    answers.add(entry["uuid"])
        except OSError as error:
            log.warning("the session %s cannot be read: %s", session_id, error.strerror or error)
            return None
        return tree.end(after, answers)

    def read(self, session_id: str, *, limit: int = MAX_READ) -> Iterator[Entry]:
        """The entries, in the order of the file; of one that is longer than `limit` bytes, the last.

        What is no entry (cut off in mid-write, or damaged) is left out. Raises `OSError`.
        """
        return self._read(session_id, limit=limit)

    def size(self, session_id: str) -> int:
        """Of the transcript, in bytes; 0 if there is none. Raises `OSError`."""
        transcript = self._transcript(session_id)
        return transcript.stat().st_size if transcript else 0

    def conversation(self, session_id: str, checkpoint: str, *, limit: int = MAX_READ) -> list[Entry]:
        """What was said up to a checkpoint: the user's messages, the assistant's, and what tools returned.

        That is all of it, also what the model only has a summary of by now. Answers that were cut off, and those that
        lie on another branch, are no part of it. Raises `OSError`.
        """
        tree = _Tree()
        entries = self._read(session_id, limit=limit)
        said = [entry for entry in entries if tree.add(entry) and isinstance(entry.get("message"), dict)]
        return _of_branch(said, set(tree.before(checkpoint, summarised=True)))

    def delete(self, session_id: str) -> bool:
        """Everything that is kept of a session, by its name. False if something could not be: the log says why.

        A live process of the session must have ended: it would write it anew.
        """
        if not _ID.fullmatch(session_id):
            return True
        kept = [*self.config.glob(f"{_PROJECTS}/*/{session_id}*"), *self.config.glob(f"*/{session_id}*")]
        kept += self.scratch.glob(f"*/{session_id}") if self.scratch else []
        left = [path for path in kept if not _deleted(path)]
        return not left

    def open_result(self, session_id: str, path: str) -> BinaryIO | None:
        """An output that the CLI moved to `path`; None unless that is a plain file in the session's own directory.

        `path` is the CLI's word, but what is there was within the agent's reach: no step of the way may be a link.
        """
        steps = self._steps(session_id, path)
        if steps is None:
            return None
        try:
            return _open_beneath(self.config, steps)
        except (OSError, ValueError):  # a NUL in the path is a ValueError
            return None

    def _read(self, session_id: str, *, limit: int | None = None, having: bytes = b"") -> Iterator[Entry]:
        transcript = self._transcript(session_id)
        if transcript is None:
            return
        with transcript.open("rb") as file:
            if limit is not None and (start := max(0, os.fstat(file.fileno()).st_size - limit)):
                file.seek(start - 1)
                file.readline()
            while line := file.readline(MAX_READ):
                if having in line and (entry := _entry(line)) is not None:
                    yield entry

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


class _Tree:
    """The entries of a transcript, added in the order of the file."""

    def __init__(self) -> None:
        self._parents: dict[str, str | None] = {}
        self._previous: dict[str, str | None] = {}  # in the file
        self._summarised: dict[str, str | None] = {}  # of a summary, the last entry that it stands for
        self._last: str | None = None  # that somebody said

    def add(self, entry: Entry) -> bool:
        """Whether it is something that was said in this conversation."""
        uuid, parent = entry.get("uuid"), entry.get("parentUuid")
        if not isinstance(uuid, str) or not isinstance(parent, str | None) or entry.get("isSidechain"):
            return False
        self._previous[uuid] = next(reversed(self._parents), None)
        self._parents[uuid] = parent
        if parent is None:
            self._summarised[uuid] = _name(entry, "logicalParentUuid")
        if _name(entry, "type") not in {"user", "assistant"}:
            return False
        self._last = uuid
        return True

    def before(self, checkpoint: str | None, *, mended: bool = False, summarised: bool = False) -> list[str]:
        """It and the entries before it, as far as they are there.

        `mended`: as the CLI reads them, which takes the previous line in the place of one that is missing.
        `summarised`: also those that a summary stands for.
        """
        found: dict[str, None] = {}
        at = checkpoint
        while at in self._parents and at not in found:
            found[at] = None
            parent = self._parents[at]
            if parent is None:
                at = self._summarised[at] if summarised else None
            else:
                at = self._previous[at] if mended and parent not in self._parents else parent
        return list(found)

    def resumable(self, checkpoint: str) -> bool:
        chain = self.before(checkpoint)
        return bool(chain) and self._parents[chain[-1]] is None and checkpoint in self.before(self._last, mended=True)

    def end(self, after: str | None, answers: Collection[str]) -> str | None:
        """The last that was said, if it can be resumed there, and one of the `answers` lies on the way from `after`."""
        chain = self.before(self._last, summarised=True)
        if self._last is None or (after is not None and after not in chain) or not self.resumable(self._last):
            return None
        new = chain if after is None else chain[: chain.index(after)]
        return self._last if any(uuid in answers for uuid in new) else None


def _of_branch(said: Sequence[Entry], chained: Collection[str]) -> list[Entry]:
    """The entries of a chain, and those that hang on it: tools called at once have results beside each other."""
    messages = {_name(entry["message"], "id") for entry in said if entry["uuid"] in chained} - {None}
    calls: set[str | None] = set()
    found = []
    for entry in said:
        blocks = _blocks(entry)
        results = {_name(block, "tool_use_id") for block in blocks if block.get("type") == "tool_result"}
        if entry["uuid"] in chained or _name(entry["message"], "id") in messages or results & calls:
            calls |= {_name(block, "id") for block in blocks if block.get("type") == "tool_use"}
            found.append(entry)
    return found


def _is_answer(entry: Entry) -> bool:
    message = entry.get("message")
    return entry["type"] == "assistant" and isinstance(message, dict) and message.get("model") != SYNTHETIC


def _name(of: Mapping[str, Any], key: str) -> str | None:
    """An id, if that is what is there."""
    value = of.get(key)
    return value if isinstance(value, str) else None


def _blocks(entry: Entry) -> list[Mapping[str, Any]]:
    content = entry["message"].get("content")
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def _deleted(path: Path) -> bool:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s cannot be deleted: %s", path, error.strerror or error)
        return False
    return True


def _entry(line: bytes) -> Entry | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


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
