"""Hosts, what is no HTTP, slow clients; which sockets there are and for how long (rows P01 to P10, P33, P49 to P55)."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from ccapi.errors import PortBusy
from tests.cli.support import free_port
from tests.gateway.harness import await_that
from tests.oauth import support
from tests.oauth.support import (
    CODE,
    MARKER,
    Login,
    Running,
    assert_closed,
    assert_error,
    assert_page,
    assert_refused,
    authorization_url,
    get,
    listening_on,
    new_state,
    raw,
)

pytestmark = pytest.mark.usefixtures("clean_log")
LOOPBACK = {"127.0.0.1", "::1"}


# --- which sockets


def test_only_loopback_is_listened_on(proxy: Running) -> None:
    """P01: neither a LAN address nor the container's gateway leads here."""
    assert listening_on(proxy.port) == LOOPBACK
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent; the system picks the address it would send from
        own = probe.getsockname()[0]
    if not own.startswith("127."):
        with socket.socket() as client, pytest.raises(OSError, match="refused"):
            client.connect((own, proxy.port))


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "[::ffff:127.0.0.1]"])
def test_the_address_of_all_is_no_name_of_this_machine(proxy: Running, host: str) -> None:
    """P02: some systems take 0.0.0.0 for loopback, and some browsers let a page ask for it."""
    assert_page(raw(proxy.port, get("/", f"Host: {host}:{proxy.port}")), 421)


def test_a_login_is_listened_for_on_loopback_only(login: Login) -> None:
    """P07."""
    assert listening_on(login.port) == LOOPBACK


def test_a_port_is_closed_when_its_login_is_done(login: Login) -> None:
    """P08: within two seconds."""
    assert_page(login.answer(), 200)
    assert_closed(login.port)


def test_a_port_is_closed_when_its_login_has_expired(proxy: Running) -> None:
    """P09: also the state is no longer good, wherever it comes in."""
    state, port = new_state(), free_port()
    assert proxy.register(session_id=state, callback_port=port, expires_in=0.3).status_code == 201
    assert proxy.call("GET", f"/oauth/sessions/{state}?wait=10&known=pending").json()["status"] == "expired"
    assert_closed(port)
    response = proxy.get(f"/oauth/callback?code={CODE}&state={state}")
    assert_page(response, 410, "This sign-in has ended")
    assert proxy.gateway.callbacks == []


def test_a_port_is_closed_when_its_login_is_cancelled(login: Login) -> None:
    """P09: at once."""
    assert login.running.call("DELETE", f"/oauth/sessions/{login.state}").status_code == 204
    assert listening_on(login.port) == set()
    assert login.status == "cancelled"


def test_a_port_that_two_logins_share_is_closed_with_the_last(proxy: Running) -> None:
    """A login that was begun again with the port that the server knows."""
    one = proxy.login()
    other = proxy.login(port=one.port)
    proxy.call("DELETE", f"/oauth/sessions/{one.state}")
    assert listening_on(one.port) == LOOPBACK
    assert_page(one.answer(), 410, "This sign-in has ended")
    other.still_completes()
    assert_closed(one.port)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_a_busy_port_fails_the_login_at_once(proxy: Running, address: str) -> None:
    """P10: with the name of who has it; no other port is taken; nothing stays open, and it can be tried again."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family, dualstack_ipv6=address == "::") as holder:
        port = holder.getsockname()[1]
        before = listening_on(port)
        state = new_state()
        url = authorization_url(f"http://localhost:{port}/callback", state)
        message = assert_error(proxy.register(authorization_url=url), 409, PortBusy.code)
        assert f"Port {port}" in message
        assert "pytest" in message  # this process
        assert listening_on(port) == before
        assert proxy.call("GET", f"/oauth/sessions/{state}").status_code == 404
    assert proxy.register(authorization_url=url).status_code == 201
    proxy.call("DELETE", f"/oauth/sessions/{state}")


def test_a_port_in_time_wait_is_no_busy_port(proxy: Running) -> None:
    """The login that was just done, begun again."""
    login = proxy.login()
    assert_page(login.answer(), 200)
    assert_closed(login.port)
    proxy.login(port=login.port).still_completes()


def test_the_own_port_is_busy(tmp_path: Path) -> None:
    """P03: the port, its owner and ways out are named; no other port is taken."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(PortBusy, match=f"{port}.*in use by .*pytest") as busy, support.proxy(tmp_path, port=port):
            pass
    assert busy.value.hint
    assert busy.value.hint.count("\n") >= 2


