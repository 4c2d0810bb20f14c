"""The gateway's internal API: the MCP servers as Claude Code in the container sees them, and a look at others."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Self, get_args

from ccapi.client.endpoint import SERVICE
from ccapi.client.http import JsonClient
from ccapi.client.service import CONNECT
from ccapi.wire import internal
from ccapi.wire.internal import Overview, Probed, ProbeOutcome, Server, ServerStatus

_PATIENCE = 40.0  # seconds: a Claude Code is started, and connects to its servers


class InternalClient:
    """Asks the gateway at `base_url`. Raises what its envelope says (`StackSecretInvalid`, …), or `GatewayUnreachable`.

    An answer of another form raises `GatewayProtocol`.
    """

    def __init__(self, base_url: str, secret: str, *, timeout: float = CONNECT) -> None:
        """`timeout` in seconds, for what is answered at once."""
        self._api = JsonClient(SERVICE, base_url, secret, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open between two requests."""

    def check(self) -> None:
        """Whether it answers, and knows the secret: raises if not."""
        self._api.call("GET", internal.LOGINS, query={"wait": "0"})

    def overview(self) -> Overview:
        """What goes on at this moment."""
        document = self._api.call("GET", internal.OVERVIEW)
        try:
            return Overview(**{field.name: document[field.name] for field in fields(Overview)})
        except (TypeError, KeyError):
            raise self._api.foreign() from None

    def servers(self) -> list[Server]:
        """All configured MCP servers, once none of them is pending any more (or has been for too long)."""
        return self._servers({})

    def server(self, name: str) -> Server | None:
        """The one of that name, which alone is waited for; None when it is not configured."""
        found = [server for server in self._servers({"name": name}) if server.name == name]
        return found[0] if found else None

    def probe(self, url: str, token: str | None = None) -> Probed:
        """What an MCP server says of itself, or of the ways to log in to it. Nothing is stored."""
        body = {"url": url} | ({"token": token} if token is not None else {})
        document = self._api.call("POST", internal.PROBE, body=body, patience=_PATIENCE)
        try:
            if document["outcome"] not in get_args(ProbeOutcome):
                raise self._api.foreign()
            return Probed(
                outcome=document["outcome"],
                detail=document.get("detail"),
                server=document.get("server"),
                tools=tuple(document.get("tools") or ()),
                issuer=document.get("issuer"),
                registration=bool(document.get("registration")),
                client_id_metadata=bool(document.get("client_id_metadata")),
            )
        except (TypeError, KeyError, AttributeError):
            raise self._api.foreign() from None

    def _servers(self, query: dict[str, str]) -> list[Server]:
        document = self._api.call("GET", internal.MCP, query=query, patience=_PATIENCE)
        try:
            return [self._server(entry) for entry in document["servers"]]
        except (TypeError, KeyError, AttributeError):
            raise self._api.foreign() from None

    def _server(self, entry: Any) -> Server:
        if entry["status"] not in get_args(ServerStatus):
            raise self._api.foreign()
        return Server(entry["name"], entry["status"], tuple(entry.get("tools") or ()), entry.get("error"))
