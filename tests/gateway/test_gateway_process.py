"""The gateway as a process of its own, started by its command: signals, and what is left afterwards."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from ccapi.gateway.settings import GatewaySettings
from tests.agent import streamjson as sj
from tests.agent.stub import ENVIRONMENT, STUB
from tests.gateway.harness import SEPARATOR, Gateway, assert_gone, await_that, body
from tests.gateway.test_gateway_claude import FIBONACCI, OUTPUT

ROOT = Path(__file__).parent.parent.parent
DOCKERS_PATIENCE = 10  # seconds after its SIGTERM a container is killed


@contextmanager
def command(
    directory: Path, *arguments: str, environ: Mapping[str, str] | None = None, prefix: Sequence[str] = ()
) -> Iterator[tuple[subprocess.Popen[str], Gateway]]:
    """`ccapi gateway --port 0 ...` in a workspace of its own. Whatever still runs at the end is killed."""
    workspace = directory / "workspace"
    workspace.mkdir()
    environment = {
        **ENVIRONMENT,
        "HOME": str(directory),
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(directory),
        **(environ or {}),
    }
    with (directory / "gateway.log").open("w") as log:
        process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "ccapi", "gateway", "--port=0", f"--workspace={workspace}", *arguments],
            env=environment,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith("Gateway on http://127.0.0.1:"), (directory / "gateway.log").read_text()
        yield process, Gateway(line.split()[-1], workspace, GatewaySettings(workspace=workspace))
    finally:
        process.kill()
        process.communicate()


def slow_words(directory: Path) -> Path:
    """A scenario that takes 2 s to say two things."""
    file = directory / "slow-words.toml"
    file.write_text('[[turn]]\nstep = [{ text = "First. " }, { pause = 2 }, { text = "Second." }]', "utf-8")
    return file


def closed(running: Gateway) -> bool:
    """Whether nobody new is let in."""
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", running.port)) == errno.ECONNREFUSED


def log_of(running: Gateway) -> str:
    return (running.workspace.parent / "gateway.log").read_text()


def test_the_command_answers_the_fibonacci_question(tmp_path: Path) -> None:
    """Port 0, `--rehearsal NAME`: the whole way in one process, and the line of the log."""
    with command(tmp_path, "--rehearsal=fibonacci") as (process, running):
        content = running.content(FIBONACCI, model="claude-3-5-haiku-20241022")
        assert len(content.split(SEPARATOR)) == 3
        assert f"```\n{OUTPUT}\n```" in content
        process.send_signal(signal.SIGTERM)
        assert process.wait(DOCKERS_PATIENCE) == 0
    assert "Aggregated 3 assistant messages; stop" in log_of(running)
    assert "Traceback" not in log_of(running)
    assert_gone(running.workspace, within=0.5)


def test_without_a_name_the_rehearsal_plays_the_guides_questions(tmp_path: Path) -> None:
    """`--rehearsal` alone: the scenario `default`, which echoes what it does not know. Ctrl-C ends it."""
    with command(tmp_path, "--rehearsal") as (process, running):
        assert running.content("Hello?") == "You said: Hello?"
        process.send_signal(signal.SIGINT)  # Ctrl-C
        assert process.wait(DOCKERS_PATIENCE) == 0
    assert "Traceback" not in log_of(running)


NO_GRACE = {"CCAPI_GATEWAY_SHUTDOWN_GRACE": "0"}


def test_sigterm_ends_the_gateway_and_its_runs_in_time(tmp_path: Path) -> None:
    """Two runs are active, each with a tool that would take a minute: nothing of them is left, and their clients are
    told that the gateway was stopped.
    """
    with (
        command(tmp_path, "--rehearsal=slow", environ=NO_GRACE) as (process, running),
        running.streaming("one") as first,
        running.streaming("two") as second,
    ):
        for one in (first, second):
            next(answer for answer in one if answer.content)
        await_that(lambda: sum("sleep 1" in argv for argv in running.processes().values()) >= 2, "both tools")
        process.send_signal(signal.SIGTERM)
        assert process.wait(DOCKERS_PATIENCE) == 0
        assert_gone(running.workspace, within=0.5)
        for one in (first, second):
            *_, answer = one
            assert (answer.error or {}).get("code") == "gateway_stopping"
            assert not answer.done
            assert answer.finish_reason is None
    assert "Traceback" not in log_of(running)


def test_a_run_may_end_before_the_gateway_does(tmp_path: Path) -> None:
    """SIGTERM: the answer comes to its end, nobody new is let in meanwhile, and then the gateway ends at once."""
    with command(tmp_path, f"--rehearsal={slow_words(tmp_path)}") as (process, running):
        with running.streaming("hello") as answers:
            next(answer for answer in answers if answer.content)
            process.send_signal(signal.SIGTERM)
            await_that(lambda: closed(running), "the end of the listener")
            with pytest.raises(httpx.ConnectError):
                running.post(body("too late"))
            *_, answer = answers
            assert answer.done
            assert answer.error is None
        assert process.wait(DOCKERS_PATIENCE) == 0
    assert_gone(running.workspace, within=0.5)


def test_a_second_signal_waits_for_no_run(tmp_path: Path) -> None:
    """Ctrl-C twice: whoever is impatient need not wait for the grace."""
    with command(tmp_path, "--rehearsal=slow") as (process, running), running.streaming("hello") as answers:
        next(answer for answer in answers if answer.content)
        process.send_signal(signal.SIGINT)
        await_that(lambda: closed(running), "the end of the listener")  # two signals that are pending are one
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(DOCKERS_PATIENCE) == 0
        *_, answer = answers
        assert (answer.error or {}).get("code") == "gateway_stopping"


def test_a_reload_drops_no_run(tmp_path: Path) -> None:
    """SIGHUP: settings are read again, for those who ask from now on; a bad one changes nothing, and is logged."""
    file = tmp_path / "ccapi.toml"
    with command(tmp_path, f"--rehearsal={slow_words(tmp_path)}") as (process, running):
        with running.streaming("hello") as answers:
            next(answer for answer in answers if answer.content)
            file.write_text("[models.map]\nmine = 'sonnet'\n", "utf-8")
            process.send_signal(signal.SIGHUP)
            await_that(lambda: "read again" in log_of(running), "the reload")
            *_, answer = answers
            assert answer.done
        assert running.chat("hello", model="mine")["model"] == "mine"
        file.write_text("[models.map]\nmine = 5\n", "utf-8")
        process.send_signal(signal.SIGHUP)
        await_that(lambda: "stay as they were" in log_of(running), "the refusal")
        assert running.chat("hello", model="mine")["model"] == "mine"


def test_a_signal_ends_a_run_that_ignores_everything_but_sigkill(tmp_path: Path) -> None:
    """A stuck CLI does not hold the gateway (a container is killed 10 s after its SIGTERM)."""
    with command(tmp_path, environ={"CCAPI_CLAUDE": str(STUB), **NO_GRACE}) as (process, running):
        lines = [sj.init(), sj.message_start("m1"), sj.block_start(0, sj.text("")), sj.text_delta(0, "Hello")]
        running.stub.plan({"ignore": ["SIGTERM", "SIGINT", "SIGHUP"]}, {"lines": lines}, {"sleep": 60})
        with running.streaming("hello") as answers:
            next(answer for answer in answers if answer.content)
            process.send_signal(signal.SIGTERM)
            assert process.wait(DOCKERS_PATIENCE) == 0
    assert_gone(running.workspace, within=0.5)


def test_a_killed_gateway_leaves_no_claude(tmp_path: Path) -> None:
    """SIGKILL leaves no time for anything: a parent-death signal ends `claude`, which ends its tools."""
    with command(tmp_path, "--rehearsal=slow") as (process, running), running.streaming("hello") as answers:
        next(answer for answer in answers if answer.content)
        await_that(lambda: any("sleep 1" in argv for argv in running.processes().values()), "the tool")
        process.kill()
        process.wait(30)
        assert_gone(running.workspace, within=5)


# What runs in the container has no capability; as root, one has to give them up first to see the same.
UNPRIVILEGED = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []


def readable(pid: int) -> bool:
    """Whether another process of the same user, such as a tool of the agent, can read that environment."""
    return (
        subprocess.run([*UNPRIVILEGED, "cat", f"/proc/{pid}/environ"], capture_output=True, check=False).returncode == 0
    )


def test_the_environment_of_the_gateway_is_closed_to_the_agent(tmp_path: Path) -> None:
    """A key may be in it. That of an ordinary process can be read."""
    with subprocess.Popen([*UNPRIVILEGED, "sleep", "30"]) as ordinary:
        await_that(lambda: readable(ordinary.pid), "reading the environment of a process")
        ordinary.kill()
    secret = {"CCAPI_SECRET": "x"}
    with command(tmp_path, "--rehearsal=chat", environ=secret, prefix=UNPRIVILEGED) as (process, _):
        assert not readable(process.pid)


@pytest.mark.parametrize(
    ("environ", "arguments", "named"),
    [
        ({"CCAPI_GATEWAY_TIMEOUT": "soon"}, (), "CCAPI_GATEWAY_TIMEOUT"),
        ({"CCAPI_CLAUDE": "/no/such/claude"}, (), "/no/such/claude"),
        ({}, ("--rehearsal=fibonaci",), "fibonacci"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_served(
    tmp_path: Path, environ: dict[str, str], arguments: tuple[str, ...], named: str
) -> None:
    """One line that names it, a failure code, and no traceback."""
    environment = {**ENVIRONMENT, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path), **environ}
    done = subprocess.run(
        [sys.executable, "-m", "ccapi", "gateway", "--port=0", f"--workspace={tmp_path}", *arguments],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode in {1, 2}
    assert done.stdout == ""
    assert named in done.stderr
    assert "Traceback" not in done.stderr
