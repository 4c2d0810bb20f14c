"""Processes that wait: with the real CLI where it can be made to do it, else with the stub."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from ccapi.agent import pool as pools
from ccapi.agent.launch import child_secrets
from ccapi.agent.options import Resume, RunOptions
from ccapi.agent.pool import PoolLimits
from ccapi.agent.run import Agent, Run, RunRequest
from ccapi.agent.worker import READY_TIMEOUT
from ccapi.errors import CcapiError, GatewayStopping
from ccapi.wire.events import Notice, RunEvent, RunFailed, TextDelta
from tests.agent.pooling import (
    CONVERSE,
    OPTIONS,
    ask,
    counted,
    events_of,
    no_process_in,
    pids,
    ready,
    rehearsed,
    responds,
    running,
    until,
    worker_of,
)
from tests.gateway.harness import processes_in

LIMITS = PoolLimits(size=2, sessions=4)
NOTHING = PoolLimits(size=0, sessions=0)


def prompts(body: dict[str, Any]) -> list[str]:
    """The role of each message that the model was sent."""
    return [message["role"] for message in body["messages"] if message["role"] != "system"]


# --- what a process that waits is used for


async def test_a_ready_process_is_used_once_and_for_one_conversation(tmp_path: Path, claude: Path) -> None:
    """Each conversation has a process that no other has had, and the model sees of each what was said in it only."""
    async with rehearsed(tmp_path, claude) as real, real.agent(LIMITS) as agent:
        stood = await ready(agent, 2)
        first = await ask(agent, "the apple is red")
        second = await ask(agent, "the quince is yellow")
        assert {first.pid, second.pid} == set(stood)
        assert [first.start, second.start] == ["ready", "ready"]
        again = await ready(agent, 2)
        third = await ask(agent, "the plum is blue")
        assert third.start == "ready"
        assert third.pid in again[:2]
        assert len({asked.end.session_id for asked in (first, second, third)}) == 3
        for asked, fruit in ((first, "apple"), (second, "quince"), (third, "plum")):
            (body,) = real.requests(fruit)
            assert prompts(body) == ["user"]
            assert fruit in asked.text
            others = {"apple", "quince", "plum"} - {fruit}
            assert not [other for other in others if other in json.dumps(body)]
        assert len(real.model.conversation) == 3


async def test_what_the_model_sees_is_the_same_with_a_ready_process_and_without(tmp_path: Path, claude: Path) -> None:
    """System prompt, tools, messages, limits: to the byte, but for the ids of session and user."""
    options = dataclasses.replace(OPTIONS, system="Be brief.", effort="low")
    async with rehearsed(tmp_path, claude) as real:
        async with real.agent(NOTHING, start=None) as agent:
            assert (await ask(agent, "hello", options=options)).start == "cold"
        async with real.agent(LIMITS, start=options) as agent:
            await ready(agent, 2)
            assert (await ask(agent, "hello", options=options)).start == "ready"
        cold, warm = (dict(body) for body in real.model.conversation)
        assert cold.pop("metadata").keys() == warm.pop("metadata").keys()
        assert cold == warm


async def test_getting_ready_asks_nothing_of_the_api(tmp_path: Path, claude: Path) -> None:
    """Not even how many tokens something has; in a git repository or not."""
    async with rehearsed(tmp_path, claude) as real:
        for step in ("plain", "repository"):
            if step == "repository":
                git(real.workspace, "init", "-q", "-b", "main")
            async with real.agent(LIMITS) as agent:
                await ready(agent, 2)
                await asyncio.sleep(0.5)
        assert [path for path in real.model.paths if path.startswith("/v1")] == []


async def test_the_next_turn_goes_to_the_process_of_the_last_one(tmp_path: Path, claude: Path) -> None:
    """Natively: the session is the same, and so is the history."""
    async with rehearsed(tmp_path, claude) as real, real.agent(LIMITS) as agent:
        first = await ask(agent, "one")
        assert agent.pool.kept == 1
        assert agent.pool.stands_at(first.end.session_id, first.end.checkpoint)
        second = await ask(agent, "two", first.next_turn)
        third = await ask(agent, "three", Resume(first.end.session_id))
        assert [asked.start for asked in (second, third)] == ["kept", "kept"]
        assert {asked.pid for asked in (first, second, third)} == {first.pid}
        assert {asked.end.session_id for asked in (first, second, third)} == {first.end.session_id}
        assert [prompts(body) for body in real.model.conversation][-1] == ["user", "assistant"] * 2 + ["user"]
        # The turn's own numbers, not those of all turns so far.
        assert second.end.usage.output_tokens == first.end.usage.output_tokens
        assert second.end.turns == first.end.turns == 1
        assert 0 < (second.end.cost_usd or 0) < (first.end.cost_usd or 0)


async def test_a_fork_leaves_the_kept_process_to_its_own_conversation(tmp_path: Path, claude: Path) -> None:
    """The fork has a session of its own with the same history; the original goes on as if nothing had been."""
    async with rehearsed(tmp_path, claude) as real, real.agent(dataclasses.replace(LIMITS, size=0)) as agent:
        first = await ask(agent, "one")
        fork = await ask(agent, "another way", dataclasses.replace(first.next_turn, fork=True))
        assert fork.start == "cold"
        assert fork.end.session_id != first.end.session_id
        assert "one" in json.dumps(real.model.conversation[-1])
        second = await ask(agent, "two", first.next_turn)
        assert (second.start, second.pid) == ("kept", first.pid)
        assert not real.requests("another way")[1:]
        assert (await ask(agent, "on", fork.next_turn)).pid == fork.pid


async def test_an_earlier_checkpoint_or_other_options_need_another_process(tmp_path: Path, claude: Path) -> None:
    """And the kept one is ended: the session goes on past it, and it would not know."""
    async with rehearsed(tmp_path, claude) as real, real.agent(dataclasses.replace(LIMITS, size=0)) as agent:
        first = await ask(agent, "first question")
        second = await ask(agent, "second question", first.next_turn)
        back = await ask(agent, "back again", first.next_turn)
        assert back.start == "cold"
        assert back.end.session_id == first.end.session_id
        assert "second question" not in json.dumps(real.model.conversation[-1])
        await until(lambda: not running(second.pid), "the end of the process that was passed over")
        assert (await ask(agent, "and on", Resume(back.end.session_id))).pid == back.pid
        other = await ask(agent, "think", Resume(back.end.session_id), dataclasses.replace(OPTIONS, effort="high"))
        assert other.start == "cold"
        assert "second question" not in json.dumps(real.model.conversation[-1])
        assert "and on" in json.dumps(real.model.conversation[-1])
        await until(lambda: not running(back.pid), "the end of the process with the old options")


async def test_each_option_set_that_is_used_gets_its_process(tmp_path: Path, claude: Path) -> None:
    """Used is what was asked for twice; what was only expected makes room."""
    small = RunOptions(model="haiku", tools=())
    async with rehearsed(tmp_path, claude) as real, real.agent(LIMITS) as agent:
        await ready(agent, 2)
        starts = [(await ask(agent, "title", options=small)).start for _ in range(2)]
        assert starts == ["cold", "cold"]
        await ask(agent, "hello")
        agent.pool.refill()
        wanted = {OPTIONS, small}
        await until(lambda: {worker.options for worker in agent.pool._ready} == wanted, "a process for each")
        assert (await ask(agent, "title", options=small)).start == "ready"
        assert (await ask(agent, "hello")).start == "ready"
        *_, titled, plain = real.model.bodies
        assert "haiku" in titled["model"]
        assert "sonnet" in plain["model"]


async def test_a_burst_of_questions_is_answered_each_by_its_own_process(tmp_path: Path, claude: Path) -> None:
    """Two stand ready, six must be started, none gets what is another's."""
    async with rehearsed(tmp_path, claude) as real, real.agent(LIMITS) as agent:
        await ready(agent, 2)
        answers = await asyncio.gather(*(ask(agent, f"number-{number}-of-8") for number in range(8)))
        assert sorted(answer.start for answer in answers) == ["cold"] * 6 + ["ready"] * 2
        assert len({answer.pid for answer in answers}) == 8
        assert [answer.text for answer in answers] == [f"You said: number-{number}-of-8" for number in range(8)]
        assert len({answer.end.session_id for answer in answers}) == 8
        assert len(real.model.conversation) == 8
        assert agent.pool.kept == LIMITS.sessions


