"""Runs, with the stub in place of the CLI: what the real one cannot be made to do."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ccapi.agent.launch import Launch
from ccapi.agent.options import RunOptions
from ccapi.agent.run import Agent, Run, RunRequest, family_alias
from ccapi.errors import CcapiError, ClaudeFailed, ClaudeNotFound, ModelUnavailable, NotSignedIn, RunTimeout
from ccapi.wire.events import Notice, RunEvent, RunFailed, RunFinished, ToolFinished
from tests.agent import streamjson as sj
from tests.agent.stub import ENVIRONMENT, STUB, Stub
from tests.gateway.harness import assert_gone, await_that, processes_in

MakeAgent = Callable[..., Agent]
QUESTION = RunRequest("hello", RunOptions(model="sonnet"))
# Seconds: far more than any grace takes on a busy machine, and far less than the minute that the stub stays silent.
SOON = 25.0


async def events_of(run: Run, wait: float = 30.0) -> list[RunEvent]:
    """All events until the terminal one. Checks that there is exactly one and that it is the last."""
    events: list[RunEvent] = []
    while not run.ended:
        events += await run.next(wait)
    terminal = [event for event in events if isinstance(event, RunFinished | RunFailed)]
    assert len(terminal) == 1
    assert events[-1] is terminal[0]
    return events


async def ask(agent: Agent, request: RunRequest = QUESTION, wait: float = 30.0) -> list[RunEvent]:
    async with agent.run(request) as run:
        return await events_of(run, wait)


async def started(stub: Stub) -> None:
    """Return once the stub runs."""
    await asyncio.to_thread(await_that, lambda: stub.seen, "the start of the stub")


def error_of(events: list[RunEvent]) -> CcapiError:
    assert isinstance(events[-1], RunFailed)
    return events[-1].error


# --- what is sent


async def test_the_prompt_goes_over_stdin_and_nowhere_else(agent: MakeAgent, stub: Stub) -> None:
    """`initialize` with the system prompt, then the user's turn; argv and environment hold neither."""
    stub.plan({"await_input": 2}, {"lines": sj.answer("hi")}, {"await_end_of_input": None})
    await ask(agent(), RunRequest("the question", RunOptions(model="haiku", system="the instructions")))
    initialize, turn = stub.stdin
    assert initialize["type"] == "control_request"
    assert initialize["request"]["subtype"] == "initialize"
    assert initialize["request"]["appendSystemPrompt"] == "the instructions"
    assert turn == {"type": "user", "message": {"role": "user", "content": "the question"}}
    assert stub.seen["argv"] == Launch(STUB, Path()).command(RunOptions(model="haiku")).argv[1:]
    public = " ".join([*stub.seen["argv"], *stub.seen["environ"].values()])
    assert "question" not in public
    assert "instructions" not in public


@pytest.mark.parametrize("prompt", ["/compact", "/etc/passwd is what?", "read @/etc/passwd", "mail me: a@b.org"])
async def test_a_prompt_that_looks_like_a_command_is_marked_as_text(agent: MakeAgent, stub: Stub, prompt: str) -> None:
    """So that the CLI takes it for neither a slash command nor a file to attach."""
    stub.plan({"await_input": 2}, {"lines": sj.answer("hi")})
    await ask(agent(), RunRequest(prompt))
    assert stub.stdin[1]["message"]["content"] == prompt
    assert stub.stdin[1]["client_composed"] is True


async def test_a_prompt_of_any_characters_arrives(agent: MakeAgent, stub: Stub) -> None:
    """One line of ASCII JSON, whatever it holds: line ends, separators, NUL, emoji, a lone surrogate."""
    prompt = 'a\nb\r\nc\u2028d\u0085e\x00f"\\g🎉\ud83d'
    stub.plan({"await_input": 2}, {"lines": sj.answer("hi")})
    await ask(agent(), RunRequest(prompt))
    assert stub.stdin[1]["message"]["content"] == prompt


