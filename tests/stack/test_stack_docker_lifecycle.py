"""The stack on a real engine, when things are not as they should be."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ccapi.commands import keys, secret
from ccapi.paths import Home
from tests.cli.support import DEADLINE, ROOT, Cli, free_port
from tests.gateway.harness import await_that
from tests.stack.support import NAME, Stack, docker, inspect

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]


# --- the OAuth proxy


def test_the_proxy_runs_with_the_stack(running: Stack) -> None:
    """From `up` to `down`, and asks this gateway, which knows its secret; after `up --port` the one there."""
    proxy = json.loads(running.cli("proxy", "status", "--json").stdout)["data"]
    assert proxy["healthy"] is True
    await_that(lambda: f":{running.port} is asked for logins" in running.cli("proxy", "logs").stdout, "the question")
    other = free_port()
    moved = json.loads(running.cli("up", "--rehearsal", "--port", str(other), "--json").stdout.splitlines()[-1])["data"]
    assert moved["oauth_proxy"] == f"http://localhost:{running.oauth_port}/oauth/callback"
    await_that(lambda: f":{other} is asked for logins" in running.cli("proxy", "logs").stdout, "the question there")
    assert "Already running" in running.cli("proxy", "start").stderr, "the container's port counts, not the setting"
    down = json.loads(running.cli("down", "--json").stdout)["data"]
    assert down["oauth_proxy_stopped"] is True
    assert running.status()["oauth_proxy"] is None


def test_a_state_directory_that_was_made_anew(running: Stack) -> None:
    """The container still reads the one that is gone: this is told, and `up` makes the container anew."""
    shutil.rmtree(keys.directory(Home(running.environ["CCAPI_HOME"])))
    secret.path(Home(running.environ["CCAPI_HOME"])).unlink()
    status = running.cli("proxy", "status")
    assert status.returncode == 1
    assert status.stdout.startswith("degraded: The gateway does not know this stack's secret\n")
    assert status.stderr == "Run: ccapi up\n"
    login = running.cli("auth", "demo-server", "--url", "http://127.0.0.1:9/mcp", "--no-browser")
    assert login.returncode == 1
    assert "error: The gateway does not know the stack's secret" in login.stderr
    assert "ccapi up" in login.stderr
    done = running.up()
    assert "a directory of keys that is no longer there" in done.stderr
    assert running.cli("proxy", "status").stdout.startswith("running (healthy)\n")
    assert json.loads(running.up("--json").stdout.splitlines()[-1])["data"]["already"] is True


def test_up_goes_on_without_the_proxy(absent: Stack) -> None:
    """Its port is taken: a warning that says by whom and what to do, and the API works."""
    with socket.create_server(("127.0.0.1", absent.oauth_port)):
        done = absent.up()
    assert f"warning: the OAuth proxy does not run: port {absent.oauth_port}, " in done.stderr
    assert "ccapi config set oauth.port" in done.stderr
    assert absent.status()["state"] == "healthy"


# --- ports


def test_a_busy_port_names_the_process(absent: Stack) -> None:
    """Its command line and PID, a free port instead, and where to set that; nothing is started."""
    server = [
        sys.executable,
        "-c",
        "import socket, time; s = socket.create_server(('127.0.0.1', PORT)); time.sleep(600)",
    ]
    server[2] = server[2].replace("PORT", str(absent.port))
    with subprocess.Popen(server) as process:
        try:
            wait_for_listener(absent.port)
            done = absent.cli("up", "--rehearsal")
        finally:
            process.kill()
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: port {absent.port} is in use by python")
    assert f"(PID {process.pid})" in done.stderr
    assert re.search(r"ccapi up --port \d+\n", done.stderr)
    assert absent.status()["state"] == "absent"


def test_a_busy_port_names_the_container(running: Stack) -> None:
    """Of whatever project: a container's port is not a process of ours to see."""
    port = str(running.port)
    image = running.image()
    running.cli("down")
    name = "ccapi-test-other"
    docker(
        "run",
        "--detach",
        "--rm",
        f"--name={name}",
        f"--publish=127.0.0.1:{port}:80",
        "--entrypoint=sleep",
        image,
        "600",
    )
    try:
        done = running.cli("up", "--rehearsal")
    finally:
        docker("rm", "--force", name)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: port {port} is in use by the container {name}\n")
    assert f"docker stop {name}" in done.stderr


