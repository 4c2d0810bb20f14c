"""`GET /ready`: whether a question that came now could be answered, without asking a model.

Each check says what is wrong in a fixed sentence: no path, version, account or output of a program, as whoever reaches
the port may ask. The whole is bounded in time. A check that hangs is "not ready", and goes on: the next request waits
for the same one and starts no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from ccapi.agent.launch import Launch
from ccapi.redact import redact

log = logging.getLogger(__name__)

TIMEOUT = 5.0  # seconds that a request waits
_PROGRAM_TIMEOUT = 20.0  # seconds until a `claude` that says nothing is killed
_SIGNED_IN_FOR, _SIGNED_OUT_FOR = 60.0, 5.0  # seconds for which an answer of `claude auth status` holds
_REFUSED_FOR = 60.0  # seconds for which a refused sign-in of a run counts
_LEAST_SPACE = 16 * 1024 * 1024  # bytes that must be free
_CREDENTIALS = (".credentials.json", "settings.json")  # not .claude.json: every start of the CLI writes it

SIGN_IN = (
    "Sign in with `ccapi auth claude` (without Docker: `claude auth login`), "
    "or set ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN."
)


@dataclass(frozen=True, slots=True)
class Check:
    """What one check found; `hint` is set when it is not ok."""

    name: str
    ok: bool
    message: str
    hint: str | None = None

    def document(self) -> dict[str, Any]:
        return {"name": self.name, "ok": self.ok, "message": self.message, "hint": self.hint}


class Readiness:
    """The checks of one gateway, and what is remembered of them."""

    def __init__(
        self,
        launch: Launch,
        *,
        data_dir: Path,
        slots: Callable[[], tuple[int, int, int]],
        max_queue: int,
        pool: Callable[[], Mapping[str, int]],
        stopping: Callable[[], bool] = lambda: False,
        store_problem: Callable[[], str | None] = lambda: None,
        timeout: float = TIMEOUT,
    ) -> None:
        """`slots`: runs that go on, slots, requests that wait; `pool`: processes that wait, by kind.

        `store_problem`: why what must be remembered cannot be, None while it can; for the log, it may name a path.
        """
        self._slots = slots
        self._max_queue = max_queue
        self._pool = pool
        self._stopping = stopping
        self._store_problem = store_problem
        self._timeout = timeout
        self._claude = _Claude(launch)
        self._workspace = launch.workspace
        self._data_dir = data_dir
        self._running: dict[str, asyncio.Task[Check]] = {}

    async def handle(self, request: web.Request) -> web.Response:
        """200 when every check is ok, else 503."""
        del request
        checks = await self.checks()
        ready = all(check.ok for check in checks)
        document = {"status": "ready" if ready else "not_ready", "checks": [check.document() for check in checks]}
        return web.json_response(document, status=200 if ready else 503)

    async def checks(self) -> list[Check]:
        """Every check, after `timeout` seconds at the latest."""
        slow: dict[str, Callable[[], Awaitable[Check]]] = {
            "claude": self._claude.present,
            "sign_in": self._claude.signed_in,
            "workspace": lambda: asyncio.to_thread(_workspace, self._workspace),
            "data": self._data,
        }
        tasks = {name: self._started(name, check) for name, check in slow.items()}
        await asyncio.wait(tasks.values(), timeout=self._timeout)
        found = [self._result(name, task) for name, task in tasks.items()]
        return [*found, self._pool_check(), self._slots_check()]

    def refused(self) -> None:
        """A run's credential was refused: for a while that is what counts, whatever `claude auth status` says."""
        self._claude.refused()

    def method(self) -> str:
        """The `authMethod` of the login that is there now, if `claude auth status` has ever told; else empty.

        Never waits. What is not known is asked for in the background, so that it is known the next time.
        """
        if known := self._claude.method():
            return known
        self._started("sign_in", self._claude.signed_in)
        return ""

    def renew(self, launch: Launch) -> None:
        """From now on it is this that must be ready: what was remembered of another is forgotten."""
        self._claude = _Claude(launch)
        self._workspace = launch.workspace

    async def close(self) -> None:
        """End what still runs."""
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _started(self, name: str, check: Callable[[], Awaitable[Check]]) -> asyncio.Task[Check]:
        """The check, started now unless an earlier request's still runs."""
        if (running := self._running.get(name)) and not running.done():
            return running

        async def checking() -> Check:
            return await check()

        self._running[name] = asyncio.create_task(checking())
        return self._running[name]

    def _result(self, name: str, task: asyncio.Task[Check]) -> Check:
        if not task.done():
            message = f"This check gave no answer within {self._timeout:g} s"
            return Check(name, ok=False, message=message, hint="The gateway's log may tell more.")
        try:
            return task.result()
        except Exception:
            log.exception("the check %s failed", name)
            return Check(name, ok=False, message="This check failed unexpectedly", hint="The gateway's log says why.")

    async def _data(self) -> Check:
        check = await asyncio.to_thread(_data, self._data_dir)
        if check.ok and (problem := self._store_problem()):
            log.warning("the store does not work: %s", problem)
            message = "What the gateway remembers cannot be read or written"
            return Check("data", ok=False, message=message, hint="The gateway's log says why.")
        return check

    def _pool_check(self) -> Check:
        counts = self._pool()
        words = ", ".join(f"{number} {kind}" for kind, number in counts.items()) or "none"
        return Check("pool", ok=True, message=f"Processes that wait for a run: {words}")

    def _slots_check(self) -> Check:
        active, slots, waiting = self._slots()
        if self._stopping():
            return Check("slots", ok=False, message="The gateway is being stopped", hint="Wait until it is back.")
        message = f"{active} of {slots} run slots are taken, {waiting} requests wait"
        if active >= slots and waiting >= self._max_queue:
            hint = "Wait for runs to end, or raise gateway.max_runs or gateway.max_queue."
            return Check("slots", ok=False, message=message, hint=hint)
        return Check("slots", ok=True, message=message)