async def test_what_has_no_next_turn_is_not_kept(tmp_path: Path) -> None:
    """A process without a session has none, and one with a budget has spent of it."""
    cli = counted(tmp_path)
    async with cli.agent(PoolLimits(size=0, sessions=4)) as agent:
        for options in (RunOptions(persist=False), RunOptions(max_budget_usd=1.0)):
            await ask(agent, "hello", options=options)
            assert agent.pool.kept == 0
        await ask(agent, "hello")
        assert agent.pool.kept == 1


# --- what the CLI read when it started


async def test_a_commit_after_the_start_is_seen(tmp_path: Path, claude: Path) -> None:
    """The CLI tells the model of the repository it works in: as it is now, not as it was when the process started."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    git(workspace, "init", "-q", "-b", "main")
    commit(workspace, "the first commit")
    async with rehearsed(tmp_path, claude) as real, real.agent(LIMITS) as agent:
        await ready(agent, 2)
        commit(workspace, "the second commit")
        (workspace / "untracked.txt").touch()
        fresh = await ask(agent, "hello")
        assert fresh.start == "ready"
        second = await ask(agent, "again", fresh.next_turn)
        assert (second.start, second.pid) == ("kept", fresh.pid)
        agent.pool.limits = NOTHING
        agent.pool.refill()
        await until(lambda: not pids(agent), "the end of all that wait")
        assert (await ask(agent, "hello")).start == "cold"
        warm, _, cold = (dict(body) for body in real.model.conversation)
        assert "the second commit" in json.dumps(warm)
        assert "untracked.txt" in json.dumps(warm)
        for body in (warm, cold):
            del body["metadata"]
        assert warm == cold, "the model sees how its process was started"


async def test_in_a_repository_tools_run_and_sessions_go_on(tmp_path: Path, claude: Path) -> None:
    """A process that was parked there is in all else like any other: its rights, its directory, its session file."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    git(workspace, "init", "-q", "-b", "main")
    async with rehearsed(tmp_path, claude, "fibonacci") as real, real.agent(LIMITS) as agent:
        await ready(agent, 2)
        asked = await ask(agent, "Write a fibonacci function and run it")
        assert asked.start == "ready"
        assert "[0, 1, 1, 2, 3, 5, 8, 13, 21, 34]" in str(asked.events)
        assert (workspace / "fibonacci.py").exists()
        await agent.pool.forget(asked.end.session_id)
        again = await ask(agent, "Write a fibonacci function and run it", asked.next_turn)
        assert (again.start, again.end.session_id) == ("cold", asked.end.session_id)
        assert "fibonacci.py" in json.dumps(real.model.conversation[-1]["messages"])


