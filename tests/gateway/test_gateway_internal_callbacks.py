"""Callbacks reach the listener of their login, byte for byte, once, and nobody else."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccapi.errors import InvalidRequest, LoginRefused
from ccapi.gateway.callbacks import MAX_QUERY, deliver
from ccapi.wire import internal as wire
from ccapi.wire.internal import Callback
from tests.agent.pooling import until
from tests.gateway.harness import in_thread
from tests.gateway.internalapi import OK, Internal, internal, listener

QUERY = "code=a%2Fb+c%20d~%7E&state=Good-State_1.2&iss=https%3A%2F%2Fas.example%2F&scope=a%20b&x=&y&&z=%zz;'()*"


async def delivered(port: int, query: str = QUERY, *, host: str = "localhost", seconds: float = 5.0) -> str:
    return await deliver(Callback(host, port, "/callback", query), reserved=(), seconds=seconds)


# --- what arrives


@pytest.mark.parametrize("query", [QUERY, "", "error=access_denied&state=x", "a" * MAX_QUERY, 'q?/:@[]{}|\\^`<>"=1'])
async def test_the_query_arrives_byte_for_byte(query: str) -> None:
    """Escapes, order, empty and double parameters: nothing is parsed, nothing is written anew (P17)."""
    async with listener() as found:
        assert await delivered(found.port, query) == "accepted"
    assert found.targets == [f"/callback?{query}" if query else "/callback"]


async def test_the_request_is_a_browsers_at_the_redirect_uri() -> None:
    """Its Host is the redirect URI's, and there is nothing of the gateway in it."""
    async with listener(host="::1") as found:
        assert await deliver(Callback("[::1]", found.port, "/oauth/callback", "code=1"), reserved=()) == "accepted"
    head, *headers = found.heads[0].decode().split("\r\n")
    assert head == "GET /oauth/callback?code=1 HTTP/1.1"
    assert [line for line in headers if line] == [f"Host: [::1]:{found.port}", "Accept: */*", "Connection: close"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_a_listener_has_one_of_two_addresses(host: str, address: str) -> None:
    """Whatever the redirect URI says: which one `localhost` became was the CLI's choice (P70)."""
    async with listener(host=address) as found:
        assert await delivered(found.port, host=host) == "accepted"
    assert len(found.heads) == 1
    assert f"Host: {host}:{found.port}".encode() in found.heads[0]


async def test_with_two_listeners_one_is_asked() -> None:
    """The one whose address the redirect URI names; a code is sent once, whatever the answer."""
    async with listener(b"HTTP/1.1 500 No\r\n\r\n") as first, listener(host="::1", port=first.port) as second:
        assert await delivered(first.port) == "refused"
        assert (len(first.heads), len(second.heads)) == (1, 0)
        assert await delivered(first.port, host="[::1]") == "accepted"
        assert (len(first.heads), len(second.heads)) == (1, 1)


# --- what became of it


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (OK, "accepted"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "accepted"),
        (b"HTTP/1.0 200\r\n\r\nbody", "accepted"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "refused"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "refused"),
        (b"HTTP/1.1 500 Oops\r\n\r\n", "refused"),
        (b"220 smtp.example ESMTP\r\n", "refused"),
        (b"HTTP/1.1 2000 x\r\n", "refused"),
        (b"\xff" * 200_000, "refused"),
    ],
)
async def test_only_a_success_is_one(answer: bytes, outcome: str) -> None:
    """Any 2xx; all else, what is no HTTP included, is not."""
    async with listener(answer) as found:
        assert await delivered(found.port) == outcome


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    """Neither to this machine nor to another one (P61)."""
    async with listener() as other:
        to = f"HTTP/1.1 {status} Found\r\nLocation: http://127.0.0.1:{other.port}/\r\n\r\n"
        async with listener(to.encode()) as found:
            assert await delivered(found.port) == "refused"
    assert not other.heads


