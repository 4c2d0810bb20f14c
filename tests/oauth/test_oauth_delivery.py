"""Delivery: to the real gateway and a listener behind it, and to one that misbehaves (rows P57 to P70, P78, P79)."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from ccapi.oauth import app
from ccapi.oauth.guard import Guard
from ccapi.wire import internal
from tests.cli.support import free_port
from tests.gateway.harness import await_that, gateway, in_thread
from tests.oauth import support
from tests.oauth.support import (
    CODE,
    MARKER,
    SECRET,
    STATE,
    Login,
    Running,
    assert_closed,
    assert_page,
    authorization_url,
    get,
    new_state,
    raw,
)

pytestmark = pytest.mark.usefixtures("clean_log")


# --- to the real gateway, and a listener as Claude Code's


@dataclass
class Spy:
    """A recorder on a port of the loopback interface."""

    answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    requests: list[bytes] = field(default_factory=list)

    @contextmanager
    def listening(self, address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.create_server((address, port), family=family) as listener:
            thread = threading.Thread(target=self._serve, args=[listener], daemon=True)
            thread.start()
            yield listener.getsockname()[1]
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                request = b""
                while b"\r\n\r\n" not in request and (chunk := connection.recv(65536)):
                    request += chunk
                self.requests.append(request)
                connection.sendall(self.answer)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A proxy before the real gateway. Both are on this machine, so the proxy's own port is the redirect URI."""
    directory = tmp_path_factory.mktemp("real")
    (directory / "keys").mkdir()
    (directory / "keys" / internal.HASH_FILE).write_text(internal.digest(SECRET))
    with gateway(directory / "gateway", keys_dir=directory / "keys") as running:
        (directory / "proxy").mkdir()
        with support.proxy(directory / "proxy", gateway_port=running.port) as proxy:
            yield proxy


def log_in(proxy: Running, target: int, host: str = "localhost") -> Login:
    """A login that comes back to the proxy's own port, and goes on to this one."""
    state = new_state()
    url = authorization_url(f"http://{host}:{proxy.port}/oauth/callback", state)
    assert proxy.register(authorization_url=url, callback_port=target).status_code == 201
    return Login(proxy, proxy.port, state, "/oauth/callback")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_a_listener_on_either_address_gets_it(real: Running, address: str, host: str) -> None:
    """P17, P70: once, the query byte for byte, with the Host of the redirect URI."""
    spy = Spy()
    with spy.listening(address) as port:
        login = log_in(real, port, host)
        sent = f"{login.query}&iss=https%3A%2F%2Fas.example&scope=a%20b+c&x=%zz&&y"
        assert_page(login.answer(f"{login.path}?{sent}"), 200, "Sign-in received")
    (request,) = spy.requests
    line, *headers = request.decode("ascii").split("\r\n")
    assert line == f"GET /callback?{sent} HTTP/1.1"
    assert f"Host: {host}:{port}" in headers
    assert login.status == "delivered"


@pytest.mark.parametrize("location", ["http://169.254.169.254/", "https://evil.example/", "/callback?again"])
def test_a_redirect_of_the_listener_is_neither_followed_nor_passed_on(real: Running, location: str) -> None:
    """P61."""
    spy = Spy(f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode())
    with spy.listening() as port:
        login = log_in(real, port)
        assert_page(login.answer(), 502, "Sign-in was not accepted")
    assert len(spy.requests) == 1
    assert login.status == "refused"


@pytest.mark.parametrize(
    "answer", ["HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP/1.1 404 x\r\n\r\n", f"<b>{MARKER}</b>\r\n"]
)
def test_a_listener_that_says_no(real: Running, answer: str) -> None:
    """Nothing that it says is shown; no success page."""
    spy = Spy(answer.encode())
    with spy.listening() as port:
        login = log_in(real, port)
        response = login.answer()
        assert_page(response, 502, "Sign-in was not accepted")
        assert "Start the login again" in response.text
    assert login.status == "refused"


def test_nobody_listens(real: Running) -> None:
    """P57, E09: what to do next is said; the code is neither kept nor sent again."""
    port = free_port()
    login = log_in(real, port)
    response = login.answer()
    assert_page(response, 502, "Sign-in could not be delivered")
    assert "Claude Code is no longer waiting for it" in response.text
    assert "Start the login again" in response.text
    assert login.status == "failed"
    spy = Spy()
    with spy.listening(port=port):
        assert_page(login.answer(), 410)
    assert spy.requests == []


# --- a gateway that misbehaves


