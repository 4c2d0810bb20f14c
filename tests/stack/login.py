"""What the tests of MCP logins in the container share: a real MCP server with OAuth, a real Chromium, and the command.

Claude Code takes plain http only on loopback, so the server is `localhost` for both sides: on this machine it listens
there, and in the container a few lines of Python pass connections on to it.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from tests.cli.support import DEADLINE, ROOT, Cli, Terminal, read_line
from tests.gateway.harness import await_that
from tests.stack.support import NAME, Stack, docker

PICTURES = ROOT / "build" / "pictures"  # kept as what a CI run leaves to look at
SERVER = ROOT / "tests" / "oauth" / "mcp_server.py"
CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
# Runs in the container: its loopback port is that of the machine.
_RELAY = """
import asyncio, sys
async def pump(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
async def relay(reader, writer):
    there = await asyncio.open_connection(sys.argv[2], int(sys.argv[1]))
    await asyncio.gather(pump(reader, there[1]), pump(there[0], writer), return_exceptions=True)
async def main():
    server = await asyncio.start_server(relay, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()
asyncio.run(main())
"""


class McpServer:
    """The server's address, and what it saw."""

    def __init__(self, url: str, container: str) -> None:
        self.url = url
        self.port = int(httpx.URL(url).port or 0)
        self._container = container

    @property
    def recorded(self) -> dict[str, Any]:
        with httpx.Client(trust_env=False, timeout=DEADLINE) as client:
            seen: dict[str, Any] = client.get(self.url.removesuffix("/mcp") + "/recorded").raise_for_status().json()
        return seen

    def relay(self) -> None:
        """Let the container reach it; to be said again after a restart."""
        docker("exec", "--detach", self._container, "python3", "-c", _RELAY, str(self.port), _bridge())
        reached = f"exec 3<>/dev/tcp/127.0.0.1/{self.port}"
        look = ("exec", self._container, "bash", "-c", reached)
        await_that(lambda: docker(*look, check=False) == "", "the relay in the container")


@contextmanager
def mcp_server(*options: str, container: str = NAME) -> Iterator[McpServer]:
    """A server of its own, reachable as `localhost` from here and from the container."""
    with subprocess.Popen(
        [sys.executable, str(SERVER), f"--listen={_bridge()}", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            server = McpServer(json.loads(read_line(process.stdout, "the server's URL"))["url"], container)
            server.relay()
            yield server
        finally:
            process.kill()


def _bridge() -> str:
    """This machine's address in Docker's own network: unlike the stack's, it outlives `down`."""
    return gateway_of("bridge")


def gateway_of(network: str) -> str:
    """This machine's address in one of Docker's networks."""
    return docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", network)


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
        try:
            yield browser
        finally:
            browser.close()


def decide(browser: Browser, url: str, answer: str = "Allow", *, picture: str = "") -> str:
    """Open the authorization page as a person does, click, and return the text of the page that follows."""
    with contextlib.closing(browser.new_page()) as page:
        page.goto(url)
        page.get_by_role("button", name=answer).click()
        text = page.inner_text("body")
        if picture:
            keep_picture(page, picture)
    return text


def redirected(url: str) -> str:
    """Where a browser on another machine ends, after a click on Allow: at an address that does not answer there."""
    with httpx.Client(trust_env=False, timeout=DEADLINE) as client:
        consent = client.get(url).headers["location"]
        ticket = httpx.URL(consent).params["ticket"]
        answer = client.post(consent.partition("?")[0], data={"ticket": ticket, "answer": "allow"})
        return str(answer.headers["location"])


def keep_picture(page: Page, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png")


class Login:
    """`ccapi auth` on a terminal, with a browser that only writes down what it is to open."""

    def __init__(self, terminal: Terminal, opened: Path) -> None:
        self.terminal = terminal
        self.opened = opened

    def url(self) -> str:
        """What the browser was told to open."""
        await_that(self.opened.exists, "the browser")
        return self.opened.read_text("utf-8").strip()

    def shown(self) -> str:
        """The authorization URL as the terminal shows it."""
        self.terminal.read_until("redirect_uri=")
        self.terminal.read_until("resource=")
        found = re.search(r"http://localhost:\d+/authorize\?[!-~]+", self.terminal.text)
        assert found, self.terminal.text
        return found[0]

    def end(self, code: int) -> str:
        text = self.terminal.read_all()
        assert self.terminal.process.returncode == code, text
        return text


@contextmanager
def auth(stack: Stack, *args: str, **environ: str) -> Iterator[Login]:
    """`ccapi auth ARGS`, for a person at a terminal with a browser."""
    opened = stack.directory / f"opened-{args[0]}"
    opened.unlink(missing_ok=True)
    script = stack.directory / f"browser-{args[0]}"
    script.write_text(f'#!/bin/sh\nprintf %s "$1" >{opened}.new && mv {opened}.new {opened}\n')
    script.chmod(0o755)
    cli = Cli(stack.directory)
    cli.environ = {**stack.environ, "BROWSER": str(script), "DISPLAY": ":0", **environ}
    with cli.terminal("auth", *args, columns=120) as terminal:
        yield Login(terminal, opened)


def listed(name: str) -> str:
    """What `claude mcp list` in the container says of a server; empty if it is not configured."""
    lines = docker("exec", NAME, "claude", "mcp", "list").splitlines()
    return next((line for line in lines if line.startswith(f"{name}: ")), "")


def listeners() -> set[int]:
    """The TCP ports that somebody listens on, on this machine."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text("ascii").splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            if state == "0A":
                found.add(int(local.rpartition(":")[2], 16))
    return found


def redirect_port(url: str) -> int:
    """Of an authorization URL."""
    found = re.search(r"redirect_uri=http%3A%2F%2F[^%]+%3A(\d+)%2F", url)
    assert found, "no redirect URI"
    return int(found[1])


def logins_inside() -> list[str]:
    """The command lines of `claude mcp login` in the container."""
    return [line for line in docker("top", NAME, "-eo", "pid,args").splitlines() if "mcp login" in line]
