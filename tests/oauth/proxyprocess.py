"""The proxy as a process, a stand-in for its server, and a stand-in for the gateway that reports logins."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any, TypeVar

from ccapi.oauth import config as proxy_config
from ccapi.oauth.config import ProxyConfig
from tests.cli.support import ROOT, Cli, clean_environ, free_port

DEADLINE = 20.0  # seconds: what anything in these tests may take on a busy machine
LINES = "Starting OAuth Proxy on port {0}\nOAuth callback URL: http://localhost:{0}/oauth/callback\n"
# Answers with its process id, and ends as soon as nobody has asked for `idle` seconds, or its standard input ends.
# (`idle` is read anew after each answer, so a test can say when it is to end.)
SERVER = """
import json, os, select, signal, socket, sys
{prelude}
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
listening = [socket.socket(fileno=int(each)) for each in arguments["--sockets"].split(",")]
while True:
    idle = json.load(open(arguments["--config"]))["idle"]
    ready, _, _ = select.select([0, *listening], [], [], idle)
    if not ready or 0 in ready:
        break
    for each in ready:
        try:
            connection, _ = each.accept()
        except BlockingIOError:
            continue
        connection.recv(4096)
        connection.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n%d" % os.getpid())
        connection.close()
"""
T = TypeVar("T")
_SUPERVISE = "import sys; from ccapi.oauth.supervisor import supervise; sys.exit(supervise(sys.argv[1], sys.argv[2:]))"


def until(found: Callable[[], T], what: str, seconds: float = DEADLINE) -> T:
    """The first value that is not false."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.01)
    return value


def ask(port: int, host: str = "127.0.0.1", path: str = "/") -> bytes:
    """The body of the answer to a GET."""
    connection = http.client.HTTPConnection(host, port, timeout=DEADLINE)
    try:
        connection.request("GET", path, headers={"Host": f"localhost:{port}", "Connection": "close"})
        return connection.getresponse().read()
    finally:
        connection.close()


def refuses(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) != 0


def children(pid: int) -> list[int]:
    """The child processes, without those that have ended and are not reaped yet."""
    found = subprocess.run(["ps", "-o", "pid=,stat=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    pairs = [line.split() for line in found.stdout.splitlines()]
    return [int(child) for child, state in pairs if not state.startswith("Z")]


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    except OSError:
        return False


class Proxy:
    """A supervisor, with the stand-in for its server."""

    def __init__(self, directory: Path, *, prelude: str = "", **changes: Any) -> None:
        self.directory = directory
        self.log = directory / "proxy.log"
        self.secret = directory / "stack.secret"
        self.config = ProxyConfig(
            **{
                "port": free_port(),
                "gateway_host": "127.0.0.1",
                "gateway_port": free_port(),
                "secret_file": str(self.secret),
                "log_file": str(self.log),
                "idle": 0.2,
                **changes,
            }
        )
        self.file = directory / f"proxy-{self.config.port}.json"
        proxy_config.dump(self.config, str(self.file))
        self.server = directory / "server.py"
        self.server.write_text(SERVER.format(prelude=prelude), "utf-8")

    @property
    def port(self) -> int:
        return self.config.port

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-c", _SUPERVISE, str(self.file), sys.executable, str(self.server)]

    def run(self) -> subprocess.CompletedProcess[str]:
        """To its end, which must come by itself."""
        environ = clean_environ(self.directory)
        return subprocess.run(
            self.command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE, check=False
        )

    def set_idle(self, seconds: float) -> None:
        """For the server: one that is started from now on, and one that runs, from its next answer on."""
        proxy_config.dump(self.config._replace(idle=seconds), str(self.file))

    @contextmanager
    def started(self) -> Iterator[subprocess.Popen[bytes]]:
        """It listens; at the end it is killed if it still runs."""
        with started(self.command, self.directory) as process:
            lines = [process.stdout.readline(), process.stdout.readline()] if process.stdout else []
            assert b"".join(lines).decode() == LINES.format(self.port)
            yield process

    def said(self, pattern: str) -> str:
        """Wait for the log to have it."""
        return until(lambda: self._find(pattern), f"{pattern!r} in the log")

    def _find(self, pattern: str) -> str:
        text = self.log.read_text("utf-8") if self.log.exists() else ""
        return text if re.search(pattern, text) else ""


@contextmanager
def started(command: Sequence[str], directory: Path, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process, both of its streams in pipes; killed at the end of the block if it still runs."""
    with subprocess.Popen(
        command,
        env=clean_environ(directory, **environ),
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


class Gateway(ThreadingHTTPServer):
    """Keeps who asks for logins waiting until `reported` is set; `seen` holds the requests' lines and headers.

    `secret`: whoever has another one is refused; None: nobody is.
    """

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _GatewayHandler)
        self.port = int(self.server_address[1])
        self.reported = Event()
        self.statuses: list[int] = []  # answered with at once, one after another
        self.secret: str | None = None
        self.seen: list[tuple[str, dict[str, str]]] = []

    @contextmanager
    def serving(self) -> Iterator[Gateway]:
        thread = Thread(target=self.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            self.reported.set()
            self.shutdown()
            thread.join()
            self.server_close()


class _GatewayHandler(BaseHTTPRequestHandler):
    server: Gateway

    def do_GET(self) -> None:
        self.server.seen.append((self.requestline, dict(self.headers)))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        if self.server.secret not in {None, self.headers["Authorization"].removeprefix("Bearer ")}:
            status = 401
        if status == 200 and self.path.endswith("wait=0"):
            status = 204  # nothing that is new
        elif status == 200:
            self.server.reported.wait(DEADLINE)
        body = json.dumps({"logins": [{"id": "1"}]}).encode() if status == 200 else b""
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def private_memory(pid: int) -> float:
    """USS in MB: what would be free if this process ended."""
    fields = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()[1:])
    sizes = {name: int(size) for name, size, *_ in fields}
    return (sizes["Private_Clean:"] + sizes["Private_Dirty:"]) * 1024 / 1e6


def processes_of(directory: Path) -> list[int]:
    """Those with the directory on their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.fsencode(directory) in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


class Ccapi(Cli):
    """The command on a machine without Docker, with a port of its own for the proxy and one where no gateway is."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.port, self.gateway_port = free_port(), free_port()
        self.environ |= {
            "DOCKER_HOST": f"unix://{directory}/no.sock",
            "CCAPI_OAUTH_PORT": str(self.port),
            "CCAPI_GATEWAY_PORT": str(self.gateway_port),
        }

    @property
    def state(self) -> Path:
        return Path(self.environ["CCAPI_HOME"]) / "state"

    @property
    def log(self) -> Path:
        return self.state / "log" / "proxy.log"

    def proxy(self, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return self.run("proxy", *args, environ=environ)

    def pid(self) -> int:
        """Of the proxy that runs, without asking it."""
        return int(json.loads((self.state / f"proxy-{self.port}.lock").read_text())["pid"])


@contextmanager
def ccapi(directory: Path) -> Iterator[Ccapi]:
    """At the end no proxy is left, and none that could not be stopped."""
    command = Ccapi(directory)
    try:
        yield command
        assert command.proxy("stop").returncode == 0
        until(lambda: not processes_of(directory), "the processes end")
    finally:
        for pid in processes_of(directory):
            os.kill(pid, signal.SIGKILL)
