"""`ccapi status` on a real engine: the verdict, what it rests on, and that it is there in time."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ccapi import __version__
from tests.gateway.harness import await_that
from tests.stack.project import Project, project
from tests.stack.support import docker

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def stack(docker_engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with project(tmp_path_factory.mktemp("status"), "test-status") as made:
        yield made


@pytest.fixture
def running(stack: Project) -> Project:
    """Healthy, with the default rehearsal scenario."""
    stack.up()
    return stack


@pytest.fixture
def signed_in(running: Project) -> Iterator[Project]:
    """With what Claude Code stores of a subscription and of MCP servers; without the scripted model."""
    login: dict[str, Any] = {"accessToken": "s3cret-a", "refreshToken": "s3cret-r", "subscriptionType": "max"}
    login |= {"refreshTokenExpiresAt": 1_900_000_000_000}
    credentials = {"claudeAiOauth": login, "mcpOAuth": {"n|1": {"serverName": "notion", "accessToken": "s3cret-m"}}}
    config = {
        "oauthAccount": {"emailAddress": "me@example.com"},
        "mcpServers": {"notion": {"type": "http", "url": "https://a"}, "gh": {"type": "http", "url": "https://b"}},
    }
    for name, document in ((".credentials.json", credentials), (".claude.json", config)):
        running.inside(f"umask 077; cat >$CLAUDE_CONFIG_DIR/{name} <<'END'\n{json.dumps(document)}\nEND")
    done = running.cli("up")
    assert done.returncode == 0, done.stderr
    yield running
    running.inside("rm $CLAUDE_CONFIG_DIR/.credentials.json $CLAUDE_CONFIG_DIR/.claude.json")


def test_a_healthy_stack(running: Project) -> None:
    """Exit 0; verdict, services and gateway on standard output, in 80 columns, and nothing on the other."""
    done = running.cli("status")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "running (healthy)"
    table = [line.split() for line in lines[2:5]]
    assert table[0] == ["SERVICE", "STATE", "HEALTH", "UPTIME", "RESTARTS", "IMAGE", "ADDRESS"]
    gateway = table[1]
    assert (gateway[:3], gateway[-1]) == (["gateway", "running", "healthy"], f"127.0.0.1:{running.port}")
    assert gateway[-2] == running.image().partition(":")[2]
    assert table[2][:2] == ["proxy", "running"]
    assert f"ccapi {__version__}, Claude Code 2." in done.stdout
    assert "scripted (rehearsal scenario default)" in done.stdout
    assert "Billing      nobody pays: the model is scripted\n" in done.stdout
    assert "is wanted" not in done.stdout
    assert max(map(len, lines)) <= 80


def test_as_json(running: Project) -> None:
    """All of it; the address is Docker's."""
    found = running.status()
    assert (found["stack"], found["state"]) == (running.name, "healthy")
    assert found["url"] == f"http://127.0.0.1:{running.port}/v1"
    assert found["image"] == {"running": running.image(), "wanted": running.image()}
    assert found["gateway"]["version"] == __version__
    assert (found["gateway"]["runs"], found["gateway"]["needs_key"]) == (0, False)
    assert found["claude_code"] == running.inside("claude --version").split()[0]
    assert found["oauth_proxy"] == f"http://localhost:{running.oauth_port}/oauth/callback"
    assert found["uptime_seconds"] >= 0


def test_the_sign_ins(signed_in: Project) -> None:
    """Method, plan, account and end, who pays, and the MCP servers; no secret of it."""
    text = signed_in.cli("status").stdout
    assert "Sign-in      subscription, max, me@example.com, until 2030-03-17\n" in text
    assert "Billing      subscription\n" in text
    assert "MCP servers  gh (no sign-in)\n               notion (signed in)\n" in text
    as_json = signed_in.cli("status", "--json").stdout
    found = json.loads(as_json)["data"]
    assert found["sign_in"]["account"] == "me@example.com"
    assert found["mcp_servers"] == [{"name": "gh", "auth": "none"}, {"name": "notion", "auth": "signed-in"}]
    assert "s3cret" not in text + as_json


def test_nobody_is_signed_in(running: Project) -> None:
    """What to do about it."""
    assert running.cli("up").returncode == 0
    text = running.cli("status").stdout
    assert "Sign-in      none: ccapi auth claude\n" in text
    assert "Billing      nobody pays: not signed in\n" in text


def test_another_image_is_wanted(running: Project) -> None:
    """After a setting that enters it was changed; the running one goes on. Broken settings are no hindrance."""
    done = running.cli("status", environ={"CCAPI_STACK_BASE_IMAGE": "debian:other"})
    assert done.returncode == 0
    assert "is wanted: ccapi up" in done.stdout
    (running.directory / "ccapi.toml").write_text("broken", "utf-8")
    try:
        broken = running.cli("status", "--json")
    finally:
        (running.directory / "ccapi.toml").unlink()
    assert broken.returncode == 0
    assert json.loads(broken.stdout)["data"]["image"]["wanted"] is None


def test_a_gateway_that_hangs(running: Project) -> None:
    """The answer comes within two seconds on top of a start all the same, and says so."""
    began = time.monotonic()
    running.cli("status")
    usual = time.monotonic() - began
    running.inside("pkill -STOP -f '[c]capi gateway'")
    try:
        began = time.monotonic()
        done = running.cli("status")
        assert time.monotonic() - began < 5 + 3 * usual  # two, and what it takes anyway on a busy machine
        assert "the gateway does not say" in done.stdout
        assert f"http://127.0.0.1:{running.port}/v1" in done.stdout
    finally:
        running.inside("pkill -CONT -f '[c]capi gateway'")
        running.up()


