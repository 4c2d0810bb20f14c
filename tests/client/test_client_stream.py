"""One HTTP exchange, with peers that answer in every way that HTTP allows, and in some that it does not."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import pairwise
from types import SimpleNamespace

import pytest

from ccapi.client import stream
from ccapi.client.stream import Absent, Broken, Clock, Exchange, NotHttp, Silent, Tick, TimeUp, finish
from tests.cli.support import DEADLINE, FakeGateway
from tests.client.players import Part, dribbles, falls_silent, playing, resets, sends, silent

BODY = "data: 世界 \r\n\r\n 0\r\n".encode() * 20
OK = b"HTTP/1.1 200 OK\r\n"
SOON = 2.0  # seconds: what a listener of these tests takes at the very most


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.fixture
def fake() -> Iterator[FakeGateway]:
    """Something at a port that says what the test lets it say."""
    listener = FakeGateway()
    yield listener
    listener.close()


def exchange(
    url: str, clock: Clock | None = None, *, body: bytes = b"", silence: float = DEADLINE, connect: float = DEADLINE
) -> Exchange:
    request = stream.request(url, "POST", "/path?a=b", headers={"X-Own": "yes"}, body=body)
    return Exchange(request, clock or Clock(), silence=silence, connect=connect)


def whole(url: str, clock: Clock | None = None, *, silence: float = DEADLINE, body: bytes = b"") -> tuple[int, bytes]:
    """The status and the body of an answer."""
    with closing(exchange(url, clock, silence=silence, body=body)) as made:
        finish(made.send())
        head = finish(made.head())
        return head.status, b"".join(piece for piece in made.body() if not isinstance(piece, Tick))


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    chunks = b"".join(f"{len(piece):X};name=value\r\n".encode() + piece + b"\r\n" for piece in pieces)
    return OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\nX-Trailer: a\r\n\r\n"


def bytewise(data: bytes) -> Part:
    """Each byte for itself."""

    def part(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for position in range(len(data)):
            connection.sendall(data[position : position + 1])

    return part


ANSWERS = {
    "with its length": OK + f"Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY,
    "up to the end of the connection": OK + b"\r\n" + BODY,
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\n" + BODY,
    "in chunks": chunked(BODY, 7),
    "in one chunk": chunked(BODY, len(BODY)),
    "after other heads": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    + chunked(BODY, 100),
}


# --- the request


def test_the_request(fake: FakeGateway) -> None:
    """Whom it is for, its length, and what else it was given; the connection is for this request alone."""
    with playing(fake, sends(OK, b"\r\n")):
        assert whole(f"{fake.url}/below/", body=b"12345") == (200, b"")
    (received,) = fake.received
    assert received.line == "POST /below/path?a=b"
    assert received.body == b"12345"
    assert received.headers == {
        "host": f"127.0.0.1:{fake.port}",
        "user-agent": "ccapi",
        "connection": "close",
        "content-length": "5",
        "x-own": "yes",
    }


def test_a_large_request(fake: FakeGateway) -> None:
    """20 MB, more than any buffer on the way, arrive whole."""
    body = bytes(range(256)) * 80_000
    with playing(fake, sends(OK, b"Content-Length: 2\r\n\r\nok")):
        assert whole(fake.url, body=body) == (200, b"ok")
    assert fake.received[0].body == body


def test_an_answer_before_the_request_is_whole() -> None:
    """A server that has heard enough, and says so without reading on: what it says is read, and not waited for."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with closing(exchange(f"http://127.0.0.1:{port}", Clock(tick=0.01), body=bytes(50_000_000))) as made:
            sending = made.send()
            assert isinstance(next(sending), Tick)  # all buffers are full
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nmuch")
                finish(sending)
                assert finish(made.head()).status == 413
                assert b"".join(piece for piece in made.body() if not isinstance(piece, Tick)) == b"much"


# --- where it goes


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_ipv6() -> None:
    """An address in brackets."""
    with closing(FakeGateway("::1")) as fake, playing(fake, sends(OK, b"\r\nhello")):
        assert whole(fake.url) == (200, b"hello")
        assert fake.received[0].headers["host"] == f"[::1]:{fake.port}"


def test_a_name_with_several_addresses() -> None:
    """Whichever of them somebody listens at: also the last."""
    last = str(socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)[-1][4][0])
    with closing(FakeGateway(last)) as fake, playing(fake, sends(OK, b"\r\nhello")):
        assert whole(f"http://localhost:{fake.port}") == (200, b"hello")


def test_nobody_there() -> None:
    """No listener, no such name: at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Absent, match="refused"):
        whole(f"http://127.0.0.1:{port}")
    with pytest.raises(Absent):
        whole("http://no-such-name.invalid:80")


def test_a_connection_that_is_not_taken() -> None:
    """A listener whose queue is full lets the client wait, for as long as it wants to."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        waiting = [socket.socket() for _ in range(4)]
        try:
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(listener.getsockname())
            with closing(exchange(url, connect=0.2)) as made, pytest.raises(Silent):
                finish(made.send())
        finally:
            for each in waiting:
                each.close()