async def test_only_the_allowed_environment_reaches_the_process(agent: MakeAgent, stub: Stub) -> None:
    """The launch's own variables, and the mark by which its processes are found again."""
    stub.plan({"lines": sj.answer("hi")})
    await ask(agent())
    environ = set(stub.seen["environ"]) - {"PWD", "SHLVL", "_", "LC_CTYPE"}  # what a shebang line's programs add
    assert environ == {"PATH", "CCAPI_PROCESS"}


async def test_stdin_is_closed_once_the_turn_is_over(agent: MakeAgent, stub: Stub) -> None:
    """That is how the CLI learns that no further turn comes; it then leaves by itself, without a signal."""
    stub.plan({"await_input": 2}, {"lines": sj.answer("hi")}, {"await_end_of_input": None}, {"stderr": "left"})
    async with agent().run(QUESTION) as run:
        await events_of(run)
        process = run._process  # the exit code says that no signal was needed
        assert await process.exited(SOON)
        assert process.returncode == 0


# --- long lines, many events


async def test_a_line_of_2_mb_arrives_whole(agent: MakeAgent, stub: Stub) -> None:
    """Longer than any buffer: `readline()` would have failed at 64 KiB."""
    output = "0123456789abcdef" * (2 * 1024 * 1024 // 16)
    lines = [sj.init(), *sj.streamed("m1", sj.tool_use("t1")), sj.tool_result("t1", output), sj.result()]
    stub.plan({"lines": lines})
    events = await ask(agent())
    (result,) = [event for event in events if isinstance(event, ToolFinished)]
    assert len(result.output) == 2 * 1024 * 1024
    assert result.output == output
    assert isinstance(events[-1], RunFinished)


async def test_20000_events_arrive_in_order(agent: MakeAgent, stub: Stub) -> None:
    """No limit on chunks, and none is lost or repeated."""
    tokens = [f"{n} " for n in range(20_000)]
    deltas = [sj.text_delta(0, token) for token in tokens]
    end = [sj.assistant("m1", sj.text("".join(tokens))), sj.block_stop(0), sj.message_stop(), sj.result()]
    stub.plan({"lines": [sj.init(), sj.message_start("m1"), sj.block_start(0, sj.text("")), *deltas, *end]})
    events = await ask(agent())
    assert sj.said(events) == "".join(tokens)
    assert isinstance(events[-1], RunFinished)


async def test_a_line_over_the_limit_ends_the_run_and_the_process(
    agent: MakeAgent, stub: Stub, workspace: Path
) -> None:
    """More than 128 MB without a line end is no message: a failure, and the process does not live on."""
    stub.plan({"ignore": ["SIGPIPE"]}, {"lines": [sj.init()]}, {"fill": 130 * 1024 * 1024}, {"sleep": 60})
    error = error_of(await ask(agent()))
    assert type(error) is ClaudeFailed
    assert processes_in(workspace) == {}


# --- ends


async def test_a_kill_in_mid_run_is_a_failure_and_no_short_answer(agent: MakeAgent, stub: Stub) -> None:
    """What was said stays said; the end says that the process was killed."""
    stub.plan({"lines": [sj.init(), *list(sj.streamed("m1", sj.text("Half of")))[:-2]]}, {"kill_self": signal.SIGKILL})
    events = await ask(agent())
    assert sj.said(events) == "Half of"
    error = error_of(events)
    assert type(error) is ClaudeFailed
    assert "killed by signal 9" in error.message


async def test_a_kill_from_outside_is_noticed_at_once(agent: MakeAgent, stub: Stub) -> None:
    """Someone (the OOM killer) kills a running process: the run ends without waiting for any timeout."""
    stub.plan({"lines": [sj.init(), sj.message_start("m1")]}, {"sleep": 60})
    async with agent().run(QUESTION) as run:
        assert await run.next(30)
        began = time.monotonic()
        run._process._signal(signal.SIGKILL)
        events = await events_of(run)
        assert "killed by signal 9" in error_of(events).message
        assert time.monotonic() - began < SOON


async def test_an_exit_in_mid_answer_is_a_failure_with_the_code(agent: MakeAgent, stub: Stub) -> None:
    """stderr is kept for the log, where an operator looks; it may name paths and worse, so it is not in the message."""
    stub.plan(
        {"lines": [sj.init()]}, {"stderr": "warning\nfatal: no space left, key sk-ant-api03-abcdefgh\n"}, {"exit": 3}
    )
    error = error_of(await ask(agent()))
    assert type(error) is ClaudeFailed
    assert "exited with 3 before its answer was complete" in error.message
    assert "sk-ant" not in error.message
    assert "no space left" in (error.detail or "")


async def test_an_exit_with_0_without_a_result_is_a_failure_too(agent: MakeAgent, stub: Stub) -> None:
    """Only the CLI's `result` says that an answer is complete."""
    stub.plan({"lines": [sj.init(), *sj.streamed("m1", sj.text("Hello."))]})
    events = await ask(agent())
    assert sj.said(events) == "Hello."
    assert type(error_of(events)) is ClaudeFailed


async def test_output_that_says_nothing_is_a_failure(agent: MakeAgent, stub: Stub) -> None:
    """A program that is no Claude Code at all."""
    stub.plan({"raw": "Usage: claude [options]\n\nunknown option\n"}, {"exit": 1})
    assert type(error_of(await ask(agent()))) is ClaudeFailed


async def test_garbage_among_the_lines_is_ignored(agent: MakeAgent, stub: Stub) -> None:
    """Lines that are no JSON: a wrapper's or a library's; also bytes that are no UTF-8."""
    start, *rest = sj.answer("Hello.")
    stub.plan({"raw": "[debug] start\n\n"}, {"lines": [start]}, {"raw": "\udcff\udcfe noise\n"}, {"lines": rest})
    events = await ask(agent())
    assert sj.said(events) == "Hello."
    assert isinstance(events[-1], RunFinished)


async def test_broken_json_is_a_failure_after_what_was_said(agent: MakeAgent, stub: Stub) -> None:
    """Everything before the broken line is kept, also when it came in the same read."""
    stub.plan(
        {"lines": [sj.init(), *sj.streamed("m1", sj.text("Hello."))]},
        {"raw": '{"type": "assist\n'},
        {"await_end_of_input": None},
    )
    events = await ask(agent())
    assert sj.said(events) == "Hello."
    assert type(error_of(events)) is ClaudeFailed


async def test_broken_json_in_the_same_read_keeps_what_was_said(agent: MakeAgent, stub: Stub) -> None:
    """The same, written at once."""
    import json

    said = "".join(json.dumps(line) + "\n" for line in [sj.init(), *sj.streamed("m1", sj.text("Hello."))])
    stub.plan({"raw": said + '{"type": "assist\n'}, {"await_end_of_input": None})
    events = await ask(agent())
    assert sj.said(events) == "Hello."
    assert type(error_of(events)) is ClaudeFailed


async def test_a_last_line_without_its_end_counts(agent: MakeAgent, stub: Stub) -> None:
    """The CLI ended after its `result` but before the line end."""
    import json

    *lines, last = sj.answer("Hello.")
    stub.plan({"lines": lines}, {"raw": json.dumps(last)})
    assert isinstance((await ask(agent()))[-1], RunFinished)


async def test_silence_is_bounded(agent: MakeAgent, stub: Stub) -> None:
    """A CLI that never says anything: the idle timeout, which the error names with its setting."""
    stub.plan({"sleep": 60})
    began = time.monotonic()
    error = error_of(await ask(agent(idle_timeout=0.5)))
    assert type(error) is RunTimeout
    assert "0.5 s" in error.message
    assert "gateway.timeout" in (error.hint or "")
    assert time.monotonic() - began < SOON


async def test_a_run_that_speaks_now_and_then_is_not_silent(agent: MakeAgent, stub: Stub) -> None:
    """The timeout bounds the silence, not the run: more seconds of signs, at far less than the timeout's distance."""
    sign = sj.state("running")
    stub.plan({"repeat": {"times": 25, "line": sign, "pause": 0.2}}, {"lines": sj.answer("Hello.")})
    assert isinstance((await ask(agent(idle_timeout=4.0)))[-1], RunFinished)


async def test_next_gives_nothing_after_a_while_of_silence(agent: MakeAgent, stub: Stub) -> None:
    """That is what heartbeats are made of."""
    stub.plan({"lines": [sj.init()]}, {"await_end_of_input": None})
    async with agent().run(QUESTION) as run:
        assert await run.next(30)
        began = time.monotonic()
        assert await run.next(0.2) == []
        assert 0.15 < time.monotonic() - began < SOON


async def test_a_result_is_enough_when_the_cli_does_not_leave(agent: MakeAgent, stub: Stub) -> None:
    """Complete, stdin closed, and still there: after a grace it is ended, and the answer is whole."""
    stub.plan({"lines": sj.answer("Hello.")}, {"sleep": 60})
    began = time.monotonic()
    events = await ask(agent())
    assert sj.said(events) == "Hello."
    assert isinstance(events[-1], RunFinished)
    assert time.monotonic() - began < SOON


async def test_a_grandchild_that_holds_stdout_does_not_hold_the_answer(
    agent: MakeAgent, stub: Stub, workspace: Path
) -> None:
    """The process is gone, so the answer is over: at once, not at some timeout; and the grandchild is ended too."""
    stub.plan({"lines": sj.answer("Hello.")}, {"grandchild": {"seconds": 60, "own_group": True}})
    began = time.monotonic()
    events = await ask(agent(), wait=60)
    assert isinstance(events[-1], RunFinished)
    assert time.monotonic() - began < SOON
    assert_gone(workspace, within=5)


async def test_a_closed_output_without_an_exit_is_a_failure(agent: MakeAgent, stub: Stub) -> None:
    """Nothing more can come: the run ends although the process does not."""
    stub.plan({"lines": [sj.init()]}, {"close_stdout": None}, {"sleep": 60})
    async with asyncio.timeout(SOON):
        error = error_of(await ask(agent()))
    assert type(error) is ClaudeFailed
    assert "closed its output" in error.message


async def test_an_older_cli_that_says_nothing_of_its_state(agent: MakeAgent, stub: Stub) -> None:
    """Without `session_state_changed`, the `result` is the end of the turn: stdin is closed and the CLI leaves."""
    stub.plan({"await_input": 2}, {"lines": sj.answer("Hello.")}, {"await_end_of_input": None})
    assert isinstance((await ask(agent()))[-1], RunFinished)


async def test_messages_after_the_first_result_are_part_of_the_answer(agent: MakeAgent, stub: Stub) -> None:
    """Work in the background ends later and brings another turn: no early end on `result`."""
    stub.plan(
        {"lines": [sj.init(), sj.state("running"), sj.background("b1")]},
        {"lines": [*sj.streamed("m1", sj.text("Started.")), sj.result(), sj.state("idle")]},
        {"sleep": 6.5},  # longer than the grace for a CLI that does not leave
        {"lines": [sj.background(), sj.state("running"), sj.init(), *sj.streamed("m2", sj.text("Over."))]},
        {"lines": [sj.result(num_turns=2), sj.state("idle")]},
        {"await_end_of_input": None},
    )
    events = await ask(agent(), wait=1)
    assert sj.transcript(events) == "Started.\n\n---\n\nOver."
    assert isinstance(events[-1], RunFinished)
    assert events[-1].turns == 3


async def test_what_does_not_end_in_the_background_does_not_hold_the_answer(agent: MakeAgent, stub: Stub) -> None:
    """A server that the answer left running: after the grace the answer is complete, and a notice says what ends."""
    stub.plan(
        {"lines": [sj.init(), sj.state("running"), sj.background("b1")]},
        {"lines": [*sj.streamed("m1", sj.text("Server runs.")), sj.result(), sj.state("idle")]},
        {"sleep": 60},
    )
    began = time.monotonic()
    events = await ask(agent(background_grace=1.5), wait=1)
    assert time.monotonic() - began < SOON
    assert isinstance(events[-1], RunFinished)
    assert [event.kind for event in events if isinstance(event, Notice)] == ["background"]


async def test_a_turn_that_is_owed_is_waited_for(agent: MakeAgent, stub: Stub) -> None:
    """The state is still `running` at the `result`: stdin stays open until it is `idle`."""
    stub.plan(
        {"lines": [sj.init(), sj.state("running"), *sj.streamed("m1", sj.text("One.")), sj.result()]},
        {"lines": [*sj.streamed("m2", sj.text("Two.")), sj.result(), sj.state("idle")]},
        {"await_end_of_input": None},
    )
    assert sj.transcript(await ask(agent())) == "One.\n\n---\n\nTwo."


# --- leaving


async def leave(agent: Agent, *, after: int = 1) -> float:
    """Leave a run in the middle; the seconds that took."""
    async with agent.run(QUESTION) as run:
        for _ in range(after):
            assert await run.next(30)
        began = time.monotonic()
    return time.monotonic() - began


async def test_leaving_asks_before_it_kills(agent: MakeAgent, stub: Stub) -> None:
    """The CLI is told to interrupt its turn and sees the end of its stdin; then it leaves by itself."""
    stub.plan(
        {"ignore": ["SIGTERM"]},  # which comes soon, and a busy machine may be slower
        {"await_input": 2}, {"lines": [sj.init()]}, {"await_input": 3}, {"await_end_of_input": None}, {"exit": 7},
    )  # fmt: skip
    async with agent().run(QUESTION) as run:
        assert await run.next(30)
        process = run._process
    assert stub.stdin[-1]["request"] == {"subtype": "interrupt"}
    assert process.returncode == 7


async def test_a_process_that_ignores_sigterm_is_killed(agent: MakeAgent, stub: Stub, workspace: Path) -> None:
    """Interrupt, end of stdin, TERM, KILL: each with a deadline, so the end comes in bounded time. Its tools, which are
    in process groups of their own and survive its SIGKILL, are ended too.
    """
    steps: list[dict[str, Any]] = [
        {"grandchild": {"seconds": 60, "own_group": True}},
        {"ignore": ["SIGTERM", "SIGINT", "SIGHUP"]},
        {"lines": [sj.init()]},
    ]
    stub.plan(*steps, {"sleep": 60})
    assert await leave(agent()) < SOON
    assert_gone(workspace, within=5)


async def test_a_process_that_floods_its_output_can_be_left(agent: MakeAgent, stub: Stub, workspace: Path) -> None:
    """It must not hang in a full pipe while it is told to end."""
    stub.plan({"lines": [sj.init()]}, {"repeat": {"times": 1_000_000, "line": sj.text_delta(0, "x" * 1000)}})
    assert await leave(agent()) < SOON
    assert processes_in(workspace) == {}


async def test_a_cancelled_run_ends_its_process(agent: MakeAgent, stub: Stub, workspace: Path) -> None:
    """The client left: its handler is cancelled in the middle of `next`."""
    stub.plan({"lines": [sj.init()]}, {"sleep": 60})
    task = asyncio.create_task(ask(agent(), wait=30))
    await started(stub)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert processes_in(workspace) == {}


async def test_a_second_cancellation_does_not_stop_the_end(agent: MakeAgent, stub: Stub, workspace: Path) -> None:
    """Whoever waits for the end may be cancelled as well; the end goes on to its end."""
    stub.plan({"ignore": ["SIGTERM", "SIGINT"]}, {"lines": [sj.init()]}, {"sleep": 60})
    one = agent()
    task = asyncio.create_task(ask(one, wait=30))
    await started(stub)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.1)
    with pytest.raises(asyncio.CancelledError):
        await task
    await one.close()
    assert processes_in(workspace) == {}


