"""Processes that wait: some started before anybody asks, some kept for their conversation's next turn.

A started process is used for one conversation and no other. All are bounded by number, age and memory, and replaced
when the configuration they were started under changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ccapi.agent.fingerprint import Fingerprint
from ccapi.agent.launch import Launch
from ccapi.agent.options import Resume, RunOptions
from ccapi.agent.worker import Worker
from ccapi.errors import CcapiError, ClaudeFailed

log = logging.getLogger(__name__)

_LOOK = 5.0  # seconds between looks at age and memory
_FADE = 0.9  # of what an option set counted for, with each question
_FORGOTTEN = 0.2  # what counts for less
_STAY = 2.0  # how much more one counts that a process stands ready for: else three that take turns drive each other out


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Times in seconds, memory in bytes."""

    size: int = 2  # started before anybody asks; 0: none
    sessions: int = 4  # kept for their conversation's next turn; 0: none
    session_idle: float = 300.0
    max_age: float = 600.0
    memory: int = 10**9  # of all that wait
    quiet: float = 8.0  # since the configuration changed, before a process is started under it


class Pool:
    """To be started and closed. A process that was taken is the taker's to end, or to give back with `keep`."""

    def __init__(self, launch: Launch, limits: PoolLimits) -> None:
        self.limits = limits
        self._launch = launch
        self._generation = 0  # of the launch
        self._fingerprint = Fingerprint(launch.config_dir)
        self._configuration = self._fingerprint.now()
        self._changed = -math.inf  # when it was seen to be another one
        self._ready: list[Worker] = []  # oldest first
        self._kept: dict[str, Worker] = {}  # by session id, least recently used first
        self._asked: dict[RunOptions, float] = {}  # how often, with what is long ago counting for less
        self._typical = 0  # bytes that a ready process took
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
        self._asked[expected] = 2.0
        self._keeper = asyncio.create_task(self._keep_up())
        self._wake.set()

    async def take(self, options: RunOptions, resume: Resume | None) -> Worker | None:
        """A process for this, which is the caller's from now on; None when none waits that fits."""
        if resume is None:
            self._note(options)
            return await self._take_ready(options)
        return await self._take_kept(options, resume)

    def keep(self, worker: Worker) -> bool:
        """Keep it for its conversation's next turn. False: it stays its owner's."""
        if not self.limits.sessions or not worker.session_id or not worker.options.persist:
            return False
        if worker.options.max_budget_usd is not None:  # it counts per process: the next turn would find it spent
            return False
        if not self._usable(worker, self.fingerprint()):
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
        now = self._fingerprint.now()
        if now != self._configuration:
            self._configuration, self._changed = now, asyncio.get_running_loop().time()
        return f"{self._generation}|{now}"

    def refill(self) -> None:
        """Now is a good time to start what is missing."""
        self._wake.set()

    def renew(self, launch: Launch) -> None:
        """From now on processes are started like this; those that wait are replaced."""
        self._launch = launch
        self._generation += 1  # one that is being started, or at work, is of the last
        self._fingerprint = Fingerprint(launch.config_dir)
        self._configuration = self._fingerprint.now()
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
        faded = {each: count * _FADE for each, count in self._asked.items()}
        self._asked = {each: count for each, count in faded.items() if count >= _FORGOTTEN}
        self._asked[options] = self._asked.get(options, 0.0) + 1.0

    async def _take_ready(self, options: RunOptions) -> Worker | None:
        # Looked for anew each time: meanwhile another question may have taken the next.
        while worker := next((worker for worker in self._ready if worker.options == options), None):
            self._ready.remove(worker)
            if await self._fit(worker):
                return worker
        return None

    async def _take_kept(self, options: RunOptions, resume: Resume) -> Worker | None:
        if resume.fork or resume.session_id not in self._kept:
            return None
        # Whoever takes the turn, the session goes on: if not with this process, then past it.
        worker = self._kept.pop(resume.session_id)
        if worker.options == options and resume.at in {None, worker.checkpoint}:
            return worker if await self._fit(worker) else None
        self._drop(worker)
        return None

    async def _fit(self, worker: Worker) -> bool:
        """Whether it can be used; else its end has begun."""
        try:
            fit = self._usable(worker, self.fingerprint())
            if fit:
                await self._look(worker)
        except BaseException as error:
            self._drop(worker)
            if not isinstance(error, CcapiError):
                raise
            log.warning("a waiting process was of no use: %s", error.message)
            return False
        if not fit:
            self._drop(worker)
        worker.pooled = True
        return fit

    async def _look(self, worker: Worker) -> None:
        """Raises `ClaudeFailed` if it does not answer, or what it knows is no longer true."""
        directory = self._launch.directory(worker.options)
        if worker.parked:
            await worker.claim(directory)
        elif not worker.session_id and _in_repository(directory):
            raise ClaudeFailed("its workspace has become a git repository, which it does not know")
        else:
            await worker.check()

    @staticmethod
    def _usable(worker: Worker, fingerprint: str) -> bool:
        return worker.fingerprint == fingerprint and worker.process.alive

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
            except Exception as error:  # noqa: BLE001 -- whatever it was, the next process may start
                log.warning("no process could be kept ready: %s", getattr(error, "message", repr(error)))

    async def _fill(self) -> None:
        """Start what is missing, one after the other: the runs come first.

        Not while somebody is at the configuration: a login to an MCP server is seldom one change only, and processes
        that start in the middle of it ask that server as well, write what it said, and renew the tokens of the login.
        """
        if asyncio.get_running_loop().time() - self._changed < self.limits.quiet:
            return
        for _ in range(self.limits.size):  # not more at a time, should they all be of no use
            options = self._missing()
            if options is None:
                return
            try:
                worker = await self._started(options)
            except BaseException:
                self._asked.pop(options, None)  # not again, until it is asked for twice
                raise
            self._ready.append(worker)
            self._expire()

    async def _started(self, options: RunOptions) -> Worker:
        fingerprint = self.fingerprint()
        # What git says of a repository may be another thing when the process is used.
        parked = _in_repository(self._launch.directory(options))
        worker = await Worker.start(self._launch, options, parked=parked)
        worker.fingerprint = fingerprint
        try:
            await worker.get_ready()
        except BaseException:
            self._drop(worker)
            raise
        return worker

    def _missing(self) -> RunOptions | None:
        """The option set that a process should be started for next."""
        wanted = self._wanted()
        for options, count in wanted.items():
            if sum(worker.options == options for worker in self._ready) < count and self._room():
                return options
        return None

    def _wanted(self) -> dict[RunOptions, int]:
        """How many processes for which options: those asked for more than once, and of them the most frequent."""
        ready = {worker.options for worker in self._ready}
        counts = {options: count * (_STAY if options in ready else 1) for options, count in self._asked.items()}
        often = [options for options, count in self._asked.items() if count > 1]
        chosen = sorted(often, key=lambda options: -counts[options])[: self.limits.size]
        if not chosen:
            return {}
        share, rest = divmod(self.limits.size, len(chosen))
        return {options: share + (place < rest) for place, options in enumerate(chosen)}

    def _room(self) -> bool:
        return self._memory() + self._typical <= self.limits.memory

    def _expire(self) -> None:
        """Let go of what is too old, too many, dead, out of date or no longer wanted."""
        now, fingerprint, wanted = asyncio.get_running_loop().time(), self.fingerprint(), self._wanted()
        self._typical = max([self._typical, *(worker.process.memory for worker in self._ready)])
        ready: list[Worker] = []
        for worker in reversed(self._ready):
            same = sum(other.options == worker.options for other in ready)
            young = now - worker.born < self.limits.max_age
            if self._usable(worker, fingerprint) and young and same < wanted.get(worker.options, 0):
                ready.append(worker)
            else:
                self._drop(worker)
        self._ready = ready[::-1]
        for session_id, worker in list(self._kept.items()):
            if not self._usable(worker, fingerprint) or now - worker.idle_since >= self.limits.session_idle:
                self._drop(self._kept.pop(session_id))
        while len(self._kept) > self.limits.sessions or (self._kept and self._too_large()):
            self._drop(self._kept.pop(next(iter(self._kept))))
        while self._ready and self._too_large():
            self._drop(self._ready.pop(0))

    def _too_large(self) -> bool:
        return self._memory() > self.limits.memory

    def _memory(self) -> int:
        return sum(worker.process.memory for worker in self.waiting())

    def _drop(self, *workers: Worker | None) -> None:
        for worker in workers:
            if worker is not None:
                task = asyncio.create_task(worker.process.end())
                self._ended.add(task)
                task.add_done_callback(self._ended.discard)


def _in_repository(directory: Path) -> bool:
    return any((place / ".git").exists() for place in (directory, *directory.parents))
