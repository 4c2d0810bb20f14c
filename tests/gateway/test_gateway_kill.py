"""What is left when something dies: the child, the gateway, the client at any byte, the disk's last one.

After each of these the next request is answered, no process is left, no session is lost that was whole, and the error
said what had happened.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ccapi.gateway.settings import GatewaySettings
from tests.agent import streamjson as sj
from tests.agent.pooling import CONVERSE
from tests.agent.stub import ENVIRONMENT, STUB
from tests.gateway.conftest import Start
from tests.gateway.harness import (
    Gateway,
    Model,
    Streamed,
    assert_gone,
    await_that,
    body,
    claudes,
    gateway,
    in_thread,
    kill,
    scripted,
)

ROOT = Path(__file__).parent.parent.parent
DOCKERS_PATIENCE = 10  # seconds after its SIGTERM a container is killed
SCENARIO = r"""
[[turn]]
when.prompt = 'take a minute'
when.results = 0
step = [
  { text = "This takes a minute." },
  { tool = "Bash", input.command = "for second in $(seq 60); do sleep 1; done" },
]

[[turn]]
step = [{ text = "You said: @{prompt}" }]
"""
Messages = list[dict[str, Any]]


@pytest.fixture
def scenario(tmp_path: Path) -> str:
    """Echoes; asked to `take a minute`, it has the agent run a command that does."""
    file = tmp_path / "scenario.toml"
    file.write_text(SCENARIO, "utf-8")
    return str(file)


def asked(*texts: str) -> Messages:
    """A conversation of which the client has seen these questions answered, but for the last one."""
    messages: Messages = []
    for text in texts:
        messages += [{"role": "user", "content": text}, {"role": "assistant", "content": f"You said: {text}"}]
    return messages[:-1]


def history(running: Gateway) -> list[str]:
    """The roles of what the model was sent last."""
    assert running.model
    return [message["role"] for message in running.model.conversation[-1]["messages"] if message["role"] != "system"]


def told(running: Gateway) -> str:
    assert running.model
    return json.dumps(running.model.conversation[-1]["messages"])


def busy(running: Gateway) -> bool:
    return any("sleep 1" in argv for argv in running.processes().values())


def drained(answers: Iterator[Streamed]) -> Streamed:
    *_, answer = answers
    return answer


# --- the child


@pytest.mark.parametrize("sessions", [0, 4])
def test_a_killed_child(tmp_path: Path, scenario: str, sessions: int) -> None:
    """Its tool goes with it, its answer ends with an error that says so, and its session goes on without that turn."""
    with gateway(tmp_path / "gateway", scenario, pool_sessions=sessions) as running:
        first = running.chat("one")
        with running.streaming(asked("one", "take a minute")) as answers:
            next(answer for answer in answers if answer.content)
            await_that(lambda: busy(running), "the tool")
            (child,) = claudes(running.workspace)
            os.kill(child, signal.SIGKILL)
            broken = drained(answers)
        assert broken.error
        assert broken.error["code"] == "claude_failed"
        assert "killed by signal 9" in broken.error["message"]
        assert (broken.done, broken.finish_reason) == (False, None)
        assert_gone(running.workspace, within=5)
        second = running.chat(asked("one", "two"))
        assert second["session_id"] == first["session_id"]
        assert second["choices"][0]["message"]["content"] == "You said: two"
        assert history(running) == ["user", "assistant", "user"]
        assert "takes a minute" not in told(running)


def test_a_child_that_is_killed_before_a_word_came(start: Start) -> None:
    """Not streamed, and nothing was said: an ordinary error with its status."""
    running = start()
    running.stub.plan({"await_input": 2}, {"kill_self": signal.SIGKILL})
    response = running.post(body("hello"))
    assert response.status_code == 502
    assert response.json()["error"]["code"] == "claude_failed"
    assert "signal 9" in response.json()["error"]["message"]
    running.stub.plan(CONVERSE)
    assert running.content("hello") == "hello"


def test_killed_again_and_again(tmp_path: Path, scenario: str) -> None:
    """Every turn of a conversation dies, each at another moment, and the one after them is answered as if none had."""
    with gateway(tmp_path / "gateway", scenario, pool_sessions=1, pool_size=1) as running:
        first = running.chat("one")
        for delay in (0.0, 0.05, 0.15, 0.3, 0.6):
            with running.streaming(asked("one", "take a minute")) as answers:
                await_that(lambda: set(claudes(running.workspace)), "the child")
                time.sleep(delay)
                kill(*claudes(running.workspace))  # that of the run, and those that wait
                broken = drained(answers) if delay else None
            assert broken is None or (broken.error and not broken.done)
        second = running.chat(asked("one", "two"))
        assert second["session_id"] == first["session_id"]
        assert "takes a minute" not in told(running)
        assert history(running) == ["user", "assistant", "user"]


# --- the gateway


@contextmanager
def process(directory: Path, model: Model, *, size: int = 2) -> Iterator[tuple[subprocess.Popen[str], Gateway]]:
    """`ccapi gateway` on its own, with all that it keeps in `directory`; killed at the end if it still runs."""
    workspace = directory / "workspace"
    workspace.mkdir(exist_ok=True, parents=True)
    environment = {
        **ENVIRONMENT,
        "HOME": str(directory),
        "PYTHONPATH": str(ROOT),
        "CLAUDE_CONFIG_DIR": str(directory / "config"),
        "ANTHROPIC_BASE_URL": model.url,
        "ANTHROPIC_API_KEY": "rehearsal",
        "CCAPI_DATA_DIR": str(directory / "data"),
        "CCAPI_POOL_SIZE": str(size),
        "CCAPI_GATEWAY_PERMISSION_MODE": "bypassPermissions",
    }
    command = [sys.executable, "-m", "ccapi", "gateway", "--port=0", f"--workspace={workspace}"]
    with (directory / "gateway.log").open("a") as log:
        started = subprocess.Popen(
            command, env=environment, cwd=directory, stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        assert started.stdout
        line = started.stdout.readline()
        assert "http://" in line, (directory / "gateway.log").read_text()
        yield started, Gateway(line.split()[-1], workspace, GatewaySettings(workspace=workspace), model)
    finally:
        started.kill()
        started.communicate()


def test_a_killed_gateway(tmp_path: Path, scenario: str) -> None:
    """No `claude` is left: none at work with its tool, none that stood ready, none that was kept. The next gateway goes
    on with the conversation where its last whole answer ended.
    """
    with in_thread(lambda: scripted(scenario)) as model, ExitStack() as stack:
        killed, running = stack.enter_context(process(tmp_path / "stand", model))
        first = running.chat("one")
        with running.streaming(asked("one", "take a minute")) as answers:
            next(answer for answer in answers if answer.content)
            await_that(lambda: busy(running), "the tool")
            await_that(lambda: len(claudes(running.workspace)) == 3, "two that stand ready")
            running.chat("another conversation")  # which is kept
            await_that(lambda: len(claudes(running.workspace)) == 4, "one that is kept, and two ready ones again")
            killed.kill()
            killed.wait(30)
            assert_gone(running.workspace, within=5)
        _, again = stack.enter_context(process(tmp_path / "stand", model))
        second = again.chat(asked("one", "two"))
        assert second["session_id"] == first["session_id"]
        assert history(again) == ["user", "assistant", "user"]
        assert "takes a minute" not in told(again)


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.2, 0.3, 0.5, 0.8])
def test_a_gateway_that_is_killed_while_it_starts_processes(tmp_path: Path, scenario: str, delay: float) -> None:
    """At whatever moment of their start: they know whose children they were."""
    with (
        in_thread(lambda: scripted(scenario)) as model,
        process(tmp_path / "stand", model, size=4) as (killed, running),
    ):
        time.sleep(delay)
        killed.kill()
        killed.wait(30)
        assert_gone(running.workspace, within=5)


def test_a_gateway_that_is_told_to_end_ends_what_waits(tmp_path: Path, scenario: str) -> None:
    """In about the time that one process takes, however many there are."""
    with in_thread(lambda: scripted(scenario)) as model, process(tmp_path / "stand", model, size=3) as (ended, running):
        running.chat("one")
        await_that(lambda: len(claudes(running.workspace)) == 4, "three that stand ready, and one that is kept")
        ended.terminate()
        assert ended.wait(DOCKERS_PATIENCE) == 0
        assert_gone(running.workspace, within=0.5)
    assert "Traceback" not in (tmp_path / "stand" / "gateway.log").read_text()


# --- the client

CHAT, CHAT_STREAM, RESPONSES, RESPONSES_STREAM = "chat", "chat, streamed", "responses", "responses, streamed"
KINDS = [CHAT, CHAT_STREAM, RESPONSES, RESPONSES_STREAM]


def request_of(kind: str, text: str = "hello", **fields: Any) -> bytes:
    """The bytes of a whole request."""
    said: dict[str, Any] = (
        {"messages": [{"role": "user", "content": text}]} if kind.startswith("chat") else {"input": text}
    )
    document = {"model": "sonnet", "stream": kind.endswith("streamed"), **said, **fields}
    content = json.dumps(document).encode()
    path = "/v1/chat/completions" if kind.startswith("chat") else "/v1/responses"
    head = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", "Connection: close"]
    return "\r\n".join([*head, f"Content-Length: {len(content)}", "", ""]).encode() + content


@contextmanager
def connected(running: Gateway) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", running.port), timeout=20) as connection:
        yield connection


def cut(connection: socket.socket, how: str) -> None:
    """`reset`: at once and without a word, as a client that crashed; `close`: as one that has had enough."""
    if how == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def received(connection: socket.socket, size: int | None = None) -> bytes:
    """So many bytes, or all."""
    got = b""
    while size is None or len(got) < size:
        piece = connection.recv(65536 if size is None else size - len(got))
        if not piece:
            break
        got += piece
    return got


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_that_is_cut_at_any_byte(start: Start, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """No run begins for a part of a request, and the next one is answered."""
    running = start()
    running.stub.plan(CONVERSE)
    whole = request_of(kind)
    for end in range(len(whole)):
        with connected(running) as connection:
            connection.sendall(whole[:end])
            cut(connection, "reset" if end % 2 else "close")
    with connected(running) as connection:
        connection.sendall(whole)
        assert received(connection).startswith(b"HTTP/1.1 200 OK")
    assert_gone(running.workspace, within=5)
    assert "Traceback" not in caplog.text
    assert len(list(running.workspace.glob("stub-seen.json"))) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_response_that_is_cut_at_any_byte(start: Start, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """The run ends with its client, or is over by then; its process ends in any case."""
    running = start()
    running.stub.plan(CONVERSE)
    with connected(running) as connection:
        connection.sendall(request_of(kind))
        size = len(received(connection))
    assert size > 400
    for number, end in enumerate(range(0, size, max(1, size // 25))):
        with connected(running) as connection:
            connection.sendall(request_of(kind))
            assert len(received(connection, end)) == end
            cut(connection, "reset" if number % 2 else "close")
        assert_gone(running.workspace, within=5)
    assert running.content("hello") == "hello"
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_leaves_a_run_in_its_midst(tmp_path: Path, scenario: str, kind: str) -> None:
    """With the real CLI: the tool ends with the run, and the session's next turn does not know of it."""
    with gateway(tmp_path / "gateway", scenario, pool_sessions=1) as running:
        first = running.chat("one")
        with connected(running) as connection:
            session = {} if kind.startswith("responses") else {"metadata": {"session_id": first["session_id"]}}
            connection.sendall(request_of(kind, "take a minute", **session))
            await_that(lambda: busy(running), "the tool")
            cut(connection, "reset")
        await_that(lambda: not busy(running), "the end of the tool", within=5)
        running.chat(asked("one", "two"))  # in the same session, or in a fork if the run is not yet quite over
        assert history(running) == ["user", "assistant", "user"]
        assert "takes a minute" not in told(running)