async def test_a_workspace_that_becomes_a_repository_is_seen_as_one(tmp_path: Path, claude: Path) -> None:
    """A process that was started before knows nothing of it."""
    async with rehearsed(tmp_path, claude) as real, real.agent(LIMITS) as agent:
        stood = await ready(agent, 2)
        git(real.workspace, "init", "-q", "-b", "trunk")
        assert (await ask(agent, "hello")).start == "cold"
        assert real.requests("trunk")
        assert not set(await ready(agent, 2)) & set(stood)
        assert (await ask(agent, "hello")).start == "ready"


def git(workspace: Path, *arguments: str) -> None:
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *who, *arguments], cwd=workspace, check=True)


def commit(workspace: Path, message: str) -> None:
    (workspace / "file.txt").write_text(message, "utf-8")
    git(workspace, "add", "-A")
    git(workspace, "commit", "-q", "-m", message)


async def test_new_settings_reach_the_next_conversation_and_turn(tmp_path: Path, claude: Path) -> None:
    """User memory is read at the start: neither a ready process nor a kept one is used any more."""
    async with rehearsed(tmp_path, claude) as real, real.agent(LIMITS) as agent:
        first = await ask(agent, "one")
        stood = await ready(agent, 2)
        (real.config / "CLAUDE.md").write_text("Always say xyzzy.", "utf-8")
        fresh = await ask(agent, "two")
        assert fresh.start == "cold"
        assert real.requests("xyzzy")
        assert (await ask(agent, "three", first.next_turn)).start == "cold"
        assert not set(await ready(agent, 2)) & set(stood)
        await until(lambda: not any(map(running, [*stood, first.pid])), "the end of the old ones")
        assert (await ask(agent, "four")).start == "ready"
        assert "xyzzy" in json.dumps(real.model.conversation[-1])


