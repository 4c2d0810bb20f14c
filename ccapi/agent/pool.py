"""Processes that wait: some started before anybody asks, some kept for their conversation's next turn.

A started process is used for one conversation and no other. All are bounded by number, age and memory, and replaced
when the configuration they were started under changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ccapi.agent.fingerprint import Fingerprint
from ccapi.agent.launch import Launch
from ccapi.agent.options import Resume, RunOptions
from ccapi.agent.worker import Worker
from ccapi.errors import CcapiError

log = logging.getLogger(__name__)

_LOOK = 5.0  # seconds between looks at age and memory
_PAUSE = 30.0  # seconds after a process that could not be started
_REMEMBERED = 16  # option sets


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Times in seconds, memory in bytes."""

    size: int = 2  # started before anybody asks; 0: none
    sessions: int = 4  # kept for their conversation's next turn; 0: none
    session_idle: float = 300.0
    max_age: float = 600.0
    memory: int = 10**9  # of all that wait


class Pool:
    """To be started and closed. A process that was taken is the taker's to end, or to give back with `keep`."""

    def __init__(self, launch: Launch, limits: PoolLimits) -> None:
        self.limits = limits
        self._launch = launch
        self._fingerprint = Fingerprint(launch.config_dir)
        self._ready: list[Worker] = []  # oldest first
        self._kept: dict[str, Worker] = {}  # by session id, least recently used first
        self._asked: dict[RunOptions, int] = {}  # how often; the last asked for is last
        self._ended: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def ready(self) -> int:
        """Processes that stand ready for a new conversation."""
        return len(self._ready)

    @property
    def kept(self) -> int:
        """Processes that are kept for a conversation's next turn."""
        return len(self._kept)

    def waiting(self) -> Iterator[Worker]:
        """All of them."""
        yield from self._ready
        yield from self._kept.values()

    def start(self, expected: RunOptions) -> None:
        """Begin to keep processes ready, at first for `expected`."""
        self._asked[expected] = 2
        self._keeper = asyncio.create_task(self._keep_up())
        self._wake.set()

    async def take(self, options: RunOptions, resume: Resume | None) -> Worker | None:
        """A process for this, which is the caller's from now on; None when none waits that fits."""
        if resume is None:
            self._note(options)
            return await self._take_ready(options)
        return self._take_kept(options, resume)

    def keep(self, worker: Worker) -> bool:
        """Keep it for its conversation's next turn. False: it stays its owner's."""
        if not self.limits.sessions or not worker.session_id or not worker.options.persist or not worker.process.alive:
            return False
        if worker.fingerprint != self._fingerprint.now():
            return False
        worker.idle_since = asyncio.get_running_loop().time()
        self._drop(self._kept.pop(worker.session_id, None))
        self._kept[worker.session_id] = worker
        self._expire()
        return True

    def stands_at(self, session_id: str, checkpoint: str) -> bool:
        """Whether a process is kept for this session, and its last turn ended there."""
        worker = self._kept.get(session_id)
        return worker is not None and worker.checkpoint == checkpoint and worker.process.alive

    async def forget(self, session_id: str) -> None:
        """End the process that is kept for a session, if there is one; it is gone after that."""
        if worker := self._kept.pop(session_id, None):
            self._drop(worker)
            await worker.process.end()

    def fingerprint(self) -> str:
        """Of the configuration as it is now, for a process about to be started."""
        return self._fingerprint.now()

    def refill(self) -> None:
        """Now is a good time to start what is missing."""
        self._wake.set()

    def renew(self, launch: Launch) -> None:
        """From now on processes are started like this; those that wait are replaced."""
        self._launch = launch
        self._fingerprint = Fingerprint(launch.config_dir)
        self._drop(*self.waiting())
        self._ready.clear()
        self._kept.clear()
        self._wake.set()

    async def close(self) -> None:
        """End every process that waits."""
        if self._keeper:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        self._drop(*self.waiting())
        self._ready.clear()
        self._kept.clear()
        if self._ended:
            await asyncio.wait(self._ended)

    # --- taking

    def _note(self, options: RunOptions) -> None:
        self._asked[options] = self._asked.pop(options, 0) + 1
        if len(self._asked) > _REMEMBERED:
            del self._asked[next(iter(self._asked))]

    async def _take_ready(self, options: RunOptions) -> Worker | None:
        fingerprint = self._fingerprint.now()
        for worker in [worker for worker in self._ready if worker.options == options]:
            self._ready.remove(worker)
            if worker.fingerprint == fingerprint and worker.process.alive and await self._refreshed(worker):
                worker.pooled = True
                return worker
            self._drop(worker)
        return None

    async def _refreshed(self, worker: Worker) -> bool:
        """The CLI looks at a git repository when it starts: what it saw there may be no longer true."""
        directory = worker.options.workspace or self._launch.workspace
        if not _in_repository(directory):
            return True
        try:
            await worker.refresh()
        except CcapiError as error:
            log.warning("a waiting process was of no use: %s", error.message)
            return False
        return True

    def _take_kept(self, options: RunOptions, resume: Resume) -> Worker | None:
        worker = self._kept.get(resume.session_id)
        if worker is None or resume.fork or (resume.at is not None and resume.at != worker.checkpoint):
            return None
        del self._kept[resume.session_id]
        current = worker.fingerprint == self._fingerprint.now()
        if worker.options == options and current and worker.process.alive:
            worker.pooled = True
            return worker
        self._drop(worker)
        return None

    # --- keeping up

    async def _keep_up(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK):
                    await self._wake.wait()
            self._wake.clear()
            try:
                self._expire()
                await self._fill()
            except CcapiError as error:
                log.warning("no process could be kept ready: %s", error.message)
                await asyncio.sleep(_PAUSE)

    async def _fill(self) -> None:
        """Start what is missing, one after the other: the runs come first."""
        while (options := self._missing()) is not None:
            fingerprint = self._fingerprint.now()
            worker = await Worker.start(self._launch, options)
            worker.fingerprint = fingerprint
            try:
                await worker.get_ready()
            except BaseException:
                self._asked.pop(options, None)  # not again, until somebody asks for it
                self._drop(worker)
                raise
            self._ready.append(worker)
            self._expire()

    def _missing(self) -> RunOptions | None:
        """The option set that a process should be started for next."""
        wanted = self._wanted()
        for options, count in wanted.items():
            if sum(worker.options == options for worker in self._ready) < count and self._room():
                return options
        return None

    def _wanted(self) -> dict[RunOptions, int]:
        """How many processes for which options: those asked for more than once, the latest first."""
        recent = [options for options, times in reversed(self._asked.items()) if times > 1]
        chosen = recent[: self.limits.size]
        if not chosen:
            return {}
        share, rest = divmod(self.limits.size, len(chosen))
        return {options: share + (place < rest) for place, options in enumerate(chosen)}

    def _room(self) -> bool:
        memory = [worker.process.memory for worker in self.waiting()]
        typical = max(memory, default=0)
        return sum(memory) + typical <= self.limits.memory

    def _expire(self) -> None:
        """Let go of what is too old, too many, dead, out of date or no longer wanted."""
        now, fingerprint, wanted = asyncio.get_running_loop().time(), self._fingerprint.now(), self._wanted()

        def usable(worker: Worker) -> bool:
            return worker.fingerprint == fingerprint and worker.process.alive

        ready: list[Worker] = []
        for worker in reversed(self._ready):
            same = sum(other.options == worker.options for other in ready)
            young = now - worker.born < self.limits.max_age
            if usable(worker) and young and same < wanted.get(worker.options, 0):
                ready.append(worker)
            else:
                self._drop(worker)
        self._ready = ready[::-1]
        for session_id, worker in list(self._kept.items()):
            if not usable(worker) or now - worker.idle_since >= self.limits.session_idle:
                self._drop(self._kept.pop(session_id))
        while len(self._kept) > self.limits.sessions or (self._kept and self._too_large()):
            self._drop(self._kept.pop(next(iter(self._kept))))
        while self._ready and self._too_large():
            self._drop(self._ready.pop(0))

    def _too_large(self) -> bool:
        return sum(worker.process.memory for worker in self.waiting()) > self.limits.memory

    def _drop(self, *workers: Worker | None) -> None:
        for worker in workers:
            if worker is not None:
                task = asyncio.create_task(worker.process.end())
                self._ended.add(task)
                task.add_done_callback(self._ended.discard)


def _in_repository(directory: Path) -> bool:
    return any((place / ".git").exists() for place in (directory, *directory.parents))
