"""`ccapi up` on an engine that goes away and comes back, and has no network: one of the tests' own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.support import DEADLINE, Terminal
from tests.gateway.harness import await_that
from tests.stack.secondengine import Frozen, SecondEngine
from tests.stack.support import Said, compose_processes

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

ALL = ["claude-code-api", "claude-code-api_claude-config", "claude-code-api_default", "claude-code-api_workspace"]


def mark(cli: Frozen) -> Path:
    """A file in Claude's volume, which nothing may lose."""
    file = cli.volume() / "mark"
    file.write_text("kept")
    return file


# --- reboot


def test_a_reboot(elsewhere: Frozen, second_engine: SecondEngine) -> None:
    """The container comes back by itself, the proxy does not; `status` says so, and `up` mends it."""
    elsewhere.up()
    there = elsewhere.inspect()["Id"]
    file = mark(elsewhere)
    elsewhere.cli("proxy", "stop")  # as the end of the machine would
    second_engine.stop()
    off = elsewhere.cli("status")
    assert off.returncode == 5
    assert off.stdout.startswith("docker unavailable: the Docker engine is not running")
    second_engine.start()
    await_that(lambda: elsewhere.status()["state"] == "healthy", "the container", DEADLINE)
    assert elsewhere.status()["oauth_proxy"] is None
    done = elsewhere.up()
    assert "Already running and healthy" in done.stderr
    assert elsewhere.status()["oauth_proxy"] == f"http://localhost:{elsewhere.oauth_port}/oauth/callback"
    assert elsewhere.inspect()["Id"] == there
    assert file.read_text() == "kept"


def test_up_right_after_a_reboot(elsewhere: Frozen, second_engine: SecondEngine) -> None:
    """A container that has just begun is left to itself, not replaced."""
    elsewhere.up()
    there = elsewhere.inspect()["Id"]
    second_engine.stop()
    second_engine.start()
    elsewhere.up()
    assert elsewhere.inspect()["Id"] == there
    assert elsewhere.status()["state"] == "healthy"


def test_a_restart_of_the_engine_while_the_container_is_waited_for(
    elsewhere: Frozen, second_engine: SecondEngine
) -> None:
    """It is waited for as well, and said; then all goes on."""
    with stumbling(elsewhere) as obstacle, elsewhere.start("up", "--rehearsal", "--timeout=90") as process:
        said = Said(process)
        said.await_line("health: starting")
        second_engine.stop()
        obstacle.unlink()
        said.await_line("the Docker engine does not answer; waiting for it to come back")
        second_engine.start()
        assert process.wait(DEADLINE * 2) == 0, said.text
    assert elsewhere.status()["state"] == "healthy"


@pytest.mark.parametrize("seconds", [0.1, 0.5])
def test_a_restart_of_the_engine_while_the_container_is_made(
    elsewhere: Frozen, second_engine: SecondEngine, seconds: float
) -> None:
    """Whatever `docker compose` was at: it is given again, and nothing else is left."""
    elsewhere.up()
    file = mark(elsewhere)
    with elsewhere.start("up", "--rehearsal", "--recreate") as process:
        said = Said(process)
        said.await_line("Starting the container")
        timer = threading.Timer(seconds, second_engine.stop)
        timer.start()
        timer.join()
        second_engine.start()
        assert process.wait(DEADLINE * 3) == 0, said.text
    assert elsewhere.status()["state"] == "healthy"
    assert elsewhere.left() == ALL
    assert file.read_text() == "kept"


# --- without a network


def test_without_a_network_but_with_an_image(elsewhere: Frozen) -> None:
    """Nothing is asked of anybody; a second time there is nothing to do."""
    done = elsewhere.up()
    assert "Building" not in done.stderr
    assert elsewhere.status()["state"] == "healthy"
    assert "Already running and healthy" in elsewhere.up().stderr


UNREACHABLE = {"CCAPI_STACK_BASE_IMAGE": "127.0.0.1:1/debian:trixie-slim"}


def test_an_older_image_is_better_than_none(elsewhere: Frozen) -> None:
    """What is wanted cannot be built without a network: said, and the one that is there is taken; `--build` insists."""
    done = elsewhere.up(environ=UNREACHABLE)
    assert "warning: without a network no image can be built; going on with an older one" in done.stderr
    assert elsewhere.status()["state"] == "healthy"
    insisted = elsewhere.cli("up", "--rehearsal", "--build", environ=UNREACHABLE)
    assert insisted.returncode == 1
    assert "error: the image could not be built\n" in insisted.stderr
    assert elsewhere.status()["state"] == "healthy", "what runs goes on"