# --- hosts


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example:{port}", "localhost.:{port}", "localhost:9999", "localhost:{port}@evil"),
        *("evil@localhost:{port}", "localhost:{port}evil", "localhost:{port}#x", "localhost;{port}", "as.example"),
        *("127.0.0.1.nip.io:{port}", "", " ", "localhost", "127.0.0.1", "[::1]", "localhost:", "localhost:0{port}"),
        *("localhost:{port}.", "localhost.evil.com:{port}", "[::ffff:127.0.0.1]:{port}", "127.1:{port}"),
        *("::1:{port}", "[::1:{port}]", "[0:0:0:0:0:0:0:1]:{port}", "127.0.0.2:{port}", "LOCALHOST:{port}"),
        *("2130706433:{port}", "0x7f.1:{port}", "localhost:{port},evil", "localhost:{port} evil", "localhost:{port}/"),
        *("localhost%00:{port}", "http://localhost:{port}"),
    ],
)
def test_only_the_exact_host_and_port(login: Login, host: str) -> None:
    """P49, P50: whatever only looks like this machine is refused (DNS rebinding); on the own port as well."""
    for port, target in ((login.port, login.target), (login.running.port, "/"), (login.running.port, "/health")):
        response = raw(port, get(target, f"Host: {host.format(port=port)}"))
        assert response.status_code in {400, 421}
        assert_refused(response)
    login.still_completes()


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param("GET {target} HTTP/1.0\r\n\r\n", id="P50 HTTP/1.0 without Host"),
        pytest.param("GET {target} HTTP/1.1\r\n\r\n", id="P50 HTTP/1.1 without Host"),
        pytest.param("GET {target} HTTP/1.1\r\n{host}{host}\r\n", id="P50 two Hosts"),
        pytest.param("GET {target} HTTP/1.1\r\n{host}Host: evil.example\r\n\r\n", id="P50 two Hosts, the first good"),
        pytest.param("GET {target} HTTP/1.1\r\nHost: evil.example\r\n{host}\r\n", id="P50 two Hosts, the second good"),
        pytest.param("GET http://evil.example{target} HTTP/1.1\r\n{host}\r\n", id="P51 absolute form"),
        pytest.param("GET http://localhost:{port}{target} HTTP/1.1\r\n{host}\r\n", id="P51 absolute form, own name"),
        pytest.param("GET http://localhost:{port}{target} HTTP/1.1\r\nHost: evil\r\n\r\n", id="P51 and another Host"),
        pytest.param("GET //evil.example{target} HTTP/1.1\r\n{host}\r\n", id="a target that begins like a host"),
        pytest.param("CONNECT localhost:{port} HTTP/1.1\r\n{host}\r\n", id="P40 CONNECT"),
        pytest.param("CONNECT evil.example:443 HTTP/1.1\r\n{host}\r\n", id="P40 CONNECT elsewhere"),
        pytest.param("OPTIONS * HTTP/1.1\r\n{host}\r\n", id="OPTIONS *"),
        pytest.param("GET {target}\r\n\r\n", id="P33 no version"),
        pytest.param("GET {target} HTTP/9.9\r\n{host}\r\n", id="P33 another version"),
        pytest.param("{marker}\r\n\r\n", id="P33 no HTTP"),
        pytest.param("GET {target} HTTP/1.1\r\n{host}{marker}\r\n\r\n", id="P33 no header"),
        pytest.param("GET {target} HTTP/1.1\r\n{host}X {marker}: 1\r\n\r\n", id="P33 a space in a header's name"),
        pytest.param("GET {target} HTTP/1.1\r\n{host}X: {marker}\x00\r\n\r\n", id="P33 a zero byte"),
        pytest.param("GET {target}\x00 HTTP/1.1\r\n{host}\r\n", id="P33 a zero byte in the target"),
        pytest.param("GET {target} HTTP/1.1\r\n{host}X: {marker}{long}\r\n\r\n", id="P33 431: a long header"),
        pytest.param("GET /{marker}{long}{long} HTTP/1.1\r\n{host}\r\n", id="P33 414: a long path"),
        pytest.param("GET {target} HTTP/1.1\r\n{host}Content-Length: {marker}\r\n\r\n", id="P33 no length"),
        pytest.param("GET {target} HTTP/1.1\r\n{host}Transfer-Encoding: {marker}\r\n\r\n", id="P33 no encoding"),
        pytest.param("GET {target} HTTP/1.1\r\n{host}{chunked}\r\n{marker}\r\n", id="P33 no chunk"),
        pytest.param(
            "GET {target} HTTP/1.1\r\n{host}Content-Length: 5\r\n{chunked}\r\n0\r\n\r\n",
            id="a request within a request",
        ),
        pytest.param("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03{long}\r\n\r\n", id="TLS"),
    ],
)
def test_odd_requests(login: Login, request_: str) -> None:
    """P33, P50, P51: refused with a fixed page; nothing is delivered, nothing is repeated, the login completes."""
    facts = {"target": login.target, "port": login.port, "marker": MARKER, "long": "a" * 70_000}
    facts["chunked"] = "Transfer-Encoding: chunked\r\n"
    request = request_.format(**facts, host=f"Host: localhost:{login.port}\r\n").encode("latin-1")
    response = raw(login.port, request)
    assert response.status_code < 500
    assert_refused(response)
    assert login.running.gateway.callbacks == []
    login.still_completes()