async def test_what_the_cli_itself_writes_replaces_nothing(tmp_path: Path, claude: Path) -> None:
    """Every run leaves something in its configuration directory."""
    async with rehearsed(tmp_path, claude) as real, real.agent(LIMITS) as agent:
        first = await ask(agent, "one")
        state = real.config / ".claude.json"
        written = state.read_bytes()
        stood = await ready(agent, 2)
        state.write_text(json.dumps(json.loads(written) | {"numStartups": 99, "tipsHistory": {"a": 1}}), "utf-8")
        second = await ask(agent, "two")
        third = await ask(agent, "three", first.next_turn)
        assert (second.start, third.start) == ("ready", "kept")
        assert second.pid in stood
        assert set(await ready(agent, 2)) & set(stood)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("settings.json", '{"language": "French"}'),
        (".claude.json", '{"mcpServers": {"a": {"command": "b"}}}'),
        (".credentials.json", '{"claudeAiOauth": {}}'),
        ("CLAUDE.md", "Be brief."),
    ],
)
async def test_each_part_of_the_configuration_counts(tmp_path: Path, name: str, content: str) -> None:
    """Settings, MCP servers, credentials, memory: what waits is replaced, and what is at work is not kept."""
    cli = counted(tmp_path)
    async with cli.agent(PoolLimits(size=1, sessions=2, quiet=0)) as agent:
        first = await ask(agent, "hello")
        await ready(agent, 1)
        async with agent.run(RunRequest("hello", OPTIONS)) as run:
            working = worker_of(run).process.pid
            await ready(agent, 1)
            before = pids(agent)
            assert first.pid in before
            (cli.launch.config_dir / name).write_text(content, "utf-8")
            await events_of(run)
        assert agent.pool.kept == 0 or working not in pids(agent)
        await until(lambda: not any(map(running, [*before, working])), "the end of the old ones")
        (after,) = await ready(agent, 1)
        assert (await ask(agent, "hello")).pid == after


async def test_nothing_is_started_while_somebody_is_at_the_configuration(tmp_path: Path) -> None:
    """A login to an MCP server is several changes; a process that starts between them would take part in it."""
    cli = counted(tmp_path)
    async with cli.agent(PoolLimits(size=1, sessions=1, quiet=60.0)) as agent:
        (before,) = await ready(agent, 1)
        (cli.launch.config_dir / "settings.json").write_text('{"language": "French"}', "utf-8")
        agent.pool.refill()
        await until(lambda: not running(before), "the end of the old one")
        agent.pool.refill()
        await asyncio.sleep(0.3)  # in which one would be started
        assert pids(agent) == []


