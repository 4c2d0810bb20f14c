"""A look at a machine on the internet: whether it answers, by which certificate, and what time it is there.

Nothing is sent but a HEAD request. Each problem is told, none is raised.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined] # typeshed lacks it

import certifi
import httpx

from ccapi.client import certificate

Trust = Literal["container", "machine", "nobody"]
_TRIES: tuple[Trust, ...] = ("container", "machine", "nobody")


@dataclass(frozen=True, slots=True)
class Seen:
    """`problem`: why it cannot be used, None if it answered and the container would trust it too.

    `trust`: who accepts its certificate: the container (and this machine), this machine only, or nobody; None without
    TLS, or when it did not come to that. `tls`: what is wrong with the certificate, for a person. `issuer`: who signed
    it. `ahead`: seconds that this machine's clock is ahead of it.
    """

    url: str
    problem: str | None = None
    status: int | None = None
    trust: Trust | None = None
    tls: str | None = None
    issuer: str | None = None
    ahead: float | None = None

    @property
    def answered(self) -> bool:
        return self.status is not None


def look(url: str, *, environ: Mapping[str, str], extra_ca: Path | None, timeout: float) -> Seen:
    """`environ`: proxies, and SSL_CERT_FILE. `extra_ca`: what the container trusts besides the public authorities."""
    refused = None
    for trust in _TRIES if url.startswith("https:") else _TRIES[:1]:
        try:
            seen = _ask(url, _context(trust, environ, extra_ca), _proxy(url, environ), timeout)
        except (httpx.InvalidURL, ValueError, ImportError) as error:  # an address, or a kind of proxy, that is none
            return Seen(url, str(error))
        except httpx.HTTPError as error:
            if (reason := _refusal(error)) is None:
                return Seen(url, _why(error), tls=refused)
            refused = refused or reason
        else:
            return _judged(seen, trust, refused)
    return Seen(url, f"its certificate cannot be read: {refused}", tls=refused)


def _judged(seen: Seen, trust: Trust, refused: str | None) -> Seen:
    if not seen.url.startswith("https:"):
        return seen
    problem = None
    if trust != "container":
        problem = f"its certificate is not trusted: {refused}"
    return Seen(seen.url, problem, seen.status, trust, refused, seen.issuer, seen.ahead)


def _context(trust: Trust, environ: Mapping[str, str], extra_ca: Path | None) -> ssl.SSLContext:
    if trust == "nobody":
        open_to_all = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        open_to_all.check_hostname = False
        open_to_all.verify_mode = ssl.CERT_NONE
        return open_to_all
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if trust == "container":
        _add(context, Path(certifi.where()))
        _add(context, extra_ca)
    else:
        context.load_default_certs()
        _add(context, Path(named) if (named := environ.get("SSL_CERT_FILE")) else None)
    return context


def _add(context: ssl.SSLContext, file: Path | None) -> None:
    if file is not None:
        with suppress(OSError, ssl.SSLError):  # one that cannot be used is told of elsewhere
            context.load_verify_locations(file)


def _proxy(url: str, environ: Mapping[str, str]) -> str | None:
    """Which proxy the environment has for it."""
    parts = httpx.URL(url)
    name = f"{parts.scheme}_proxy"
    bypass = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if proxy_bypass_environment(parts.host, {"no": bypass}):
        return None
    proxy = environ.get(name) or environ.get(name.upper())
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _ask(url: str, context: ssl.SSLContext, proxy: str | None, timeout: float) -> Seen:
    began = time.time()
    with (
        httpx.Client(verify=context, proxy=proxy, timeout=timeout, trust_env=False) as client,
        client.stream("HEAD", url, headers={"User-Agent": "ccapi-doctor"}) as response,
    ):
        middle = (began + time.time()) / 2
        connection = response.extensions["network_stream"].get_extra_info("ssl_object")
        der = connection.getpeercert(True) if connection is not None else None  # noqa: FBT003 -- takes no keyword
        issuer = certificate.issuer(der) if der else None
        return Seen(url, None, response.status_code, issuer=issuer, ahead=_ahead(response, middle))


def _ahead(response: httpx.Response, now: float) -> float | None:
    try:
        there = parsedate_to_datetime(response.headers["Date"])
    except (KeyError, ValueError):
        return None
    there = there if there.tzinfo else there.replace(tzinfo=UTC)
    return (datetime.fromtimestamp(now, UTC) - there).total_seconds() - 0.5  # the header has whole seconds


def _refusal(error: BaseException | None) -> str | None:
    """What is wrong with the certificate, if that is what it was."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        error = error.__cause__ or error.__context__
    return None


def _why(error: httpx.HTTPError) -> str:
    text = str(error) or type(error).__name__
    if isinstance(error, httpx.ProxyError):
        return f"the proxy refuses: {text}"
    if isinstance(error, httpx.TimeoutException):
        return "it does not answer"
    return text
