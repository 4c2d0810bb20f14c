"""What the clients that use httpx share: one way to connect to a service of this machine, and JSON from it.

Proxies of the environment are not used, and no redirect is followed: the services are on this machine.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from ccapi.client.service import CONNECT, Service
from ccapi.errors import CcapiError


def connect(base_url: str, *, bearer: str | None, timeout: httpx.Timeout) -> httpx.Client:
    """A client for one service. (The trust store would take long to load, and there is no TLS on loopback.)"""
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx.Client(base_url=base_url, headers=headers, timeout=timeout, trust_env=False, verify=nobody)


@contextmanager
def mapped(service: Service, base_url: str) -> Iterator[None]:
    """Every exception of httpx as one of ours."""
    try:
        yield
    except httpx.ConnectError:
        raise service.absent(base_url) from None
    except httpx.TimeoutException:
        raise service.silent(base_url) from None
    except httpx.HTTPError as error:
        raise service.broken(base_url, error) from None


class JsonClient:
    """Requests that are answered with JSON. May be used by several threads at once.

    What takes the stack's secret wants to be called by a name of this machine, whatever address it is published on; to
    everything else that name is as good as any.
    """

    def __init__(self, service: Service, base_url: str, bearer: str | None, *, timeout: float = CONNECT) -> None:
        """`bearer`: the stack's secret, or an API key. `timeout` in seconds, for the connection and for an answer that
        takes no time.
        """
        self._service = service
        self._base_url = base_url
        self._timeout = timeout
        self._http = connect(base_url, bearer=bearer, timeout=httpx.Timeout(timeout))
        self._http.headers["Host"] = f"localhost:{self._http.base_url.port}"

    def close(self) -> None:
        self._http.close()

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
        timeout = httpx.Timeout(self._timeout + patience, connect=self._timeout)
        with mapped(self._service, self._base_url):
            response = self._http.request(method, path, json=body, params=query, timeout=timeout)
        if not response.is_success:
            raise self._service.refusal(self._base_url, response.content)
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError:
            raise self._service.foreign(self._base_url) from None

    def foreign(self) -> CcapiError:
        """The failure for an answer that is JSON, but not what was asked for."""
        return self._service.foreign(self._base_url)