async def test_new_credentials_of_the_environment_replace_what_waits(tmp_path: Path) -> None:
    """Also what is being started or at work in this moment: it has the old ones."""
    cli = counted(tmp_path)
    async with cli.agent(PoolLimits(size=1, sessions=1)) as agent:
        await ready(agent, 1)
        cli.stub.plan({"sleep": 0.5}, CONVERSE)
        async with agent.run(RunRequest("hello", OPTIONS)) as run:
            agent.pool.refill()
            await until(lambda: cli.starts == 2, "the start of another one")
            agent.renew(dataclasses.replace(cli.launch, secrets=child_secrets({"ANTHROPIC_API_KEY": "new"})))
            await events_of(run)
        assert agent.pool.kept == 0
        agent.pool.refill()
        await until(lambda: agent.pool.ready == 1, "a process ready")
        assert cli.starts == 3
        await until(lambda: set(processes_in(cli.workspace)) == set(pids(agent)), "the last notes of the old ones")
        assert (await ask(agent, "hello")).start == "ready"
        assert "CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR" in cli.stub.seen["environ"]


# --- health


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_process_that_died_or_hangs_while_it_waits_is_not_used(
    tmp_path: Path, claude: Path, number: signal.Signals
) -> None:
    """Ready or kept: the question goes to another one, at once, and is asked once."""
    async with rehearsed(tmp_path, claude) as real, real.agent(LIMITS) as agent:
        first = await ask(agent, "one")
        broken, whole = await ready(agent, 2), []
        os.kill(broken[0], number)
        os.kill(first.pid, number)
        began = time.monotonic()
        second = await ask(agent, "two")
        third = await ask(agent, "three", first.next_turn)
        assert time.monotonic() - began < READY_TIMEOUT
        whole = [second, third]
        assert second.pid not in {broken[0], first.pid}
        assert third.start == "cold"
        assert prompts(real.model.conversation[-1]) == ["user", "assistant", "user"]
        assert [asked.text for asked in whole] == ["You said: two", "You said: three"]
        assert len(real.model.conversation) == 3
        await until(lambda: not running(broken[0]) and not running(first.pid), "the end of the broken ones")
        await ready(agent, 2)


async def test_one_that_is_awake_but_does_not_answer_is_not_used(tmp_path: Path) -> None:
    """It looks like any other from outside."""
    cli = counted(tmp_path, {"await_input": 1}, {"lines": [responds("initialize")]}, {"await_end_of_input": None})
    async with cli.agent(PoolLimits(size=1, sessions=0)) as agent:
        (deaf,) = await ready(agent, 1)
        cli.stub.plan(CONVERSE)
        asked = await ask(agent, "hello")
        assert (asked.text, asked.start) == ("hello", "cold")
        await until(lambda: not running(deaf), "its end")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_process_that_fails_with_the_turn_in_its_hands_is_replaced(
    tmp_path: Path, claude: Path, number: signal.Signals
) -> None:
    """Ready or kept: the answer comes from a new one, the model is asked once, and the client is told."""

    def strike(run: Run) -> None:
        os.kill(worker_of(run).process.pid, number)

    async with rehearsed(tmp_path, claude) as real, real.agent(dataclasses.replace(LIMITS, size=1)) as agent:
        await ready(agent, 1)
        first = await ask(agent, "one", begun=strike)
        assert first.start == "ready"
        assert first.text == "You said: one"
        second = await ask(agent, "two", first.next_turn, begun=strike)
        assert second.start == "kept"
        assert second.text == "You said: two"
        assert second.end.session_id == first.end.session_id
        for asked in (first, second):
            assert [event.kind for event in asked.events if isinstance(event, Notice)] == ["replaced"]
        assert [prompts(body) for body in real.model.conversation] == [["user"], ["user", "assistant", "user"]]