def wait_for_listener(port: int) -> None:
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("the listener never came")


# --- containers that do not become healthy


@contextmanager
def broken_start(stack: Stack, script: str) -> Iterator[None]:
    """Leaves a file in Claude's volume over which the gateway stumbles."""
    stack.up()
    stack.cli("down")
    stack.in_config_volume(script)
    try:
        yield
    finally:
        stack.cli("down", "--volumes", "--yes")


def test_a_container_that_ends_is_reported_at_once(stack: Stack) -> None:
    """Its exit code, its last words, and no endless restarts; `status` and `logs` still tell of it."""
    with broken_start(stack, "echo NO_SUCH_NAME=1 >credentials.env"):
        done = stack.cli("up", "--rehearsal")
        assert done.returncode == 1
        assert "credentials.env" in done.stderr
        assert "error: the container ended while it started: exit code 2" in done.stderr
        status = stack.status()
        assert status["state"] == "stopped"
        assert stack.cli("status").returncode == 1
        assert "credentials.env" in stack.cli("logs").stdout
        stack.in_config_volume("rm credentials.env")
        stack.up()


def test_a_container_that_is_never_healthy(stack: Stack) -> None:
    """Exit 124 after the given time, with what the last health check said; the container stays for a look."""
    with broken_start(stack, "mkfifo credentials.env"):
        began = time.monotonic()
        done = stack.cli("up", "--rehearsal", "--timeout", "8")  # long enough for a health check on a busy machine
        assert done.returncode == 124
        assert time.monotonic() - began < 50
        assert "did not become healthy within 8 s; its last health check said: curl: (7)" in done.stderr
        assert stack.status()["state"] == "starting"


def test_interrupted_while_waiting(stack: Stack) -> None:
    """Ctrl-C: exit 130, what is left is said, and it is left."""
    cli = Cli(stack.directory)
    cli.environ = stack.environ
    with broken_start(stack, "mkfifo credentials.env"):
        with cli.terminal("up", "--rehearsal") as terminal:
            terminal.read_until("Starting the container: health: starting")
            terminal.type(b"\x03")
            text = terminal.read_all()
        assert terminal.process.returncode == 130
        assert "the container is left as it is" in text
        assert text.count("\x1b[?25h") == text.count("\x1b[?25l"), "the cursor is back"
        assert stack.status()["state"] == "starting"


# --- others in the way


def test_a_container_with_our_name_is_not_touched(absent: Stack) -> None:
    """`up` refuses, `status` and `down` do not take it for ours."""
    absent.up()
    image = absent.image()
    absent.cli("down")
    docker("run", "--detach", f"--name={NAME}", "--entrypoint=sleep", image, "600")
    try:
        refused = absent.cli("up", "--rehearsal")
        assert refused.returncode == 1
        assert "that ccapi did not make" in refused.stderr
        assert absent.status()["state"] == "absent"
        assert absent.cli("down").returncode == 0
        assert inspect()["State"]["Status"] == "running"
    finally:
        docker("rm", "--force", NAME)


def test_changed_sources_give_another_image(running: Stack, tmp_path: Path) -> None:
    """A copy of the package with one more file: `up` builds, says so, and the old image is gone."""
    shutil.copytree(ROOT / "ccapi", tmp_path / "ccapi", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "templates", tmp_path / "templates")
    (tmp_path / "ccapi" / "more.py").touch()
    before = running.image()
    done = running.up(environ={"PYTHONPATH": str(tmp_path)})
    after = running.image()
    assert f"image: {before} → {after}\n" in done.stderr
    assert "Image built" in done.stderr
    assert docker("images", "--quiet", before) == ""
    assert running.inside("ls /opt/ccapi/app/ccapi/more.py")


def test_a_workspace_of_the_host(running: Stack, tmp_path: Path) -> None:
    """The directory is mounted; one that the agent cannot write to is a warning with the way out."""
    workspace = tmp_path / "a workspace"
    workspace.mkdir()
    workspace.chmod(0o755)
    (workspace / "file").write_text("from the host")
    done = running.up("--workspace", str(workspace))
    assert f"workspace: a volume → {workspace}\n" in done.stderr
    assert running.inside("cat /workspace/file") == "from the host"
    if workspace.stat().st_uid != 1000:
        assert f"warning: the agent (user id 1000) cannot write to {workspace}" in done.stderr
