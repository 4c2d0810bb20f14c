"""JSON from a service of this machine: short requests, each on a connection of its own, and each bounded.

An answer has to be whole in a given time, and has a greatest size: who has the service's port may be another program,
which says anything at all, and never stops.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import closing
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from ccapi.client import stream
from ccapi.client.service import CONNECT, Service
from ccapi.client.stream import Clock, Exchange, finish
from ccapi.errors import CcapiError

log = logging.getLogger(__name__)

_MOST = 128 * 1024 * 1024  # bytes: a session is read from 32 MiB, which JSON may write several times as long


class Response(NamedTuple):
    status: int
    body: bytes

    def document(self) -> Any:
        """Raises `ValueError` for what is no JSON."""
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("too deep") from None


def fetch(
    service: Service,
    base_url: str,
    method: str,
    target: str,
    *,
    timeout: float,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Response:
    """The whole answer, after `timeout` seconds at the latest. Raises the failure of the service."""
    request = stream.request(base_url, method, target, headers=headers or {}, body=body)
    exchange = Exchange(request, Clock(timeout=timeout), silence=timeout, connect=min(timeout, CONNECT))
    with closing(exchange):
        try:
            finish(exchange.send())
            head = finish(exchange.head())
            log.info('HTTP Request: %s "HTTP/1.1 %d"', request.name, head.status)
            return Response(head.status, finish(exchange.whole(_MOST)))
        except stream.TimeUp:
            raise service.silent(base_url) from None
        except stream.StreamError as error:
            raise service.failure(base_url, error) from None


def bearer(token: str | None) -> dict[str, str]:
    """The header for a secret, or an API key, if there is one."""
    return {"Authorization": f"Bearer {token}"} if token else {}


class JsonClient:
    """Requests that are answered with JSON. May be used by several threads at once.

    What takes the stack's secret wants to be called by a name of this machine, whatever address it is published on; to
    everything else that name is as good as any.
    """

    def __init__(self, service: Service, base_url: str, token: str | None, *, timeout: float = CONNECT) -> None:
        """`token`: the stack's secret, or an API key. `timeout` in seconds, for a whole answer that takes no time."""
        self._service = service
        self._base_url = base_url
        self._timeout = timeout
        self._headers = {"Host": f"localhost:{urlsplit(base_url).port}", **bearer(token)}

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        patience: float = 0.0,
    ) -> Any:
        """The answer's document, None when it has none. `patience`: seconds that the service may take to answer.

        Raises what the error envelope says, or the failure of the service.
        """
        target = f"{path}?{urlencode(query)}" if query else path
        headers, data = self._headers, b""
        if body is not None:
            headers, data = {**headers, "Content-Type": "application/json"}, json.dumps(body).encode()
        timeout = self._timeout + patience
        response = fetch(self._service, self._base_url, method, target, timeout=timeout, headers=headers, body=data)
        if not 200 <= response.status < 300:
            raise self._service.refusal(self._base_url, response.body)
        if not response.body:
            return None
        try:
            return response.document()
        except ValueError:
            raise self.foreign() from None

    def foreign(self) -> CcapiError:
        """The failure for an answer that is JSON, but not what was asked for."""
        return self._service.foreign(self._base_url)