async def test_after_its_first_sign_a_turn_is_never_asked_again(tmp_path: Path, claude: Path) -> None:
    """The model may have done something already: the answer fails, and says how."""
    async with rehearsed(tmp_path, claude, "slow") as real, real.agent(dataclasses.replace(LIMITS, size=1)) as agent:
        await ready(agent, 1)
        async with agent.run(RunRequest("hello", OPTIONS)) as run:
            events: list[RunEvent] = []
            while not any(isinstance(event, TextDelta) for event in events):
                events += await run.next(1.0)
            os.kill(worker_of(run).process.pid, signal.SIGKILL)
            *_, end = await events_of(run)
        assert isinstance(end, RunFailed)
        assert "signal 9" in end.error.message
        assert len(real.model.conversation) == 1


# --- bounds


async def test_the_least_recently_used_are_let_go_when_there_are_too_many(tmp_path: Path) -> None:
    """A turn counts as use; so many processes and no more are there."""
    cli = counted(tmp_path)
    async with cli.agent(PoolLimits(size=0, sessions=2)) as agent:
        first = await ask(agent, "one")
        second = await ask(agent, "two")
        assert (await ask(agent, "more", first.next_turn)).pid == first.pid
        third = await ask(agent, "three")
        await until(lambda: not running(second.pid), "the end of the one that was not used for longest")
        assert set(pids(agent)) == {first.pid, third.pid}
        await agent.pool.forget(first.end.session_id)
        assert not running(first.pid)
        assert agent.pool.kept == 1


async def test_a_process_waits_for_its_time_and_no_longer(tmp_path: Path) -> None:
    """A ready one and a kept one have times of their own."""
    cli = counted(tmp_path)
    async with cli.agent(PoolLimits(size=1, sessions=1, session_idle=1.0, max_age=8.0)) as agent:
        (old,) = await ready(agent, 1)
        assert (await ask(agent, "hello")).pid == old
        (young,) = [pid for pid in await ready(agent, 1) if pid != old]

        def ended(pid: int) -> bool:
            agent.pool.refill()
            return not running(pid)

        await until(lambda: ended(old), "the end of the kept one")
        assert agent.pool.kept == 0
        assert running(young)
        await until(lambda: ended(young) and agent.pool.ready == 1, "another ready one")


async def test_a_small_memory_keeps_nothing_and_does_not_try_for_ever(tmp_path: Path) -> None:
    """The first start shows what a process takes; after it nothing is started in vain."""
    cli = counted(tmp_path)
    async with cli.agent(PoolLimits(size=4, sessions=4, memory=1000)) as agent:
        for _ in range(10):
            agent.pool.refill()
            await asyncio.sleep(0.1)
        assert cli.starts == 1
        assert (await ask(agent, "hello")).start == "cold"
        assert (agent.pool.ready, agent.pool.kept) == (0, 0)


async def test_memory_bounds_how_many_wait(tmp_path: Path) -> None:
    """Kept processes go before ready ones, which the next question needs whoever asks it."""
    cli = counted(tmp_path)
    async with cli.agent(PoolLimits(size=1, sessions=1)) as agent:
        await ready(agent, 1)
        one = next(agent.pool.waiting()).process.memory
    assert one > 1_000_000
    async with cli.agent(PoolLimits(size=8, sessions=8, memory=int(3.7 * one))) as agent:
        await ready(agent, 3)
        asked = await ask(agent, "hello")
        for _ in range(3):
            agent.pool.refill()
            await asyncio.sleep(0.2)
            assert sum(worker.process.memory for worker in agent.pool.waiting()) <= agent.pool.limits.memory
        assert agent.pool.ready + agent.pool.kept == 3
        assert running(asked.pid) == bool(agent.pool.kept)


async def test_zero_means_that_no_process_waits(tmp_path: Path) -> None:
    """Each question starts its own, which ends with the answer."""
    cli = counted(tmp_path)
    async with cli.agent(NOTHING) as agent:
        for _ in range(3):
            agent.pool.refill()
            assert (await ask(agent, "hello")).start == "cold"
            assert (agent.pool.ready, agent.pool.kept) == (0, 0)
        assert cli.starts == 3