# --- Claude Code


class _Claude:
    """The CLI, asked as seldom as possible: a start costs a third of a second of CPU."""

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self._known_version: tuple[int, int] | None = None  # of the binary that said its version: inode, mtime
        self._status: tuple[float, object, Check] | None = None  # until when, for which credentials
        self._refusal: tuple[float, object] | None = None  # until when it counts, of which credentials
        self._method: tuple[object, str] | None = None  # of which credentials, and how they are those of a login

    async def present(self) -> Check:
        binary = self._launch.binary
        try:
            found = binary.stat()
        except OSError:
            return Check("claude", ok=False, message="The Claude Code CLI is not there", hint="Install it again.")
        if not os.access(binary, os.X_OK):
            return Check("claude", ok=False, message="The Claude Code CLI cannot be executed", hint="Install it again.")
        if self._known_version != (found.st_ino, found.st_mtime_ns):
            code, output = await _output([str(binary), "--version"], self._launch)
            if code != 0:
                hint = "Install it again; the gateway's log says what it printed."
                return Check("claude", ok=False, message="The Claude Code CLI does not start", hint=hint)
            self._known_version = (found.st_ino, found.st_mtime_ns)
            log.info("Claude Code is %s", output.strip())
        return Check("claude", ok=True, message="The Claude Code CLI is there")

    async def signed_in(self) -> Check:
        credentials = self._credentials()
        if self._refusal and time.monotonic() < self._refusal[0] and credentials == self._refusal[1]:
            message = "The last run's credential was refused"
            return Check("sign_in", ok=False, message=message, hint=SIGN_IN)
        if self._launch.fixed_credential:
            message = "Signed in by a key or token of the environment; whether it is accepted a run shows"
            return Check("sign_in", ok=True, message=message)
        if self._status:
            until, known, found = self._status
            if time.monotonic() < until and known == credentials:
                return found
        check = await self._ask()
        holds = _SIGNED_IN_FOR if check.ok else _SIGNED_OUT_FOR
        self._status = (time.monotonic() + holds, self._credentials(), check)
        return check

    def refused(self) -> None:
        self._refusal = (time.monotonic() + _REFUSED_FOR, self._credentials())
        self._status = None

    def method(self) -> str:
        """Empty if it is not known."""
        return self._method[1] if self._method and self._method[0] == self._credentials() else ""

    async def _ask(self) -> Check:
        credentials = self._credentials()
        code, output = await _output([str(self._launch.binary), "auth", "status"], self._launch)
        try:
            status = json.loads(output)
            signed_in, expires = bool(status["loggedIn"]), status.get("loginExpiresAt")
        except (ValueError, TypeError, KeyError, AttributeError):
            log.warning("`claude auth status` ended with %s and said nothing that is understood", code)
            message = "Claude Code does not say whether it is signed in"
            return Check("sign_in", ok=False, message=message, hint="Look at `claude auth status`.")
        self._method = (credentials, str(status.get("authMethod", "")))
        if signed_in and not _is_past(expires):
            return Check("sign_in", ok=True, message="Signed in by a stored login")
        message = "The stored login has expired" if signed_in else "Claude Code is not signed in"
        return Check("sign_in", ok=False, message=message, hint=SIGN_IN)

    def _credentials(self) -> object:
        """Changes whenever the files that hold a login do."""
        return tuple(_changed(self._launch.config_dir / name) for name in _CREDENTIALS)


