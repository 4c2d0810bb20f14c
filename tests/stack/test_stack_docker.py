"""The stack on a real engine: what `up` makes, what it is confined to, and what `down` leaves."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.harness import await_that
from tests.stack.support import CA_FILE, CONFIG_VOLUME, NAME, Stack, docker, inspect

# The first test of the session builds the image.
pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

QUESTION = "Write a Python function that calculates Fibonacci numbers, run it, and show me the first ten."


def test_up_from_nothing(absent: Stack) -> None:
    """Builds, starts, waits until healthy; the address and what to do next on stdout, progress on stderr."""
    done = absent.up()
    assert f"http://127.0.0.1:{absent.port}/v1" in done.stdout
    assert f"http://localhost:{absent.oauth_port}/oauth/callback" in done.stdout
    assert 'ccapi ask "hello"' in done.stdout
    assert "scripted" in done.stdout
    assert "Starting the container ..." in done.stderr
    assert re.search(r"Healthy after \d+\.\d s", done.stderr)


def test_the_answer_is_complete(running: Stack) -> None:
    """From the host, without a key: the code, the real tool output, the confirmation; the log has its line."""
    body = {"model": "claude-3-5-haiku-20241022", "messages": [{"role": "user", "content": QUESTION}]}
    request = urllib.request.Request(
        f"http://localhost:{running.port}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as response:
        content = json.load(response)["choices"][0]["message"]["content"]
    segments = content.split("\n\n---\n\n")
    assert "def fib" in segments[0]
    assert "[0, 1, 1, 2, 3, 5, 8, 13, 21, 34]" in segments[1]
    assert len(segments) == 3
    assert "Aggregated 3 assistant messages" in running.cli("logs").stdout


def test_a_reload_reads_the_sign_in_again(running: Stack) -> None:
    """`docker kill --signal=HUP`: the signal reaches the gateway, which goes on."""
    before = inspect()["State"]["StartedAt"]
    docker("kill", "--signal=HUP", NAME)
    await_that(lambda: "were read again" in running.cli("logs").stdout, "the reload")
    assert inspect()["State"]["StartedAt"] == before


def test_up_again_changes_nothing(running: Stack) -> None:
    """The same container goes on, and the summary is the same."""
    before = inspect()["Id"]
    done = running.up()
    assert done.stderr == "Already running and healthy\n"
    assert f"http://127.0.0.1:{running.port}/v1" in done.stdout
    assert inspect()["Id"] == before


def test_up_as_json(running: Stack) -> None:
    """The last line on stdout is a document that a script can take the address from."""
    document = json.loads(running.up("--json").stdout.splitlines()[-1])["data"]
    assert document["url"] == f"http://127.0.0.1:{running.port}/v1"
    assert document["already"] is True


def test_up_says_what_it_changes(running: Stack) -> None:
    """Another scenario and timeout: both are named with old and new value, and the container is another one."""
    before = inspect()["Id"]
    done = running.cli("up", "--rehearsal", "chat", environ={"CCAPI_GATEWAY_TIMEOUT": "60"})
    assert done.returncode == 0, done.stderr
    assert "rehearsal: default → chat\n" in done.stderr
    assert "gateway.timeout: 300 → 60\n" in done.stderr
    assert "Building" not in done.stderr
    assert inspect()["Id"] != before


def test_up_for_the_real_model(running: Stack) -> None:
    """Without a scenario: how to sign in, until there are credentials; another API is not used unseen."""
    environ = {"ANTHROPIC_BASE_URL": "https://gateway.example"}
    done = running.cli("up", environ=environ)
    assert done.returncode == 0, done.stderr
    assert "ccapi auth claude" in done.stdout
    assert "https://gateway.example\n" in done.stdout
    assert "scripted" not in done.stdout
    running.inside("umask 077; echo ANTHROPIC_API_KEY=x >$CLAUDE_CONFIG_DIR/credentials.env")
    assert "ccapi auth claude" not in running.cli("up", environ=environ).stdout
    running.inside("rm $CLAUDE_CONFIG_DIR/credentials.env")


def test_up_replaces_a_container_that_runs_but_is_not_healthy(running: Stack) -> None:
    """Running is not enough: one whose gateway has stopped answering is made anew."""
    before = inspect()["Id"]
    # Its own health check may not have noticed yet; a restart begins with "starting", and the gateway then waits.
    running.in_config_volume("rm -f credentials.env && mkfifo credentials.env")
    docker("restart", NAME)
    await_that(waits, "the gateway, waiting for what nobody writes")
    running.in_config_volume("rm credentials.env")
    assert running.status()["state"] == "starting"
    running.up()
    assert inspect()["Id"] != before


def waits() -> bool:
    """Whether the container's processes have begun, and do nothing."""

    def spent() -> int:
        stats = []
        for pid in docker("top", NAME, "-eo", "pid").split()[1:]:
            with suppress(OSError):  # Docker's health check comes and goes
                stats.append(Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rsplit(")", 1)[1].split())
        return sum(int(stat[11]) + int(stat[12]) for stat in stats)

    before = spent()
    time.sleep(0.7)
    return 10 < before == spent()


