"""The proxy's server, started as production does, and a stand-in for the gateway; requests as bytes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from aiohttp import web

from ccapi.errors import LoginNotFound
from ccapi.oauth import server
from ccapi.oauth.config import ProxyConfig
from ccapi.web.headers import HEADERS
from ccapi.wire import envelope, internal
from tests.cli.support import free_port
from tests.gateway.harness import await_that, in_thread

MARKER = "MARKER31337"  # every code and state of these tests has it, and nothing else does
STATE, CODE = f"GOOD-{MARKER}", f"CODE-{MARKER}"
SECRET = internal.new_secret()
SITE = "as.example"
SILENCE = 10.0  # seconds for which a silent gateway says nothing
_COUNT = itertools.count()


def new_state() -> str:
    return f"{STATE}-{next(_COUNT)}"


def authorization_url(redirect_uri: str, state: str = STATE, site: str = SITE) -> str:
    query = {"response_type": "code", "client_id": "c", "redirect_uri": redirect_uri, "state": state}
    return f"https://{site}/authorize?{urlencode(query)}"


# --- the outermost edge


@dataclass
class FakeGateway:
    """Answers as the gateway does, and keeps what it was told. `outcome` may also be the body of the answer.

    `secret`: None accepts none.
    """

    port: int = 0
    outcome: str | bytes = "accepted"
    status: int = 200
    secret: str | None = SECRET
    callbacks: list[dict[str, Any]] = field(default_factory=list)
    logins: list[dict[str, Any]] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    over: set[str] = field(default_factory=set)  # logins that nobody in the container waits for any more
    late: float = 0.0  # seconds that it takes for an answer
    gone: bool = False  # the container has ended
    old: bool = False  # it cannot be asked for the end of a login
    silent: bool = False
    during: Callable[[], None] | None = None  # while a callback is being delivered
    requests: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_post(internal.CALLBACKS, self._callback)
        app.router.add_get(internal.LOGINS, self._logins)
        app.router.add_get(f"{internal.LOGINS}/{{id}}", self._login)
        app.router.add_delete(f"{internal.LOGINS}/{{id}}", self._acknowledge)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        self.port = runner.addresses[0][1]
        try:
            yield
        finally:
            await runner.cleanup()

    def reports(self, url: str, expires_in: float = 60.0) -> str:
        """A person has started a login in the container; its id."""
        number = f"login-{next(_COUNT)}"
        self.logins.append({"id": number, "url": url, "expires_in": expires_in})
        return number

    def _check(self, request: web.Request) -> None:
        self.requests.append(f"{request.method} {request.path}")
        self._check_running(request)
        if self.secret is None or request.headers.get("Authorization") != f"Bearer {self.secret}":
            raise web.HTTPUnauthorized

    def _check_running(self, request: web.Request) -> None:
        if self.gone:
            if request.transport:
                request.transport.abort()
            raise ConnectionResetError

    async def _callback(self, request: web.Request) -> web.Response:
        self._check(request)
        self.callbacks.append(await request.json())
        if self.during:
            await asyncio.to_thread(self.during)
        if isinstance(self.outcome, bytes):
            return web.Response(body=self.outcome, status=self.status)
        return web.json_response({"outcome": self.outcome}, status=self.status)

    async def _logins(self, request: web.Request) -> web.Response:
        self._check(request)
        await asyncio.sleep(SILENCE if self.silent else self.late)
        for _ in range(int(float(request.query["wait"]) * 50)):
            if self.logins:
                return web.json_response({"logins": self.logins})
            await asyncio.sleep(0.02)
        return web.Response(status=204)

    async def _login(self, request: web.Request) -> web.Response:
        self._check(request)
        if self.old:
            raise web.HTTPNotFound
        for _ in range(int(float(request.query["wait"]) * 50)):
            self._check_running(request)
            if request.match_info["id"] in self.over:
                return web.json_response(envelope.dump(LoginNotFound("There is no such login")), status=404)
            await asyncio.sleep(0.02)
        return web.json_response({"id": request.match_info["id"]})

    async def _acknowledge(self, request: web.Request) -> web.Response:
        self._check(request)
        number = request.match_info["id"]
        for login in [login for login in self.logins if login["id"] == number]:
            self.logins.remove(login)  # in place: the test's own thread may be adding another one
        self.acknowledged.append(number)
        return web.Response(status=204)


# --- the proxy


@dataclass
class Login:
    """A login that was registered at the proxy."""

    running: Running
    port: int
    state: str
    path: str = "/callback"

    @property
    def query(self) -> str:
        return f"code={CODE}&state={quote(self.state, safe='')}"

    @property
    def target(self) -> str:
        return f"{self.path}?{self.query}"

    def answer(self, target: str | None = None, *headers: str) -> httpx.Response:
        """What the browser gets that comes back, with this target."""
        return raw(self.port, get(target or self.target, f"Host: localhost:{self.port}", *headers))

    @property
    def status(self) -> str:
        return str(self.running.session(self.state)["status"])

    def still_completes(self) -> None:
        """It waits, and the right callback is delivered, once."""
        before = len(self.running.gateway.callbacks)
        assert self.status == "pending"
        assert_page(self.answer(), 200, "Sign-in received")
        assert [one["query"] for one in self.running.gateway.callbacks[before:]] == [self.query]


@contextmanager
def kept_open(login: Login) -> Iterator[None]:
    """Its port is listened on, also when the login is over for longer than the port is kept for it: by another one."""
    other = login.running.login(port=login.port)
    yield
    login.running.call("DELETE", f"/oauth/sessions/{other.state}")


@dataclass
class Running:
    """A proxy with its gateway."""

    config: ProxyConfig
    gateway: FakeGateway
    proxy: server.Proxy
    client: httpx.Client

    @property
    def port(self) -> int:
        return self.proxy.port

    def call(self, method: str, path: str, *, secret: str | None = SECRET, **options: Any) -> httpx.Response:
        """As a program, with the secret."""
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        return self.client.request(method, path, **{**options, "headers": headers | options.get("headers", {})})

    def register(self, **body: Any) -> httpx.Response:
        return self.call("POST", "/oauth/register", json=body)

    def session(self, state: str) -> dict[str, Any]:
        document = self.call("GET", f"/oauth/sessions/{quote(state, safe='')}").json()
        assert isinstance(document, dict)
        return document

    def login(self, *, state: str | None = None, host: str = "localhost", port: int = 0, **body: Any) -> Login:
        """A pending login with a redirect port of its own."""
        port, state = port or free_port(), state or new_state()
        url = authorization_url(f"http://{host}:{port}/callback", state)
        assert self.register(authorization_url=url, **body).status_code == 201
        return Login(self, port, state)

    def get(self, target: str, *headers: str) -> httpx.Response:
        """A visit of the own port."""
        return raw(self.port, get(target, f"Host: localhost:{self.port}", *headers))


@contextmanager
def proxy(directory: Path, fake: FakeGateway | None = None, **changes: Any) -> Iterator[Running]:
    """A proxy on a free port, in an event loop of its own."""
    secret_file = directory / "stack.secret"
    secret_file.write_text(SECRET + "\n", "ascii")
    fake = fake or FakeGateway()

    @asynccontextmanager
    async def servers() -> AsyncIterator[Running]:
        async with fake.running():
            config = ProxyConfig(
                **{
                    "port": free_port(),
                    "gateway_host": "127.0.0.1",
                    "gateway_port": fake.port,
                    "secret_file": str(secret_file),
                    **changes,
                }
            )
            url = f"http://127.0.0.1:{config.port}"
            async with server.running(config) as running:
                with httpx.Client(base_url=url, trust_env=False, timeout=40) as client:
                    yield Running(config, fake, running, client)

    with in_thread(servers) as running:
        yield running


# --- requests as bytes, and what must be true of every answer


def get(target: str, *headers: str, version: str = "1.1", method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/{version}", *headers, "", ""]).encode("latin-1")


def raw(port: int, request: bytes, address: str = "127.0.0.1") -> httpx.Response:
    """Send bytes as they are; the first response. Raises `ConnectionError` if there is none."""
    with socket.create_connection((address, port), timeout=20) as connection:
        answer = b""
        with contextlib.suppress(ConnectionError):  # it was answered before all of the request was sent
            connection.sendall(request)
        with contextlib.suppress(ConnectionError):  # ... or was read
            while not _whole(answer) and (chunk := connection.recv(65536)):
                answer += chunk
    if not answer:
        raise ConnectionAbortedError("the connection was closed without an answer")
    head, _, content = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    return httpx.Response(int(status.split()[1]), headers=headers, content=content)


def _whole(answer: bytes) -> bool:
    head, end, content = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return bool(end and length and len(content) >= int(length[1]))


def assert_secure(response: httpx.Response) -> None:
    """The headers S, and nothing that helps another page, or names the server, or was sent by the client."""
    for name, value in HEADERS.items():
        assert response.headers[name].startswith(value), name
    own_style = response.headers["Content-Security-Policy"].removeprefix(HEADERS["Content-Security-Policy"])
    assert re.fullmatch(r"(?:; style-src 'sha256-[A-Za-z0-9+/]{43}=')?", own_style)
    for name in response.headers:
        assert not name.startswith("access-control-")
        assert name not in {"set-cookie", "location", "server", "refresh", "link"}
    assert MARKER not in str(response.headers) + response.text


def assert_page(response: httpx.Response, status: int, title: str | None = None) -> None:
    """A fixed page."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert title is None or f"<h1>{title}</h1>" in response.text
    assert not re.search(r"Traceback|File \"|/home/|/root|site-packages|aiohttp|Python/|\.py\b", response.text)
    assert not re.search(r"<script|<a\b|<img|<form|<iframe|https?://|\bon\w+=", response.text)
    assert_secure(response)


