"""The quiet connection: while nothing is pending, one request waits at the gateway for a login to begin there.

It is written as a generator, which says what it waits for and is told whether that came, since an event loop would cost
the supervisor twice its memory.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections.abc import Callable, Generator
from typing import NamedTuple

from ccapi.oauth.config import ProxyConfig

PATH = "/internal/v1/logins"  # `ccapi.wire.internal.LOGINS`, which is not imported for its size
_WAIT = 240  # seconds that the gateway may keep us waiting
_LATE = 30  # seconds more, and the connection is taken for dead
_CONNECT = 5  # seconds
_SETTLED = 1.0  # seconds without a refusal: the gateway has taken the question
_SOONEST, _LATEST = 0.25, 5.0  # seconds between attempts while the gateway is away
_REASONS = {
    401: "it does not know this stack's secret",
    404: "it is of a version without MCP logins",
    0: "it closed the connection",
}


class Wait(NamedTuple):
    """For `descriptor` (-1: none) to be ready for `events`, or for the moment `until` of the monotonic clock."""

    descriptor: int
    events: int
    until: float


Waiting = Generator[Wait, bool, None]
_Asking = Generator[Wait, bool, int]


class Gateway:
    """The gateway, as far as it reports logins. What changes about it is said once."""

    def __init__(self, config: ProxyConfig, say: Callable[[str], None]) -> None:
        self._config = config
        self._say = say
        self._said = ""

    def wait_for_login(self) -> Waiting:
        """Ends when a login waits at the gateway. Closing the generator closes the connection."""
        pause = 0.0
        while True:
            try:
                status = yield from self._ask()
            except OSError as error:
                reason = error.strerror or str(error)
            else:
                if status == 200:
                    return
                if status == 204:  # there was none; the gateway keeps one that begins right now
                    pause = 0.0
                    yield _rest(_SOONEST)
                    continue
                reason = _REASONS.get(status, f"it answered {status}")
            self._tell(f"cannot be asked for logins: {reason}")
            pause = min(max(pause * 2, _SOONEST), _LATEST)
            yield _rest(pause)

    def _ask(self) -> _Asking:
        """The status of the answer to one request; 0 for none. Raises `OSError`."""
        request = self._request()
        with socket.socket(socket.AF_INET6 if ":" in self._config.gateway_host else socket.AF_INET) as line:
            line.setblocking(False)  # noqa: FBT003 -- the standard library's
            code = line.connect_ex((self._config.gateway_host, self._config.gateway_port))
            if code == errno.EINPROGRESS:
                if not (yield Wait(line.fileno(), select.POLLOUT, time.monotonic() + _CONNECT)):
                    raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
                code = line.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, os.strerror(code))
            line.sendall(request)
            answered = Wait(line.fileno(), select.POLLIN, time.monotonic() + _SETTLED)
            if not (yield answered):
                self._tell("is asked for logins")
                if not (yield answered._replace(until=time.monotonic() + _WAIT + _LATE)):
                    raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
            return _status(line.recv(1024))

    def _request(self) -> bytes:
        """With the secret as its file holds it now. Raises `OSError`."""
        try:
            with open(self._config.secret_file, "rb") as file:  # noqa: PTH123 -- pathlib is too large
                secret = file.read().strip()
        except FileNotFoundError:
            raise OSError(errno.ENOENT, "there is no stack secret yet; ccapi up makes it") from None
        head = f"GET {PATH}?wait={_WAIT} HTTP/1.1\r\nHost: localhost:{self._config.gateway_port}\r\n"
        return head.encode() + b"Connection: close\r\nAuthorization: Bearer " + secret + b"\r\n\r\n"

    def _tell(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._say(f"The gateway on {self._config.gateway_host}:{self._config.gateway_port} {text}")


def _rest(seconds: float) -> Wait:
    return Wait(-1, 0, time.monotonic() + seconds)


def _status(answer: bytes) -> int:
    words = answer.split(None, 2)
    return int(words[1]) if len(words) > 1 and words[0].startswith(b"HTTP/1.") and words[1].isdigit() else 0
