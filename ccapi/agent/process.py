"""One `claude` process: start, lines in and out, and an end that always comes."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import logging
import os
import signal
import sys
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ccapi.agent import control
from ccapi.agent.framer import LineFramer
from ccapi.agent.launch import Command
from ccapi.errors import ClaudeFailed, ClaudeNotFound

log = logging.getLogger(__name__)

CHUNK = 256 * 1024  # bytes read at once; the pipe holds the child back when nobody reads
STDERR_KEPT = 8 * 1024  # bytes
INTERRUPT_GRACE, TERM_GRACE, KILL_GRACE = 0.5, 2.0, 2.0  # seconds
_MARK = "CCAPI_PROCESS"  # in the environment of the process and of everything it starts
_PR_SET_PDEATHSIG = 1


class ClaudeProcess:
    """Owned by whoever called `start`, who must call `end`. Reading is cancellation-safe; `end` is idempotent."""

    def __init__(self, process: asyncio.subprocess.Process, mark: str) -> None:
        self._process = process
        self._mark = mark
        self._framer = LineFramer()
        self._stderr = bytearray()
        self._stderr_reader = asyncio.create_task(self._read_stderr())
        self._ending: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, command: Command) -> ClaudeProcess:
        """Start it in a process group of its own. Raises `ClaudeNotFound` when it cannot be executed."""
        mark = uuid.uuid4().hex
        pipes: dict[str, int] = {}
        try:
            for variable, secret in command.secrets.items():
                pipes[variable] = _filled_pipe(secret)
            descriptors = {variable: str(descriptor) for variable, descriptor in pipes.items()}
            process = await asyncio.create_subprocess_exec(
                *command.argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**command.environment, **descriptors, _MARK: mark},
                cwd=command.directory,
                pass_fds=tuple(pipes.values()),
                limit=CHUNK,
                start_new_session=True,
                preexec_fn=_die_with_parent(),
            )
        except OSError as error:
            if not command.directory.is_dir():
                raise ClaudeFailed("The workspace is gone", detail=str(error)) from error
            raise ClaudeNotFound(f"Claude Code cannot be started: {error.strerror}", detail=str(error)) from error
        finally:
            for descriptor in pipes.values():
                os.close(descriptor)
        return cls(process, mark)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    @property
    def stderr(self) -> str:
        """The last of what it wrote to stderr."""
        return self._stderr.decode("utf-8", "replace").strip()

    async def stderr_read(self) -> None:
        """Wait until the last of its stderr was read (not for long: a grandchild may hold the pipe)."""
        await asyncio.wait([self._stderr_reader], timeout=0.2)

    @property
    def alive(self) -> bool:
        """Whether it runs: neither ended nor stopped by a signal (Linux; elsewhere only the former is seen)."""
        if self.returncode is not None or self._ending is not None:
            return False
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text("ascii", "replace").rsplit(")", 1)[1].split()[0]
        except (OSError, IndexError):
            return not sys.platform.startswith("linux")
        return state not in {"T", "t", "Z", "X"}

    @property
    def memory(self) -> int:
        """Bytes that are this process's own (Linux; elsewhere 0)."""
        with contextlib.suppress(OSError, ValueError):
            _, resident, shared, *_ = Path(f"/proc/{self.pid}/statm").read_text("ascii").split()
            return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
        return 0

    async def send(self, *messages: Mapping[str, Any]) -> None:
        """A line each to its stdin; nothing happens when it no longer reads (its end is seen on stdout)."""
        stdin = self._process.stdin
        assert stdin is not None
        with contextlib.suppress(ConnectionError, RuntimeError):
            stdin.write(b"".join(json.dumps(message).encode("ascii") + b"\n" for message in messages))
            await stdin.drain()

    def close_stdin(self) -> None:
        """Tell it that no further turn comes."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    async def read(self) -> list[bytes] | None:
        """The next whole lines (perhaps none yet), or None once stdout is closed, or the process is being ended."""
        if self._ending is not None:
            await asyncio.shield(self._ending)
            return None
        stdout = self._process.stdout
        assert stdout is not None
        chunk = await stdout.read(CHUNK)
        if chunk:
            return self._framer.feed(chunk)
        rest = self._framer.flush()
        return [rest] if rest else None

    async def exited(self, timeout: float) -> bool:  # noqa: ASYNC109 -- the answer is a value, not an exception
        """Whether it ended within `timeout` seconds.

        Polled: `Process.wait` waits for the pipes as well, which a grandchild may hold open for hours.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        pause = 0.002
        while self._process.returncode is None:
            if asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.05)
        return True

    def kill(self) -> None:
        """SIGKILL, at once: for one that must not get as far as reading what it was sent. To be followed by `end`."""
        if self._process.returncode is None:
            self._signal(_kill_signal())

    async def end(self) -> None:
        """End it and all it started: interrupt, close stdin, TERM, KILL. Goes on even if the caller is cancelled."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())
        await asyncio.shield(self._ending)

    async def _end(self) -> None:
        try:
            if self._process.returncode is None:
                await self._interrupt()
            for number, grace in ((signal.SIGTERM, TERM_GRACE), (_kill_signal(), KILL_GRACE)):
                if self._process.returncode is None:
                    self._signal(number)
                    await self.exited(grace)
            await self._sweep()
        finally:
            self._stderr_reader.cancel()
            self._transport_close()
        log.debug("claude %d ended with %s", self.pid, self._process.returncode)

    async def _interrupt(self) -> None:
        """Ask first: tools end in order and the session file is written to its end."""
        stdout = self._process.stdout
        assert stdout is not None
        # RuntimeError: the run's owner is still reading, and keeps the pipe empty itself.
        with contextlib.suppress(TimeoutError, RuntimeError, ConnectionError):
            async with asyncio.timeout(INTERRUPT_GRACE):
                await self.send(control.request("interrupt"))
                self.close_stdin()
                while await stdout.read(CHUNK):  # it must not hang in a full pipe
                    pass
        await self.exited(0.1)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self.pid, number)
            else:
                self._process.send_signal(number)

    async def _sweep(self) -> None:
        """Kill what it left behind: tools run in process groups of their own and survive its SIGKILL."""
        # TERM first: a shell may hold a lock that its exit trap removes. Twice KILL: one may have started another.
        left = _marked(self._mark)
        for number, grace in ((signal.SIGTERM, 0.2), (_kill_signal(), 0.02), (_kill_signal(), 0.02)):
            if not left:
                return
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
            left = await self._left_after(grace)

    async def _left_after(self, grace: float) -> list[int]:
        """The marked processes that are still there after `grace` seconds; returns at once when none is."""
        deadline = asyncio.get_running_loop().time() + grace
        while (left := _marked(self._mark)) and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 -- not ours
            await asyncio.sleep(0.02)
        return left

    def _transport_close(self) -> None:
        transport = getattr(self._process, "_transport", None)  # the public class has no close()
        if transport is not None:
            transport.close()

    async def _read_stderr(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        while chunk := await stderr.read(STDERR_KEPT):
            self._stderr += chunk
            del self._stderr[:-STDERR_KEPT]


def _filled_pipe(text: str) -> int:
    """The reading end of a pipe that holds `text` (far less than a pipe takes at once)."""
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    return reading


def _kill_signal() -> signal.Signals:
    return getattr(signal, "SIGKILL", signal.SIGTERM)


def _marked(mark: str) -> list[int]:
    """The processes that carry `mark` in their environment (Linux; elsewhere none are found)."""
    wanted = f"{_MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def _die_with_parent() -> Callable[[], None] | None:
    """Runs in the child before exec: SIGTERM when the gateway dies, however it dies (Linux, prctl(2))."""
    if not sys.platform.startswith("linux"):
        return None
    prctl, parent = ctypes.CDLL(None, use_errno=True).prctl, os.getpid()  # looked up before the fork

    def die_with_parent() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    return die_with_parent