async def test_three_option_sets_in_turn_do_not_drive_each_other_out(tmp_path: Path) -> None:
    """With room for two, two of them find a process; and none is started that is not used."""
    cli = counted(tmp_path)
    sets = [RunOptions(model=name) for name in ("opus", "sonnet", "haiku")]
    async with cli.agent(PoolLimits(size=2, sessions=0), start=sets[0]) as agent:
        seen: list[str] = []
        for number in range(18):
            await ready(agent, 2)
            seen.append(await take(agent, sets[number % 3]))
        assert seen[-6:].count("ready") == 4
        await ready(agent, 2)
        assert cli.starts <= seen.count("ready") + 2 + 4  # four more until it knew what is used


async def take(agent: Agent, options: RunOptions) -> str:
    """What a question of these options would get; the process is ended, not asked."""
    worker = await agent.pool.take(options, None)
    if worker is None:
        return "cold"
    await worker.process.end()
    return "ready"


# --- what goes wrong


async def test_a_missing_binary_ends_neither_the_pool_nor_the_processors_rest(tmp_path: Path) -> None:
    """Once it is there again and asked for, processes stand ready as before."""
    cli = counted(tmp_path)
    gone = cli.launch.binary.rename(tmp_path / "gone")
    async with cli.agent(PoolLimits(size=2, sessions=0)) as agent:
        for _ in range(5):
            agent.pool.refill()
            with pytest.raises(CcapiError):
                await ask(agent, "hello")
            await asyncio.sleep(0.05)
        assert agent.pool.ready == 0
        gone.rename(cli.launch.binary)
        await ask(agent, "hello")
        await ask(agent, "hello")
        await ready(agent, 2)
        assert cli.starts == 4


