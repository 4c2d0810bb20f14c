"""The client of the internal API, against a listener that says what a gateway says, and what none does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from ccapi.client.internal import InternalClient
from ccapi.errors import GatewayProtocol, GatewayUnreachable, StackSecretInvalid
from ccapi.wire.internal import Probed, Server
from tests.cli.support import FakeGateway, free_port
from tests.client.players import dribbles, playing

T = TypeVar("T")


@pytest.fixture
def fake() -> Iterator[FakeGateway]:
    gateway = FakeGateway()
    yield gateway
    gateway.close()


def asked(fake: FakeGateway, answer: bytes, ask: Callable[[InternalClient], T]) -> T:
    """Ask, and be answered with that."""

    def play() -> None:
        with fake.request() as connection:
            connection.sendall(answer)

    player = threading.Thread(target=play)
    player.start()
    try:
        with InternalClient(fake.url, "s3cret") as client:
            return ask(client)
    finally:
        player.join()


def test_all_servers(fake: FakeGateway) -> None:
    """With their tools, or why they have none; the secret is sent, in the header only."""
    document = {
        "servers": [
            {"name": "a", "status": "connected", "tools": ["x", "y"], "error": None},
            {"name": "b", "status": "failed", "tools": [], "error": "refused"},
        ]
    }
    found = asked(fake, fake.document(document), InternalClient.servers)
    assert found == [Server("a", "connected", ("x", "y")), Server("b", "failed", (), "refused")]
    assert fake.lines == ["GET /internal/v1/mcp"]
    assert fake.received[0].headers["authorization"] == "Bearer s3cret"


@pytest.mark.parametrize(("name", "found"), [("a", Server("a", "needs-auth")), ("c", None)])
def test_one_server(fake: FakeGateway, name: str, found: Server | None) -> None:
    """It alone is waited for; None when it is not configured."""
    document = {"servers": [{"name": "a", "status": "needs-auth"}]}
    assert asked(fake, fake.document(document), lambda client: client.server(name)) == found
    assert fake.lines == [f"GET /internal/v1/mcp?name={name}"]


def test_a_probe(fake: FakeGateway) -> None:
    """What the server says of how to log in; a token goes in the body."""
    document = {"outcome": "unauthorized", "issuer": "https://as.example", "registration": True, "later": 1}
    found = asked(fake, fake.document(document), lambda client: client.probe("https://mcp.example", "t0ken"))
    assert found == Probed("unauthorized", issuer="https://as.example", registration=True)
    assert fake.received[0].document == {"url": "https://mcp.example", "token": "t0ken"}


def test_a_probe_without_a_token(fake: FakeGateway) -> None:
    """Then there is none in the body."""
    asked(fake, fake.document({"outcome": "ok"}), lambda client: client.probe("https://mcp.example"))
    assert fake.received[0].document == {"url": "https://mcp.example"}


def test_a_check(fake: FakeGateway) -> None:
    """Nothing is waited for, and nothing is started."""
    asked(fake, b"HTTP/1.1 204 No Content\r\n\r\n", InternalClient.check)
    assert fake.lines == ["GET /internal/v1/logins?wait=0"]


def test_another_secret(fake: FakeGateway) -> None:
    """The envelope comes back as the error that it was."""
    with pytest.raises(StackSecretInvalid):
        asked(fake, fake.refusal(StackSecretInvalid("no")), InternalClient.servers)


def test_nobody_there() -> None:
    """The command to start it is told."""
    with InternalClient(f"http://127.0.0.1:{free_port()}", "s") as client, pytest.raises(GatewayUnreachable):
        client.servers()


@pytest.mark.parametrize(
    "document", [[], {}, {"servers": 1}, {"servers": [1]}, {"servers": [{"name": "a", "status": "new"}]}]
)
def test_what_is_no_gateway(fake: FakeGateway, document: Any) -> None:
    """JSON, and yet not what was asked for."""
    with pytest.raises(GatewayProtocol):
        asked(fake, fake.document(document), InternalClient.servers)


@pytest.mark.parametrize("document", [[], {}, 1, {"outcome": "fine"}])
def test_no_probe(fake: FakeGateway, document: Any) -> None:
    """As above."""
    with pytest.raises(GatewayProtocol):
        asked(fake, fake.document(document), lambda client: client.probe("https://mcp.example"))


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 500 No\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-Name: "]
)
def test_an_answer_that_is_never_whole(fake: FakeGateway, head: bytes) -> None:
    """What comes byte by byte has the time of one answer altogether, not of each byte."""

    def part(connection: socket.socket) -> None:
        connection.sendall(head)
        dribbles(b" ", 0.05)(connection)

    with (
        playing(fake, part),
        InternalClient(fake.url, "s", timeout=1.0) as client,
        pytest.raises(GatewayUnreachable, match="is silent"),
    ):
        client.check()
