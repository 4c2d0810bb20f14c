"""The server as the program that is started for the work: its sockets, end, log (rows P03, P06, P67, P78, P80)."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from ccapi.oauth import config as proxy_config
from ccapi.oauth import loopback
from ccapi.oauth.config import ProxyConfig
from tests.cli.support import ROOT, clean_environ, free_port
from tests.gateway.harness import await_that, in_thread
from tests.oauth import support
from tests.oauth.proxyprocess import DEADLINE, ask, children
from tests.oauth.support import (
    CODE,
    MARKER,
    SECRET,
    FakeGateway,
    assert_page,
    authorization_url,
    get,
    listening_on,
    new_state,
    raw,
)


@dataclass
class Program:
    """The server's process, the sockets that it was given, and the gateway."""

    directory: Path
    gateway: FakeGateway
    config: ProxyConfig
    sockets: list[socket.socket] = field(default_factory=list)

    @property
    def log(self) -> str:
        return (self.directory / "proxy.log").read_text("utf-8")

    @contextmanager
    def started(self, environ: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
        """As the supervisor starts it."""
        file = self.directory / "proxy.json"
        proxy_config.dump(self.config, str(file))
        command = [sys.executable, "-P", "-m", "ccapi.oauth.server", "--config", str(file)]
        if self.sockets:
            command += ["--sockets", ",".join(str(one.fileno()) for one in self.sockets)]
        with subprocess.Popen(
            command,
            env={**clean_environ(self.directory), **(environ or {})},
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[one.fileno() for one in self.sockets],
        ) as process:
            try:
                yield process
            finally:
                process.kill()
                output = process.stdout.read() if process.stdout else b""
        assert output == b""

    def listen(self) -> None:
        self.sockets = loopback.listen(self.config.port)

    def register(self, state: str, port: int) -> int:
        """The status of the answer."""
        with httpx.Client(base_url=f"http://127.0.0.1:{self.config.port}", trust_env=False, timeout=DEADLINE) as client:
            url = authorization_url(f"http://localhost:{port}/callback", state)
            headers = {"Authorization": f"Bearer {SECRET}"}
            return client.post("/oauth/register", json={"authorization_url": url}, headers=headers).status_code


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """Not started yet; listening already, as the supervisor is."""
    directory = tmp_path / "proxy"
    directory.mkdir()
    (directory / "stack.secret").write_text(SECRET)
    fake = FakeGateway()
    with in_thread(fake.running):
        config = ProxyConfig(
            port=free_port(),
            gateway_host="127.0.0.1",
            gateway_port=fake.port,
            secret_file=str(directory / "stack.secret"),
            log_file=str(directory / "proxy.log"),
            idle=1.0,
        )
        made = Program(directory, fake, config)
        made.listen()
        yield made
        for one in made.sockets:
            one.close()


def test_it_ends_when_nobody_needs_it(program: Program) -> None:
    """Exit code 0; the sockets go on to listen, and the next one answers who came meanwhile."""
    with program.started() as process:
        assert ask(program.config.port, path="/health").startswith(b'{"status": "healthy"')
        began = time.monotonic()
        ask(program.config.port)
        assert process.wait(DEADLINE) == 0
        assert time.monotonic() - began > program.config.idle * 0.9
    assert listening_on(program.config.port) == {"127.0.0.1", "::1"}
    with socket.create_connection(("::1", program.config.port), timeout=DEADLINE) as early:
        early.sendall(get("/", f"Host: localhost:{program.config.port}"))
        with program.started():
            assert early.recv(100).startswith(b"HTTP/1.1 200 OK")


def test_it_stays_while_somebody_needs_it(program: Program) -> None:
    """A login that waits, a client that waits for it, a connection."""
    state, port = new_state(), free_port()
    with program.started() as process:
        assert program.register(state, port) == 201
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(program.config.idle * 2)
        response = raw(port, get(f"/callback?code={CODE}&state={state}", f"Host: localhost:{port}"))
        assert_page(response, 200, "Sign-in received")
        assert process.wait(DEADLINE) == 0
    assert listening_on(port) == set()


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "end of input"])
def test_it_ends_when_it_is_told_to(program: Program, how: str) -> None:
    """Soon (within a second and a half, on a machine that does nothing else), whoever waits for a login."""
    state, port = new_state(), free_port()
    with program.started() as process:
        assert program.register(state, port) == 201
        with socket.create_connection(("127.0.0.1", program.config.port), timeout=DEADLINE) as waiting:
            headers = [f"Host: localhost:{program.config.port}", f"Authorization: Bearer {SECRET}"]
            waiting.sendall(get(f"/oauth/sessions/{state}?wait=30&known=pending", *headers))
            ask(program.config.port)
            began = time.monotonic()
            if how == "end of input":
                assert process.stdin
                process.stdin.close()
            else:
                process.send_signal(getattr(signal, how))
            assert process.wait(DEADLINE) == 0
            assert time.monotonic() - began < 10
    assert listening_on(port) == set()