def _changed(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _is_past(moment: object) -> bool:
    """Whether a time (milliseconds since 1970, or ISO 8601) is over; False for what is no time."""
    if isinstance(moment, int | float):
        return moment / 1000 < time.time()
    try:
        when = datetime.fromisoformat(str(moment))
    except ValueError:
        return False
    return when.replace(tzinfo=when.tzinfo or UTC) < datetime.now(UTC)


async def _output(argv: list[str], launch: Launch) -> tuple[int | None, str]:
    """Exit code and stdout. A program that does not end is killed, with all that it started."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(launch.environment),
            cwd="/",  # no workspace's settings
            start_new_session=True,
        )
    except OSError as error:
        log.warning("Claude Code cannot be started: %s", error.strerror)
        return None, ""
    output = errors = b""
    try:
        async with asyncio.timeout(_PROGRAM_TIMEOUT):
            output, errors = await process.communicate()
    except TimeoutError:
        log.warning("`claude %s` did not end within %g s", " ".join(argv[1:]), _PROGRAM_TIMEOUT)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode:
        words = redact(errors.decode("utf-8", "replace"))[-500:]
        log.info("`claude %s` ended with %d: %s", " ".join(argv[1:]), process.returncode, words)
    return process.returncode, output.decode("utf-8", "replace")


# --- directories


def _workspace(directory: Path) -> Check:
    """It may be a person's: nothing is written into it to find out."""
    if not directory.is_dir():
        return Check("workspace", ok=False, message="The workspace is not there", hint="Mount it again.")
    if not os.access(directory, os.W_OK | os.X_OK):
        hint = "Give the gateway's user the right to write there."
        return Check("workspace", ok=False, message="The workspace cannot be written to", hint=hint)
    if _free(directory) < _LEAST_SPACE:
        return Check("workspace", ok=False, message="The workspace's disk is full", hint="Free some space.")
    return Check("workspace", ok=True, message="The workspace can be written to")


def _data(directory: Path) -> Check:
    """A file is really written: a quota or a broken disk shows nowhere else."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (directory / ".ready").open("wb") as file:
            file.write(bytes(64 * 1024))
            file.flush()
            os.fsync(file.fileno())
        (directory / ".ready").unlink(missing_ok=True)
        full = _free(directory) < _LEAST_SPACE
    except OSError as error:
        log.warning("the gateway's data directory cannot be written to: %s", error.strerror)
        hint = "Free some space, or give the gateway's user the right to write there; the log says which."
        return Check("data", ok=False, message="The gateway's own directory cannot be written to", hint=hint)
    if full:
        return Check(
            "data", ok=False, message="The disk of the gateway's own directory is full", hint="Free some space."
        )
    return Check("data", ok=True, message="The gateway's own directory can be written to")


def _free(directory: Path) -> int:
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize
