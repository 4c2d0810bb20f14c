"""The way of a login from the container's `$BROWSER` to the host: who may use it, and for what.

The socket, its peer and the helper are real; what /proc says of the peer is written by the test. In a container, with
the real CLI and a real agent, it is tested in `tests/stack`.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ccapi.gateway.browser import MAX_URL, Browser
from ccapi.gateway.logins import MAX_PENDING, Logins
from ccapi.gateway.procfs import Processes
from tests.cli.support import ROOT

HELPER = ROOT / "templates" / "compose" / "ccapi-browser"
OURSELVES = os.getpid()
SHELL, CLAUDE, OTHER_CLAUDE, PYTHON, INIT = 210, 220, 230, 240, 1
PORT = 50661


def url(port: int = PORT, state: str = "state", site: str = "https://as.example") -> str:
    return f"{site}/authorize?redirect_uri=http%3A%2F%2Flocalhost%3A{port}%2Fcallback&state={state}"


class Container:
    """What /proc says."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "proc"
        self.claude, self.python = directory / "claude", directory / "python"
        for file in (self.claude, self.python):
            file.touch()
        (self.root / "net").mkdir(parents=True)
        (self.root / "net" / "tcp").write_text("  sl  local_address rem_address   st …\n")
        self._sockets = 700

    def process(self, pid: int, parent: int, *, exe: Path | None = None, listens: int | None = None) -> None:
        directory = self.root / str(pid)
        (directory / "fd").mkdir(parents=True)
        (directory / "stat").write_text(f"{pid} (a ) name (1 2) S {parent} 1 1 0 -1 4194560 0 0\n")
        (directory / "exe").symlink_to(exe or self.python)
        if listens is not None:
            self._sockets += 1
            (directory / "fd" / "5").symlink_to(f"socket:[{self._sockets}]")
            line = (
                f"   0: 0100007F:{listens:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0"
            )
            with (self.root / "net" / "tcp").open("a") as file:
                file.write(f"{line} {self._sockets} 1 0000000000000000 100 0 0 10 0\n")

    def login_by_hand(self, *, port: int = PORT) -> None:
        """`docker exec … sh`, and there `claude mcp login`, which calls the helper."""
        self.process(SHELL, 0)
        self.process(CLAUDE, SHELL, exe=self.claude, listens=port)
        self.process(OURSELVES, CLAUDE)


class Channel:
    """The gateway's end, and whoever connects to it: this very process."""

    def __init__(self, container: Container) -> None:
        self.name = f"@ccapi-test-{secrets.token_hex(8)}"
        processes = Processes(container.root)
        self.logins = Logins(processes.listeners)
        self.browser = Browser(self.name, self.logins, processes, binary=lambda: container.claude, reserved={8000})

    async def says(self, data: bytes) -> str:
        """The answer, if there is one."""
        return await asyncio.to_thread(self._says, data)

    def _says(self, data: bytes) -> str:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(10)
                connection.connect(f"\0{self.name[1:]}")
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                return connection.makefile("r").read().strip()
        except ConnectionError:  # it was closed, and nothing read
            return ""

    async def told(self) -> list[str]:
        return [one.url for one in await self.logins.waiting(0)]


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return Container(tmp_path)


@pytest.fixture
async def channel(container: Container) -> AsyncIterator[Channel]:
    channel = Channel(container)
    await channel.browser.open()
    yield channel
    await channel.browser.close()


# --- who


async def test_a_login_that_a_person_started(container: Container, channel: Channel) -> None:
    """Its URL reaches the host as it was."""
    container.login_by_hand()
    assert await channel.says(url().encode()) == "ok"
    assert await channel.told() == [url()]


async def test_claude_code_without_a_shell(container: Container, channel: Channel) -> None:
    """`docker exec -it … claude`, and there `/mcp`."""
    container.process(CLAUDE, 0, exe=container.claude, listens=PORT)
    container.process(OURSELVES, CLAUDE)
    assert await channel.says(url().encode()) == "ok"


async def test_the_agent_is_refused(container: Container, channel: Channel, caplog: pytest.LogCaptureFixture) -> None:
    """All that is below PID 1: the gateway's `claude`, its tools, and what lost its parent (P74, P75)."""
    caplog.set_level("DEBUG")
    container.process(INIT, 0)
    container.process(CLAUDE, INIT, exe=container.claude, listens=PORT)
    container.process(OURSELVES, CLAUDE)
    assert await channel.says(url(state="MARKER").encode()) == ""
    assert await channel.told() == []
    assert "refused" in caplog.text
    assert "MARKER" not in caplog.text
    assert "as.example" not in caplog.text


async def test_a_tool_below_a_persons_claude_code_is_refused(container: Container, channel: Channel) -> None:
    """Though a person started the Claude Code that the agent is in: the login is not that process's own."""
    container.process(CLAUDE, 0, exe=container.claude)
    container.process(PYTHON, CLAUDE, listens=PORT)
    container.process(OURSELVES, PYTHON)
    assert "does not come from" in await channel.says(url().encode())
    assert await channel.told() == []


async def test_a_login_that_an_agent_starts_is_refused(container: Container, channel: Channel) -> None:
    """`claude mcp login`, run by the Bash tool of a Claude Code that a person started."""
    container.process(CLAUDE, 0, exe=container.claude)
    container.process(SHELL, CLAUDE)
    container.process(OTHER_CLAUDE, SHELL, exe=container.claude, listens=PORT)
    container.process(OURSELVES, OTHER_CLAUDE)
    assert "does not come from" in await channel.says(url().encode())


async def test_another_program_is_refused(container: Container, channel: Channel) -> None:
    """What listens must be Claude Code, whatever its name."""
    container.process(PYTHON, 0, listens=PORT)
    container.process(OURSELVES, PYTHON)
    assert "does not come from" in await channel.says(url().encode())


async def test_another_port_than_the_logins_own_is_refused(container: Container, channel: Channel) -> None:
    """One that nobody listens on, and one that another process does."""
    container.login_by_hand(port=PORT + 1)
    container.process(PYTHON, SHELL, listens=PORT + 2)
    for port in (PORT, PORT + 2):
        assert "does not come from" in await channel.says(url(port).encode())


async def test_a_process_that_is_gone_is_refused(container: Container, channel: Channel) -> None:
    """Whose it was cannot be told."""
    container.process(OURSELVES, CLAUDE)
    assert await channel.says(url().encode()) == ""


