"""The control API: what `ccapi` on this machine asks the proxy for. It needs the stack's own secret."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from typing import Any

from aiohttp import web

from ccapi.errors import InvalidRequest
from ccapi.oauth.gateway import GatewayClient
from ccapi.oauth.guard import REGISTER, SESSIONS
from ccapi.oauth.registration import Registration
from ccapi.oauth.relay import Relay
from ccapi.wire import envelope

log = logging.getLogger(__name__)

_BODY_TIMEOUT = 5.0  # seconds
_LONGEST_WAIT = 30.0
_SECONDS = re.compile(r"\d{1,4}(?:\.\d{1,9})?", re.ASCII)


class Control:
    def __init__(self, relay: Relay, registration: Registration, gateway: GatewayClient) -> None:
        self._relay = relay
        self._registration = registration
        self._gateway = gateway

    def add_to(self, router: web.UrlDispatcher) -> None:
        router.add_post(REGISTER, self.register)
        router.add_get(SESSIONS, self.sessions, allow_head=False)
        router.add_get(f"{SESSIONS}/{{id}}", self.session, allow_head=False)
        router.add_delete(f"{SESSIONS}/{{id}}", self.cancel)

    async def register(self, request: web.Request) -> web.Response:
        """201 with the session, which waits from now on."""
        login = self._registration.read(await _json(request))
        await self._relay.register(login)
        log.info("a login started on the host waits: %s", login.name)
        return web.json_response(login.document(), status=201)

    async def sessions(self, _: web.Request) -> web.Response:
        """All that wait, and those that are over since a short while; and why the gateway takes no callback, if so."""
        problem = await self._gateway.problem()
        sessions = [login.document() for login in self._relay.registry]
        return web.json_response({"sessions": sessions, "problem": envelope.dump(problem) if problem else None})

    async def session(self, request: web.Request) -> web.Response:
        """`wait`: seconds to wait for a status other than `known`."""
        login = self._relay.registry.get(request.match_info["id"])
        if wait := _wait(request.query.get("wait", "0")):
            await login.other_than(request.query.get("known", login.status), wait)
        return web.json_response(login.document())

    async def cancel(self, request: web.Request) -> web.Response:
        """204; also when it is over already."""
        self._relay.cancel(self._relay.registry.get(request.match_info["id"]))
        return web.Response(status=204)


async def _json(request: web.Request) -> Any:
    try:
        async with asyncio.timeout(_BODY_TIMEOUT):
            return json.loads(await request.read())
    except TimeoutError:
        raise InvalidRequest("The request body did not come in time") from None
    except (ValueError, RecursionError):
        raise InvalidRequest("The body must be JSON") from None


def _wait(text: str) -> float:
    if not _SECONDS.fullmatch(text):
        raise InvalidRequest("wait must be seconds", param="wait")
    return min(float(text), _LONGEST_WAIT)