def test_a_base_image_that_is_not_to_be_pulled(elsewhere: Frozen) -> None:
    """And is not here: exit 1 before anything is tried. Nor is an image built that is not to be."""
    never = elsewhere.cli("up", "--rehearsal", "--pull=never", environ=UNREACHABLE)
    assert (never.returncode, "is not here, and --pull never was given" in never.stderr) == (1, True)
    no_build = elsewhere.cli("up", "--rehearsal", "--no-build", environ=UNREACHABLE)
    assert (no_build.returncode, "is not there, and --no-build was given" in no_build.stderr) == (1, True)
    assert elsewhere.left() == []


# --- interrupted


@pytest.fixture(scope="module")
def other_package(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for which an image would have to be built, which takes long where no mirror can be reached."""
    directory = tmp_path_factory.mktemp("other")
    for name in ("ccapi", "templates"):
        shutil.copytree(package / name, directory / name)
    (directory / "ccapi" / "more.py").touch()
    return directory


def test_ctrl_c_in_the_build(elsewhere: Frozen, other_package: Path) -> None:
    """Exit 130, at once; what has changed is said, and nothing is left. Then it works as if nothing had been."""
    with elsewhere.terminal("up", "--rehearsal", environ={"PYTHONPATH": str(other_package)}) as terminal:
        terminal.read_until("Building the image: Debian packages (4/")  # the one before may be too quick to be shown
        terminal.type(b"\x03")
        text = terminal.read_all()
    assert terminal.process.returncode == 130
    assert "Interrupted; nothing but the builder's cache has changed" in text
    assert elsewhere.left() == []
    assert list((elsewhere.directory / "home" / "ccapi" / "cache").iterdir()) == []
    assert no_compose_left(elsewhere)
    elsewhere.up()


def test_terminated_in_the_build(elsewhere: Frozen, other_package: Path) -> None:
    """SIGTERM: exit 143, and the same."""
    with elsewhere.start("up", "--rehearsal", environ={"PYTHONPATH": str(other_package)}) as process:
        said = Said(process)
        said.await_line("Debian packages")
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 143
        assert "Interrupted; nothing but the builder's cache has changed" in said.rest()
    assert elsewhere.left() == []
    assert no_compose_left(elsewhere)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_the_container_is_replaced(elsewhere: Frozen, number: signal.Signals) -> None:
    """Whatever is left of it then, `up` makes it whole, and nothing is lost."""
    elsewhere.up()
    file = mark(elsewhere)
    with elsewhere.start("up", "--rehearsal", "--recreate") as process:
        said = Said(process)
        said.await_line("Starting the container")
        process.send_signal(number)
        assert process.wait(DEADLINE) == 128 + number
        assert "Interrupted; the container is left as it is" in said.rest()
    assert no_compose_left(elsewhere)
    elsewhere.up()
    assert elsewhere.status()["state"] == "healthy"
    assert elsewhere.left() == ALL
    assert file.read_text() == "kept"


def no_compose_left(cli: Frozen) -> bool:
    """One that was just about to be started, when the signal came, is given nothing to do, and ends by itself."""
    return await_that(lambda: not compose_processes(cli.name), "the end of docker compose", DEADLINE)


# --- two at once


def test_two_at_once(elsewhere: Frozen) -> None:
    """The second waits for the first, and finds all done."""
    with elsewhere.start("up", "--rehearsal") as first, elsewhere.start("up", "--rehearsal") as second:
        errors = [process.communicate(timeout=DEADLINE * 2)[1].decode() for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], errors
    assert sum("Waiting for another ccapi to finish (PID" in text for text in errors) == 1
    assert sum("Already running and healthy" in text for text in errors) == 1


def test_down_against_up(elsewhere: Frozen) -> None:
    """One after the other, in whatever order they come: both succeed, and the stack is all there or not at all."""
    elsewhere.up()
    with elsewhere.start("up", "--rehearsal", "--recreate") as up, elsewhere.start("down") as down:
        errors = [process.communicate(timeout=DEADLINE * 2)[1].decode() for process in (up, down)]
    assert [up.returncode, down.returncode] == [0, 0], errors
    assert elsewhere.status()["state"] in {"healthy", "absent"}
    assert elsewhere.left() in (ALL, [name for name in ALL if name.endswith(("config", "workspace"))])


# --- not healthy in time


@contextmanager
def stumbling(cli: Frozen) -> Iterator[Path]:
    """A file in Claude's volume over which the gateway stumbles: it waits for somebody who writes into it."""
    cli.up()
    cli.cli("down")
    obstacle = cli.volume() / "credentials.env"
    os.mkfifo(obstacle)
    os.chown(obstacle, 1000, 1000)
    try:
        yield obstacle
    finally:
        obstacle.unlink(missing_ok=True)


def test_a_person_is_asked_whether_to_wait(elsewhere: Frozen) -> None:
    """What is the matter, and three ways on: here first to wait once more, then to stop it."""
    with stumbling(elsewhere):
        with elsewhere.terminal("up", "--rehearsal", "--timeout=6") as terminal:
            terminal.read_until("leave it as it is")
            assert "did not become healthy within 6 s; its last health check said: curl: (7)" in flat(terminal)
            terminal.type(b"\r")
            terminal.read_until("Waiting for the container")
            asked = len(terminal.raw)
            while b"leave it as it is" not in terminal.raw[asked:]:
                assert terminal._read(time.monotonic() + DEADLINE)
            terminal.type(b"j\r")
            terminal.read_all()
        assert terminal.process.returncode == 124
        assert "It was stopped, and not removed" in flat(terminal)
        assert elsewhere.inspect()["State"]["Status"] == "exited"
    elsewhere.up()


def flat(terminal: Terminal) -> str:
    """As it reads, whatever the terminal made of its lines."""
    return re.sub(r"\s+", " ", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.text))


