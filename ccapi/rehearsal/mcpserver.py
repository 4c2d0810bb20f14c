"""A throw-away MCP server that wants a login with OAuth: what `ccapi doctor --deep` signs in to.

`python -m ccapi.rehearsal.mcpserver [PORT]` prints its address and serves until it is ended. It knows what Claude Code
needs of the Model Context Protocol (revision 2025-06-18) and its authorization: protected resource metadata (RFC 9728),
authorization server metadata (RFC 8414), dynamic client registration (RFC 7591), the authorization code with PKCE
(RFC 7636). Nobody is asked for consent. All of it is in memory, and it is for this machine's loopback address only.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import secrets
import sys
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

TOOL = "secret_word"
_PROTOCOL = "2025-06-18"
_LIFETIME = 3600  # seconds, of an access token


@dataclass(slots=True)
class _Login:
    """What a code was given out for."""

    client: str
    redirect_uri: str
    challenge: str


@dataclass(slots=True)
class _Server:
    word: str
    clients: dict[str, list[str]] = field(default_factory=dict)  # the redirect URIs of each
    codes: dict[str, _Login] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)

    # --- what the server says of itself

    async def resource(self, request: web.Request) -> web.Response:
        url = _base(request)
        return web.json_response({"resource": f"{url}/mcp", "authorization_servers": [url]})

    async def metadata(self, request: web.Request) -> web.Response:
        url = _base(request)
        return web.json_response(
            {
                "issuer": url,
                "authorization_endpoint": f"{url}/authorize",
                "token_endpoint": f"{url}/token",
                "registration_endpoint": f"{url}/register",
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["none"],
            }
        )

    # --- the login

    async def register(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        client = secrets.token_urlsafe(16)
        self.clients[client] = [str(uri) for uri in wanted["redirect_uris"]]
        answer = {"client_id": client, "redirect_uris": self.clients[client], "token_endpoint_auth_method": "none"}
        return web.json_response(answer, status=201)

    async def authorize(self, request: web.Request) -> web.Response:
        asked = request.query
        client, redirect_uri = asked.get("client_id", ""), asked.get("redirect_uri", "")
        if redirect_uri not in self.clients.get(client, []) or asked.get("code_challenge_method") != "S256":
            return web.Response(status=400, text="an authorization request of nobody who registered")
        code = secrets.token_urlsafe(16)
        self.codes[code] = _Login(client, redirect_uri, asked["code_challenge"])
        answer = urlencode({"code": code, "state": asked.get("state", ""), "iss": _base(request)})
        return web.Response(status=302, headers={"Location": f"{redirect_uri}?{answer}"})

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        login = self.codes.pop(str(form.get("code", "")), None)
        verifier = str(form.get("code_verifier", ""))
        digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        known = login is not None and (login.client, login.redirect_uri) == (
            form.get("client_id"),
            form.get("redirect_uri"),
        )
        if login is None or not known or not hmac.compare_digest(digest, login.challenge):
            return web.json_response({"error": "invalid_grant"}, status=400)
        token = secrets.token_urlsafe(32)
        self.tokens.add(token)
        return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": _LIFETIME})

    # --- the protocol itself

    async def mcp(self, request: web.Request) -> web.Response:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or token not in self.tokens:
            where = f'Bearer resource_metadata="{_base(request)}/.well-known/oauth-protected-resource"'
            return web.Response(status=401, headers={"WWW-Authenticate": where})
        call = await request.json()
        if "id" not in call:  # a notification
            return web.Response(status=202)
        answer = {"jsonrpc": "2.0", "id": call["id"]}
        if (result := self._result(call)) is None:
            return web.json_response({**answer, "error": {"code": -32601, "message": "no such method"}})
        return web.json_response({**answer, "result": result})

    def _result(self, call: dict[str, Any]) -> dict[str, Any] | None:
        match call.get("method"):
            case "initialize":
                server = {"name": "ccapi-doctor", "version": "1"}
                return {"protocolVersion": _PROTOCOL, "capabilities": {"tools": {}}, "serverInfo": server}
            case "tools/list":
                schema = {"type": "object", "properties": {}}
                return {"tools": [{"name": TOOL, "description": "Tells the word.", "inputSchema": schema}]}
            case "tools/call":
                return {"content": [{"type": "text", "text": self.word}]}
            case "ping":
                return {}
            case _:
                return None


def create_app(word: str) -> web.Application:
    """`word` is what its one tool tells."""
    server = _Server(word)
    app = web.Application()
    app.add_routes(
        [
            web.get("/.well-known/oauth-protected-resource", server.resource),
            web.get("/.well-known/oauth-protected-resource/mcp", server.resource),
            web.get("/.well-known/oauth-authorization-server", server.metadata),
            web.post("/register", server.register),
            web.get("/authorize", server.authorize),
            web.post("/token", server.token),
            web.post("/mcp", server.mcp),
        ]
    )
    return app


def _base(request: web.Request) -> str:
    """By the name that it was called by."""
    return f"http://{request.host}"


async def _serve(port: int) -> None:
    runner = web.AppRunner(create_app(secrets.token_hex(4)), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    address = f"http://localhost:{runner.addresses[0][1]}/mcp"
    os.write(1, json.dumps({"url": address}).encode() + b"\n")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]) if sys.argv[1:] else 0))
