"""What doctor says of the OAuth proxy: the real one, in the states that it gets into."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccapi.commands import keys, secret
from tests.cli.support import DEADLINE, free_port
from tests.doctor.stage import Stage
from tests.doctor.support import Doctor, Table
from tests.gateway.harness import await_that

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]


@pytest.fixture
def running(stage: Stage) -> Iterator[Stage]:
    """The stack as `ccapi up` leaves it: its proxy runs."""
    stage.healthy()
    proxy(stage, "start")
    yield stage
    stage.cli("proxy", "stop")


def proxy(stage: Stage, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    done = stage.cli("proxy", *args, environ=environ)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


# --- whether it runs


def test_a_proxy_that_does_not_run(running: Stage, table: Table) -> None:
    """`--fix` starts it."""
    proxy(running, "stop")
    broken = running.look("proxy.running")
    assert running.finding("proxy.settings").status == "skip"
    assert running.finding("proxy.gateway").status == "skip"
    running.apply(broken)
    running.add(table, "The OAuth proxy does not run", broken, running.look("proxy.running"))


def test_a_proxy_without_a_container(running: Stage) -> None:
    """Is nothing to mend: `down` stops both."""
    proxy(running, "stop")
    running.gone()
    assert running.finding("proxy.running").status == "info"


def test_a_stack_without_a_port(doctor: Doctor) -> None:
    """A named one has none before its first `up`: that is no failure of the proxy's."""
    found = doctor.look("proxy.running", project="another").finding
    assert found.status == "info"


def test_a_proxy_on_another_port(running: Stage, table: Table) -> None:
    """The setting has changed since it was started."""
    other = str(free_port())
    broken = running.look("proxy.running", {"CCAPI_OAUTH_PORT": other})
    running.apply(broken)
    mended = running.look("proxy.running", {"CCAPI_OAUTH_PORT": other})
    condition = "The setting oauth.port was changed while the proxy ran"
    running.add(table, condition, broken, mended, **{other: "9999"})


def test_another_program_on_its_port(running: Stage) -> None:
    """Is told once, by `ports.oauth`."""
    proxy(running, "stop")
    listen = f"import socket, time; s = socket.create_server(('127.0.0.1', {running.oauth_port})); time.sleep(60)"
    with subprocess.Popen(["python3", "-c", listen]) as other:
        try:
            await_that(lambda: running.finding("ports.oauth").status == "fail", "the other program listens")
            found = running.finding("proxy.running")
        finally:
            other.kill()
    assert found.status == "skip"
    assert found.summary.startswith(f"ports.oauth: {running.oauth_port} is in use by python3")
    assert f"PID {other.pid}" in found.summary


# --- how it runs


def test_a_proxy_with_settings_of_before(running: Stage, table: Table) -> None:
    """They are named as the person calls them; `--fix` has it started anew."""
    proxy(running, "stop")
    proxy(running, "start", CCAPI_OAUTH_OPEN_BROWSER="never", CCAPI_OAUTH_CALLBACK_PORT="3118")
    broken = running.look("proxy.settings")
    assert broken.finding.summary.endswith("this has changed: oauth.callback_port and oauth.open_browser")
    running.apply(broken)
    running.add(table, "The OAuth proxy has the settings of before", broken, running.look("proxy.settings"))


def test_a_container_that_moved(running: Stage) -> None:
    """`up --port` says where the gateway is, and no setting: the proxy that `up` started knows it."""
    other = str(free_port())
    running.up("--port", other)
    try:
        assert running.finding("proxy.settings").status == "ok"
        assert running.finding("proxy.gateway").status == "ok"
        assert running.finding("stack.settings").summary.endswith(": port")
    finally:
        running.up()


def test_a_gateway_that_the_proxy_does_not_reach(running: Stage, table: Table) -> None:
    """It asks where the gateway was; `--fix` starts it again, with where it is."""
    proxy(running, "stop")
    proxy_of_before(running)
    broken = running.look("proxy.gateway")
    assert running.finding("proxy.settings").summary.endswith("this has changed: gateway.port")
    running.apply(broken)
    assert running.finding("proxy.settings").status == "ok"
    running.add(table, "The OAuth proxy asks at a port where no gateway is", broken, running.look("proxy.gateway"))


