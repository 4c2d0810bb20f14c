"""What every request must pass, and what an answer to one that does not looks like.

A browser on this machine can be made to send requests here by any page: by an image, a form, a script, or a name that
suddenly means 127.0.0.1. A real redirect at the end of a sign-in is a plain visit: a GET, navigated to as a document,
for this very host and port, without an Origin. All else is refused before anything is looked up.
"""

from __future__ import annotations

import hmac
import logging
import traceback
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from ccapi.errors import (
    CcapiError,
    InvalidRequest,
    RequestRefused,
    StackSecretInvalid,
    UnsupportedMediaType,
    WrongHost,
)
from ccapi.oauth import pages
from ccapi.oauth.gateway import read_secret
from ccapi.web.errors import error_response, from_http

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

REGISTER, SESSIONS = "/oauth/register", "/oauth/sessions"
_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_BEARER = "Bearer "


def local_port(request: web.BaseRequest) -> int:
    """The port of this machine that the request came in on."""
    name = request.get_extra_info("sockname")
    if not name:
        raise ConnectionResetError("the client has left")
    return int(name[1])


class Guard:
    """Two middlewares. `secret_file`: there is an API for programs that know what it holds; None: there is none."""

    def __init__(self, secret_file: str | None = None) -> None:
        self._secret_file = secret_file

    @property
    def middlewares(self) -> list[Middleware]:
        """The outermost first."""

        @web.middleware
        async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._answer(request, handler)

        @web.middleware
        async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._check(request)
            return await handler(request)

        return [answer, check]

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Any failure as a fixed page, or for programs as the error envelope."""
        try:
            return await handler(request)
        except CcapiError as error:
            return self._refusal(request, error)
        except web.RequestPayloadError:
            return self._refusal(request, InvalidRequest("The request body cannot be read"))
        except ConnectionResetError:
            raise
        except web.HTTPException as error:
            return self._refusal(request, from_http(error, "The OAuth proxy"), error.headers.get("Allow"))
        except Exception as error:  # noqa: BLE001 -- the boundary; its words may be those of the request
            log.error("unexpected failure: %s", place(error))  # noqa: TRY400 -- a traceback would have the words
            return self._refusal(request, CcapiError("The OAuth proxy failed unexpectedly"))

    def _check(self, request: web.Request) -> None:
        _check_target(request)
        _check_origin(request)
        if self._secret_file is not None and self._is_for_programs(request):
            _check_program(request, self._secret_file)
        elif request.body_exists:
            raise InvalidRequest("A visit has no body")

    def _refusal(self, request: web.Request, error: CcapiError, allow: str | None = None) -> web.Response:
        if self._is_for_programs(request):
            return error_response(error, allow=allow)
        return pages.response(pages.refused(error.status), allow=allow)

    def _is_for_programs(self, request: web.BaseRequest) -> bool:
        path = request.raw_path.partition("?")[0]
        return self._secret_file is not None and (path in {REGISTER, SESSIONS} or path.startswith(f"{SESSIONS}/"))


def place(error: BaseException) -> str:
    """The kind of an exception and where it was raised: all of it that is never a request's own words."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {frames[-1].name}, line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"


def _check_target(request: web.Request) -> None:
    if not request.raw_path.startswith("/"):
        raise InvalidRequest("The request target must be a path")
    port = local_port(request)
    if request.headers.get("Host") not in {f"{host}:{port}" for host in _HOSTS}:
        raise WrongHost("The Host header must be localhost, 127.0.0.1 or [::1], with the port")


def _check_origin(request: web.Request) -> None:
    """Fetch Metadata says how a page makes a request; who is no browser, or an old one, does not send it."""
    if (
        "Origin" in request.headers
        or request.headers.get("Sec-Fetch-Mode", "navigate") != "navigate"
        or request.headers.get("Sec-Fetch-Dest", "document") != "document"
    ):
        raise RequestRefused("Requests from web pages are refused")


def _check_program(request: web.Request, secret_file: str) -> None:
    if "Sec-Fetch-Site" in request.headers:
        raise RequestRefused("Requests from browsers are refused")
    if request.body_exists and request.content_type != "application/json":
        raise UnsupportedMediaType("The Content-Type must be application/json")
    sent = request.headers.get("Authorization", "")
    known = _BEARER + read_secret(secret_file)
    if not hmac.compare_digest(sent.encode("utf-8", "surrogateescape"), known.encode()):
        raise StackSecretInvalid("This needs the stack's own secret")


def no_http(status: int) -> web.Response:
    """What is no HTTP at all gets a page as well."""
    return pages.response(pages.refused(status))