async def test_a_client_that_leaves_before_the_prompt_was_read(agent: MakeAgent, stub: Stub, workspace: Path) -> None:
    """A prompt larger than the pipe and a CLI that does not read it: leaving works all the same."""
    stub.plan({"deaf": True}, {"sleep": 60})
    task = asyncio.create_task(ask(agent(), RunRequest("x" * 4_000_000), wait=30))
    await started(stub)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert processes_in(workspace) == {}


async def test_a_cli_that_never_reads_its_prompt_is_silent(agent: MakeAgent, stub: Stub) -> None:
    """The idle timeout holds for it as well."""
    stub.plan({"deaf": True}, {"sleep": 60})
    async with asyncio.timeout(SOON):
        events = await ask(agent(idle_timeout=1.0), RunRequest("x" * 4_000_000), wait=0.5)
    assert type(error_of(events)) is RunTimeout


async def test_closing_the_agent_ends_every_process(agent: MakeAgent, stub: Stub, workspace: Path) -> None:
    """Two runs are active when the gateway ends; each gets its terminal event."""
    stub.plan({"lines": [sj.init()]}, {"sleep": 60})
    one = agent()
    async with one.run(QUESTION) as first, one.run(QUESTION) as second:
        assert all(await asyncio.gather(first.next(30), second.next(30)))
        readers = [asyncio.create_task(events_of(run, wait=30)) for run in (first, second)]
        await asyncio.sleep(0)
        began = time.monotonic()
        await one.close()
        assert processes_in(workspace) == {}
        ends = await asyncio.gather(*readers)
        assert time.monotonic() - began < SOON
    assert all(isinstance(events[-1], RunFailed) for events in ends)


