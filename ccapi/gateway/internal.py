"""The internal API: what ccapi on the host asks of the gateway. The messages are in `ccapi.wire.internal`.

An application of its own below the gateway's, so that whatever is added here, and what is not here, passes its guard:
the Host header is loopback's whatever the address that the gateway is published on, and the stack's secret is sent.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from aiohttp import web
from pydantic import Field

from ccapi.agent.launch import Launch
from ccapi.agent.mcpstatus import mcp_servers
from ccapi.errors import InvalidRequest
from ccapi.gateway import access, security
from ccapi.gateway.callbacks import MAX_QUERY, deliver
from ccapi.gateway.fields import Lenient, parse
from ccapi.gateway.logins import Logins
from ccapi.gateway.probe import MAX_TOKEN, probe
from ccapi.gateway.secret import StackSecret, guard
from ccapi.gateway.waysin import MAX_URL
from ccapi.wire.internal import CALLBACKS, LOGINS, MCP, OVERVIEW, PROBE, Callback, Delivered, Overview

PREFIX = "/internal/v1"
MAX_WAIT = 300.0  # seconds
_MAX_NAME = 200  # characters
_PROCESSES = 2  # of Claude Code at once, to look at MCP servers


class CallbackBody(Lenient):
    host: Annotated[str, Field(max_length=16)]
    port: int
    path: Annotated[str, Field(max_length=256)]
    query: Annotated[str, Field(max_length=MAX_QUERY)]


class ProbeBody(Lenient):
    url: Annotated[str, Field(max_length=MAX_URL)]
    token: Annotated[str, Field(max_length=MAX_TOKEN)] | None = None


class Internal:
    """`launch` and `workspace` say how, and where, Claude Code is started for a run at this moment.

    `overview`: what goes on.
    """

    def __init__(
        self,
        secret: StackSecret,
        logins: Logins,
        *,
        launch: Callable[[], Launch],
        workspace: Callable[[], Path],
        overview: Callable[[], Overview],
    ) -> None:
        self._secret = secret
        self._logins = logins
        self._launch = launch
        self._workspace = workspace
        self._overview = overview
        self._processes = asyncio.Semaphore(_PROCESSES)

    def app(self) -> web.Application:
        """To be added below `PREFIX`."""
        app = web.Application(middlewares=[security.guard(any_name=False), guard(self._secret)])
        app[access.OWN] = True
        app.on_shutdown.append(self._shutdown)
        for path, handler in {
            LOGINS: self.waiting_logins,
            f"{LOGINS}/{{id}}": self.login,
            MCP: self.mcp,
            OVERVIEW: self.overview,
        }.items():
            app.router.add_get(path.removeprefix(PREFIX), handler, allow_head=False)
        app.router.add_delete(f"{LOGINS}/{{id}}".removeprefix(PREFIX), self.take_login)
        app.router.add_post(CALLBACKS.removeprefix(PREFIX), self.callback)
        app.router.add_post(PROBE.removeprefix(PREFIX), self.probe)
        return app

    async def callback(self, request: web.Request) -> web.Response:
        body = parse(await security.body(request), CallbackBody)
        callback = Callback(body.host, body.port, body.path, body.query)
        return web.json_response(asdict(Delivered(await deliver(callback, reserved=_own_port(request)))))

    async def waiting_logins(self, request: web.Request) -> web.Response:
        found = await self._logins.waiting(_wait(request))
        return web.json_response({"logins": [asdict(one) for one in found]}) if found else web.Response(status=204)

    async def login(self, request: web.Request) -> web.Response:
        """200 as long as it is not over; waits for that."""
        await self._logins.over(request.match_info["id"], _wait(request))
        return web.json_response({"id": request.match_info["id"]})

    async def take_login(self, request: web.Request) -> web.Response:
        self._logins.take(request.match_info["id"])
        return web.Response(status=204)

    async def overview(self, request: web.Request) -> web.Response:
        del request
        return web.json_response(asdict(self._overview()))

    async def mcp(self, request: web.Request) -> web.Response:
        name = request.query.get("name")
        if name is not None and len(name) > _MAX_NAME:
            raise InvalidRequest("'name' is too long", param="name")
        async with self._processes:
            servers = await mcp_servers(self._launch(), self._workspace(), name=name)
        return web.json_response({"servers": [asdict(server) for server in servers]})

    async def probe(self, request: web.Request) -> web.Response:
        body = parse(await security.body(request), ProbeBody)
        return web.json_response(asdict(await probe(body.url, body.token)))

    async def _shutdown(self, _: web.Application) -> None:
        self._logins.close()


def _own_port(request: web.Request) -> frozenset[int]:
    """The gateway's own, which no login may have."""
    address = request.transport and request.transport.get_extra_info("sockname")
    return frozenset({address[1]} if address else ())


def _wait(request: web.Request) -> float:
    """Raises `InvalidRequest`."""
    try:
        seconds = float(request.query.get("wait", "0"))
    except ValueError:
        seconds = math.nan
    if not 0.0 <= seconds <= MAX_WAIT:
        raise InvalidRequest(f"'wait' must be a number of seconds from 0 to {MAX_WAIT:g}", param="wait")
    return seconds
