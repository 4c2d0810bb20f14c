"""Logins that a person started inside the container: the gateway knows of them, and the proxy asks it.

What is asked for here comes from the container, so it is bounded and opens nothing by itself. A login that is over
there (Ctrl-C, done, another one on the same port) is over here as well.
"""

from __future__ import annotations

import asyncio
import logging

from ccapi.errors import CcapiError, GatewayUnreachable, LoginNotFound
from ccapi.oauth import consent
from ccapi.oauth.config import OpenBrowser
from ccapi.oauth.gateway import GatewayClient
from ccapi.oauth.guard import place
from ccapi.oauth.login import Login
from ccapi.oauth.registration import Registration
from ccapi.oauth.relay import Relay
from ccapi.wire.internal import ReportedLogin

log = logging.getLogger(__name__)

_WAIT = 60  # seconds that the gateway may hold a question
_PAUSE = 2.0  # seconds after a failure, and where there was nothing new
_SOONEST = 0.1  # seconds between two questions, should the gateway not wait
_LONGEST = 600.0  # seconds that a login of the container may wait
_MISSES = 2  # times in a row that no gateway is there: the container has ended, and its logins with it


class Watch:
    def __init__(
        self, gateway: GatewayClient, relay: Relay, registration: Registration, open_browser: OpenBrowser
    ) -> None:
        self._gateway = gateway
        self._relay = relay
        self._registration = registration
        self._ask = open_browser == "ask"
        self._seen: set[str] = set()
        self._question: asyncio.Task[None] | None = None  # one at a time: the container must not flood the screen
        self._tasks = asyncio.TaskGroup()

    async def run(self) -> None:
        """Until cancelled."""
        async with self._tasks:
            while True:
                pause = await self._turn()
                await asyncio.sleep(pause)

    async def _turn(self) -> float:
        """Ask once; the seconds until the next time."""
        try:
            reported = await self._gateway.logins(_WAIT)
            new = [login for login in reported if login.id not in self._seen]
            for login in new:
                await self._take(login)
        except CcapiError as error:
            log.debug("logins of the container: %s", error.message)
            return _PAUSE
        except Exception as error:  # noqa: BLE001 -- whatever the container says, the next login is seen
            log.error("logins of the container: %s", place(error))  # noqa: TRY400 -- its words may be the URL's
            return _PAUSE
        else:
            return _SOONEST if new or not reported else _PAUSE

    async def _take(self, reported: ReportedLogin) -> None:
        try:
            lifetime = min(max(reported.expires_in, 1.0), _LONGEST)
            login = self._registration.of_url(reported.url, lifetime=lifetime, reported_as=reported.id)
            await self._relay.register(login)
        except CcapiError as error:
            hint = f". {error.hint}" if error.hint else ""
            log.warning("login started in the container: %s%s", error.message, hint)
        else:
            log.info("login started in the container: %s; open the URL that Claude Code printed", login.name)
            self._offer(login, reported.url)
            self._tasks.create_task(self._follow(login, reported))
        self._seen.add(reported.id)
        await self._gateway.acknowledge(reported)

    async def _follow(self, login: Login, reported: ReportedLogin) -> None:
        """Give the login up as soon as nobody waits for it in the container any more."""
        misses = 0
        while login.is_open and misses < _MISSES:
            try:
                await self._gateway.still_waits(reported, _WAIT)
            except LoginNotFound:
                break
            except CcapiError as error:
                misses = misses + 1 if isinstance(error, GatewayUnreachable) else 0
                await asyncio.sleep(_PAUSE)
            else:
                misses = 0
                await asyncio.sleep(_SOONEST)
        self._relay.cancel(login)

    def _offer(self, login: Login, url: str) -> None:
        if self._ask and login.site and (self._question is None or self._question.done()):
            self._question = self._tasks.create_task(consent.ask_and_open(login.site, url))
