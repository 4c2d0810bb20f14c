"""Logins that were started in the container: told to the host, at most so many, and for so long as they wait."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ccapi.errors import LoginNotFound, LoginRefused
from ccapi.gateway.logins import LIFETIME, MAX_A_MINUTE, MAX_PENDING, Logins
from ccapi.wire import authorization
from ccapi.wire import internal as wire
from ccapi.wire.authorization import Authorization
from tests.agent.pooling import until
from tests.gateway.internalapi import Internal, internal


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Waiting:
    """The logins, a clock that is set by hand, and the ports that have no listener any more."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.closed: set[int] = set()
        self.logins = Logins(lambda port: () if port in self.closed else (1,), self.clock)

    async def ports(self) -> list[int]:
        """Of those that the host is told of."""
        return [authorization.parse(one.url).redirect.port for one in await self.logins.waiting(0)]


def login(port: int = 50000, state: str | None = None) -> Authorization:
    redirect = f"http%3A%2F%2Flocalhost%3A{port}%2Fcallback"
    return authorization.parse(
        f"https://as.example/authorize?redirect_uri={redirect}&state={state or f's{port}'}&code_challenge=x"
    )


@pytest.fixture
def waiting() -> Waiting:
    return Waiting()


async def test_a_login_is_told_until_it_is_taken(waiting: Waiting) -> None:
    """With its whole URL and the time that is left; as often as it is asked for."""
    asked = login()
    waiting.logins.report(asked)
    waiting.clock.now += 100
    (told,) = await waiting.logins.waiting(0)
    assert told == (await waiting.logins.waiting(0))[0]
    assert (told.url, told.expires_in) == (asked.url, LIFETIME - 100)
    assert asked.state not in told.id
    waiting.logins.take(told.id)
    assert await waiting.logins.waiting(0) == []
    waiting.logins.take(told.id)  # once more changes nothing


async def test_who_waits_is_told_at_once(waiting: Waiting) -> None:
    """Everybody who does."""
    asked = [asyncio.create_task(waiting.logins.waiting(60)) for _ in range(2)]
    await asyncio.sleep(0)
    began = time.monotonic()
    waiting.logins.report(login())
    assert [len(await one) for one in asked] == [1, 1]
    assert time.monotonic() - began < 20


async def test_nobody_waits_for_ever(waiting: Waiting) -> None:
    """There is an answer when the time is over; and when the gateway ends."""
    assert await waiting.logins.waiting(0.02) == []
    asked = asyncio.create_task(waiting.logins.waiting(60))
    await asyncio.sleep(0)
    waiting.logins.close()
    assert await asyncio.wait_for(asked, 20) == []


async def test_the_same_login_is_one(waiting: Waiting) -> None:
    """The CLI may call for the browser twice."""
    for _ in range(2 * MAX_A_MINUTE):
        waiting.logins.report(login())
    assert await waiting.ports() == [50000]


async def test_a_new_login_on_a_port_ends_the_one_before(waiting: Waiting) -> None:
    """The CLI takes the same port for the same server: the first one was given up."""
    waiting.logins.report(login(state="first"))
    (first,) = await waiting.logins.waiting(0)
    waiting.logins.take(first.id)
    waiting.logins.report(login(state="second"))
    (second,) = await waiting.logins.waiting(0)
    assert "state=second" in second.url
    with pytest.raises(LoginNotFound):
        waiting.logins.take(first.id)


async def test_only_so_many_wait(waiting: Waiting) -> None:
    """Taken ones count: the host has a listener for each."""
    for number in range(MAX_PENDING):
        waiting.logins.report(login(50000 + number))
    (first, *_) = await waiting.logins.waiting(0)
    waiting.logins.take(first.id)
    with pytest.raises(LoginRefused):
        waiting.logins.report(login(51000))
    waiting.closed.add(50001)
    waiting.logins.report(login(51000))
    assert await waiting.ports() == [50002, 50003, 51000]


async def test_only_so_many_a_minute(waiting: Waiting) -> None:
    """However soon the ones before are over."""
    for number in range(MAX_A_MINUTE):
        waiting.logins.report(login(50000 + number))
        waiting.closed.add(50000 + number)
        waiting.clock.now += 5.9
    with pytest.raises(LoginRefused):
        waiting.logins.report(login(51000))
    waiting.clock.now += 1.1
    waiting.logins.report(login(51000))


async def test_a_login_expires(waiting: Waiting) -> None:
    """Taken or not."""
    waiting.logins.report(login(50000))
    waiting.logins.report(login(50001))
    (first, _) = await waiting.logins.waiting(0)
    waiting.logins.take(first.id)
    waiting.clock.now += LIFETIME + 1
    assert await waiting.ports() == []
    with pytest.raises(LoginNotFound):
        await waiting.logins.over(first.id, 0)


async def test_a_login_is_over_when_nobody_listens_for_it(waiting: Waiting) -> None:
    """The person pressed Ctrl-C, or it was completed: the host learns of it within a second (P09)."""
    waiting.logins.report(login())
    (told,) = await waiting.logins.waiting(0)
    waiting.logins.take(told.id)
    await waiting.logins.over(told.id, 0)  # it is not
    asked = asyncio.create_task(waiting.logins.over(told.id, 60))
    await asyncio.sleep(0.05)
    waiting.closed.add(50000)
    with pytest.raises(LoginNotFound):
        await asyncio.wait_for(asked, 20)


# --- through the gateway


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Internal]:
    with internal(tmp_path) as running:
        yield running


def test_without_a_login_there_is_no_content(running: Internal) -> None:
    """204, once the time is over."""
    began = time.monotonic()
    response = running.send("GET", wire.LOGINS, params={"wait": "0.3"})
    assert (response.status_code, response.content) == (204, b"")
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize(("method", "query"), [("GET", ""), ("GET", "?wait=60"), ("DELETE", "")])
def test_an_unknown_login_is_not_found(running: Internal, method: str, query: str) -> None:
    """At once."""
    response = running.send(method, f"{wire.LOGINS}/unknown{query}", timeout=30)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "login_not_found")


def test_a_gateway_that_ends_lets_go_of_who_waits(tmp_path: Path) -> None:
    """The host's quiet connection does not keep it."""
    with socket.socket() as connection, connection.makefile("rb") as answer:
        connection.settimeout(20)
        with internal(tmp_path) as running:
            connection.connect(("127.0.0.1", running.gateway.port))
            head = [
                f"GET {wire.LOGINS}?wait=300 HTTP/1.1",
                "Host: localhost",
                f"Authorization: Bearer {running.secret}",
            ]
            connection.sendall("\r\n".join([*head, "", ""]).encode())
            for _ in range(3):  # by then it has read what came before
                assert running.send("GET", "/health").status_code == 200
        # One that it had to cut off would have had none.
        assert answer.readline() == b"HTTP/1.1 204 No Content\r\n"


async def test_a_host_that_leaves_is_no_longer_waited_for(tmp_path: Path) -> None:
    """No handler is left behind."""
    with internal(tmp_path) as running:
        headers = {"Authorization": f"Bearer {running.secret}"}
        async with httpx.AsyncClient(base_url=running.gateway.url, trust_env=False) as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.get(f"{wire.LOGINS}?wait=300", headers=headers, timeout=httpx.Timeout(30, read=1.0))
            await until(lambda: "} 499" in metrics(running) or 'status="499"' in metrics(running), "the end")


def metrics(running: Internal) -> str:
    return running.send("GET", "/metrics", headers={"Authorization": ""}).text