def test_a_paused_container(running: Project) -> None:
    """Degraded, exit 1; and `up` mends it."""
    docker("pause", running.name)
    try:
        done = running.cli("status")
        assert done.returncode == 1
        assert done.stdout.startswith("degraded: the container is paused\n")
        assert running.cli("status", "--all").returncode == 1
        running.up()
        assert running.cli("status", "--quiet").returncode == 0
    finally:
        docker("unpause", running.name, check=False)


def test_no_container(running: Project) -> None:
    """Stopped, exit 1, how to start it; the volumes are named. Quiet means the exit code alone."""
    running.cli("down")
    done = running.cli("status")
    assert done.returncode == 1
    assert done.stdout.startswith("stopped\n")
    assert "not created" in done.stdout
    assert running.config_volume in done.stdout
    assert "ccapi up" in done.stderr
    quiet = running.cli("status", "-q")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (1, "", "")


def test_a_stopped_container(running: Project) -> None:
    """By hand: what is stored is still known, no address is given, and nothing was started."""
    docker("stop", running.name)
    done = running.cli("status", "--json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert document["status"] == "failed"
    found = document["data"]
    assert (found["state"], found["url"], found["gateway"]) == ("stopped", None, None)
    assert found["claude_code"].startswith("2.")
    assert docker("inspect", "--format", "{{.State.Status}}", running.name) == "exited"


# --- for a shell


def exported(script: str) -> list[str]:
    """The two variables as a shell has them that took the script."""
    show = f'{script}\nprintf "%s\\n" "$OPENAI_BASE_URL" "${{OPENAI_API_KEY-none}}"'
    done = subprocess.run(["sh", "-c", show], env={}, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("environ", "options", "key", "note"),
    [
        ({}, [], "not-needed", ""),
        ({"CCAPI_API_KEY": "ccapi-k'ey"}, [], "none", "--show-secrets"),
        ({"CCAPI_API_KEY": "ccapi-k'ey"}, ["--show-secrets"], "ccapi-k'ey", ""),
    ],
)
def test_for_a_shell(running: Project, environ: dict[str, str], options: list[str], key: str, note: str) -> None:
    """The address and the key, quoted; a key that is a secret only if that was asked for."""
    done = running.cli("status", "-o", "env", *options, environ=environ)
    assert done.returncode == 0
    assert exported(done.stdout) == [f"http://127.0.0.1:{running.port}/v1", key]
    assert note in done.stderr
    assert bool(note) == bool(done.stderr)


def test_for_a_shell_where_a_key_is_needed(running: Project) -> None:
    """There is none in the environment: how to make one; nothing that would not work is exported."""
    running.cli("key", "create", "--name", "test")
    running.up(environ={"CCAPI_API_REQUIRE_KEY": "true"})
    done = running.cli("status", "-o", "env")
    assert exported(done.stdout)[1] == "none"
    assert "ccapi" in done.stderr
    assert "key create" in done.stderr
    running.cli("down")
    stopped = running.cli("status", "-o", "env")
    assert (stopped.returncode, stopped.stdout) == (1, "")


# --- again and again, and all of them


def test_watching(running: Project) -> None:
    """The same place of the screen, what changes is seen, and Ctrl-C says nothing."""
    with running.terminal("status", "--watch") as terminal:
        terminal.read_until("running (healthy)")
        docker("pause", running.name)
        terminal.read_until("degraded: the container is paused")
        docker("unpause", running.name)
        terminal.type(b"\x03")
        text = terminal.read_all()
    assert terminal.process.returncode == 130
    assert "Traceback" not in text
    assert "error" not in text
    assert text.count("\x1b[H") >= 2
    assert text.count("\x1b[2J") == 1


def test_watching_without_a_screen(running: Project) -> None:
    """A line is written once more only when it has changed."""
    with running.start("status", "--watch", "--all") as process:
        assert process.stdout is not None
        lines: list[bytes] = []
        while not any(running.name.encode() in line for line in lines):
            lines.append(process.stdout.readline())
        docker("pause", running.name)
        while not any(b"degraded" in line for line in lines):
            lines.append(process.stdout.readline())
        process.terminate()
        process.wait(30)
    docker("unpause", running.name)
    assert b"".join(lines).count(b"\x1b") == 0


def test_all_stacks(running: Project) -> None:
    """A line for each that Docker knows, whether or not it runs."""
    labels = "--label=ccapi.stack=claude-code-api-test-volume"
    docker("volume", "create", labels, "ccapi-test-status")
    try:
        done = running.cli("status", "--all")
        found: list[dict[str, Any]] = json.loads(running.cli("status", "--all", "--json").stdout)["data"]["stacks"]
    finally:
        docker("volume", "rm", "ccapi-test-status")
    assert done.returncode == 1, "one of them does not run"
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [running.name, running.project, "running", "(healthy)", f"127.0.0.1:{running.port}"] in rows
    assert ["claude-code-api-test-volume", "test-volume", "stopped", "-"] in rows
    assert {"claude-code-api-test-volume", running.name} <= {one["stack"] for one in found}
    await_that(lambda: running.cli("status").returncode == 0, "health")
