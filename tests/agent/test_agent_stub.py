"""The stub CLI itself: it does what its plan says, and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.agent.stub import ENVIRONMENT, GO_ON, STUB, Stub
from tests.gateway.harness import await_that, processes_in


def run(stub: Stub, *steps: dict[str, Any], stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    stub.plan(*steps)
    return subprocess.run(
        [str(STUB), "--flag=value"],
        cwd=stub.workspace,
        env=ENVIRONMENT,
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def stub(tmp_path: Path) -> Stub:
    """A stub in a directory of its own."""
    return Stub(tmp_path)


def test_it_prints_what_the_plan_says(stub: Stub) -> None:
    """Lines as JSON, raw text as it is, bytes without a line end, repeats."""
    steps: list[dict[str, Any]] = [
        {"lines": [{"a": 1}]},
        {"raw": "b\u2028\n"},
        {"fill": 3},
        {"raw": "\n"},
        {"repeat": {"times": 2, "line": 5}},
    ]
    done = run(stub, *steps)
    assert done.stdout == '{"a": 1}\nb\u2028\nxxx\n5\n5\n'.encode()
    assert (done.returncode, done.stderr) == (0, b"")


def test_it_notes_what_it_was_given(stub: Stub) -> None:
    """Arguments, environment, and stdin line by line."""
    run(stub, {"await_input": 2}, stdin=b'{"n": 1}\n{"n": 2}\n')
    assert stub.seen["argv"] == ["--flag=value"]
    assert stub.seen["environ"]["PATH"] == ENVIRONMENT["PATH"]
    assert stub.stdin == [{"n": 1}, {"n": 2}]


def test_it_waits_for_its_input(stub: Stub) -> None:
    """A plan can wait for a line or for the end of stdin before it goes on."""
    stub.plan({"await_input": 1}, {"lines": ["got it"]}, {"await_end_of_input": None}, {"lines": ["over"]})
    with subprocess.Popen(
        [str(STUB)], cwd=stub.workspace, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"hello\n")
        process.stdin.flush()
        assert process.stdout.readline() == b'"got it"\n'
        process.stdin.close()
        assert process.stdout.readline() == b'"over"\n'
    assert process.returncode == 0


def test_it_waits_for_the_test(stub: Stub) -> None:
    """What comes behind `GO_ON` is said after `go_on`, not before."""
    stub.plan({"lines": ["before"]}, GO_ON, {"lines": ["after"]})
    with subprocess.Popen([str(STUB)], cwd=stub.workspace, env=ENVIRONMENT, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b'"before"\n'
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
        stub.go_on()
        assert process.stdout.readline() == b'"after"\n'


@pytest.mark.parametrize(("step", "code"), [({"exit": 3}, 3), ({"kill_self": signal.SIGKILL}, -9)])
def test_it_ends_as_the_plan_says(stub: Stub, step: dict[str, Any], code: int) -> None:
    """With an exit code or by a signal; what it printed before is out."""
    done = run(stub, {"stderr": "oh no\n"}, {"lines": ["last words"]}, step, {"lines": ["never"]})
    assert (done.returncode, done.stdout, done.stderr) == (code, b'"last words"\n', b"oh no\n")


def test_it_can_ignore_a_signal(stub: Stub) -> None:
    """SIGTERM does not end it, SIGKILL does."""
    stub.plan({"ignore": ["SIGTERM"]}, {"lines": ["ready"]}, {"sleep": 60})
    with subprocess.Popen([str(STUB)], cwd=stub.workspace, env=ENVIRONMENT, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
        process.kill()
    assert process.returncode == -signal.SIGKILL


def test_it_can_leave_a_grandchild_that_holds_stdout(stub: Stub) -> None:
    """The stub is gone, stdout is not at its end."""
    stub.plan({"grandchild": {"seconds": 30}}, {"lines": ["bye"]})
    with subprocess.Popen([str(STUB)], cwd=stub.workspace, env=ENVIRONMENT, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b'"bye"\n'
        process.wait(30)
        (left,) = await_that(lambda: processes_in(stub.workspace), "the grandchild").items()
        assert left[1] == "sleep 30"
        os.kill(left[0], signal.SIGKILL)
        assert process.stdout.read() == b""


def test_it_can_be_deaf(stub: Stub) -> None:
    """A plan with `deaf` never reads stdin: more than a pipe holds cannot be written."""
    stub.plan({"deaf": True}, {"lines": ["ready"]}, {"sleep": 60})
    with subprocess.Popen(
        [str(STUB)], cwd=stub.workspace, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdout.readline()
        os.set_blocking(process.stdin.fileno(), False)
        written = 0
        began = time.monotonic()
        while (more := process.stdin.write(b"x" * 65536)) and time.monotonic() - began < 10:
            written += more
        process.kill()
    assert written < 1024 * 1024


def test_an_unknown_step_is_an_error(stub: Stub) -> None:
    """A mistyped plan does not pass for one that says nothing."""
    done = run(stub, {"lnies": []})
    assert done.returncode == 1
    assert b"KeyError" in done.stderr


def test_its_notes_are_whole_at_any_moment(stub: Stub) -> None:
    """A reader never meets half a file."""
    lines = b"".join(json.dumps({"n": n, "text": "x" * 1000}).encode() + b"\n" for n in range(200))
    stub.plan({"await_end_of_input": None})
    with subprocess.Popen([str(STUB)], cwd=stub.workspace, env=ENVIRONMENT, stdin=subprocess.PIPE) as process:
        assert process.stdin
        process.stdin.write(lines)
        process.stdin.close()
        while process.poll() is None:
            assert len(stub.stdin) <= 200
    assert len(stub.stdin) == 200