# --- the answer


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_an_answer(fake: FakeGateway, answer: bytes) -> None:
    """Whichever way HTTP has to tell its end, it is the same body; in one piece, and byte by byte."""
    with playing(fake, sends(answer), bytewise(answer)):
        assert whole(fake.url) == (200, BODY)
        assert whole(fake.url) == (200, BODY)


@pytest.mark.parametrize("name", ["with its length", "in chunks", "after other heads"])
def test_an_answer_that_breaks_off(fake: FakeGateway, name: str) -> None:
    """Wherever that is, it is no whole answer."""
    answer = ANSWERS[name]
    for position in [*range(0, len(answer), 41), len(answer) - 1]:
        with playing(fake, sends(answer[:position])), pytest.raises(Broken):
            whole(fake.url)


@pytest.mark.parametrize("sent", [b"", OK, OK + b"\r\n" + BODY, chunked(BODY, 10)[:-30]])
def test_a_peer_that_resets(fake: FakeGateway, sent: bytes) -> None:
    """As a machine does that has been started again."""
    with playing(fake, resets(sent)), pytest.raises(Broken):
        whole(fake.url)


def test_the_head(fake: FakeGateway) -> None:
    """Names are in lower case, values as they are."""
    with (
        playing(fake, sends(b"HTTP/1.1 404 No\r\nX-Some-Name:  A \xfc \r\nOther: b\r\nContent-Length: 0\r\n\r\n")),
        closing(exchange(fake.url)) as made,
    ):
        finish(made.send())
        head = finish(made.head())
    assert head == (404, {"x-some-name": "A \xfc", "other": "b", "content-length": "0"})


def test_what_is_not_http(fake: FakeGateway) -> None:
    """Known by its first bytes: a mail server says its name and waits."""
    for greeting in (b"2", b"220 mail.example.org ESMTP\r\n", b"HTTPX", b"\x00\x01", b"\r\n\r\n"):
        with playing(fake, falls_silent(greeting)), pytest.raises(NotHttp):
            whole(fake.url)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 OK\r\n\r\n",
        OK + b"no colon\r\n\r\n",
        OK + b"Content-Length: many\r\n\r\n",
        OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        OK + b"Transfer-Encoding: gzip\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    ],
)
def test_http_that_is_wrong(fake: FakeGateway, answer: bytes) -> None:
    """Found at once, though the peer goes on to listen."""
    with playing(fake, falls_silent(answer)), pytest.raises(Broken):
        whole(fake.url)


@pytest.mark.parametrize(
    ("start", "again"),
    [
        (OK, b"X-Name: and so on\r\n"),
        (OK + b"X-Name: ", b"x" * 1000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 1000),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Name: and so on\r\n"),
    ],
    ids=["fields", "field", "heads", "size of a chunk", "trailer"],
)
def test_what_has_no_end(fake: FakeGateway, start: bytes, again: bytes) -> None:
    """What is held back until it is whole is bounded."""

    def part(connection: socket.socket) -> None:
        connection.sendall(start)
        dribbles(again)(connection)

    with playing(fake, part), pytest.raises(Broken):
        whole(fake.url)


def test_a_large_answer_takes_linear_time(fake: FakeGateway) -> None:
    """50 MB in one chunk."""
    body = bytes(50_000_000)
    with playing(fake, sends(chunked(body, len(body)))):
        assert whole(fake.url)[1] == body


def test_a_body_that_must_be_whole(fake: FakeGateway) -> None:
    """It is given back if it is not too long, and not waited for without end, however much comes meanwhile."""

    def read(most: int, silence: float = DEADLINE) -> bytes:
        with closing(exchange(fake.url, silence=silence)) as made:
            finish(made.send())
            finish(made.head())
            return finish(made.whole(most))

    def dribbled_body(connection: socket.socket) -> None:
        connection.sendall(OK + b"\r\n")
        dribbles(b" ", 0.05)(connection)

    with playing(fake, sends(OK, b"\r\n", BODY), sends(OK, b"\r\n", BODY), dribbled_body):
        assert read(len(BODY)) == BODY
        with pytest.raises(Broken, match=f"more than {len(BODY) - 1} bytes"):
            read(len(BODY) - 1)
        with pytest.raises(Silent):
            read(len(BODY) * 1000, silence=SOON)


# --- waiting


def dribbled(connection: socket.socket) -> None:
    """A head that goes on all the time, and never ends."""
    connection.sendall(OK + b"X-Name: ")
    dribbles(b"x", 0.02)(connection)