# --- what the container is confined to


@pytest.fixture
def facts(running: Stack) -> dict[str, Any]:
    return inspect()


def test_no_privileges(running: Stack) -> None:
    """Neither root nor any capability, now or by any program; nothing in the image asks for more."""
    assert running.inside("id -u") == "1000"
    status = dict(line.split(":\t", 1) for line in running.inside("cat /proc/1/status").splitlines() if ":\t" in line)
    assert {status[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    assert status["Uid"].split() == ["1000"] * 4
    assert running.inside("find / -xdev -type f -perm /6000 2>/dev/null; true") == ""


@pytest.mark.parametrize("directory", ["/", "/etc", "/usr/local/bin", "/opt/ccapi/app/ccapi", "/opt/ccapi/venv"])
def test_the_root_file_system_is_read_only(running: Stack, directory: str) -> None:
    """Also where the gateway's own code is; and the modes alone would forbid it too."""
    assert running.inside(f"touch {directory}/x 2>&1; true").endswith("Read-only file system")
    assert running.inside(f"test -w {directory} && echo writable; stat -c %u {directory}") == "0"


def test_what_is_writable(running: Stack) -> None:
    """The home (for the user alone), /tmp (programs may run there), Claude's configuration, the workspace."""
    for directory in ("/home/claude", "/tmp", "/home/claude/.claude", "/workspace"):
        running.inside(f"touch {directory}/x && rm {directory}/x")
    assert running.inside("stat -c %a /home/claude /home/claude/.claude /tmp").split() == ["700", "700", "1777"]
    assert running.inside("printf '#!/bin/sh\\necho runs' >/tmp/x; chmod +x /tmp/x; /tmp/x; rm /tmp/x") == "runs"


def test_mounts(facts: dict[str, Any]) -> None:
    """The two volumes, and of the host the hashes of the API keys, read-only: no Docker socket, no home directory."""
    (keys,) = [mount for mount in facts["Mounts"] if mount["Type"] == "bind"]
    assert keys["RW"] is False
    assert {(mount["Type"], mount["Destination"]) for mount in facts["Mounts"]} == {
        ("volume", "/home/claude/.claude"),
        ("volume", "/workspace"),
        ("bind", "/run/ccapi/keys"),
    }
    host = facts["HostConfig"]
    assert host["Privileged"] is False
    assert not host["Devices"]
    assert host["PidMode"] == ""
    assert host["IpcMode"] == "private"
    assert host["NetworkMode"] == f"{NAME}_default"


def test_limits(facts: dict[str, Any]) -> None:
    """Memory, without swap on top, processes and the log are bounded."""
    host = facts["HostConfig"]
    assert host["Memory"] == host["MemorySwap"] == 4 * 1024**3
    assert host["PidsLimit"] == 2048
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}


def test_published_on_loopback_only(facts: dict[str, Any], running: Stack) -> None:
    """One port, one address."""
    assert facts["NetworkSettings"]["Ports"] == {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(running.port)}]}