@pytest.mark.parametrize(
    ("outcome", "status", "title"),
    [
        ("accepted", 200, "Sign-in received"),
        ("refused", 502, "Sign-in was not accepted"),
        ("unreachable", 502, "Sign-in could not be delivered"),
        ("timeout", 502, "Sign-in could not be delivered"),
        ("something else", 502, "Sign-in could not be delivered"),
        (b"", 502, "Sign-in could not be delivered"),
        (b"[]", 502, "Sign-in could not be delivered"),
        (b'{"outcome": ["accepted"]}', 502, "Sign-in could not be delivered"),
        (b"{", 502, "Sign-in could not be delivered"),
        (b'"' + b"x" * 100_000 + b'"', 502, "Sign-in could not be delivered"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_success_is_what_the_gateway_says(login: Login, outcome: str | bytes, status: int, title: str) -> None:
    """The page of success comes for `accepted` only."""
    login.running.gateway.outcome = outcome
    assert_page(login.answer(), status, title)
    assert login.status == {"accepted": "delivered", "refused": "refused"}.get(str(outcome), "failed")
    assert len(login.running.gateway.callbacks) == 1


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 500, 503])
def test_a_gateway_that_fails(login: Login, status: int) -> None:
    """Whatever body comes with it; there is no second attempt, and the page says where the reason is."""
    login.running.gateway.status = status
    response = login.answer()
    assert_page(response, 502, "Sign-in could not be delivered")
    assert "See why: ccapi proxy status" in response.text
    assert login.status == "failed"
    assert len(login.running.gateway.callbacks) == 1


def test_a_gateway_with_another_secret(login: Login, caplog: pytest.LogCaptureFixture) -> None:
    """The log says what to do."""
    login.running.gateway.secret = None
    assert_page(login.answer(), 502, "Sign-in could not be delivered")
    assert "secret" in caplog.text


def test_a_gateway_that_is_away(tmp_path: Path) -> None:
    """The container restarts in the middle: the page says what to do; the next login works."""
    with support.proxy(tmp_path, gateway_port=free_port()) as running:
        login = running.login()
        assert_page(login.answer(), 502, "Sign-in could not be delivered")
        assert login.status == "failed"
        assert_closed(login.port)


def test_a_denial_that_the_listener_does_not_take(login: Login) -> None:
    """The truth is that nobody was told."""
    login.running.gateway.outcome = "unreachable"
    assert_page(
        login.answer(f"/callback?error=access_denied&state={login.state}"), 502, "Sign-in could not be delivered"
    )


def test_a_browser_that_does_not_wait(login: Login) -> None:
    """The delivery goes on, and its outcome is the login's."""
    arrived, go_on = threading.Event(), threading.Event()

    def during() -> None:
        arrived.set()
        go_on.wait(30)

    login.running.gateway.during = during
    with socket.create_connection(("127.0.0.1", login.port), timeout=5) as connection:
        connection.sendall(get(login.target, f"Host: localhost:{login.port}"))
        assert arrived.wait(10)
    assert login.status == "delivering"
    assert_page(login.answer(), 410)
    assert login.running.call("DELETE", f"/oauth/sessions/{login.state}").status_code == 204
    assert login.status == "delivering"  # what is on its way cannot be taken back
    go_on.set()
    await_that(lambda: login.status == "delivered", "delivered")
    assert len(login.running.gateway.callbacks) == 1


# --- nothing is left of it anywhere


def test_an_unexpected_failure_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """P79: a handler fails with the request in its words: a fixed page, and in the log its kind and place."""

    async def fail(request: web.Request) -> web.Response:
        raise RuntimeError(f"cannot handle {request.raw_path}")

    @asynccontextmanager
    async def failing() -> AsyncIterator[int]:
        failing = web.Application(middlewares=Guard().middlewares)
        failing.router.add_get("/callback", fail)
        runner = app.runner(failing)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
        await runner.cleanup()

    with in_thread(failing) as port:
        response = raw(port, get(f"/callback?code={CODE}&state={STATE}", f"Host: localhost:{port}"))
    assert_page(response, 500, "Something went wrong")
    assert "unexpected failure: RuntimeError in fail, line " in caplog.text


def test_what_the_log_says_of_a_login(proxy: Running, caplog: pytest.LogCaptureFixture) -> None:
    """P78: site, port and outcome."""
    caplog.set_level(logging.INFO)
    login, denied = proxy.login(), proxy.login()
    login.still_completes()
    denied.answer(f"/callback?code={CODE}&state=unknown")
    denied.answer(f"/callback?error=access_denied&state={denied.state}")
    ours = [record for record in caplog.records if record.name.startswith("ccapi.")]
    lines = [record.getMessage() for record in ours if record.levelno >= logging.INFO]
    assert lines == [
        f"a login started on the host waits: as.example, port {login.port}",
        f"a login started on the host waits: as.example, port {denied.port}",
        f"callback of as.example, port {login.port}: delivered",
        f"callback on port {denied.port} refused: Unknown sign-in",
        f"callback of as.example, port {denied.port}: denied",
    ]


def test_nothing_of_it_is_on_a_command_line(login: Login) -> None:
    """P64: nor in an environment, while it is being delivered."""
    found: list[str] = []

    def look() -> None:
        for process in Path("/proc").glob("[0-9]*"):
            for name in ("cmdline", "environ"):
                try:
                    if MARKER.encode() in (process / name).read_bytes():
                        found.append(str(process / name))
                except OSError:
                    continue

    login.running.gateway.during = look
    assert_page(login.answer(), 200)
    assert found == []


def test_a_delivery_needs_no_more_than_a_moment(proxy: Running) -> None:
    """Many logins, one after the other: each on a port of its own."""
    for _ in range(20):
        proxy.login().still_completes()
    assert len(proxy.gateway.callbacks) == 20


def test_two_logins_are_answered_in_reverse_order(proxy: Running) -> None:
    """E06: each callback goes to its own listener."""
    one, two = proxy.login(), proxy.login()
    for login in (two, one):
        assert_page(login.answer(), 200)
    assert [callback["port"] for callback in proxy.gateway.callbacks] == [two.port, one.port]
