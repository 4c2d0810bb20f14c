"""A real MCP server with OAuth, out of the PyPI `mcp` package: registration, PKCE, a consent page, `iss`, rotation.

Run as a program: `python mcp_server.py [OPTIONS]`; it prints its URL. What it saw is at `/recorded` as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import secrets
import socket
import time
from html import escape
from typing import Any
from urllib.parse import urlencode

import uvicorn
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    IdentityAssertionParams,
    RefreshToken,
    TokenError,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from pydantic import AnyHttpUrl, AnyUrl
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SCOPE = "notes"


class Provider:
    """Keeps everything in memory: clients, what waits for consent, codes, tokens."""

    def __init__(self, url: str, *, access_seconds: int, wrong_issuer: bool) -> None:
        self.url = url
        self.access_seconds = access_seconds
        self.issuer = "https://wrong.example/" if wrong_issuer else f"{url}/"
        self.clients: dict[str, OAuthClientInformationFull] = {}
        self.asked: dict[str, tuple[str, AuthorizationParams]] = {}
        self.codes: dict[str, AuthorizationCode] = {}
        self.access: dict[str, AccessToken] = {}
        self.refresh: dict[str, RefreshToken] = {}
        self.recorded: dict[str, Any] = {"redirect_uris": [], "codes": 0, "refreshes": 0, "words": []}

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self.clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        assert client_info.client_id
        self.clients[client_info.client_id] = client_info

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        ticket = secrets.token_urlsafe(16)
        self.asked[ticket] = (str(client.client_id), params)
        self.recorded["redirect_uris"].append(str(params.redirect_uri))
        return f"{self.url}/consent?ticket={ticket}"

    def decide(self, ticket: str, *, allowed: bool) -> str:
        """The redirect back to the client."""
        client_id, params = self.asked.pop(ticket)
        answer = {"state": params.state or "", "iss": self.issuer}
        if allowed:
            code = AuthorizationCode(
                code=secrets.token_urlsafe(32),
                scopes=params.scopes or [SCOPE],
                expires_at=time.time() + 300,
                client_id=client_id,
                code_challenge=params.code_challenge,
                redirect_uri=params.redirect_uri,
                redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
                resource=params.resource,
            )
            self.codes[code.code] = code
            answer = {"code": code.code, **answer}
        else:
            answer = {"error": "access_denied", "error_description": "The user said no", **answer}
        return f"{params.redirect_uri}?{urlencode(answer)}"

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> AuthorizationCode | None:
        found = self.codes.get(authorization_code)
        return found if found and found.client_id == client.client_id else None

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        del self.codes[authorization_code.code]
        self.recorded["codes"] += 1
        return self._tokens(str(client.client_id), authorization_code.scopes)

    async def load_refresh_token(self, client: OAuthClientInformationFull, refresh_token: str) -> RefreshToken | None:
        found = self.refresh.get(refresh_token)
        return found if found and found.client_id == client.client_id else None

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        if self.refresh.pop(refresh_token.token, None) is None:
            raise TokenError("invalid_grant", "this refresh token was used before")
        self.recorded["refreshes"] += 1
        return self._tokens(str(client.client_id), scopes or refresh_token.scopes)

    async def load_access_token(self, token: str) -> AccessToken | None:
        found = self.access.get(token)
        return found if found and (found.expires_at or 0) > time.time() else None

    async def revoke_token(self, token: AccessToken | RefreshToken) -> None:
        self.access.pop(token.token, None)
        self.refresh.pop(token.token, None)

    async def exchange_identity_assertion(
        self, client: OAuthClientInformationFull, params: IdentityAssertionParams
    ) -> OAuthToken:
        del client, params
        raise TokenError("unsupported_grant_type")

    def _tokens(self, client_id: str, scopes: list[str]) -> OAuthToken:
        access, refresh = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        expires = int(time.time() + self.access_seconds)
        self.access[access] = AccessToken(token=access, client_id=client_id, scopes=scopes, expires_at=expires)
        self.refresh[refresh] = RefreshToken(token=refresh, client_id=client_id, scopes=scopes)
        return OAuthToken(
            access_token=access, expires_in=self.access_seconds, scope=" ".join(scopes), refresh_token=refresh
        )


class BasicSuffices:
    """RFC 6749 (2.3.1): who authenticates by Basic need not repeat the client id in the body; the package wants it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent = dict(scope.get("headers") or []).get(b"authorization", b"")
        if scope["type"] != "http" or scope["path"] != "/token" or not sent.startswith(b"Basic "):
            await self.app(scope, receive, send)
            return
        client_id = base64.b64decode(sent[6:]).split(b":")[0]
        body = await Request(scope, receive).body() + b"&client_id=" + client_id
        scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"content-length"]

        async def again() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, again, send)


def create(url: str, options: argparse.Namespace) -> ASGIApp:
    provider = Provider(url, access_seconds=options.access_seconds, wrong_issuer=options.wrong_issuer)
    if options.client:
        client_id, _, secret = options.client.partition(":")
        provider.clients[client_id] = OAuthClientInformationFull(
            client_id=client_id,
            client_secret=secret or None,
            redirect_uris=[AnyUrl(uri) for uri in options.redirect_uri],
            token_endpoint_auth_method="client_secret_basic" if secret else "none",
            grant_types=["authorization_code", "refresh_token"],
            scope=SCOPE,
        )
    server = MCPServer(
        "demo",
        auth_server_provider=provider,
        auth=AuthSettings(
            issuer_url=AnyHttpUrl(url),
            resource_server_url=AnyHttpUrl(f"{url}/mcp"),
            required_scopes=[SCOPE],
            client_registration_options=ClientRegistrationOptions(
                enabled=not options.no_registration, valid_scopes=[SCOPE], default_scopes=[SCOPE]
            ),
            validate_token_resource=False,
        ),
    )

    @server.tool(meta={"anthropic/alwaysLoad": True})
    def secret_word(question: str = "") -> str:
        """Tells the secret word of this server."""
        provider.recorded["words"].append(question)
        return f"The secret word is {options.word}."

    async def consent(request: Request) -> Response:
        if request.method == "GET":
            ticket = escape(request.query_params["ticket"])
            return HTMLResponse(
                f"<!doctype html><title>Allow?</title><form method=post><input type=hidden name=ticket value={ticket}>"
                "<button name=answer value=allow>Allow</button> <button name=answer value=deny>Deny</button></form>"
            )
        form = await request.form()
        to = provider.decide(str(form["ticket"]), allowed=form["answer"] == "allow")
        return RedirectResponse(to, 302)

    async def recorded(_: Request) -> Response:
        return JSONResponse(provider.recorded)

    server.custom_route("/consent", methods=["GET", "POST"])(consent)
    server.custom_route("/recorded", methods=["GET"])(recorded)

    return BasicSuffices(
        server.streamable_http_app(transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False))
    )


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="localhost", help="of its URLs; Claude Code takes http on loopback only")
    parser.add_argument("--listen", action="append", default=[], help="another address of this machine, for containers")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--word", default="xyzzy")
    parser.add_argument("--access-seconds", type=int, default=3600)
    parser.add_argument("--wrong-issuer", action="store_true")
    parser.add_argument("--no-registration", action="store_true")
    parser.add_argument("--client", default="", help="ID or ID:SECRET of a client that is registered beforehand")
    parser.add_argument("--redirect-uri", action="append", default=[])
    options = parser.parse_args()
    listener = socket.create_server((options.host, options.port))
    others = [socket.create_server((address, listener.getsockname()[1])) for address in options.listen]
    url = f"http://{options.host}:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(create(url, options), log_level="warning", access_log=False))
    print(json.dumps({"url": f"{url}/mcp"}), flush=True)  # noqa: T201 -- a program of its own
    await server.serve(sockets=[listener, *others])


if __name__ == "__main__":
    asyncio.run(main())
