"""The client of the proxy's control API: against the real proxy, and against what is none."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from ccapi.client.proxy import ProxyClient, Session
from ccapi.errors import LoginNotFound, LoginRefused, PortBusy, ProxyUnreachable, StackSecretInvalid
from tests.cli.support import DEADLINE, FakeGateway, free_port
from tests.oauth.support import SECRET, Running, authorization_url, new_state, proxy, raw
from tests.oauth.support import get as target_of


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with proxy(tmp_path_factory.mktemp("proxy")) as running:
        yield running


@pytest.fixture
def client(running: Running) -> Iterator[ProxyClient]:
    with ProxyClient(f"http://127.0.0.1:{running.port}", SECRET) as client:
        yield client


def url(port: int, state: str) -> str:
    return authorization_url(f"http://localhost:{port}/callback", state)


def test_a_login_from_its_registration_to_its_end(client: ProxyClient) -> None:
    """It waits, whoever waits for it hears of the callback, and then it is over."""
    port, state = free_port(), f"{new_state()}/with?odd&characters"
    session = client.register(url(port, state), expires_in=60)
    assert (session.status, session.redirect_uri) == ("pending", f"http://localhost:{port}/callback")
    assert 50 < session.expires_in <= 60
    assert client.wait(session, 0).status == client.wait(session, 0.1).status == "pending"
    answer = f"/callback?code=1&state={state.replace('/', '%2F').replace('?', '%3F').replace('&', '%26')}"
    visit = threading.Thread(target=raw, args=(port, target_of(answer, f"Host: localhost:{port}")))
    visit.start()
    while not session.over:
        session = client.wait(session)
    visit.join()
    assert session.status == "delivered"


def test_all_at_once(running: Running, client: ProxyClient) -> None:
    """The logins that it knows of, and what is the matter with the gateway."""
    session = client.register(url(free_port(), new_state()), expires_in=60)
    found = client.overview()
    assert found.problem is None
    assert session.id in {one.id for one in found.sessions}
    client.cancel(session)
    running.gateway.secret = None
    problem = client.overview().problem
    running.gateway.secret = SECRET
    assert isinstance(problem, StackSecretInvalid)
    assert problem.hint == "Run: ccapi up"


def test_a_login_that_is_given_up(client: ProxyClient) -> None:
    """Who waits is told at once."""
    session = client.register(url(free_port(), new_state()), expires_in=60)
    heard = []
    waiting = threading.Thread(target=lambda: heard.append(client.wait(session)))
    waiting.start()
    client.cancel(session)
    waiting.join(DEADLINE)
    assert [one.status for one in heard] == ["cancelled"]


def test_what_the_proxy_refuses(client: ProxyClient) -> None:
    """Its envelope comes back as the error that it was."""
    with pytest.raises(LoginRefused):
        client.register(url(22, new_state()), expires_in=60)
    with pytest.raises(LoginNotFound):
        client.wait(Session("unknown", "pending", "as.example", "http://localhost:1025/callback", 0.0), 0)


def test_a_busy_port(client: ProxyClient) -> None:
    """Is named."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
        with pytest.raises(PortBusy, match=str(port)):
            client.register(url(port, new_state()), expires_in=60)


def test_another_secret(running: Running) -> None:
    """Such as that of a proxy which another user runs."""
    with ProxyClient(f"http://127.0.0.1:{running.port}", "wrong") as client, pytest.raises(StackSecretInvalid):
        client.register(url(free_port(), new_state()), expires_in=60)


def test_nobody_there() -> None:
    """The command to start it is told."""
    absent = pytest.raises(ProxyUnreachable, match="does not run")
    with ProxyClient(f"http://127.0.0.1:{free_port()}", SECRET) as client, absent as raised:
        client.register(url(free_port(), "s"), expires_in=60)
    assert raised.value.hint == "Start it: ccapi proxy start"


DOCUMENT = {"session_id": "s", "status": "pending", "site": "", "redirect_uri": "", "expires_in": 1}


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello",
        FakeGateway.document({"something": "else"}),
        FakeGateway.document({"something": "else"}, 500),
        FakeGateway.document([]),
        FakeGateway.document({**DOCUMENT, "status": "new"}),
        FakeGateway.document(
            {"session_id": "s", "status": "pending", "site": "", "redirect_uri": "", "expires_in": "x"}
        ),
        b"garbage\r\n\r\n",
        b"",
    ],
)
def test_what_is_no_proxy(answer: bytes) -> None:
    """Jupyter has that port by default, too: it is said that another program has it."""
    other = FakeGateway()

    def play() -> None:
        with other.request() as connection:
            connection.sendall(answer)

    player = threading.Thread(target=play)
    player.start()
    with ProxyClient(other.url, SECRET) as client, pytest.raises(ProxyUnreachable):
        client.register(url(free_port(), "s"), expires_in=60)
    player.join()
    other.close()
