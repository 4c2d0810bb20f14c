"""Logins that a person started inside the container, until the host has taken them over, and until they are over."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass

from ccapi.errors import LoginNotFound, LoginRefused
from ccapi.wire.authorization import Authorization
from ccapi.wire.internal import ReportedLogin

log = logging.getLogger(__name__)

Clock = Callable[[], float]  # monotonic seconds

MAX_PENDING = 4
MAX_A_MINUTE = 10
LIFETIME = 600.0  # seconds
_LOOK_EVERY = 0.5  # seconds, for whether a login is over


@dataclass(slots=True)
class _Login:
    id: str
    authorization: Authorization
    expires: float
    taken: bool = False  # the host has it, and is told of it no more

    @property
    def port(self) -> int:
        return self.authorization.redirect.port


class Logins:
    """`listeners` tells what in the container listens on a port: where nothing does, the login is over."""

    def __init__(self, listeners: Callable[[int], Collection[int]], clock: Clock = time.monotonic) -> None:
        self._listeners = listeners
        self._clock = clock
        self._logins: dict[str, _Login] = {}
        self._reported: deque[float] = deque(maxlen=MAX_A_MINUTE)
        self._news = asyncio.Event()
        self._closed = False

    def report(self, authorization: Authorization) -> None:
        """Once more changes nothing; another one for the same port ends the one before. Raises `LoginRefused`."""
        self._forget()
        port, state = authorization.redirect.port, authorization.state
        if any(login.authorization.state == state for login in self._logins.values()):
            return
        now = self._clock()
        if len(self._reported) == MAX_A_MINUTE and now - self._reported[0] < 60.0:
            raise LoginRefused("There were too many logins within a minute")
        others = {key: login for key, login in self._logins.items() if login.port != port}
        if len(others) >= MAX_PENDING:
            raise LoginRefused("Too many logins wait already")
        login = _Login(secrets.token_urlsafe(12), authorization, now + LIFETIME)
        self._logins = {**others, login.id: login}
        self._reported.append(now)
        self._news.set()
        log.info("a login was started in the container, on port %d", port)

    async def waiting(self, seconds: float) -> list[ReportedLogin]:
        """Those that nobody has taken yet; waits for one if there is none, for so many seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not (found := list(self._untaken())) and not self._closed:
                    self._news.clear()
                    await self._news.wait()
                return found
        return []

    def take(self, login_id: str) -> None:
        """The host looks after it from now on. Raises `LoginNotFound`."""
        self._find(login_id).taken = True

    async def over(self, login_id: str, seconds: float) -> None:
        """Wait for the login's end, for so many seconds at most. Raises `LoginNotFound` when it is over."""
        deadline = self._clock() + seconds
        self._find(login_id)
        while self._clock() < deadline and not self._closed:
            await asyncio.sleep(min(_LOOK_EVERY, max(0.0, deadline - self._clock())))
            self._find(login_id)

    def close(self) -> None:
        """Nobody waits any longer."""
        self._closed = True
        self._news.set()

    def _find(self, login_id: str) -> _Login:
        self._forget()
        if not (found := self._logins.get(login_id)):
            raise LoginNotFound("There is no such login, or it is over")
        return found

    def _untaken(self) -> Iterator[ReportedLogin]:
        self._forget()
        for login in self._logins.values():
            if not login.taken:
                yield ReportedLogin(login.id, login.authorization.url, round(login.expires - self._clock(), 1))

    def _forget(self) -> None:
        """What has expired, or was given up."""
        now = self._clock()
        self._logins = {
            key: login for key, login in self._logins.items() if login.expires > now and self._listeners(login.port)
        }
