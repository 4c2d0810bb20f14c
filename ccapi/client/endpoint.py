"""The gateway, as its clients see it: what is asked of it, and how each of its failures is told."""

from __future__ import annotations

import json
from typing import Any

from ccapi.client import stream
from ccapi.client.service import CONNECT, Service
from ccapi.client.stream import Clock, Exchange
from ccapi.errors import CcapiError, GatewayProtocol, GatewaySilent, GatewayUnreachable, KeyInvalid

NEW_KEY = "Make a key with: ccapi key create   and put it into the environment: export CCAPI_API_KEY=..."


class Endpoint:
    """A gateway's address, and who asks."""

    def __init__(self, base_url: str, api_key: str | None) -> None:
        self._base_url = base_url
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}

    def exchange(
        self,
        method: str,
        target: str,
        clock: Clock,
        *,
        silence: float,
        connect: float = CONNECT,
        document: Any = None,
    ) -> Exchange:
        """One that has not begun; `document` is sent as JSON."""
        headers, body = self._headers, b""
        if document is not None:
            headers, body = {**headers, "Content-Type": "application/json"}, json.dumps(document).encode()
        request = stream.request(self._base_url, method, target, headers=headers, body=body)
        return Exchange(request, clock, silence=silence, connect=connect)

    def failure(self, error: stream.StreamError) -> CcapiError:
        """What went wrong on the way, as one of ours."""
        return SERVICE.failure(self._base_url, error)

    def refusal(self, body: bytes) -> CcapiError:
        """What the envelope of a failed request says."""
        error = SERVICE.refusal(self._base_url, body)
        return KeyInvalid(error.message, hint=NEW_KEY) if isinstance(error, KeyInvalid) else error

    def silent(self) -> CcapiError:
        return SERVICE.silent(self._base_url)

    def foreign(self) -> CcapiError:
        return SERVICE.foreign(self._base_url)


def _no_gateway(base_url: str) -> GatewayProtocol:
    hint = "Another program uses that port: name the gateway's with --port or the setting gateway.port."
    return GatewayProtocol(f"What answers at {base_url} is no ccapi gateway", hint=hint)


def _silent(base_url: str) -> GatewaySilent:
    return GatewaySilent(f"The gateway at {base_url} is silent", hint="Look at: ccapi logs")


def _absent(base_url: str) -> GatewayUnreachable:
    hint = "Start it with: ccapi up   (or without Docker: ccapi gateway)"
    return GatewayUnreachable(f"No gateway answers at {base_url}", hint=hint)


def _broken(base_url: str, error: Exception) -> GatewayProtocol:
    return GatewayProtocol(f"The connection to the gateway at {base_url} broke: {error}")


SERVICE = Service(_absent, _silent, _no_gateway, _broken)