def proxy_of_before(stage: Stage) -> None:
    """One that was started when the gateway was elsewhere. (Without Docker the settings say where.)"""
    nowhere = {"CCAPI_GATEWAY_PORT": "1", "DOCKER_HOST": f"unix://{stage.directory}/no.sock"}
    proxy(stage, "start", **nowhere)


def test_a_secret_that_was_made_anew(running: Stage, table: Table) -> None:
    """The container reads a directory that is gone: `ccapi up` makes it anew."""
    home = running.doctor.facts().home
    for file in (*keys.directory(home).iterdir(), secret.path(home)):
        file.unlink()
    keys.directory(home).rmdir()
    proxy(running, "restart")
    broken = running.look("proxy.gateway")
    running.do(broken)
    await_that(lambda: running.finding("proxy.gateway").status == "ok", "the proxy is let in")
    running.add(table, "The stack's secret was lost", broken, running.look("proxy.gateway"))


def test_a_proxy_that_hangs(running: Stage) -> None:
    """It has the port, and says nothing."""
    pid = server(running)
    os.kill(pid, signal.SIGSTOP)
    try:
        found = running.finding("proxy.gateway")
    finally:
        os.kill(pid, signal.SIGKILL)
    assert found.status == "fail"
    assert "does not answer" in found.summary
    assert found.fix is not None
    assert found.fix.safe


# --- what else there is to it


def test_a_service_of_another_ccapi(stage: Stage, table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after `pipx reinstall`: the file that the system reads names a Python that is gone."""
    monkeypatch.setenv("HOME", str(stage.directory))
    file = stage.directory / ".config" / "systemd" / "user" / "ccapi-oauth-proxy-doctor.service"
    proxy(stage, "install")
    assert stage.finding("proxy.service").status == "ok"
    file.write_text(file.read_text().replace("/bin/python", "/gone/bin/python"))
    broken = stage.look("proxy.service")
    proxy(stage, "install")
    mended = stage.look("proxy.service")
    stage.add(table, "The system starts the OAuth proxy of another installation", broken, mended)
    proxy(stage, "uninstall")
    assert stage.finding("proxy.service").status == "info"


def test_a_log_that_tells_of_failures(running: Stage, table: Table) -> None:
    """Of its server, which was killed; not of those before it was started again."""
    proxy(running, "restart")
    assert running.finding("proxy.log").status == "ok"
    os.kill(server(running), signal.SIGKILL)
    await_that(lambda: "(signal 9)" in proxy(running, "logs").stdout, "the supervisor notices")
    broken = running.look("proxy.log")
    assert "signal 9" in broken.finding.summary
    running.apply(broken)
    running.add(table, "The OAuth proxy's server was killed", broken, running.look("proxy.log"))


def test_a_log_with_a_warning(running: Stage) -> None:
    """A callback that nobody waits for is the person's, and nothing to mend."""
    proxy(running, "restart")
    connection = http.client.HTTPConnection("127.0.0.1", running.oauth_port, timeout=DEADLINE)
    with contextlib.closing(connection):
        connection.request("GET", "/oauth/callback?code=x&state=never-seen")
        assert connection.getresponse().status >= 400
    found = running.finding("proxy.log")
    assert found.status == "info"
    assert "refused" in found.summary
    assert "never-seen" not in repr(found)


def server(stage: Stage) -> int:
    """The process id of the server that the proxy starts when somebody comes."""
    connection = http.client.HTTPConnection("127.0.0.1", stage.oauth_port, timeout=DEADLINE)
    with contextlib.closing(connection):
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes()
            if os.fsencode(stage.directory) in words and b"--sockets" in words:
                return int(entry.name)
    raise AssertionError("the proxy has no server")