# --- starts that fail, and the fallback


async def test_a_binary_that_cannot_be_executed_is_named_in_the_log_only(workspace: Path, tmp_path: Path) -> None:
    """The error says what is wrong; the path is a detail for the operator."""
    one = Agent(Launch(tmp_path, workspace))  # a directory
    with pytest.raises(ClaudeNotFound, match="Permission denied") as caught:
        async with one.run(QUESTION):
            pass
    assert str(tmp_path) not in caught.value.message


async def test_a_workspace_that_is_gone_is_a_clear_failure(workspace: Path) -> None:
    """Someone removed the directory while the gateway was running."""
    await asyncio.to_thread(workspace.rmdir)
    one = Agent(Launch(STUB, workspace, {}))
    with pytest.raises(ClaudeFailed, match="workspace is gone"):
        async with one.run(QUESTION):
            pass


def refused(status: int, error: str, text: str) -> list[dict[str, Any]]:
    failed = sj.result(is_error=True, api_error_status=status, result=text, session_id="s")
    return [sj.init(), sj.api_retry(status, error=error), sj.synthetic(text), failed]


async def test_a_refused_sign_in_ends_the_run_at_the_first_refusal(agent: MakeAgent, stub: Stub) -> None:
    """The CLI goes on trying for a minute; the run does not wait for it."""
    stub.plan({"lines": [sj.init(), sj.api_retry(401, error="authentication_failed")]}, {"await_end_of_input": None})
    began = time.monotonic()
    events = await ask(Agent(Launch(STUB, stub.workspace, ENVIRONMENT, secrets={"KEY_FILE_DESCRIPTOR": "sk-1"})))
    assert type(error_of(events)) is NotSignedIn
    assert time.monotonic() - began < SOON


