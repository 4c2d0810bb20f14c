"""How many runs go on at once, and who waits.

A run costs memory (Claude Code alone some 250 MB), so there are only so many slots. Who finds none free waits in a fair
queue; when that is full, too, the answer is 429 with a time to come back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from ccapi.errors import Busy

RUN_MEMORY = 250_000_000  # bytes that a run needs, with a tool or two
_RESERVED = 0.25  # of all memory: the gateway itself, processes that wait, and tools that need more
_RETRY_AFTER = 10.0  # seconds
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


class RunSlots:
    """`slots` runs at once and `queue` waiting ones; first come, first served."""

    def __init__(self, slots: int, queue: int) -> None:
        self.slots = slots
        self.queue = queue
        self._admitted = 0  # running and waiting; counted at once, as a slot is taken only some steps of the loop later
        self._semaphore = asyncio.Semaphore(slots)

    @property
    def admitted(self) -> int:
        """Requests that run or wait."""
        return self._admitted

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return max(0, self._admitted - self.slots)

    @asynccontextmanager
    async def slot(self, waiting: Callable[[], Awaitable[None]], every: float) -> AsyncIterator[None]:
        """A slot for the block. While there is none, `waiting` is called every so many seconds. Raises `Busy`."""
        if self._admitted >= self.slots + self.queue:
            message = f"All {self.slots} run slots are taken and {self.queue} requests wait already"
            raise Busy(message, retry_after=_RETRY_AFTER)
        self._admitted += 1
        try:
            await acquire(self._semaphore, waiting, every)
            try:
                yield
            finally:
                self._semaphore.release()
        finally:
            self._admitted -= 1


async def acquire(what: asyncio.Semaphore | asyncio.Lock, waiting: Callable[[], Awaitable[None]], every: float) -> None:
    """Acquire it, fairly; meanwhile `waiting` is called every so many seconds."""
    acquiring = asyncio.ensure_future(what.acquire())
    try:
        while not (await asyncio.wait([acquiring], timeout=every))[0]:
            await waiting()
    except BaseException:
        # The place in the queue goes to the next; what was given in this very moment is given back.
        if not acquiring.cancel() and not acquiring.cancelled():
            what.release()
        raise


def default_slots() -> int:
    """As many runs as fit into the memory of this container, or machine; at least one."""
    return max(1, int(usable_memory() * (1 - _RESERVED) / RUN_MEMORY))


def usable_memory() -> int:
    """Bytes that this container, or machine, has."""
    limits = [_machine_memory()]
    for place in _CGROUP_LIMITS:
        try:
            limits.append(int(Path(place).read_text("ascii")))
        except (OSError, ValueError):  # not there, or "max"
            continue
    return min(limits)


def _machine_memory() -> int:
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text("ascii").splitlines())
        return int(fields["MemTotal"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return 8 * 10**9  # no Linux: what a machine has at least