async def test_nobody_listens() -> None:
    """The CLI was ended, or the login is over (P57)."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])
    assert await delivered(port) == "unreachable"


async def test_a_listener_that_goes_away() -> None:
    """It took the connection and ended before it said anything: as if it had not been there."""
    async with listener(b"") as found:
        asked = asyncio.create_task(delivered(found.port))
        await until(lambda: bool(found.heads), "the callback")
    assert await asked == "unreachable"


async def test_a_listener_that_says_nothing() -> None:
    """The person at the browser is not left waiting."""
    async with listener(b"") as found:
        began = time.monotonic()
        assert await delivered(found.port, seconds=0.3) == "timeout"
        assert time.monotonic() - began < 20


async def test_an_answer_without_an_end() -> None:
    """The status line decides; the rest is not read for ever."""

    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 1024)
            await writer.drain()
            await asyncio.sleep(0.01)

    async with listener(endless) as found:
        began = time.monotonic()
        assert await delivered(found.port) == "accepted"
        assert time.monotonic() - began < 20


# --- what is not delivered


@pytest.mark.parametrize(
    "callback",
    [
        Callback("localhost", 22, "/callback", ""),
        Callback("localhost", 1023, "/callback", ""),
        Callback("localhost", 65536, "/callback", ""),
        Callback("localhost", 0, "/callback", ""),
        Callback("localhost", -1, "/callback", ""),
        Callback("localhost", 8000, "/callback", ""),
        Callback("127.0.0.2", 5000, "/callback", ""),
        Callback("169.254.169.254", 5000, "/callback", ""),
        Callback("host.docker.internal", 5000, "/callback", ""),
        Callback("::1", 5000, "/callback", ""),
        Callback("LOCALHOST", 5000, "/callback", ""),
        Callback("x@localhost", 5000, "/callback", ""),
        Callback("localhost", 5000, "/admin", ""),
        Callback("localhost", 5000, "/", ""),
        Callback("localhost", 5000, "", ""),
        Callback("localhost", 5000, "/../callback", ""),
        Callback("localhost", 5000, "/callback?x=1", ""),
        Callback("localhost", 5000, "/callback HTTP/1.1\r\nX: y", ""),
    ],
)
async def test_a_target_that_no_login_has(callback: Callback) -> None:
    """Other ports, addresses, paths are refused, before anything is connected to (P11, P13, P14)."""
    with pytest.raises(LoginRefused):
        await deliver(callback, reserved={8000})


@pytest.mark.parametrize("query", ["a b", "a\r\nX: y", "a\0", "é", "a#b", "\x1b[31m", "a\x7f", "a" * (MAX_QUERY + 1)])
async def test_a_query_that_no_browser_sends(query: str) -> None:
    """It could be another request than the one that was meant. It is not repeated."""
    async with listener() as found:
        with pytest.raises(InvalidRequest, match="query") as refused:
            await delivered(found.port, query)
    assert not found.heads
    assert query not in refused.value.message


# --- through the gateway


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Internal]:
    with internal(tmp_path_factory.mktemp("callbacks")) as running:
        yield running


def test_a_callback_through_the_gateway(running: Internal) -> None:
    """As the host sends it; a proxy of the environment is not asked (P67)."""
    with in_thread(listener) as found:
        body = {"host": "localhost", "port": found.port, "path": "/callback", "query": QUERY}
        response = running.send("POST", wire.CALLBACKS, json=body)
        assert (response.status_code, response.json()) == (200, {"outcome": "accepted"})
    assert found.targets == [f"/callback?{QUERY}"]


def test_the_environments_proxy_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is called, and whatever it is to be used for (P67)."""
    with in_thread(listener) as proxy, in_thread(listener) as found:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv(name.lower(), f"http://127.0.0.1:{proxy.port}")
        body = {"host": "localhost", "port": found.port, "path": "/callback", "query": QUERY}
        with internal(tmp_path) as running:
            assert running.send("POST", wire.CALLBACKS, json=body).json() == {"outcome": "accepted"}
        assert not proxy.heads


def test_the_gateway_itself_is_no_target(running: Internal) -> None:
    """Its own port, whichever it is."""
    body = {"host": "localhost", "port": running.gateway.port, "path": "/callback", "query": ""}
    response = running.send("POST", wire.CALLBACKS, json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "login_refused")


def test_what_else_a_request_says_means_nothing(running: Internal) -> None:
    """Parameters of the callback are never addresses (P35)."""
    with in_thread(listener) as found, in_thread(listener) as other:
        query = f"code=1&callback_port={other.port}&port={other.port}&target=127.0.0.1&host=evil.example"
        body = {"host": "localhost", "port": found.port, "path": "/callback", "query": query, "target": other.port}
        assert running.send("POST", wire.CALLBACKS, json=body).json() == {"outcome": "accepted"}
    assert (len(found.heads), len(other.heads)) == (1, 0)
