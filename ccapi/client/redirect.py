"""What a browser does at the end of a login: it follows the redirect to this machine."""

from __future__ import annotations

import ssl

import httpx

from ccapi.client.service import CONNECT
from ccapi.errors import ProxyUnreachable


def follow(url: str) -> int:
    """The status that is answered with. Raises `ProxyUnreachable` when nobody listens there."""
    parsed, timeout = httpx.URL(url), httpx.Timeout(60, connect=CONNECT)
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # there is no TLS on loopback: the trust store takes long to load
    try:
        with httpx.Client(timeout=timeout, trust_env=False, verify=nobody) as client:
            return client.get(parsed).status_code
    except httpx.HTTPError as error:
        where = f"{parsed.host}:{parsed.port}"
        raise ProxyUnreachable(f"nobody takes the browser's answer at {where}: {type(error).__name__}") from None
