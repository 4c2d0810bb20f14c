"""Failures as the error envelope."""

from __future__ import annotations

import math

from aiohttp import web

from ccapi.errors import CcapiError, InvalidRequest, MethodNotAllowed, NotFound, RequestTooLarge
from ccapi.wire import envelope


def error_response(error: CcapiError, *, allow: str | None = None) -> web.Response:
    """The envelope with its status, `Retry-After` (whole seconds, RFC 9110 10.2.3) and `Allow`."""
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if allow:
        headers["Allow"] = allow
    return web.json_response(envelope.dump(error), status=error.status, headers=headers)


def from_http(error: web.HTTPException, server: str) -> CcapiError:
    """What aiohttp raises, without its words. `server` is what has failed if it is a 5xx: "The gateway"."""
    match error:
        case web.HTTPNotFound():
            return NotFound("There is nothing at this path")
        case web.HTTPMethodNotAllowed():
            return MethodNotAllowed("This path does not take that method")
        case web.HTTPRequestEntityTooLarge():
            return RequestTooLarge("The request body is too large")
        case _ if error.status < 500:
            return InvalidRequest("The request is not valid")
        case _:
            return CcapiError(f"{server} failed")