async def test_a_stored_sign_in_may_renew_itself_once(agent: MakeAgent, stub: Stub) -> None:
    """The CLI refreshes its token after the first refusal; only a second one is final."""
    once = sj.api_retry(401, error="authentication_failed", attempt=1)
    stub.plan({"lines": [sj.init(), once, *sj.answer("Renewed.")[1:]]}, {"await_end_of_input": None})
    assert sj.transcript(await ask(agent())) == "Renewed."
    twice = sj.api_retry(401, error="authentication_failed", attempt=2)
    stub.plan({"lines": [sj.init(), once, twice]}, {"await_end_of_input": None})
    assert type(error_of(await ask(agent()))) is NotSignedIn


async def test_an_unserved_model_is_asked_for_once_more_by_its_alias(agent: MakeAgent, stub: Stub) -> None:
    """Both starts fail here: the second with the alias, and there is no third."""
    stub.plan({"lines": refused(404, "not_found", "API Error: 404")})
    async with agent().run(RunRequest("hello", RunOptions(model="claude-3-5-haiku-20241022"))) as run:
        events = await events_of(run)
        assert run.model == "haiku"
    assert type(error_of(events)) is ModelUnavailable
    assert [event.kind for event in events if isinstance(event, Notice)].count("model_fallback") == 1
    assert "--model=haiku" in stub.seen["argv"]