@pytest.mark.parametrize("part", [silent, falls_silent(OK), falls_silent(OK, b"\r\nhello"), dribbled])
def test_silence(fake: FakeGateway, part: Part) -> None:
    """Nothing at all, a head that does not end, a body that does not go on."""
    with playing(fake, part), pytest.raises(Silent):
        whole(fake.url, silence=0.3)


def test_a_slow_answer(fake: FakeGateway) -> None:
    """It may take as long as it likes, if only something comes now and then."""
    silence = 1.0
    sent: list[tuple[float, float]] = []  # when it was asked for, and each piece sent; and when that was done

    def slow(connection: socket.socket) -> None:
        with suppress(ConnectionError):  # whoever has had enough
            for piece in (OK, b"\r\n", *[b"x"] * 20):
                before = time.monotonic()
                connection.sendall(piece)
                sent.append((before, time.monotonic()))
                time.sleep(0.1)

    answer = None
    while answer is None:
        sent[:] = [(time.monotonic(), time.monotonic())]
        with playing(fake, slow), suppress(Silent):
            answer = whole(fake.url, silence=silence)
        paused = max(after - before for (before, _), (_, after) in pairwise(sent))
        assert answer or paused >= silence, "the sender was not kept from the processor"
    assert answer == (200, b"x" * 20)
    assert sent[-1][0] - sent[1][0] > silence


def test_ticks(fake: FakeGateway) -> None:
    """They come wherever something is waited for, each when a while has passed, and what is waited for comes too."""
    began, ticked = time.monotonic(), threading.Semaphore(0)

    def part(connection: socket.socket) -> None:
        for piece in (OK + b"\r\n", b"one", b"two"):
            assert ticked.acquire(timeout=DEADLINE)
            connection.sendall(piece)

    with playing(fake, part), closing(exchange(fake.url, Clock(tick=0.05))) as made:
        finish(made.send())
        waiting, count, body = made.head(), 1, b""
        assert isinstance(next(waiting), Tick)
        assert time.monotonic() - began >= 0.05
        ticked.release()
        assert finish(waiting).status == 200
        for piece in made.body():
            if isinstance(piece, Tick):
                count += 1
                ticked.release()
            else:
                body += piece
        assert body == b"onetwo"
    assert count <= (time.monotonic() - began) / 0.05


def test_no_ticks_while_something_comes() -> None:
    """A clock that was started again counts from there; without a tick there is none."""
    clock = Clock(tick=0.2)
    for _ in range(10):
        began = time.monotonic()
        clock.restart()
        ticks = list(clock.sleep(0.05))
        assert not ticks or time.monotonic() - began > 0.2  # another process had the processor
    began, ticks = time.monotonic(), []
    while not ticks:  # it may also be over before the first of them could come
        ticks = list(clock.sleep(1.0))
    assert len(ticks) <= (time.monotonic() - began) / 0.2 + 1
    assert list(Clock().sleep(0.1)) == []


@pytest.mark.parametrize("part", [silent, falls_silent(OK), falls_silent(OK, b"\r\nhello"), dribbles(OK + b"\r\n")])
def test_the_time_is_up(fake: FakeGateway, part: Part) -> None:
    """Whatever is waited for, and also while more comes than is ever read."""
    with playing(fake, part), pytest.raises(TimeUp):
        whole(fake.url, Clock(timeout=0.3))


def test_the_time_is_up_while_the_request_is_sent() -> None:
    """A peer that does not read."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with closing(exchange(url, Clock(timeout=0.3), body=bytes(50_000_000))) as made, pytest.raises(TimeUp):
            finish(made.send())
        with closing(exchange(url, silence=0.3, body=bytes(50_000_000))) as made, pytest.raises(Silent):
            finish(made.send())


def test_an_address_that_is_none_of_ours() -> None:
    """What would need TLS is refused: nothing is sent in the clear that was meant to be secret."""
    for url in ("https://127.0.0.1:1", "127.0.0.1:1", "http:///path"):
        with pytest.raises(ValueError, match="not an http URL"):
            stream.request(url, "GET", "/", headers={})


def test_a_process_that_was_stopped_is_not_told_of_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-Z for longer than a silence may last: what has come meanwhile is there."""

    class Stopped(selectors.DefaultSelector):
        """Is stopped in its first wait, and has nothing when it is over."""

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            if moments[0]:
                return super().select(timeout)
            moments[0] = 100.0
            there.sendall(b"x")
            return []

    moments = [0.0]
    monkeypatch.setattr(stream, "time", SimpleNamespace(monotonic=lambda: moments[0]))
    here, there = socket.socketpair()
    with here, there, Stopped() as selector:
        selector.register(here, selectors.EVENT_READ)
        assert finish(Clock().wait(selector, 1.0)) == selectors.EVENT_READ
