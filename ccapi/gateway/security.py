"""What every request must pass before a handler sees it, and the one shape of every error.

Without a key, the loopback address is all that keeps others out, and a browser on this machine can be made to talk to
it: by a form or a script of any page, or by a name that suddenly resolves to 127.0.0.1. So the Host header must be
loopback's, a foreign Origin or Sec-Fetch-Site is refused, and a body must be declared as JSON (a plain form cannot).
Where every request needs a key, a name tells nothing: then it may be any, as behind a proxy or in a Docker network.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from ccapi.errors import (
    CcapiError,
    InvalidRequest,
    RequestRefused,
    UnsupportedMediaType,
    WrongHost,
)
from ccapi.redact import redact
from ccapi.web.errors import error_response, from_http
from ccapi.web.headers import set_headers as set_headers  # noqa: PLC0414 -- one of those that every request passes

log = logging.getLogger(__name__)

BODY_TIMEOUT = 60.0  # seconds

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LOOPBACK_HOST = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?", re.IGNORECASE)
_ANY_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Any failure as the error envelope, without a trace of what is inside."""
    try:
        return await handler(request)
    except CcapiError as error:
        log_detail(error)
        return error_response(error)
    except web.RequestPayloadError:  # a Content-Encoding that it has not, a chunk that is none, the client left
        return error_response(InvalidRequest("The request body cannot be read"))
    except ConnectionResetError as error:
        log.info("a client was lost: %s", error)
        raise
    except web.HTTPException as error:
        return error_response(from_http(error, "The gateway"), allow=error.headers.get("Allow"))
    except Exception:
        # The boundary: whatever it is, the client gets a 500 in the known shape and the operator the traceback.
        log.exception("unexpected failure")
        return error_response(CcapiError("The gateway failed unexpectedly; its log says why"))


def log_detail(error: CcapiError) -> None:
    """What the client is not told, for the operator."""
    if error.detail:
        log.warning("%s: %s (%s)", error.code, redact(error.message), redact(error.detail))


def guard(*, any_name: bool) -> Middleware:
    """Refuse what no API client sends. Raises the errors that `errors` renders.

    `any_name`: others may call by whatever name they know this machine, or the proxy with HTTPS before it. That is for
    where every request needs a key, which no web page has.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        _check(request, any_name=any_name)
        return await handler(request)

    return middleware


def _check(request: web.Request, *, any_name: bool) -> None:
    hosts, schemes = (_ANY_HOST, ("http", "https")) if any_name else (_LOOPBACK_HOST, ("http",))
    if not request.raw_path.startswith("/"):
        raise InvalidRequest("The request target must be a path")
    host = request.headers.get("Host", "")
    if not hosts.fullmatch(host):
        raise WrongHost("The Host header must be localhost, 127.0.0.1 or [::1]")
    if request.headers.get("Origin", f"http://{host}") not in {f"{scheme}://{host}" for scheme in schemes}:
        raise RequestRefused("Requests from other web pages are refused")
    if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        raise RequestRefused("Requests from other web pages are refused")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("The body must not be compressed")
    if request.method == "POST" and request.body_exists and request.content_type != "application/json":
        raise UnsupportedMediaType("The Content-Type must be application/json")


async def body(request: web.Request) -> bytes:
    """The whole body. Raises `InvalidRequest` if it takes too long to come, and what `errors` renders."""
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await request.read()
    except TimeoutError:
        raise InvalidRequest(f"The request body did not come within {BODY_TIMEOUT:g} s") from None
