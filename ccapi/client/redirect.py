"""What a browser does at the end of a login: it follows the redirect to this machine."""

from __future__ import annotations

import httpx

from ccapi.client.http import connect
from ccapi.client.service import CONNECT
from ccapi.errors import ProxyUnreachable


def follow(url: str) -> int:
    """The status that is answered with. Raises `ProxyUnreachable` when nobody listens there."""
    parsed = httpx.URL(url)
    try:
        with connect("", bearer=None, timeout=httpx.Timeout(60, connect=CONNECT)) as client:
            return client.get(parsed).status_code
    except httpx.HTTPError as error:
        where = f"{parsed.host}:{parsed.port}"
        raise ProxyUnreachable(f"nobody takes the browser's answer at {where}: {type(error).__name__}") from None