def test_clients_that_leave_in_the_queue_hold_no_slot(start: Start) -> None:
    """All leave while the only slot is taken; the next one has it at once."""
    running = start(max_runs=1)
    running.stub.plan({"await_input": 2}, {"lines": [sj.init()]}, {"sleep": 60})
    with ExitStack() as stack:
        for kind in KINDS * 2:
            connection = stack.enter_context(connected(running))
            connection.sendall(request_of(kind))
        await_that(running.processes, "the first run")
    assert_gone(running.workspace, within=5)
    running.stub.plan(CONVERSE)
    assert running.content("hello") == "hello"


# --- the disk


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Callable[[], Callable[[], None]]]:
    """A file system of its own at `place`. The value fills it to the last byte, and gives back what empties it."""
    place.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")

    def fill() -> Callable[[], None]:
        ballast = place / "ballast"
        with ballast.open("wb", buffering=0) as file:
            for piece in (65536, 512):
                with contextlib.suppress(OSError):
                    while file.write(b"\0" * piece):
                        pass
        return ballast.unlink

    try:
        yield fill
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_under_the_gateways_own_data(
    tmp_path: Path, scenario: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Answers go on, and what cannot be kept is said: in the log, by `/ready`, in a response's `store`."""
    with (
        small_disk(tmp_path / "gateway" / "data", "64m") as fill,
        gateway(tmp_path / "gateway", scenario) as running,
        running.client() as client,
    ):
        await_that(lambda: client.get("/ready").status_code == 200, "that all is well")
        first = running.chat("one")
        empty = fill()
        assert running.content(asked("one", "two")) == "You said: two"
        assert running.stream("three").content == "You said: three"
        stored = client.post("/v1/responses", json={"model": "sonnet", "input": "four", "store": True})
        assert stored.status_code == 200, stored.text
        assert stored.json()["store"] is False
        gone = client.get(f"/v1/responses/{stored.json()['id']}")
        assert gone.status_code == 404
        assert "full" in caplog.text.lower()
        assert "Traceback" not in caplog.text
        assert client.get("/health").status_code == 200
        (problem,) = [check for check in client.get("/ready").json()["checks"] if not check["ok"]]
        assert problem["name"] == "data"
        assert "space" in problem["hint"]
        empty()
        again = running.chat(asked("one", "five"))
        assert again["session_id"]
        assert history(running) == ["user", "assistant", "user"]
        last = running.chat(asked("one", "five", "six"))
        assert last["session_id"] == again["session_id"]
        stored = client.post("/v1/responses", json={"model": "sonnet", "input": "seven"})
        assert client.get(f"/v1/responses/{stored.json()['id']}").status_code == 200
        assert first["session_id"]
        assert client.get("/ready").status_code == 200


@pytest.mark.parametrize("sessions", [0, 4])
def test_a_full_disk_under_claudes_sessions(
    tmp_path: Path, scenario: str, caplog: pytest.LogCaptureFixture, sessions: int
) -> None:
    """The CLI says nothing of it. The answer is whole, and the next turn knows what was said: from the process that is
    kept, or told as text; never from a session with a hole in it.
    """
    config = tmp_path / "gateway" / "scratch" / "claude-config"
    with small_disk(config, "4m") as fill, gateway(tmp_path / "gateway", scenario, pool_sessions=sessions) as running:
        first = running.chat("one")
        empty = fill()
        second = running.chat(asked("one", "two"))
        assert second["choices"][0]["message"]["content"] == "You said: two"
        assert "one" in told(running)
        third = running.chat(asked("one", "two", "three"))
        assert third["choices"][0]["message"]["content"].endswith("three")
        assert "one" in told(running)
        assert "two" in told(running)
        empty()
        fourth = running.chat(asked("one", "two", "three", "four"))
        assert all(word in told(running) for word in ("one", "two", "three"))
        restart_of_processes(running)
        assert running.chat(asked("one", "two", "three", "four", "five"))["session_id"]
        assert all(word in told(running) for word in ("one", "two", "three", "four"))
        fresh = running.chat("a new one")
        again = running.chat(asked("a new one", "and on"))
        assert again["session_id"] == fresh["session_id"]
        assert first["session_id"]
        assert fourth["session_id"]
    assert "Traceback" not in caplog.text


def restart_of_processes(running: Gateway) -> None:
    """All that are kept are gone, as after their time."""
    kill(*claudes(running.workspace))
    assert_gone(running.workspace, within=5)


def test_no_room_for_temporary_files(start: Start, tmp_path: Path) -> None:
    """The stub in a workspace on a full disk: nothing of the gateway needs room there."""
    with small_disk(tmp_path / "tmp", "64k") as fill:
        fill()
        running = start(environ={"TMPDIR": str(tmp_path / "tmp")}, claude=str(STUB))
        running.stub.plan(CONVERSE)
        assert running.content("hello") == "hello"
