"""From a callback to its listener in the container: once, and only for a login that is known beforehand."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict

from ccapi.errors import CcapiError, LoginRefused
from ccapi.oauth import pages, query
from ccapi.oauth.gateway import GatewayClient
from ccapi.oauth.listeners import Listeners
from ccapi.oauth.login import Entry, Login, Status
from ccapi.oauth.pages import Page
from ccapi.oauth.query import Answer
from ccapi.oauth.registry import Registry
from ccapi.wire.internal import Callback, Delivery

log = logging.getLogger(__name__)

LINGER = 1.0  # seconds that a port is kept after the callback, to tell a second one that it is the second
_WRONG_PER_MINUTE = 20
_SELF_TEST = "code=test123&state=test-session"

_PAGES: dict[Status, Page] = {
    "delivering": pages.USED,
    "delivered": pages.USED,
    "denied": pages.USED,
    "refused": pages.USED,
    "failed": pages.USED,
    "expired": pages.EXPIRED,
    "cancelled": pages.EXPIRED,
}
_OUTCOMES: dict[Delivery, tuple[Status, Page]] = {
    "accepted": ("delivered", pages.RECEIVED),
    "refused": ("refused", pages.REJECTED),
    "unreachable": ("failed", pages.FAILED),
    "timeout": ("failed", pages.FAILED),
}


class Relay:
    """The logins, the ports they come back to, and the way into the container. `own_port` is always listened on."""

    def __init__(self, own_port: int, gateway: GatewayClient, listeners: Listeners) -> None:
        self.registry = Registry(self._over)
        self._own_port = own_port
        self._gateway = gateway
        self._listeners = listeners
        self._wrong = _Rates(_WRONG_PER_MINUTE)
        self._deliveries: set[asyncio.Task[Page]] = set()

    async def register(self, login: Login) -> None:
        """Wait for the callback of a login. Raises `PortBusy`, and what `Registry.add` does."""
        opened: list[int] = []
        try:
            for port in self._ports(login):
                await self._listeners.open(port)
                opened.append(port)
            self.registry.add(login)
        except BaseException:
            for port in opened:
                self._listeners.release(port)
            raise

    def listens(self, entry: Entry) -> bool:
        """Whether there is, or was lately, a login whose callback comes in here."""
        return any(entry in login.entries for login in self.registry)

    def cancel(self, login: Login) -> None:
        """It is not waited for any more. One that is being delivered is."""
        if login.status == "pending":
            self.registry.end(login, "cancelled")

    async def receive(self, port: int, path: str, sent: str) -> Page:
        """A callback on a port and path of this machine; what the person is to see.

        Its state says which login it is of, and nothing else in it means anything: where it goes is in the record.
        """
        try:
            answer = query.read(sent)
        except LoginRefused:
            return self._refused(port, pages.INVALID)
        login = self.registry.find(answer.state)
        if login is None or Entry(port, path) not in login.entries:
            is_test = sent == _SELF_TEST and port == self._own_port
            return pages.SELF_TEST if is_test else self._refused(port, pages.UNKNOWN)
        if login.status != "pending":
            return _PAGES[login.status]
        login.become("delivering")  # from here on there is no second one
        delivery = asyncio.create_task(self._deliver(login, answer))
        self._deliveries.add(delivery)
        delivery.add_done_callback(self._deliveries.discard)
        return await asyncio.shield(delivery)  # also when the browser does not wait

    async def _deliver(self, login: Login, answer: Answer) -> Page:
        target = login.target
        status: Status = "failed"
        try:
            outcome = await self._gateway.deliver(Callback(target.host, target.port, target.path, answer.query))
            status, page = _OUTCOMES[outcome]
            if answer.denied and outcome == "accepted":
                status, page = "denied", pages.DENIED
            log.info("callback of %s: %s", login.name, status)
        except CcapiError as error:
            log.warning("callback of %s: %s (%s)", login.name, error.message, error.detail or error.code)
            page = pages.UNDELIVERED
        finally:
            self.registry.end(login, status)
        return page

    def _refused(self, port: int, page: Page) -> Page:
        """What guesses is answered, and logged, so many times a minute. A callback that is right never comes here."""
        if not self._wrong.allow(port):
            return pages.TOO_MANY
        log.warning("callback on port %d refused: %s", port, page.title)
        return page

    def _over(self, login: Login) -> None:
        received = login.status not in {"expired", "cancelled"}
        for port in self._ports(login):
            if received:
                asyncio.get_running_loop().call_later(LINGER, self._listeners.release, port)
            else:
                self._listeners.release(port)
        if not received:
            log.info("%s: %s", login.name, login.status)

    def _ports(self, login: Login) -> list[int]:
        return sorted({entry.port for entry in login.entries} - {self._own_port})


class _Rates:
    """So many in the minute that has begun, per port."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: defaultdict[int, list[float]] = defaultdict(list)

    def allow(self, port: int) -> bool:
        now = time.monotonic()
        seen = self._seen[port] = [moment for moment in self._seen[port] if now - moment < 60]
        if len(seen) >= self._most:
            return False
        seen.append(now)
        return True