def test_each_change_of_health_is_a_line(elsewhere: Frozen) -> None:
    """Without a terminal: once, not at each look; with --json each with its time."""
    with stumbling(elsewhere):
        done = elsewhere.cli("up", "--rehearsal", "--timeout=3")
        assert done.returncode == 124
        assert done.stderr.count("health: starting") == 1
        as_json = elsewhere.cli("up", "--rehearsal", "--timeout=5", "--json")
        lines = [json.loads(line) for line in as_json.stdout.splitlines()]
        assert as_json.returncode == 124
        assert any(re.fullmatch(r"health: starting \(\d+/5 s\)", line.get("text", "")) for line in lines)
        assert lines[-1]["type"] == "result"
        assert lines[-1]["status"] == "failed"
        assert lines[-1]["error"]["code"] == "stack_timeout"
        assert {line["type"] for line in lines[:-1]} == {"progress"}


# --- what is said before anything is done


def test_all_that_is_in_the_way_at_once(elsewhere: Frozen, tmp_path: Path) -> None:
    """Not one problem a run; each with its own way out, and the first one's exit code."""
    with (
        socket.create_server(("127.0.0.1", elsewhere.port)),
        socket.create_server(("::1", elsewhere.oauth_port), family=socket.AF_INET6),
    ):
        done = elsewhere.cli("up", "--rehearsal")
    assert done.returncode == 1
    assert "error: 2 things are in the way\n" in done.stderr
    assert f"  1. port {elsewhere.port} is in use by " in done.stderr
    assert f"  2. port {elsewhere.oauth_port} is in use by " in done.stderr
    assert f"(PID {os.getpid()})" in done.stderr
    assert "ccapi config set oauth.port" in done.stderr
    settings = elsewhere.cli("up", "--workspace", "none", "--ca-file", str(tmp_path / "none.pem"))
    assert settings.returncode == 2
    assert "error: 2 things are in the way\n" in settings.stderr
    assert elsewhere.left() == []


def test_a_listener_on_the_other_loopback_address(elsewhere: Frozen) -> None:
    """Whoever listens on ::1 would get what is sent to `localhost`: the port counts as taken."""
    with socket.create_server(("::1", elsewhere.port), family=socket.AF_INET6):
        done = elsewhere.cli("up", "--rehearsal")
    assert done.returncode == 1
    assert f"error: port {elsewhere.port} is in use by " in done.stderr


def test_an_address_that_is_not_here(elsewhere: Frozen) -> None:
    """Said before Docker fails over it."""
    elsewhere.cli("key", "create", "--name=x")
    done = elsewhere.cli("up", "--rehearsal", "--bind", "192.0.2.77")
    assert done.returncode == 2
    assert "error: gateway.host 192.0.2.77: this machine has no such address\n" in done.stderr


@pytest.mark.parametrize("address", ["::1", "0.0.0.0"])
def test_another_address(elsewhere: Frozen, address: str) -> None:
    """Published there; for other machines only with a key, and with a warning."""
    if address == "0.0.0.0":
        refused = elsewhere.cli("up", "--rehearsal", "--bind", address)
        assert (refused.returncode, "there is no API key" in refused.stderr) == (2, True)
        elsewhere.cli("key", "create", "--name=x")
    done = elsewhere.up("--bind", address)
    assert ("other machines reach it" in done.stderr) == (address == "0.0.0.0")
    (binding,) = elsewhere.inspect()["HostConfig"]["PortBindings"]["8000/tcp"]
    assert binding == {"HostIp": address, "HostPort": str(elsewhere.port)}


