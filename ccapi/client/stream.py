"""One HTTP exchange on a socket of its own: a request, and a response whose body is read as it comes.

It is for the way to an answer's first word, so nothing but a socket is needed until the request is out; h11, which
understands the response, is imported while the other side works at it. Whoever waits gets a `Tick` now and then: one
thread can follow an answer and move what a person looks at meanwhile.

Neither TLS nor proxies nor redirects: the other side is on this machine.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Generator, Iterator, Mapping
from errno import EINPROGRESS, EWOULDBLOCK
from math import inf
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector, DefaultSelector
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import h11

T = TypeVar("T")
_RECEIVE = 64 * 1024  # bytes at once
_HEAD = 64 * 1024  # bytes that a response's head may have, whatever comes before it included
_HTTP = b"HTTP/1."


class StreamError(Exception):
    """The exchange came to nothing, or broke off."""


class Absent(StreamError):
    """Nobody takes the connection."""


class Silent(StreamError):
    """Nothing comes."""


class Broken(StreamError):
    """The connection broke, or what comes is not as HTTP has it."""


class NotHttp(Broken):
    """What answers speaks something else."""


class TimeUp(Exception):
    """The clock's time is over."""


class Tick:
    """Nothing came for a while."""


class Clock:
    """By what several waits go, one after the other. All times are in seconds."""

    def __init__(self, *, tick: float | None = None, timeout: float | None = None) -> None:
        """`timeout`: from now on, for everything."""
        self._tick = inf if tick is None else tick
        self._end = inf if timeout is None else time.monotonic() + timeout
        self.restart()

    def forget(self) -> None:
        """The time is never up."""
        self._end = inf

    def restart(self) -> None:
        """Something came: the next tick is a whole one away."""
        self._due = time.monotonic() + self._tick

    def wait(self, selector: BaseSelector | None, until: float) -> Generator[Tick, None, int]:
        """What is ready (a selector's events), 0 when it is `until` (of the monotonic clock). Raises `TimeUp`.

        The time of a process that was stopped (Ctrl-Z) goes on: what has come meanwhile is looked for all the same.
        """
        while True:
            now = time.monotonic()
            if now >= self._end:
                raise TimeUp
            if now >= self._due:
                yield Tick()
                self.restart()
                continue
            left = min(until, self._due, self._end) - now
            if selector is None:
                time.sleep(max(0.0, left))
            else:
                for _, events in selector.select(max(0.0, left)):
                    return events
            if now >= until:
                return 0

    def sleep(self, seconds: float) -> Generator[Tick]:
        yield from self.wait(None, time.monotonic() + seconds)


def finish(steps: Generator[Tick, None, T]) -> T:
    """What comes of it, for somebody who does not look at ticks."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            value: T = end.value
            return value


class Request(NamedTuple):
    """A request as it is sent, and to whom. `name` is what it is called in a log."""

    host: str
    port: int
    data: bytes
    name: str


def request(base_url: str, method: str, target: str, *, headers: Mapping[str, str], body: bytes = b"") -> Request:
    """`target` goes behind the path of the base URL. Raises `ValueError` for a base URL that is not plain HTTP."""
    parts = urlsplit(base_url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"not an http URL: {base_url}")
    own = {"Host": parts.netloc, "User-Agent": "ccapi", "Connection": "close", "Content-Length": str(len(body))}
    lines = [f"{method} {parts.path.rstrip('/')}{target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in {**own, **headers}.items()]
    return Request(
        parts.hostname,
        parts.port or 80,
        "\r\n".join([*lines, "", ""]).encode("ascii") + body,
        f"{method} {base_url}{target}",
    )


class Head(NamedTuple):
    """How a response begins. The names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]