async def test_options_that_cannot_be_started_cost_the_others_nothing(
    tmp_path: Path, claude: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A schema that the CLI refuses fails each time it is asked for, and beside that is tried for every second time."""
    bad = dataclasses.replace(OPTIONS, json_schema='{"type": "no such type"}')
    async with rehearsed(tmp_path, claude) as real, real.agent(dataclasses.replace(LIMITS, size=1)) as agent:
        await ready(agent, 1)
        for _ in range(6):  # until it is the one asked for most
            async with agent.run(RunRequest("hello", bad)) as run:
                *_, end = await events_of(run)
            assert isinstance(end, RunFailed)
            agent.pool.refill()
        await until(lambda: "could be kept ready" in caplog.text, "that it was given up")
        assert caplog.text.count("could be kept ready") <= 3
        assert (await ask(agent, "hello")).text == "You said: hello"
        assert (await ask(agent, "hello")).text == "You said: hello"
        await ready(agent, 1)
        assert (await ask(agent, "hello")).start == "ready"


@pytest.mark.parametrize("model", ["a\0b", "a\ud800b"])
async def test_an_argument_that_no_process_can_be_given_does_not_end_the_pool(tmp_path: Path, model: str) -> None:
    """NUL and lone surrogates cannot be on a command line."""
    cli = counted(tmp_path)
    bad = RunOptions(model=model)
    async with cli.agent(PoolLimits(size=1, sessions=0), start=bad) as agent:
        await until(lambda: bad not in agent.pool._asked, "that it was given up")
        assert [await take(agent, OPTIONS) for _ in range(2)] == ["cold", "cold"]
        await ready(agent, 1)


async def test_a_process_that_ends_as_soon_as_it_is_ready_is_not_started_again_and_again(tmp_path: Path) -> None:
    """At most as many as shall stand ready, each time one looks."""
    cli = counted(tmp_path, {"await_input": 1}, {"lines": [responds("initialize")]}, {"exit": 1})
    async with cli.agent(PoolLimits(size=2, sessions=0)):
        began = time.monotonic()
        await until(lambda: cli.starts, "the first start")
        await asyncio.sleep(1.5)
        assert cli.starts <= 2 * (1 + (time.monotonic() - began) // pools._LOOK)


# --- the end


async def test_the_end_of_the_agent_is_the_end_of_every_process(tmp_path: Path, claude: Path) -> None:
    """Ready, kept and at work; in the time that one takes."""
    async with rehearsed(tmp_path, claude, "slow") as real, real.agent(LIMITS) as agent:
        await ready(agent, 2)
        async with agent.run(RunRequest("hello", OPTIONS)) as run:
            assert await run.next(30.0)
            await ready(agent, 2)
            began = time.monotonic()
            await agent.close()
            assert time.monotonic() - began < READY_TIMEOUT
            await no_process_in(real.workspace)
            *_, end = await events_of(run)
        assert isinstance(end, RunFailed)
        assert isinstance(end.error, GatewayStopping)
        assert (agent.pool.ready, agent.pool.kept) == (0, 0)


@pytest.mark.parametrize("delay", [0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.6])
async def test_an_end_while_processes_start_leaves_none(tmp_path: Path, claude: Path, delay: float) -> None:
    """At whatever point of the start it comes."""
    async with rehearsed(tmp_path, claude) as real, real.agent(LIMITS) as agent:
        await asyncio.sleep(delay)
        await agent.close()
        await no_process_in(real.workspace)


@pytest.mark.parametrize("pooled", [True, False])
async def test_a_cancellation_at_any_moment_leaks_nothing(tmp_path: Path, *, pooled: bool) -> None:
    """Of two turns, the first in a ready process and the next in a kept one, or each in a new one: afterwards every
    process that is there is one that the pool knows of.
    """
    cli = counted(tmp_path)
    limits = PoolLimits(size=1, sessions=1) if pooled else NOTHING
    async with cli.agent(limits) as agent:
        for step in range(30):
            await ready(agent, limits.size)
            asking = asyncio.create_task(two_turns(agent))
            # From nothing to longer than both take, and close together where much happens.
            await asyncio.sleep(step * step * (0.0001 if pooled else 0.0004))
            asking.cancel()
            await asyncio.wait([asking])
            await until(lambda: not agent.working, "the end of the run")
            await ready(agent, limits.size)
            await until(lambda: set(processes_in(cli.workspace)) == set(pids(agent)), "the end of all others")


async def two_turns(agent: Agent) -> None:
    first = await ask(agent, "hello")
    await ask(agent, "again", first.next_turn)


async def test_a_cancellation_during_the_health_check_leaks_nothing(tmp_path: Path) -> None:
    """The process is nobody's then: neither the pool's any more nor the run's."""
    cli = counted(tmp_path, {"await_input": 1}, {"lines": [responds("initialize")]}, {"await_end_of_input": None})
    async with cli.agent(PoolLimits(size=1, sessions=0)) as agent:
        (pid,) = await ready(agent, 1)
        asking = asyncio.create_task(ask(agent, "hello"))
        await until(lambda: agent.pool.ready == 0, "the health check")
        await asyncio.sleep(0.05)
        asking.cancel()
        await asyncio.wait([asking])
        await until(lambda: not running(pid), "its end")


async def test_two_questions_at_once_never_get_one_process(tmp_path: Path) -> None:
    """While the first is looked at, it is no longer there for the second; nor is a kept one."""
    cli = counted(tmp_path)
    async with cli.agent(PoolLimits(size=2, sessions=1)) as agent:
        asked = await ask(agent, "hello")
        await ready(agent, 2)
        for resume, there in ((None, 2), (asked.next_turn, 1)):
            taken = await asyncio.gather(*(agent.pool.take(OPTIONS, resume) for _ in range(4)))
            workers = [worker for worker in taken if worker]
            assert len({worker.process.pid for worker in workers}) == len(workers) == there
            await asyncio.gather(*(worker.process.end() for worker in workers))
