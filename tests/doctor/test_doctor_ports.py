"""What doctor says of ports: ours, free, or a foreign process's, which is named; and who reaches the API."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ccapi import portowner
from tests.cli.support import DEADLINE, free_port, read_line
from tests.doctor.stage import BASE, Stage
from tests.doctor.support import NO_ENGINE, Doctor, Table
from tests.stack.support import docker

_SERVER = """
import socket, sys, time
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    print("listening", flush=True)
    time.sleep(600)
"""


pytestmark = NO_ENGINE


@pytest.fixture(autouse=True)
def no_engine(request: pytest.FixtureRequest, doctor: Doctor) -> None:
    """But where a test is about one: the checks work without, and no stack of this machine is seen."""
    if not request.node.get_closest_marker("docker"):
        doctor.environ["DOCKER_HOST"] = f"unix://{doctor.directory}/none.sock"


@contextmanager
def foreign(port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Another program that listens there; ended at the end of the block."""
    command = [sys.executable, "-c", _SERVER, str(port), "jupyter"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert read_line(process.stdout, "the line of the listener") == "listening"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("check", "setting", "condition"),
    [
        ("ports.gateway", "gateway.port", "Another program has the API's port"),
        ("ports.oauth", "oauth.port", "Another program has the OAuth proxy's port"),
        ("ports.callback", "oauth.callback_port", "Another program has the port that logins come back to"),
    ],
)
def test_a_foreign_process(doctor: Doctor, table: Table, check: str, setting: str, condition: str) -> None:
    """It is named with its PID and how to stop it, and that is what helps."""
    port = free_port()
    doctor.environ["CCAPI_" + setting.replace(".", "_").upper()] = str(port)
    with foreign(port) as process:
        broken = doctor.look(check)
        owner = portowner.owner(port)
        assert broken.finding.status == "fail"
        assert broken.finding.summary == f"{port} is in use by {owner}"
        assert f"(PID {process.pid})" in broken.finding.summary
        doctor.do(broken, only="kill ")
        process.wait(DEADLINE)
    mended = doctor.look(check)
    assert mended.finding.summary == f"{port} is free"
    command = owner.command if owner else ""
    suggested = (broken.finding.fix.command or "").rpartition(" ")[2] if broken.finding.fix else ""
    table.add(condition, broken, mended, replace={command: "jupyter-lab", suggested: "9001", str(port): "9000"})


def test_taking_another_port(doctor: Doctor) -> None:
    """The second way out is a command, too: it sets the port that was suggested, which is free."""
    port = free_port()
    doctor.environ["HOME"] = str(doctor.directory)
    with foreign(port):
        (doctor.directory / "ccapi.toml").write_text(f"[gateway]\nport = {port}\n")
        broken = doctor.look("ports.gateway")
        assert broken.finding.fix
        command = (broken.finding.fix.command or "").splitlines()[1]
        assert command.startswith("ccapi config set gateway.port ")
        suggested = command.rpartition(" ")[2]
        found = doctor.look("ports.gateway", {"CCAPI_GATEWAY_PORT": suggested})
    assert found.finding.summary == f"{suggested} is free"


def test_a_port_of_ipv6_only(doctor: Doctor) -> None:
    """`localhost` means ::1 first: whoever has that gets what is meant for us."""
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    with server:
        port = server.getsockname()[1]
        assert doctor.look("ports.gateway", {"CCAPI_GATEWAY_PORT": str(port)}).finding.status == "fail"


def test_a_stack_without_a_port(doctor: Doctor) -> None:
    """A named one gets its ports from its first `up`: that is no problem."""
    for check in ("ports.gateway", "ports.oauth"):
        found = doctor.look(check, project="web").finding
        assert (found.status, "no port yet" in found.summary) == ("info", True)


def test_no_port_for_logins_is_set(doctor: Doctor) -> None:
    """Then each takes one that is free."""
    assert doctor.look("ports.callback").finding.status == "ok"


@pytest.mark.docker
@pytest.mark.timeout(600)
def test_the_ports_of_a_stack_that_runs(stage: Stage) -> None:
    """They are busy, and rightly so."""
    stage.healthy()
    gateway, oauth, published = (stage.finding(check) for check in ("ports.gateway", "ports.oauth", "ports.published"))
    assert (gateway.status, gateway.summary) == ("ok", f"{stage.port} is the gateway's (127.0.0.1:{stage.port})")
    assert (oauth.status, oauth.summary) == ("ok", f"{stage.oauth_port} is the OAuth proxy's")
    assert (published.status, published.summary) == ("ok", f"127.0.0.1:{stage.port}: this machine only")
    moved = stage.finding("ports.gateway", {"CCAPI_GATEWAY_PORT": str(free_port())})
    assert moved.status == "info"
    assert f"the gateway is on {stage.port}" in moved.summary


@pytest.mark.docker
@pytest.mark.timeout(600)
def test_published_to_everybody(stage: Stage, table: Table) -> None:
    """What Docker has really done counts, whatever the settings say."""
    with stage.container(f"--publish=0.0.0.0:{stage.port}:8000"):
        broken = stage.look("ports.published")
        assert broken.finding.status == "warn"
        assert broken.finding.summary == f"the API is published on every address of this machine, port {stage.port}"
        stage.do(broken)
        stage.add(table, "The API is published on every address", broken, stage.look("ports.published"))


@pytest.mark.docker
def test_a_foreign_container(doctor: Doctor) -> None:
    """It is named as a container, and stopped as one."""
    port = free_port()
    name = f"ccapi-test-{port}"
    try:
        docker("run", "--detach", f"--name={name}", f"--publish=127.0.0.1:{port}:80", "--entrypoint=sleep", BASE, "600")
        broken = doctor.look("ports.gateway", {"CCAPI_GATEWAY_PORT": str(port)}, project="nosuch")
        assert broken.finding.summary == f"{port} is in use by the container {name}"
        doctor.do(broken, only="docker stop ")
        assert doctor.look("ports.gateway", {"CCAPI_GATEWAY_PORT": str(port)}, project="nosuch").finding.status == "ok"
    finally:
        docker("rm", "--force", name)