async def test_the_fallback_can_be_turned_off(agent: MakeAgent, stub: Stub) -> None:
    """Then the 404 is the answer, and the model asked for is the one that was asked."""
    stub.plan({"lines": refused(404, "not_found", "API Error: 404")})
    async with agent(model_fallback=False).run(
        RunRequest("hello", RunOptions(model="claude-3-5-haiku-20241022"))
    ) as run:
        events = await events_of(run)
    assert type(error_of(events)) is ModelUnavailable
    assert "--model=claude-3-5-haiku-20241022" in stub.seen["argv"]


async def test_the_fallback_is_not_interrupted_by_a_heartbeat(agent: MakeAgent, stub: Stub) -> None:
    """`next` may time out while the old process is being ended: the change of model still happens, once."""
    stub.plan({"lines": refused(404, "not_found", "API Error: 404")}, {"sleep": 60})
    async with agent().run(RunRequest("hello", RunOptions(model="claude-3-5-haiku-20241022"))) as run:
        events = await events_of(run, wait=0.05)
        assert run.model == "haiku"
    assert [event.kind for event in events if isinstance(event, Notice)].count("model_fallback") == 1


async def test_leaving_during_the_fallback_leaves_nothing(agent: MakeAgent, stub: Stub, workspace: Path) -> None:
    """The client goes while the one process ends and the other starts."""
    stub.plan({"lines": refused(404, "not_found", "API Error: 404")}, {"sleep": 60})
    async with agent().run(RunRequest("hello", RunOptions(model="claude-3-5-haiku-20241022"))) as run:
        while not run._switching:
            await run.next(0.05)
    assert processes_in(workspace) == {}


