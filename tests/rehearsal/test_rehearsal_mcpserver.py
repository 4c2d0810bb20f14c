"""The throw-away MCP server: it lets nobody in without a login, and takes no code twice."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from ccapi.rehearsal import mcpserver
from ccapi.rehearsal.server import serve_app

VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
REDIRECT = "http://localhost:1234/callback"


class Client:
    """Of the server, with what a login needs."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    async def send(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        async with self.session.request(method, self.url + path, allow_redirects=False, **options) as answer:
            is_json = answer.content_type == "application/json"
            return answer.status, await answer.json() if is_json else dict(answer.headers)

    async def code(self, **changes: str) -> str | None:
        """What the authorization page redirects with; None when it refuses."""
        _, registered = await self.send("POST", "/register", json={"redirect_uris": [REDIRECT]})
        self.client_id = registered["client_id"]
        asked = {
            "client_id": self.client_id,
            "redirect_uri": REDIRECT,
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            "state": "s t",
            **changes,
        }
        status, headers = await self.send("GET", "/authorize", params=asked)
        if status != 302:
            return None
        assert headers["Location"].startswith(f"{REDIRECT}?code=")
        assert "&state=s+t&" in headers["Location"]
        return str(headers["Location"].partition("code=")[2].partition("&")[0])

    async def token(self, code: str | None, **changes: str) -> tuple[int, Any]:
        form = {"code": code or "", "code_verifier": VERIFIER, "client_id": self.client_id, "redirect_uri": REDIRECT}
        return await self.send("POST", "/token", data={**form, **changes})

    async def call(self, method: str, token: str | None = None, **more: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return await self.send("POST", "/mcp", json={"jsonrpc": "2.0", "method": method, **more}, headers=headers)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with serve_app(mcpserver.create_app("the-word")) as url, aiohttp.ClientSession() as session:
        yield Client(session, url)


async def test_a_login_and_a_call(client: Client) -> None:
    """Registration, authorization, token, and the tool tells its word."""
    status, granted = await client.token(await client.code())
    assert status == 200
    token = granted["access_token"]
    _, initialized = await client.call("initialize", token, id=1)
    assert initialized["result"]["capabilities"] == {"tools": {}}
    assert (await client.call("notifications/initialized", token))[0] == 202
    _, listed = await client.call("tools/list", token, id=2)
    assert [tool["name"] for tool in listed["result"]["tools"]] == [mcpserver.TOOL]
    _, called = await client.call("tools/call", token, id="x", params={"name": mcpserver.TOOL})
    assert (called["id"], called["result"]["content"][0]["text"]) == ("x", "the-word")
    assert (await client.call("ping", token, id=3))[1]["result"] == {}
    assert (await client.call("resources/list", token, id=4))[1]["error"]["code"] == -32601


async def test_nobody_gets_in_without(client: Client) -> None:
    """401, and where to find out how; the metadata lead to this very server."""
    for token in (None, "guessed"):
        status, headers = await client.call("tools/list", token, id=1)
        assert status == 401
        assert f"{client.url}/.well-known/oauth-protected-resource" in headers["WWW-Authenticate"]
    _, resource = await client.send("GET", "/.well-known/oauth-protected-resource/mcp")
    assert resource["authorization_servers"] == [client.url]
    _, metadata = await client.send("GET", "/.well-known/oauth-authorization-server")
    assert metadata["issuer"] == client.url
    assert metadata["code_challenge_methods_supported"] == ["S256"]


async def test_a_code_is_for_whom_it_was_made_and_once(client: Client) -> None:
    """Another verifier, client or redirect URI gets no token, nor does anybody the second time."""
    for changes in ({"code_verifier": "w" * 43}, {"client_id": "other"}, {"redirect_uri": "http://localhost:1/x"}):
        assert (await client.token(await client.code(), **changes))[0] == 400
    code = await client.code()
    assert (await client.token(code))[0] == 200
    assert (await client.token(code))[0] == 400


async def test_only_who_registered_is_redirected(client: Client) -> None:
    """To the registered address, and with PKCE; nobody else learns a code."""
    assert await client.code(redirect_uri="http://localhost:99/evil") is None
    assert await client.code(client_id="guessed") is None
    assert await client.code(code_challenge_method="plain") is None
