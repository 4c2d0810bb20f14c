"""`ccapi logs` on a real engine: of the container and of the OAuth proxy, as text and for programs."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.gateway.harness import await_that
from tests.stack.project import Project, project
from tests.stack.support import docker

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def stack(docker_engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with project(tmp_path_factory.mktemp("logs"), "test-logs") as made:
        yield made


@pytest.fixture
def running(stack: Project) -> Project:
    """Healthy, with the default rehearsal scenario."""
    stack.up()
    return stack


def request(stack: Project, request_id: str, path: str = "/v1/models") -> None:
    """A request that leaves a line in the log; awaited, as Docker takes a moment to have it."""
    headers = {"X-Request-Id": request_id}
    httpx.get(f"http://127.0.0.1:{stack.port}{path}", headers=headers, trust_env=False, timeout=60)
    await_that(lambda: request_id in stack.cli("logs").stdout, "the line")


def events(stack: Project, *args: str) -> list[dict[str, Any]]:
    """What `ccapi logs --json` prints, without the last line, which must be the result."""
    done = stack.cli("logs", "--json", *args)
    assert done.returncode == 0, done.stderr
    *lines, result = [json.loads(line) for line in done.stdout.splitlines()]
    assert (result["type"], result["status"], result["data"]) == ("result", "ok", {"lines": len(lines)})
    return lines


def test_the_last_lines(running: Project) -> None:
    """As many as were asked for, with Docker's time if wanted; none is none."""
    request(running, "one")
    lines = running.cli("logs", "-n", "1", "-t").stdout.splitlines()
    assert len(lines) == 1
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z \d{4}-", lines[0])
    assert running.cli("logs", "-n", "0").stdout == ""


@pytest.mark.parametrize("form", ["text", "json"])
def test_for_programs(running: Project, form: str) -> None:
    """Time, service, level, request and message, whatever the gateway's own form is."""
    running.up(environ={"CCAPI_LOG_FORMAT": form})
    request(running, f"programs-{form}")
    (event,) = events(running, "--request", f"programs-{form}")
    assert event.keys() == {"type", "ts", "service", "level", "request_id", "message"}
    assert (event["type"], event["service"], event["level"]) == ("log", "gateway", "INFO")
    assert event["request_id"] == f"programs-{form}"
    assert event["message"].startswith("GET /v1/models 200 ")
    running.up()


def test_one_request_and_one_level(running: Project) -> None:
    """-n counts what is left; a level means that one and worse."""
    running.up(environ={"CCAPI_LOG_LEVEL": "DEBUG"})
    for number in range(3):
        request(running, f"req.{number}")
    request(running, "req.0")
    assert [event["request_id"] for event in events(running, "--request", "req.1")] == ["req.1"]
    assert len(events(running, "--request", "req.0")) >= 2
    assert len(events(running, "--request", "req.0", "-n", "1")) == 1
    await_that(lambda: "DEBUG" in running.cli("logs").stdout, "a line of Docker's probe")
    assert "DEBUG" not in {event["level"] for event in events(running, "--level", "info")}
    assert {event["level"] for event in events(running, "--level", "ERROR")} <= {None}
    running.up()


def test_a_span_of_time(running: Project) -> None:
    """Since a while ago, or between two moments."""
    request(running, "span")
    (event,) = [event for event in events(running) if event["request_id"] == "span"]
    moment = event["ts"]
    assert "span" not in running.cli("logs", "--until", "2020-01-01").stdout
    assert "span" in running.cli("logs", "--since", "10m").stdout
    assert "span" in running.cli("logs", "--since", moment[:19] + "Z").stdout
    assert running.cli("logs", "--since", "2100-01-01").stdout == ""


def test_both_halves(running: Project) -> None:
    """By their time, each behind its name, which can be left out; of the proxy alone without one."""
    asked = f":{running.port} is asked for logins"
    await_that(lambda: asked in running.cli("logs", "proxy").stdout, "the proxy's first question")
    lines = running.cli("logs", "gateway", "proxy").stdout.splitlines()
    assert {line[:10] for line in lines} == {"gateway | ", "proxy   | "}
    assert any(asked in line for line in lines)
    assert " | " not in running.cli("logs", "gateway", "proxy", "--no-prefix").stdout
    assert not running.cli("logs", "proxy").stdout.startswith("proxy")
    times = [event["ts"][:19] for event in events(running, "proxy", "gateway")]
    assert times == sorted(times)
    assert {event["service"] for event in events(running, "proxy")} == {"proxy"}


def test_colours(running: Project) -> None:
    """On a terminal a bad level stands out; never in a pipe, and not against --no-color."""
    httpx.get(f"http://127.0.0.1:{running.port}/nothing", trust_env=False, timeout=60)
    for options, shown in ((["--color", "always"], True), (["--no-color"], False), ([], False)):
        assert ("\x1b[" in running.cli("logs", "gateway", "proxy", *options).stdout) == shown


def test_following(running: Project) -> None:
    """-n is what it begins with; it goes on across a restart, says so, and ends without a word at Ctrl-C."""
    request(running, "before-it")
    request(running, "just-before")
    with running.terminal("logs", "--follow", "-n", "1", columns=200) as terminal:
        terminal.read_until("just-before")
        docker("restart", running.name)
        terminal.read_until("The container was started again")
        terminal.read_until("gateway on")
        terminal.type(b"\x03")
        text = terminal.read_all()
    assert terminal.process.returncode == 128 + signal.SIGINT
    assert "before-it" not in text
    assert text.count("just-before") == 1
    assert "Traceback" not in text


def test_following_both_halves(running: Project) -> None:
    """What comes of either is seen; with the container it ends."""
    with running.start("logs", "-f", "gateway", "proxy") as process:
        assert process.stdout is not None
        seen: list[bytes] = []
        while not any(line.startswith(b"proxy") for line in seen):
            seen.append(process.stdout.readline())
        request(running, "of-both")
        while not any(b"of-both" in line for line in seen):
            seen.append(process.stdout.readline())
        running.cli("down")
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "The container was removed" in errors.decode()


def test_following_one_request(running: Project) -> None:
    """Only its lines, those that were there and those that come."""
    request(running, "mine")
    with running.start("logs", "-f", "--request", "mine") as process:
        assert process.stdout is not None
        assert b"mine" in process.stdout.readline()
        request(running, "theirs")
        request(running, "mine", "/v1/models/nothing-at-all")
        assert b"[mine]" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=30)
    assert b"theirs" not in rest
    assert process.returncode == 128 + signal.SIGINT
    assert errors == b""


def test_a_reader_that_leaves(running: Project) -> None:
    """`ccapi logs | head -1` says nothing of it."""
    for number in range(5):
        request(running, f"head-{number}")
    with running.start("logs", "-f") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        request(running, "one-more")
        request(running, "and-another")
        assert process.stderr.read() == b""
        process.wait(30)


def test_a_container_that_does_not_run(running: Project) -> None:
    """Its last lines are there as long as it is; without it, exit 1 and how to begin."""
    request(running, "last-words")
    docker("stop", running.name)
    done = running.cli("logs")
    assert done.returncode == 0
    assert "last-words" in done.stdout
    assert "gateway ends" in done.stdout
    running.cli("down")
    gone = running.cli("logs")
    assert (gone.returncode, gone.stdout) == (1, "")
    assert gone.stderr.startswith("error: not created")
    assert "ccapi up" in gone.stderr
    proxy = running.cli("logs", "proxy")
    assert proxy.returncode == 0
    assert "Ended" in proxy.stdout
