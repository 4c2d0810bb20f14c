"""What the tests of processes that wait share: agents with a pool, questions, and a stub that has patience."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccapi.agent.launch import Launch, child_environment, child_secrets
from ccapi.agent.options import Resume, RunOptions
from ccapi.agent.pool import PoolLimits
from ccapi.agent.run import Agent, Run, RunRequest
from ccapi.agent.worker import Worker
from ccapi.wire.events import RunEvent, RunFailed, RunFinished
from tests.agent import streamjson as sj
from tests.agent.stub import ENVIRONMENT, STUB, Stub
from tests.gateway.harness import Model, processes_in, scripted

OPTIONS = RunOptions(model="sonnet")
_DEADLINE = 30.0


@dataclass(frozen=True)
class Asked:
    """A question that was answered to its end."""

    events: list[RunEvent]
    start: str
    pid: int

    @property
    def end(self) -> RunFinished:
        assert isinstance(self.events[-1], RunFinished), self.events[-1]
        return self.events[-1]

    @property
    def text(self) -> str:
        return sj.said(self.events)

    @property
    def next_turn(self) -> Resume:
        """To go on with the conversation."""
        return Resume(self.end.session_id, self.end.checkpoint)


async def ask(
    agent: Agent,
    text: str,
    resume: Resume | None = None,
    options: RunOptions = OPTIONS,
    *,
    begun: Callable[[Run], None] | None = None,
) -> Asked:
    """`begun` is called when the run has its process, before anything of the turn reached it."""
    async with agent.run(RunRequest(text, options, resume)) as run:
        start, pid = run.start, worker_of(run).process.pid
        if begun:
            begun(run)
        events = await events_of(run)
    return Asked(events, start, pid)


async def events_of(run: Run) -> list[RunEvent]:
    """All of them. Checks that exactly one is terminal, the last."""
    events: list[RunEvent] = []
    while not run.ended:
        events += await run.next(1.0)
    assert [event for event in events if isinstance(event, RunFinished | RunFailed)] == events[-1:]
    return events


def worker_of(run: Run) -> Worker:
    return run._worker


async def until(condition: Callable[[], object], what: str, within: float = _DEADLINE) -> None:
    """Return once the condition holds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        await asyncio.sleep(0.01)


async def ready(agent: Agent, count: int) -> list[int]:
    """The pids of the processes that stand ready, once there are so many."""
    agent.pool.refill()
    await until(lambda: agent.pool.ready == count, f"{count} processes ready")
    return pids(agent)


def pids(agent: Agent) -> list[int]:
    """Of all processes that wait, the ready ones first."""
    return [worker.process.pid for worker in agent.pool.waiting()]


def running(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rsplit(")", 1)[1].split()[0] not in {"Z", "X"}
    except OSError:
        return False


async def no_process_in(workspace: Path, within: float = 15.0) -> None:
    await until(lambda: not processes_in(workspace), f"no process in {workspace}", within)


# --- with the real CLI


@dataclass(frozen=True)
class Rehearsed:
    """The real CLI in a workspace and with a configuration of its own; only the model is played."""

    launch: Launch
    model: Model
    workspace: Path

    @property
    def config(self) -> Path:
        return self.launch.config_dir

    @asynccontextmanager
    async def agent(self, limits: PoolLimits, *, start: RunOptions | None = OPTIONS) -> AsyncIterator[Agent]:
        """An agent that keeps processes ready (for `start` at first); none of them is left when the block is."""
        agent = Agent(self.launch, pool=limits)
        if start:
            agent.pool.start(start)
        try:
            yield agent
        finally:
            await agent.close()
            await no_process_in(self.workspace)

    def requests(self, text: str) -> list[dict[str, Any]]:
        """What the model was asked that has this text in it."""
        return [body for body in self.model.conversation if text in json.dumps(body)]


@asynccontextmanager
async def rehearsed(
    directory: Path, claude: Path, scenario: str = "chat", environ: Mapping[str, str] | None = None
) -> AsyncIterator[Rehearsed]:
    workspace, home = directory / "workspace", directory / "home-of-claude"
    workspace.mkdir(exist_ok=True)
    home.mkdir(exist_ok=True)
    async with scripted(scenario) as model:
        surroundings = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "TMPDIR": str(home),
            "CLAUDE_CONFIG_DIR": str(home / "config"),
            "ANTHROPIC_BASE_URL": model.url,
            **(environ or {}),
        }
        environment = child_environment(surroundings, max_retries=2, sandboxed_root=os.geteuid() == 0)
        secrets = child_secrets({"ANTHROPIC_API_KEY": "rehearsal"})
        yield Rehearsed(Launch(claude, workspace, environment, secrets, "bypassPermissions"), model, workspace)


# --- with the stub


def responds(request_id: str) -> dict[str, Any]:
    """The line that answers a control request."""
    return {"type": "control_response", "response": {"subtype": "success", "request_id": request_id, "response": {}}}


# The plan of a stub that takes turns as the CLI does, until its stdin ends.
CONVERSE: dict[str, Any] = {"converse": 1000}


@dataclass(frozen=True)
class Counted:
    """The stub as the CLI, and how often it was started."""

    launch: Launch
    log: Path

    @property
    def workspace(self) -> Path:
        return self.launch.workspace

    @property
    def stub(self) -> Stub:
        return Stub(self.workspace)

    @property
    def starts(self) -> int:
        return len(self.log.read_text().split()) if self.log.exists() else 0

    @asynccontextmanager
    async def agent(self, limits: PoolLimits, *, start: RunOptions | None = OPTIONS) -> AsyncIterator[Agent]:
        """See `Rehearsed.agent`."""
        agent = Agent(self.launch, pool=limits)
        if start:
            agent.pool.start(start)
        try:
            yield agent
        finally:
            await agent.close()
            await no_process_in(self.workspace)


def counted(directory: Path, *plan: dict[str, Any]) -> Counted:
    """The stub with this plan, or one that converses."""
    log, script, workspace = directory / "starts", directory / "counted-claude", directory / "workspace"
    script.write_text(f'#!/bin/sh\necho started >> {log}\nexec {STUB} "$@"\n', "utf-8")
    script.chmod(0o755)
    workspace.mkdir()
    (directory / "config").mkdir()
    Stub(workspace).plan(*(plan or (CONVERSE,)))
    return Counted(Launch(script, workspace, {**ENVIRONMENT, "CLAUDE_CONFIG_DIR": str(directory / "config")}), log)