def assert_refused(response: httpx.Response) -> None:
    """REFUSE of the catalogue of adversarial cases, as far as the answer goes."""
    assert 400 <= response.status_code < 500
    if response.text:
        assert_page(response, response.status_code)
    assert_secure(response)


def assert_error(response: httpx.Response, status: int, code: str) -> str:
    """The error envelope; its message."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["code"] == code
    assert_secure(response)
    return str(error["message"])


def listening_on(port: int) -> set[str]:
    """The addresses on which anybody on this machine listens on the port (Linux)."""
    found = set()
    for table, width in (("tcp", 8), ("tcp6", 32)):
        for line in (Path("/proc/net") / table).read_text("ascii").splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            address, _, number = local.partition(":")
            if state == "0A" and int(number, 16) == port:
                words = [address[start : start + 8] for start in range(0, width, 8)]
                packed = b"".join(bytes.fromhex(word)[::-1] for word in words)
                found.add(socket.inet_ntop(socket.AF_INET if width == 8 else socket.AF_INET6, packed))
    return found


def assert_closed(port: int) -> None:
    """Nobody listens on it any more, soon: within two seconds, on a machine that does nothing else."""
    await_that(lambda: not listening_on(port), f"port {port} is closed")


def assert_log_is_clean(caplog: pytest.LogCaptureFixture) -> None:
    """LOGCLEAN: no code, state, query or secret in any line, at any level. (httpx is the client of these tests.)"""
    shown = logging.Formatter("%(name)s %(message)s")
    for record in caplog.records:
        if not record.name.startswith(("httpx", "httpcore")):
            line = shown.format(record)
            assert MARKER not in line
            assert SECRET not in line
