"""The gateway's server: what is no HTTP gets the error envelope as well."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from ccapi.errors import CcapiError, InvalidRequest
from ccapi.gateway import logs
from ccapi.web import runner
from ccapi.web.headers import HEADERS
from ccapi.wire import envelope


def _refuse(status: int) -> web.Response:
    error = InvalidRequest("The request is not valid HTTP") if status < 500 else CcapiError("The gateway failed")
    headers = {**HEADERS, logs.HEADER: logs.new_request_id()}
    return runner.Nameless(
        text=json.dumps(envelope.dump(error)), status=status, headers=headers, content_type="application/json"
    )


class Runner(runner.Runner):
    """Serves an application, as every server of ccapi does, in the gateway's form."""

    def __init__(self, app: web.Application, **kwargs: Any) -> None:
        super().__init__(app, refuse=_refuse, **kwargs)