# --- what


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"file:///etc/passwd",
        b"javascript:alert(1)",
        b"data:text/html,x",
        b"vscode://x",
        b"ssh://x",
        b"--flag",
        b"http://192.168.0.1/",
        url(site="http://192.168.0.1").encode(),
        url(site="https://user@as.example").encode(),
        url(22).encode(),
        url(8000).encode(),
        url().encode() + b"&x=" + b"a" * MAX_URL,
        url().encode() + b"\n",
        url().encode() + b"\x1b[31m",
        url().encode() + "é".encode(),
        url().encode() + b"\xff",
        url().replace("localhost", "evil.example").encode(),
        url().encode() + b"&state=other",
    ],
)
async def test_what_is_no_login_is_refused(
    container: Container, channel: Channel, caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    """Also when a person's Claude Code says it; nothing of it is repeated (P74)."""
    caplog.set_level("DEBUG")
    container.login_by_hand()
    answer = await channel.says(data)
    assert answer not in {"ok", ""}
    assert "as.example" not in answer + caplog.text
    assert await channel.told() == []


async def test_there_are_only_so_many(container: Container, channel: Channel) -> None:
    """And the helper is told."""
    container.process(SHELL, 0)
    container.process(CLAUDE, SHELL, exe=container.claude, listens=PORT)
    container.process(OURSELVES, CLAUDE)
    for number in range(MAX_PENDING + 1):
        _listen_too(container, PORT + number)
    answers = [await channel.says(url(PORT + number, f"s{number}").encode()) for number in range(MAX_PENDING + 1)]
    assert answers == ["ok"] * MAX_PENDING + ["Too many logins wait already"]


def _listen_too(container: Container, port: int) -> None:
    number = 900 + port
    (container.root / str(CLAUDE) / "fd" / str(number)).symlink_to(f"socket:[{number}]")
    with (container.root / "net" / "tcp").open("a") as file:
        file.write(f"   1: 0100007F:{port:04X} 00000000:0000 0A 0:0 00:0 0 1000 0 {number} 1 0\n")


async def test_who_says_nothing_is_let_go(container: Container, channel: Channel) -> None:
    """A connection that is left open keeps nobody else out."""
    container.login_by_hand()
    silent = [await asyncio.open_unix_connection(f"\0{channel.name[1:]}") for _ in range(20)]
    assert await channel.says(url().encode()) == "ok"
    for reader, writer in silent:
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
        await writer.wait_closed()


async def test_without_a_channel_nothing_is_opened(container: Container) -> None:
    """Outside of a container there is none; and where it cannot be opened the gateway goes on without it."""
    first, second = Channel(container), Channel(container)
    nameless = Browser(None, first.logins, Processes(), binary=lambda: container.claude, reserved=())
    await nameless.open()
    await nameless.close()
    second.browser = Browser(first.name, second.logins, Processes(), binary=lambda: container.claude, reserved=())
    await first.browser.open()
    await second.browser.open()
    await second.browser.close()
    await first.browser.close()


# --- /proc itself


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "0.0.0.0"])
def test_what_the_kernel_says_of_a_listener(address: str) -> None:
    """Whatever its address; a socket that is connected is none."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    processes = Processes()
    with socket.create_server((address, 0), family=family) as server:
        port = int(server.getsockname()[1])
        found = processes.listeners(port)
        assert len(found) == 1
        assert processes.holds(OURSELVES, found)
        assert not processes.holds(os.getppid(), found)
        with socket.create_connection(server.getsockname()[:2]):
            assert processes.listeners(port) == found
    assert processes.listeners(port) == frozenset()


def test_what_the_kernel_says_of_a_process() -> None:
    """Its ancestors, up to the one without any; what it executes."""
    processes = Processes()
    lineage = processes.lineage(OURSELVES)
    assert lineage[:2] == [OURSELVES, os.getppid()]
    assert Path(f"/proc/{lineage[-1]}/stat").read_text().rpartition(")")[2].split()[1] == "0"
    assert processes.runs(OURSELVES, Path(sys.executable))
    assert not processes.runs(OURSELVES, Path("/bin/sh"))
    assert processes.lineage(0) == processes.lineage(2**22 + 1) == []
    assert not processes.runs(2**22 + 1, Path(sys.executable))
    assert not processes.holds(2**22 + 1, [1])


# --- the helper


@contextmanager
def answering(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A gateway of one answer, and what it was sent."""
    name, got = f"@ccapi-test-{secrets.token_hex(8)}", []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name[1:]}")
        server.listen()
        server.settimeout(20)

        def serve() -> None:
            connection, _ = server.accept()
            with connection, connection.makefile("rb") as stream:
                got.append(stream.read())
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield name, got
        thread.join(20)


def helper(*args: str, name: str | None = None) -> subprocess.CompletedProcess[str]:
    environ = {"CCAPI_BROWSER_SOCKET": name} if name else {}
    return subprocess.run(
        [sys.executable, "-I", str(HELPER), *args],
        capture_output=True,
        text=True,
        env=environ,
        timeout=20,
        check=False,
    )


def test_the_helper_hands_the_address_over() -> None:
    """Byte for byte; to the person it says on stderr what to do, and stdout stays the program's that called it."""
    with answering(b"ok\n") as (name, got):
        done = helper(url() + "é", name=name)
    assert (done.returncode, done.stdout) == (0, "")
    assert got == [(url() + "é").encode()]
    assert done.stderr.startswith("ccapi: open the address in the browser")


@pytest.mark.parametrize(("answer", "said"), [(b"Too many logins wait already\n", "Too many logins"), (b"", "gateway")])
def test_the_helper_says_what_else_can_be_done(answer: bytes, said: str) -> None:
    """Refused, or no answer: the redirect URL can be pasted."""
    with answering(answer) as (name, _):
        done = helper(url(), name=name)
    assert done.returncode == 1
    assert said in done.stderr
    assert "paste" in done.stderr


def test_the_helper_without_a_gateway() -> None:
    """As in an image that somebody else runs."""
    done = helper(url(), name="@ccapi-test-nobody")
    assert done.returncode == 1
    assert "the gateway does not take it" in done.stderr
    assert helper().returncode == helper("a", "b").returncode == 2
