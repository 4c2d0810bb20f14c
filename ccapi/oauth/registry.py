"""The logins that wait for a callback, and for a while those that no longer do."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Iterator

from ccapi.errors import LoginKnown, LoginNotFound, TooManyRequests
from ccapi.oauth.login import Login, Status

MOST = 32
MOST_FROM_CONTAINER = 8  # so that nothing in the container can keep the person's own logins out
REMEMBERED = 120.0  # seconds that a login which is over can be asked for


class Registry:
    """`over` is told each login that ends, when it ends."""

    def __init__(self, over: Callable[[Login], None]) -> None:
        self._over = over
        self._logins: dict[str, Login] = {}
        self._timers: dict[Login, asyncio.TimerHandle] = {}

    def __iter__(self) -> Iterator[Login]:
        return iter(tuple(self._logins.values()))

    @property
    def pending(self) -> int:
        return sum(login.is_open for login in self)

    def add(self, login: Login) -> None:
        """From now on it is found. Raises `LoginKnown`, `TooManyRequests`."""
        if login.id in self._logins or self.find(login.state.encode()):
            raise LoginKnown("This login is registered already")
        if self.pending >= MOST or (login.origin == "container" and self._from_container() >= MOST_FROM_CONTAINER):
            raise TooManyRequests("Too many logins wait for the browser", hint="Finish or cancel one of them.")
        self._logins[login.id] = login
        self._in(login.lifetime, login, self._expire)

    def get(self, login_id: str) -> Login:
        """Raises `LoginNotFound`."""
        if not (login := self._logins.get(login_id)):
            raise LoginNotFound("No such login is known; it may be over")
        return login

    def find(self, state: bytes) -> Login | None:
        """Every state is compared, and as a whole, so that the time it takes tells nothing."""
        found = None
        for login in self:
            if hmac.compare_digest(login.state.encode(), state):
                found = login
        return found

    def end(self, login: Login, status: Status) -> None:
        """It is over; once only."""
        if login.is_open:
            login.become(status)
            self._in(REMEMBERED, login, self.forget)
            self._over(login)

    def forget(self, login: Login) -> None:
        """As if it had never been."""
        self._logins.pop(login.id, None)
        if timer := self._timers.pop(login, None):
            timer.cancel()

    def close(self) -> None:
        """Nothing waits any more: who waits for a login is told so at once. No timer is left."""
        for login in self:
            if login.status == "pending":
                self.end(login, "cancelled")
            self.forget(login)

    def _expire(self, login: Login) -> None:
        if login.status == "pending":  # one that is being delivered ends by itself
            self.end(login, "expired")

    def _in(self, seconds: float, login: Login, act: Callable[[Login], None]) -> None:
        if timer := self._timers.pop(login, None):
            timer.cancel()
        self._timers[login] = asyncio.get_running_loop().call_later(seconds, act, login)

    def _from_container(self) -> int:
        return sum(login.is_open and login.origin == "container" for login in self)
