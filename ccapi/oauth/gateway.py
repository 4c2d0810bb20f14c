"""The gateway in the container, as the proxy knows it. No proxy of the environment is used, and nothing is followed."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast, get_args

import aiohttp

from ccapi.errors import CcapiError, GatewayProtocol, GatewayUnreachable, LoginNotFound, StackSecretInvalid
from ccapi.oauth.config import ProxyConfig
from ccapi.wire import envelope, internal
from ccapi.wire.internal import Callback, Delivery, ReportedLogin

_DELIVERY_TIMEOUT = 15.0  # seconds; the gateway gives the listener 10
_CHECK_TIMEOUT = 2.0  # as much as who asks the proxy has patience for; it answers in a few milliseconds, unless busy
_LARGEST = 65536  # bytes of an answer
_MEND = "Run: ccapi up"
_LOOK = "Look at the container: ccapi status"
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


def read_secret(file: str) -> str:
    """The stack secret. Raises `StackSecretInvalid` when there is none."""
    try:
        if secret := Path(file).read_text("ascii").strip():
            return secret
    except (OSError, UnicodeError) as error:
        problem = type(error).__name__
        raise StackSecretInvalid("The stack's secret cannot be read", hint=_MEND, detail=problem) from None
    raise StackSecretInvalid("The stack's secret is empty", hint=_MEND)


class GatewayClient:
    def __init__(self, config: ProxyConfig, session: aiohttp.ClientSession) -> None:
        host = f"[{config.gateway_host}]" if ":" in config.gateway_host else config.gateway_host
        self._url = f"http://{host}:{config.gateway_port}"
        self._host = f"localhost:{config.gateway_port}"  # which the internal API demands, whatever its address
        self._secret_file = config.secret_file
        self._session = session

    async def problem(self) -> CcapiError | None:
        """Why it would not take a callback now, as far as that is known soon."""
        try:
            await self._call("GET", f"{internal.LOGINS}?wait=0", _CHECK_TIMEOUT)
        except CcapiError as error:
            return error
        return None

    async def deliver(self, callback: Callback) -> Delivery:
        """Hand a callback to its listener in the container.

        Raises `GatewayUnreachable`, `GatewayProtocol`, `StackSecretInvalid`; no message has anything of the callback.
        """
        answer = await self._call("POST", internal.CALLBACKS, _DELIVERY_TIMEOUT, body=asdict(callback))
        outcome = answer.get("outcome") if isinstance(answer, dict) else None
        if outcome in get_args(Delivery):
            return cast("Delivery", outcome)
        raise GatewayProtocol("The gateway does not say what became of the callback")

    async def logins(self, wait: int) -> list[ReportedLogin]:
        """The logins that were started in the container; waits so many seconds for one. Raises as `deliver` does."""
        answer = await self._call("GET", f"{internal.LOGINS}?wait={wait}", wait + 10.0)
        listed = answer.get("logins") if isinstance(answer, dict) else []
        try:
            return [ReportedLogin(str(one["id"]), str(one["url"]), float(one["expires_in"])) for one in listed or []]
        except (KeyError, TypeError, ValueError):
            raise GatewayProtocol("The gateway's list of logins has an unknown form") from None

    async def acknowledge(self, login: ReportedLogin) -> None:
        """The gateway need not report it again. Raises as `still_waits` does."""
        await self._call("DELETE", _path(login), _DELIVERY_TIMEOUT)

    async def still_waits(self, login: ReportedLogin, wait: int) -> None:
        """Return after so many seconds. Raises `LoginNotFound` as soon as it is over, and else as `deliver` does."""
        await self._call("GET", f"{_path(login)}?wait={wait}", wait + 10.0)

    async def _call(self, method: str, path: str, seconds: float, *, body: Any = None) -> Any:
        """The JSON of a 2xx answer; None if it has no body. The secret is read anew each time: it may have changed."""
        headers = {"Host": self._host, "Authorization": f"Bearer {read_secret(self._secret_file)}"}
        try:
            async with (
                asyncio.timeout(seconds),
                self._session.request(
                    method, self._url + path, json=body, headers=headers, allow_redirects=False
                ) as got,
            ):
                content = await _read(got)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            problem = type(error).__name__
            raise GatewayUnreachable("The gateway does not answer", hint=_LOOK, detail=problem) from None
        if got.status == StackSecretInvalid.status:
            raise StackSecretInvalid("The gateway does not know this stack's secret", hint=_MEND)
        try:
            document = json.loads(content) if content else None
        except (ValueError, RecursionError):
            raise GatewayProtocol(f"The gateway's answer ({got.status}) is no JSON") from None
        if got.status == LoginNotFound.status and isinstance(envelope.load(document), LoginNotFound):
            raise LoginNotFound("The login is over in the container")
        if not 200 <= got.status < 300:
            raise GatewayProtocol(f"The gateway answers with {got.status}")
        return document


def _path(login: ReportedLogin) -> str:
    if not _ID.fullmatch(login.id):
        raise GatewayProtocol("The gateway reports a login without a usable id")
    return f"{internal.LOGINS}/{login.id}"


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    content = b""
    async for chunk in answer.content.iter_any():
        content += chunk
        if len(content) > _LARGEST:
            raise GatewayProtocol("The gateway's answer is too long")
    return content


@asynccontextmanager
async def connected(config: ProxyConfig) -> AsyncIterator[GatewayClient]:
    """Each request has a connection of its own: the container may be replaced at any time."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True, limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),  # ours are per call
        trust_env=False,
        auto_decompress=False,
    ) as session:
        yield GatewayClient(config, session)
