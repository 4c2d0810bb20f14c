"""The container dies in the midst of a run: what its client is told, what is left, and how the conversation goes on."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from ccapi.gateway.settings import GatewaySettings
from tests.agent.pooling import running as alive
from tests.gateway.harness import Gateway, Model, Streamed, await_that, in_thread, scripted
from tests.gateway.test_gateway_kill import SCENARIO, asked, history, told
from tests.stack.support import NAME, Stack, docker, inspect

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

GRACE = 5  # seconds that a run gets when the container is stopped: shorter than by default


@pytest.fixture
def model(tmp_path: Path) -> Iterator[Model]:
    """On the machine, where the container reaches it, and outlives it."""
    file = tmp_path / "scenario.toml"
    file.write_text(SCENARIO, "utf-8")
    with in_thread(lambda: scripted(str(file), host="0.0.0.0")) as model:
        yield model


@pytest.fixture
def gateway(running: Stack, model: Model) -> Gateway:
    """The stack with that model, as if it were the real one: sessions stay on the volume."""
    (network,) = inspect()["NetworkSettings"]["Networks"].values()
    url = f"http://{network['Gateway']}:{urlsplit(model.url).port}"
    running.inside("umask 077; echo ANTHROPIC_API_KEY=x >$CLAUDE_CONFIG_DIR/credentials.env")
    done = running.cli("up", environ={"ANTHROPIC_BASE_URL": url, "CCAPI_GATEWAY_SHUTDOWN_GRACE": str(GRACE)})
    assert done.returncode == 0, done.stderr
    return Gateway(f"http://127.0.0.1:{running.port}", Path("/nowhere"), GatewaySettings(), model)


def pids() -> list[int]:
    """Of the container's processes, as the machine counts them."""
    return [int(line) for line in docker("top", NAME, "-eo", "pid").splitlines()[1:]]


def busy() -> bool:
    return "sleep 1" in docker("top", NAME, "-eo", "pid,args")


def healthy(gateway: Gateway) -> bool:
    try:
        with gateway.client(timeout=5) as client:
            return client.get("/health").status_code == 200
    except httpx.HTTPError:
        return False


def broken_off(gateway: Gateway, kill: str) -> Streamed:
    """What a client had of an answer when the container died."""
    seen: list[Streamed] = []
    try:
        with gateway.streaming(asked("one", "take a minute")) as answers:
            seen.append(next(answer for answer in answers if answer.content))
            await_that(busy, "the tool")
            if kill == "everything":
                os.kill(inspect()["State"]["Pid"], signal.SIGKILL)
            else:
                docker("exec", NAME, "pkill", "-KILL", "-f", "ccapi gateway", check=False)
            seen += answers
    except httpx.HTTPError:  # the connection ended without the end of the body
        return seen[-1]
    pytest.fail("the stream ended as if it were whole")


@pytest.mark.parametrize("kill", ["everything", "the gateway"])
def test_a_container_that_is_killed_in_mid_run(running: Stack, gateway: Gateway, kill: str) -> None:
    """It starts again by itself; nothing of it is left; the conversation goes on after its last whole answer."""
    first = gateway.chat("one")
    before = pids()
    if not all(map(alive, before)):
        pytest.skip("the engine's processes are not on this machine")
    restarts = inspect()["RestartCount"]
    answer = broken_off(gateway, kill)
    assert (answer.done, answer.finish_reason) == (False, None)
    await_that(lambda: inspect()["RestartCount"] > restarts, "the restart", within=60)
    assert not [pid for pid in before if alive(pid)]
    await_that(lambda: healthy(gateway), "the gateway", within=60)
    second = gateway.chat(asked("one", "two"))
    assert second["session_id"] == first["session_id"]
    assert second["choices"][0]["message"]["content"] == "You said: two"
    assert history(gateway) == ["user", "assistant", "user"]
    assert "takes a minute" not in told(gateway)
    await_that(lambda: running.status()["state"] == "healthy", "the health check", within=60)


def test_a_container_that_is_stopped_in_mid_run(running: Stack, gateway: Gateway) -> None:
    """`docker stop`: the run gets its time, its client an error that says what happened; sessions are whole."""
    first = gateway.chat("one")
    with gateway.streaming(asked("one", "take a minute")) as answers:
        next(answer for answer in answers if answer.content)
        await_that(busy, "the tool")
        began = time.monotonic()
        docker("stop", "--time=40", NAME)
        assert GRACE <= time.monotonic() - began < 40
        *_, answer = answers
    assert answer.error
    assert answer.error["code"] == "gateway_stopping"
    assert inspect()["State"]["ExitCode"] in {0, 143}
    assert json.loads(docker("inspect", NAME))[0]["State"]["OOMKilled"] is False
    docker("start", NAME)
    await_that(lambda: healthy(gateway), "the gateway", within=60)
    second = gateway.chat(asked("one", "two"))
    assert second["session_id"] == first["session_id"]
    assert "takes a minute" not in told(gateway)