def test_only_its_own_port_is_open_while_nothing_is_pending(program: Program) -> None:
    """P06; then the login's, and after it only the own again."""
    with program.started() as process:
        ask(program.config.port)
        assert ports_of(process.pid) == {program.config.port}
        state, port = new_state(), free_port()
        assert program.register(state, port) == 201
        assert ports_of(process.pid) == {program.config.port, port}
        raw(port, get(f"/callback?code={CODE}&state={state}", f"Host: localhost:{port}"))
        await_that(lambda: ports_of(process.pid) == {program.config.port}, "the port is closed")


def ports_of(pid: int) -> set[int]:
    """The ports that a process listens on (Linux)."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            inodes.add(str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]"))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text("ascii").splitlines()[1:]:
            columns = line.split()
            if columns[3] == "0A" and columns[9] in inodes:
                found.add(int(columns[1].rpartition(":")[2], 16))
    return found


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_no_proxy_of_the_environment_is_used(program: Program, name: str) -> None:
    """P67: the delivery goes straight to the gateway."""
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.2)
        environ = {name: f"http://127.0.0.1:{trap.getsockname()[1]}"}
        with program.started(environ):
            state, port = new_state(), free_port()
            assert program.register(state, port) == 201
            response = raw(port, get(f"/callback?code={CODE}&state={state}", f"Host: localhost:{port}"))
            assert_page(response, 200, "Sign-in received")
        with pytest.raises(TimeoutError):
            trap.accept()


def test_nothing_is_left_of_a_login(program: Program) -> None:
    """P78, P80: neither in the log, which says what happened and only its owner may read, nor in any file."""
    good, denied, port = new_state(), new_state(), free_port()
    with program.started() as process:
        for state in (good, denied):
            assert program.register(state, port) == 201
        host = f"Host: localhost:{port}"
        raw(port, get(f"/callback?code={CODE}&state={MARKER}", host))
        raw(port, get(f"/callback?error={MARKER}&state={denied}", host))
        raw(port, get(f"/{MARKER}?code={CODE}", "Host: evil.example"))
        raw(port, f"GET /callback?code={CODE}&state={good} HTTP/1.1\r\n{MARKER}\r\n\r\n".encode())
        raw(port, get(f"/callback?code={CODE}&state={good}", host))
        assert process.wait(DEADLINE) == 0
    lines = [line.partition(" ")[2].partition(" ")[2] for line in program.log.splitlines()]
    assert lines == [
        f"a login started on the host waits: as.example, port {port}",
        f"a login started on the host waits: as.example, port {port}",
        f"warning: callback on port {port} refused: Unknown sign-in",
        f"callback of as.example, port {port}: denied",
        f"callback of as.example, port {port}: delivered",
    ]
    assert stat.S_IMODE((program.directory / "proxy.log").stat().st_mode) == 0o600
    for file in program.directory.rglob("*"):
        if file.is_file():
            assert MARKER.encode() not in file.read_bytes()


def test_a_login_of_the_container_wakes_it(program: Program) -> None:
    """Supervisor and server together: nobody has come, a login is reported, and its callback is delivered."""
    for one in program.sockets:
        one.close()
    file = program.directory / "proxy.json"
    proxy_config.dump(program.config, str(file))
    command = [sys.executable, "-m", "ccapi.oauth.supervisor", "--config", str(file)]
    with subprocess.Popen(
        command, env=clean_environ(program.directory), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            await_that(lambda: program.gateway.requests, "the supervisor asks")
            state, port = new_state(), free_port()
            program.gateway.reports(authorization_url(f"http://localhost:{port}/callback", state))
            await_that(lambda: listening_on(port), "listened for")
            response = raw(port, get(f"/callback?code={CODE}&state={state}", f"Host: localhost:{port}"))
            assert_page(response, 200, "Sign-in received")
            support.assert_closed(port)
            await_that(lambda: not children(process.pid), "the server has ended")
            assert ask(program.config.port, path="/health").startswith(b'{"status": "healthy"')
        finally:
            process.terminate()
            assert process.wait(DEADLINE) == 0
    assert MARKER not in program.log
    assert f"login started in the container: as.example, port {port}; open the URL" in program.log


def test_without_sockets_it_binds_the_port_and_stays(program: Program) -> None:
    """Where no supervisor is."""
    for one in program.sockets:
        one.close()
    program.sockets = []
    with program.started() as process:
        await_that(lambda: listening_on(program.config.port), "it listens")
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(program.config.idle * 1.5)
        assert b"OAuth proxy is running" in ask(program.config.port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
    assert listening_on(program.config.port) == set()


def test_a_busy_port(program: Program) -> None:
    """P03: exit code 1, and the log names port and owner."""
    held, program.sockets = program.sockets, []
    with program.started() as process:
        assert process.wait(DEADLINE) == 1
    for one in held:
        one.close()
    assert f"error: port {program.config.port}" in program.log
    assert f"PID {os.getpid()}" in program.log


def test_it_is_soon_there(program: Program) -> None:
    """An answer within half a second on a quiet machine; this one may be busy."""
    with program.started():
        began = time.monotonic()
        ask(program.config.port)
        assert time.monotonic() - began < 15