def test_a_dry_run_changes_nothing(elsewhere: Frozen) -> None:
    """From nothing, with something changed, with nothing to do: it says which, and leaves all as it is."""
    done = elsewhere.cli("up", "--rehearsal", "--dry-run")
    assert done.returncode == 0
    assert "The image would be used as it is: claude-code-api:" in done.stdout
    assert "The container would be created\n" in done.stdout
    assert elsewhere.left() == []
    assert not (elsewhere.directory / "home" / "ccapi" / "state" / "stack-secret").exists()
    elsewhere.up()
    there = elsewhere.inspect()["Id"]
    same = elsewhere.cli("up", "--rehearsal", "--dry-run")
    assert "nothing would be done to it" in same.stdout
    changed = elsewhere.cli("up", "--rehearsal=chat", "--dry-run", environ={"CCAPI_GATEWAY_TIMEOUT": "60"})
    assert "would be made anew" in changed.stdout
    assert "  rehearsal: default → chat\n" in changed.stdout
    assert "  gateway.timeout: 300 → 60\n" in changed.stdout
    built = elsewhere.cli("up", "--rehearsal", "--dry-run", "--build", "--json")
    result = json.loads(built.stdout.splitlines()[-1])
    assert result["data"]["build"] is True
    assert result["data"]["action"] == "nothing"
    assert elsewhere.inspect()["Id"] == there


# --- the other options


def test_made_anew_on_request(elsewhere: Frozen) -> None:
    """Another container, the same volumes."""
    elsewhere.up()
    there, file = elsewhere.inspect()["Id"], mark(elsewhere)
    elsewhere.up("--recreate")
    assert elsewhere.inspect()["Id"] != there
    assert file.read_text() == "kept"


def test_not_waited_for(elsewhere: Frozen) -> None:
    """It comes back at once, and says that the container is not healthy yet."""
    done = elsewhere.up("--no-wait")
    assert "not waited for" in done.stderr
    assert "It starts, and is not healthy yet: ccapi status" in done.stderr
    await_that(lambda: elsewhere.status()["state"] == "healthy", "the container", DEADLINE)


def test_attached(elsewhere: Frozen) -> None:
    """The log is shown; Ctrl-C stops container and proxy, and `up` starts them again."""
    with elsewhere.terminal("up", "--rehearsal", "--no-detach") as terminal:
        terminal.read_until("Ctrl-C stops the stack")
        terminal.read_until("gateway on")
        terminal.type(b"\x03")
        terminal.read_all()
    assert terminal.process.returncode == 130
    status = elsewhere.status()
    assert status["state"] == "stopped"
    assert status["oauth_proxy"] is None
    elsewhere.up()


def test_any_free_port(elsewhere: Frozen) -> None:
    """It is said, kept, and the container's own from then on."""
    del elsewhere.environ["CCAPI_GATEWAY_PORT"]
    with socket.create_server(("127.0.0.1", 0)):
        done = elsewhere.up("--port", "0")
    port = int(elsewhere.inspect()["HostConfig"]["PortBindings"]["8000/tcp"][0]["HostPort"])
    assert f"gateway.port: {port}, kept in " in done.stderr
    assert "Already running and healthy" in elsewhere.up().stderr
    again = elsewhere.up("--port", "0")
    assert "Already running and healthy" in again.stderr, "it keeps the one that it has"


def test_a_port_of_the_environment_comes_first(elsewhere: Frozen) -> None:
    """What is written down does not count next time: that is said."""
    done = elsewhere.up("--port", "0")
    assert "does not count next time: environment says otherwise" in done.stderr


def test_the_summary(elsewhere: Frozen) -> None:
    """Keys, the sign-in, who pays, MCP servers; nothing secret."""
    elsewhere.environ["CCAPI_POOL_SIZE"] = "0"  # a Claude Code that waits would write its configuration, too
    said = elsewhere.up().stdout
    assert "API keys     none needed on this machine; make one: ccapi key create\n" in said
    key = elsewhere.cli("key", "create", "--name=laptop").stdout.strip()
    config = elsewhere.volume()
    (config / "credentials.env").write_text("ANTHROPIC_API_KEY=sk-ant-api03-secret\n")
    document = json.loads((config / ".claude.json").read_text()) if (config / ".claude.json").exists() else {}
    (config / ".claude.json").write_text(json.dumps({**document, "mcpServers": {"notion": {}, "linear": {}}}))
    done = elsewhere.cli("up")
    assert done.returncode == 0, done.stderr
    assert "API keys     laptop; all of them: ccapi key list\n" in done.stdout
    assert "Claude       signed in\n" in done.stdout
    assert "Billing      API usage billing (by an API key)\n" in done.stdout
    assert "MCP servers  linear, notion; how they are: ccapi auth status\n" in done.stdout
    assert key not in done.stdout + done.stderr
    assert "secret" not in done.stdout + done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