async def test_a_model_that_fails_after_it_spoke_is_not_asked_again(agent: MakeAgent, stub: Stub) -> None:
    """What it said was shown already: a second answer must not follow it."""
    spoken = list(sj.streamed("m1", sj.text("I was")))
    failed = sj.result(is_error=True, api_error_status=404, result="API Error: 404")
    stub.plan({"lines": [sj.init(), *spoken, failed]})
    async with agent().run(RunRequest("hello", RunOptions(model="claude-3-5-haiku-20241022"))) as run:
        events = await events_of(run)
        assert run.model == "claude-3-5-haiku-20241022"
    assert type(error_of(events)) is ModelUnavailable


@pytest.mark.parametrize(
    ("model", "alias"),
    [
        ("claude-3-5-haiku-20241022", "haiku"),
        ("claude-3-opus-20240229", "opus"),
        ("claude-sonnet-4-20250514", "sonnet"),
        ("CLAUDE-SONNET-X", "sonnet"),
        ("sonnet", None),
        ("haiku", None),
        ("claude-2.1", None),
        ("claude-instant-1", None),
        (None, None),
    ],
)
def test_the_alias_of_a_family(model: str | None, alias: str | None) -> None:
    """An alias always means the family's current model; an alias itself has no other."""
    assert family_alias(model) == alias