class Exchange:
    """First `send`, then `head`, then `body`; `close` at any time, and at last.

    All of them yield ticks while they wait, and raise `StreamError`s, and `TimeUp` when the clock's time is.
    """

    def __init__(self, request: Request, clock: Clock, *, silence: float, connect: float) -> None:
        """In seconds: `silence`, in which nothing comes; `connect`, for each address of the host."""
        self.request = request
        self.sending = False  # the other side may know of it
        self._clock = clock
        self._silence = silence
        self._connect_timeout = connect
        self._socket: socket.socket | None = None
        self._reader: h11.Connection | None = None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()

    # --- the request

    def send(self) -> Generator[Tick]:
        """The request is on its way afterwards, or there is already an answer to what was sent of it."""
        yield from self._connect()
        assert self._socket
        self.sending = True
        rest = memoryview(self.request.data)
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                events = yield from self._ready(EVENT_READ | EVENT_WRITE, time.monotonic() + self._silence)
                if not events:
                    raise Silent from None
                if events & EVENT_READ:
                    return
            except OSError:  # why, says the answer, if there is one
                return

    def _connect(self) -> Generator[Tick]:
        """To the first of the host's addresses where somebody listens."""
        name = self.request.host.encode("ascii")  # of a text, the codec for names in other scripts would be imported
        try:
            found = socket.getaddrinfo(name, self.request.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise Absent(error.strerror) from None
        problem: StreamError = Absent("no address")
        for family, _, _, _, address in found:
            try:
                yield from self._knock(family, address)
            except StreamError as error:
                problem = error
                self.close()
            else:
                return
        raise problem

    def _knock(self, family: int, address: tuple[object, ...]) -> Generator[Tick]:
        """A connection to this one."""
        try:
            self._socket = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:  # a machine without IPv6
            raise Absent(error.strerror) from None
        self._socket.settimeout(0)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = self._socket.connect_ex(address)
        if code in {EINPROGRESS, EWOULDBLOCK}:  # the second one is Windows'
            if not (yield from self._ready(EVENT_WRITE, time.monotonic() + self._connect_timeout)):
                raise Silent
            code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise Absent(os.strerror(code))

    # --- the response

    def head(self) -> Generator[Tick, None, Head]:
        """It must be whole within `silence`."""
        import h11

        self._reader = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD)
        # It wants to know what was asked: for how an answer is read, all that is not HEAD or CONNECT is the same.
        self._reader.send(h11.Request(method="GET", target="/", headers=[("Host", "localhost")]))
        self._reader.send(h11.EndOfMessage())
        until, start, size = time.monotonic() + self._silence, b"", 0
        while True:
            event = self._next()
            if isinstance(event, h11.Response):
                headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
                return Head(event.status_code, headers)
            if event is not h11.NEED_DATA:  # 100 Continue, and what is like it
                continue
            if size > _HEAD:
                raise NotHttp("a head without an end")
            data = yield from self._receive(until)
            if not data:
                raise Broken("it was closed without an answer")
            start, size = (start + data)[: len(_HTTP)], size + len(data)
            if not _HTTP.startswith(start):
                raise NotHttp("something else than HTTP")

    def body(self, until: float | None = None) -> Iterator[Tick | bytes]:
        """In pieces, cut anywhere. An end before the proper one raises `Broken`, as far as that can be known.

        `until` (of the monotonic clock): when it must be there; None: as long as it is never silent.
        """
        import h11

        while True:
            event = self._next()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif event is h11.NEED_DATA:
                yield from self._receive(until or time.monotonic() + self._silence)
            else:
                return

    def whole(self, most: int) -> Generator[Tick, None, bytes]:
        """All of a body that is no stream, within `silence`. More than `most` bytes raise `Broken`."""
        until, pieces, size = time.monotonic() + self._silence, [], 0
        for piece in self.body(until):
            if isinstance(piece, Tick):
                yield piece
                continue
            pieces.append(piece)
            size += len(piece)
            if size > most:
                raise Broken(f"an answer of more than {most} bytes")
        return b"".join(pieces)

    def _next(self) -> object:
        import h11

        assert self._reader
        try:
            return self._reader.next_event()
        except h11.RemoteProtocolError as error:
            raise Broken(str(error)) from None

    def _receive(self, until: float) -> Generator[Tick, None, bytes]:
        """Hand on to the reader what comes next, and return it."""
        if not (yield from self._ready(EVENT_READ, until)):
            raise Silent
        assert self._socket
        assert self._reader
        try:
            data = self._socket.recv(_RECEIVE)
        except OSError as error:
            raise Broken(error.strerror) from None
        self._reader.receive_data(data)
        return data

    def _ready(self, events: int, until: float) -> Generator[Tick, None, int]:
        assert self._socket
        with DefaultSelector() as selector:
            selector.register(self._socket, events)
            return (yield from self._clock.wait(selector, until))