def test_what_is_too_large_for_the_control_api(proxy: Running) -> None:
    """P33: 413 in the form of all errors, without the body."""
    response = proxy.call("POST", "/oauth/register", json={"session_id": MARKER * 5000})
    assert_error(response, 413, "request_too_large")


def test_an_unknown_expectation_changes_nothing(login: Login) -> None:
    """aiohttp's own 417 would repeat it."""
    assert_page(login.answer(None, f"Expect: {MARKER}"), 200)


def test_a_second_request_in_the_same_packet_is_not_read(login: Login) -> None:
    """The connection ends with the page."""
    two = get(login.target, f"Host: localhost:{login.port}") + get("/favicon.ico", f"Host: localhost:{login.port}")
    with socket.create_connection(("127.0.0.1", login.port), timeout=5) as connection:
        connection.sendall(two)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.count(b"HTTP/1.1 ") == 1


# --- slow clients


@contextmanager
def half_open(port: int, number: int) -> Iterator[list[socket.socket]]:
    """So many connections that have sent the beginning of a request."""
    with ExitStack() as stack:
        connections = []
        for _ in range(number):
            connection = stack.enter_context(closing(socket.create_connection(("127.0.0.1", port), timeout=10)))
            connection.sendall(b"GET /callback?code=x HTTP/1.1\r\nHost: lo")
            connections.append(connection)
        yield connections


def test_slow_clients_keep_nobody_out(login: Login) -> None:
    """P55: 200 half-open connections on each port are closed within ten seconds; a callback is served long before that.

    (Both are looked at generously: a busy machine takes its time.)
    """
    own = login.running.port
    with half_open(login.port, 200) as some, half_open(own, 200) as others:
        began = time.monotonic()
        assert_page(login.running.get("/"), 200)
        login.still_completes()
        assert time.monotonic() - began < 5
        for connection in [*some, *others]:
            connection.setblocking(False)
        await_that(lambda: all(_closed(connection) for connection in [*some, *others]), "closed")


def _closed(connection: socket.socket) -> bool:
    try:
        connection.send(b"x")  # a byte now and then must not help
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
