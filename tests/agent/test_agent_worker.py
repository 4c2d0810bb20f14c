"""A process that waits for its first turn, or for the next one; with the stub in place of the CLI."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ccapi.agent import worker as workers
from ccapi.agent.launch import Launch
from ccapi.agent.options import RunOptions
from ccapi.agent.worker import Worker
from ccapi.errors import ClaudeFailed
from tests.agent import streamjson as sj
from tests.agent.pooling import CONVERSE, no_process_in, responds, until
from tests.agent.stub import ENVIRONMENT, STUB, Stub

Start = Callable[..., Awaitable[Worker]]


@pytest.fixture
async def start(workspace: Path) -> AsyncIterator[Start]:
    """Starts workers; at the end none is left."""
    started: list[Worker] = []

    async def make(**options: Any) -> Worker:
        started.append(await Worker.start(Launch(STUB, workspace, ENVIRONMENT), RunOptions(**options)))
        return started[-1]

    yield make
    await asyncio.gather(*(worker.process.end() for worker in started))
    await no_process_in(workspace)


async def started(start: Start, stub: Stub) -> Worker:
    """One that runs already, as any that waits does: its start does not count as time in which it should answer."""
    worker = await start()
    await until(lambda: stub.seen, "the start of the stub")
    return worker


async def test_it_knows_its_system_prompt_before_its_first_turn(start: Start, stub: Stub) -> None:
    """What it is told when it gets ready it is not told again with the turn."""
    stub.plan(CONVERSE)
    worker = await start(system="Be brief.")
    await worker.get_ready()
    await worker.check()
    await worker.ask({"type": "user", "message": {"content": "hello"}})
    await until(lambda: len(stub.stdin) == 3, "the turn")
    initialize, status, turn = stub.stdin
    assert initialize["request"] == {"subtype": "initialize", "hooks": None, "appendSystemPrompt": "Be brief."}
    assert status["request"] == {"subtype": "mcp_status"}
    assert turn["type"] == "user"


async def test_what_it_said_before_it_was_ready_is_nobodys(start: Start, stub: Stub) -> None:
    """It only matters that it answers."""
    noise = [{"type": "system", "subtype": "hook_started"}, sj.state("idle")]
    stub.plan({"raw": "hello\n[]\n"}, {"lines": noise}, {"await_input": 1}, {"lines": [responds("initialize")]},
              {"await_end_of_input": None})  # fmt: skip
    worker = await start()
    await worker.get_ready()


async def test_a_refusal_is_a_failure(start: Start, stub: Stub) -> None:
    """What the CLI has against it is for the log."""
    refusal = {"subtype": "error", "request_id": "initialize", "error": "no such schema"}
    stub.plan({"await_input": 1}, {"lines": [{"type": "control_response", "response": refusal}]})
    worker = await start()
    with pytest.raises(ClaudeFailed, match="initialize") as caught:
        await worker.get_ready()
    assert caught.value.detail == "no such schema"


async def test_an_end_while_it_starts_is_a_failure(start: Start, stub: Stub) -> None:
    """With what it said of it, which is for the log."""
    stub.plan({"stderr": "Error: nothing is as it should be\n"}, {"exit": 1})
    worker = await start()
    with pytest.raises(ClaudeFailed) as caught:
        await worker.get_ready()
    assert caught.value.detail == "Error: nothing is as it should be"


@pytest.mark.parametrize("said", [{"deaf": None}, {"await_end_of_input": None}])
async def test_one_that_does_not_answer_is_not_waited_for(start: Start, stub: Stub, said: dict[str, Any]) -> None:
    """A process that hangs, or whose stdin nobody reads, is found out in a moment."""
    stub.plan(said, {"sleep": 60})
    worker = await started(start, stub)
    began = time.monotonic()
    with pytest.raises(ClaudeFailed, match="did not answer"):
        await worker.check()
    assert time.monotonic() - began < workers.CHECK_TIMEOUT + 20


@pytest.mark.parametrize("line", [sj.result(), sj.assistant("m", sj.text("hm")), sj.message_start("m")])
async def test_one_that_went_on_by_itself_is_of_no_use(start: Start, stub: Stub, line: dict[str, Any]) -> None:
    """What it said with nobody listening would be taken for the next turn's."""
    stub.plan({"lines": [sj.state("running"), line]}, {"await_input": 1}, {"lines": [responds("mcp_status")]},
              {"await_end_of_input": None})  # fmt: skip
    worker = await started(start, stub)
    with pytest.raises(ClaudeFailed, match="by itself"):
        await worker.check()


async def test_its_own_matters_between_two_turns_do_no_harm(start: Start, stub: Stub) -> None:
    """State changes and the like belong to no turn."""
    quiet = [sj.state("idle"), {"type": "system", "subtype": "commands_changed"}, {"type": "rate_limit_event"}]
    stub.plan({"lines": quiet}, {"await_input": 1}, {"lines": [responds("mcp_status")]}, {"await_end_of_input": None})
    worker = await started(start, stub)
    await worker.check()


async def test_a_started_process_that_nobody_uses_ends_in_order(start: Start, stub: Stub, workspace: Path) -> None:
    """Its stdin is closed, and it leaves by itself."""
    stub.plan({"ignore": ["SIGTERM"]}, CONVERSE, {"exit": 7})  # the signal comes soon, and a busy machine may be slower
    worker = await start()
    await worker.get_ready()
    await worker.process.end()
    assert worker.process.returncode == 7