def test_nothing_secret_in_inspect(running: Stack) -> None:
    """Credentials of the person who runs `up` never enter the container's environment."""
    names = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "GITHUB_TOKEN")
    running.up("--timeout=60", environ=dict.fromkeys(names, "s3cret"))
    assert "s3cret" not in docker("inspect", NAME)
    assert "s3cret" not in docker("history", "--no-trunc", running.image())


def test_everything_carries_our_label(running: Stack) -> None:
    """Container, volumes, network: so that `down` finds exactly its own things. The image has one of its own, which
    containers inherit that somebody else makes from it.
    """
    label = {"ccapi.stack": NAME}
    assert label.items() <= inspect()["Config"]["Labels"].items()
    for kind, name in (("volume", CONFIG_VOLUME), ("volume", f"{NAME}_workspace"), ("network", f"{NAME}_default")):
        assert label.items() <= json.loads(docker(kind, "inspect", name))[0]["Labels"].items()
    labels = json.loads(docker("image", "inspect", running.image()))[0]["Config"]["Labels"]
    assert labels["ccapi.image"] == NAME
    assert "ccapi.stack" not in labels


def test_root_is_refused(running: Stack) -> None:
    """Started as root in spite of the image's user, the gateway ends and says why."""
    said = docker("run", "--rm", "--user=0", running.image(), check=False)
    assert "does not run as root" in said


def test_the_workspace_cannot_change_the_gateway(running: Stack) -> None:
    """The working directory of the gateway is the agent's; no module is ever imported from it."""
    running.inside("mkdir -p /workspace/aiohttp && echo 'raise SystemExit(7)' >/workspace/aiohttp/__init__.py")
    docker("restart", NAME)
    try:
        running.up()
    finally:
        running.inside("rm -r /workspace/aiohttp")


def test_the_ca_file_reaches_the_container(running: Stack) -> None:
    """`--ca-file` ends in the system's bundle, which every program there is pointed at."""
    line = CA_FILE.read_text().splitlines()[2]
    assert running.inside(f"grep -cF '{line}' /etc/ssl/certs/ca-certificates.crt") == "1"
    names = "SSL_CERT_FILE NODE_EXTRA_CA_CERTS REQUESTS_CA_BUNDLE PIP_CERT GIT_SSL_CAINFO CURL_CA_BUNDLE"
    assert set(running.inside(f"printenv {names}").splitlines()) == {"/etc/ssl/certs/ca-certificates.crt"}


def test_the_tools_are_there(running: Stack) -> None:
    """What the agent works with, and Claude Code at the release that the Dockerfile says."""
    running.inside("git --version && rg --version && python3 -m venv --help && curl --version && ps")
    assert "(Claude Code)" in running.inside("claude --version")


def test_an_orderly_stop_is_quick(running: Stack) -> None:
    """`docker stop` needs none of its ten seconds of grace: the gateway ends on SIGTERM, with 0."""
    docker("stop", "--time=10", NAME)
    assert inspect()["State"]["ExitCode"] == 0


def test_a_conversation_goes_on_after_a_restart(running: Stack) -> None:
    """What the gateway remembers and Claude's sessions are on the volume, the scripted model's as well."""
    running.up()
    first = chat(running, [{"role": "user", "content": "hello"}])
    docker("restart", NAME)
    running.up()
    answer = first["choices"][0]["message"]
    second = chat(running, [{"role": "user", "content": "hello"}, answer, {"role": "user", "content": "and now?"}])
    assert second["choices"][0]["message"]["content"] == "You said: and now?"
    assert second["session_id"] == first["session_id"]


def chat(running: Stack, messages: list[dict[str, Any]]) -> dict[str, Any]:
    body = json.dumps({"model": "sonnet", "messages": messages}).encode()
    url = f"http://127.0.0.1:{running.port}/v1/chat/completions"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
        document: dict[str, Any] = json.load(response)
    return document
