"""What an MCP endpoint is found to be: with a real server, and with all that is none, or a strange one."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from ccapi.errors import InvalidRequest
from ccapi.gateway.probe import probe
from ccapi.wire import internal as wire
from ccapi.wire.internal import Probed
from tests.gateway.internalapi import internal
from tests.oauth.servers import access_token, mcp_server

TOKEN = "token-MARKER"
NOT_MCP = "what it answers is not MCP"
ASKED = "it wants a login or a token"


# --- a real server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mcp_server(tmp_path_factory.mktemp("server")) as url:
        yield url


async def test_a_server_that_wants_a_login(server: str) -> None:
    """With what its authorization server offers."""
    issuer = server.removesuffix("mcp")
    assert await probe(server, None) == Probed("unauthorized", ASKED, issuer=issuer, registration=True)


async def test_a_server_without_registration(tmp_path: Path) -> None:
    """Nobody can just sign in there: it takes a client id, or a token."""
    with mcp_server(tmp_path, "--no-registration") as url:
        found = await probe(url, None)
    assert (found.outcome, found.registration, found.client_id_metadata) == ("unauthorized", False, False)


async def test_a_token_that_is_good(server: str) -> None:
    """It is an MCP server, and this is what it offers."""
    assert await probe(server, access_token(server)) == Probed("ok", server="demo", tools=("secret_word",))


async def test_a_token_that_is_not(server: str) -> None:
    """The ways in are told all the same."""
    found = await probe(server, TOKEN)
    assert (found.outcome, found.detail) == ("unauthorized", "the token is not accepted")
    assert found.registration
    assert "MARKER" not in str(found)


def test_through_the_gateway(tmp_path: Path, server: str) -> None:
    """As the host asks for it."""
    with internal(tmp_path) as running:
        document = running.send("POST", wire.PROBE, json={"url": server}).json()
        assert Probed(**{**document, "tools": tuple(document["tools"])}).registration
        good = running.send("POST", wire.PROBE, json={"url": server, "token": access_token(server)}).json()
        assert (good["outcome"], good["tools"]) == ("ok", ["secret_word"])


# --- strange ones

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Server:
    """A server on this machine, and what it was asked for."""

    url: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def mcp(self) -> str:
        return f"{self.url}/mcp"


@asynccontextmanager
async def serving(handler: Callable[[Server, web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[Server]:
    server = Server()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        server.asked.append((request.method, request.raw_path))
        server.headers.append(dict(request.headers))
        if request.method == "POST":
            server.messages.append(await request.json())
        return await handler(server, request)  # type: ignore[arg-type] # they are told apart nowhere here

    runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


def same(response: Callable[[], web.Response]) -> Callable[[Server, web.Request], Awaitable[web.StreamResponse]]:
    async def handler(server: Server, request: web.Request) -> web.StreamResponse:
        return response()

    return handler


def result(request_id: Any, **members: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "result": members}


def about(request_id: Any, **capabilities: Any) -> dict[str, Any]:
    info = {"name": "strange", "version": "1"}
    return result(request_id, protocolVersion="2025-03-26", serverInfo=info, capabilities=capabilities)


def events(*documents: Any, end: str = "\n") -> web.Response:
    text = "".join(f"event: message{end}data: {json.dumps(one)}{end}{end}" for one in documents)
    return web.Response(text=f": hello{end}{end}{text}", content_type="text/event-stream")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
async def test_a_server_that_answers_with_events(end: str) -> None:
    """With a session, which is ended; the version is the server's from then on; other messages are no answers."""

    async def handler(server: Server, request: web.Request) -> web.StreamResponse:
        if request.method == "DELETE":
            return web.Response(status=405)
        message = server.messages[-1]
        if message["method"] == "initialize":
            response = events({"method": "ping", "id": 1}, about(1, tools={}), end=end)
            response.headers["Mcp-Session-Id"] = "session-1"
            return response
        if "id" not in message:
            return web.Response(status=202)
        if "cursor" not in message["params"]:
            return events(result(1, tools=[{"name": "one"}], nextCursor="next"), end=end)
        return web.json_response(result(1, tools=[{"name": "two"}, {"name": "ctrl\x1b[31m"}]))

    async with serving(handler) as server:
        found = await probe(server.mcp, TOKEN)
    assert found == Probed("ok", server="strange", tools=("one", "two", "ctrl[31m"))
    assert [method for method, _ in server.asked] == ["POST"] * 4 + ["DELETE"]
    assert server.messages[1]["method"] == "notifications/initialized"
    for headers in server.headers[1:]:
        assert headers["Mcp-Session-Id"] == "session-1"
        assert headers["MCP-Protocol-Version"] == "2025-03-26"
    assert {headers["Authorization"] for headers in server.headers} == {f"Bearer {TOKEN}"}


async def test_a_server_without_tools() -> None:
    """It is not asked for them."""

    async def handler(server: Server, request: web.Request) -> web.StreamResponse:
        return web.json_response(about(1)) if "id" in server.messages[-1] else web.Response(status=202)

    async with serving(handler) as server:
        assert await probe(server.mcp, None) == Probed("ok", server="strange")
        assert len(server.messages) == 2


async def test_an_event_stream_that_stays_open() -> None:
    """The answer is enough."""

    async def handler(server: Server, request: web.Request) -> web.StreamResponse:
        if "id" not in server.messages[-1]:
            return web.Response(status=202)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(f"data: {json.dumps(about(1))}\n\n".encode())
        await asyncio.sleep(30)
        return response

    async with serving(handler) as server:
        began = time.monotonic()
        assert (await probe(server.mcp, None)).outcome == "ok"
        assert time.monotonic() - began < 25


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_told_and_not_followed(status: int) -> None:
    """It may lead anywhere, and would take the token along. Where to is what the person wants to know."""
    async with serving(same(lambda: web.json_response(about(1)))) as other:
        where = f"{other.url}/new?code=MARKER#x"
        async with serving(same(lambda: web.Response(status=status, headers={"Location": where}))) as server:
            found = await probe(server.mcp, TOKEN)
        assert found == Probed("no_mcp", f"HTTP {status}: it redirects to {other.url}/new")
        assert other.asked == []


@pytest.mark.parametrize("where", ["", "/mcp/", "javascript:alert(1)", "http://user:MARKER@x/", "http://[", "//x\x07"])
async def test_a_redirect_to_nowhere(where: str) -> None:
    """What is no address is not repeated."""

    def response() -> web.Response:
        return web.Response(status=302, headers={"Location": where.replace("\x07", "")} if where else {})

    async with serving(same(response)) as server:
        assert await probe(server.mcp, None) == Probed("no_mcp", "HTTP 302")


@pytest.mark.parametrize(
    ("response", "detail"),
    [
        (lambda: web.Response(status=404), "HTTP 404"),
        (lambda: web.Response(status=405), "HTTP 405"),
        (lambda: web.Response(status=500, text="MARKER"), "HTTP 500"),
        (lambda: web.Response(text="<html>MARKER", content_type="text/html"), NOT_MCP),
        (lambda: web.Response(text="[" * 100_000), NOT_MCP),
        (lambda: web.Response(body=b"\xff\xfe"), NOT_MCP),
        (lambda: web.json_response([]), NOT_MCP),
        (lambda: web.json_response(result(1, capabilities=[])), NOT_MCP),
        (lambda: web.json_response({"status": "healthy"}), "it refuses initialize"),
        (lambda: web.json_response({"error": {"message": "no\x1b[2J"}}), "it refuses initialize: no[2J"),
        (lambda: web.json_response({"error": "x"}), NOT_MCP),
        (lambda: events({"method": "ping"}), NOT_MCP),
        (lambda: web.Response(text="x" * 5_000_000), NOT_MCP),
        (lambda: web.Response(text="data: x" * 1_000_000, content_type="text/event-stream"), NOT_MCP),
        (lambda: web.Response(body=b"\x1f\x8b\x08", headers={"Content-Encoding": "gzip"}), NOT_MCP),
    ],
)
async def test_what_is_no_mcp_server(response: Callable[[], web.Response], detail: str) -> None:
    """The status, or that it is not understood; of the answer an error's words at most, without control characters."""
    async with serving(same(response)) as server:
        assert await probe(server.mcp, TOKEN) == Probed("no_mcp", detail)


async def test_what_is_not_permitted() -> None:
    """GitHub's answer to a token without the scope, for one."""
    async with serving(same(lambda: web.Response(status=403))) as server:
        assert (await probe(server.mcp, TOKEN)).outcome == "forbidden"


async def test_a_refusal_after_the_beginning() -> None:
    """Some let everybody begin, and want a login for the tools; the session is ended."""

    async def handler(server: Server, request: web.Request) -> web.StreamResponse:
        if request.method == "DELETE":
            return web.Response()
        if request.method == "GET":
            return web.Response(status=404)
        match server.messages[-1]["method"]:
            case "initialize":
                return web.json_response(about(1, tools={}), headers={"Mcp-Session-Id": "s"})
            case "tools/list":
                return web.Response(status=401)
        return web.Response(status=202)

    async with serving(handler) as server:
        assert await probe(server.mcp, None) == Probed("unauthorized", ASKED)
        assert server.asked[-1] == ("DELETE", "/mcp")


# --- the ways in


class Metadata:
    """Refuses, and has these documents."""

    def __init__(self, documents: Mapping[str, Any], challenge: str = "Bearer") -> None:
        self.documents = documents
        self.challenge = challenge

    async def __call__(self, server: Server, request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            challenge = self.challenge.replace("{url}", server.url)
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})
        found = self.documents.get(request.raw_path)
        if found is None:
            return web.Response(status=404, text="{}")
        return web.Response(text=json.dumps(found).replace("{url}", server.url), content_type="application/json")


AS = {"issuer": "{url}", "registration_endpoint": "{url}/register", "client_id_metadata_document_supported": True}
FOUND = {"registration": True, "client_id_metadata": True}
RESOURCE = "/.well-known/oauth-protected-resource"


@pytest.mark.parametrize(
    ("documents", "challenge"),
    [
        # As the refusal says, or at one of the two known places; the server's own site if there is none.
        ({"/meta": {"authorization_servers": ["{url}"]}}, 'Bearer realm="x", resource_metadata="{url}/meta"'),
        ({f"{RESOURCE}/mcp": {"authorization_servers": ["{url}"]}}, "Bearer"),
        ({RESOURCE: {"authorization_servers": ["{url}/"]}}, "Bearer"),
        ({RESOURCE: {"authorization_servers": ["{url}"]}}, 'Bearer resource_metadata="javascript:x"'),
        ({RESOURCE: {"authorization_servers": ["{url}"]}}, 'Bearer resource_metadata="{url}/absent"'),
        ({}, "Bearer"),
        ({RESOURCE: []}, "Bearer"),
        ({RESOURCE: {"authorization_servers": "x"}}, "Bearer"),
    ],
)
async def test_where_the_metadata_are(documents: Mapping[str, Any], challenge: str) -> None:
    documents = {"/.well-known/oauth-authorization-server": AS, **documents}
    async with serving(Metadata(documents, challenge)) as server:
        assert await probe(server.mcp, None) == Probed("unauthorized", ASKED, issuer=server.url, **FOUND)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "place",
    [
        "/.well-known/oauth-authorization-server/tenant/1",
        "/.well-known/openid-configuration/tenant/1",
        "/tenant/1/.well-known/openid-configuration",
    ],
)
async def test_where_an_authorization_server_with_a_path_has_its_own(place: str) -> None:
    """RFC 8414 puts the known part before the path, OpenID Connect after it."""
    documents = {RESOURCE: {"authorization_servers": ["{url}/tenant/1"]}, place: AS}
    async with serving(Metadata(documents)) as server:
        assert await probe(server.mcp, None) == Probed("unauthorized", ASKED, issuer=server.url, **FOUND)  # type: ignore[arg-type]


async def test_the_metadata_never_get_the_token() -> None:
    """They are public, and may be on anybody's server. Nor are they asked for in the clear for a server with TLS."""
    async with serving(Metadata({"/.well-known/oauth-authorization-server": AS})) as server:
        await probe(server.mcp, TOKEN)
    assert ("GET", "/.well-known/oauth-authorization-server") in server.asked
    for (method, _), headers in zip(server.asked, server.headers, strict=True):
        assert ("Authorization" in headers) == (method == "POST")


@pytest.mark.parametrize("document", ["x" * 300_000, [], None, {"registration_endpoint": True, "issuer": 7}])
async def test_metadata_that_are_none(document: Any) -> None:
    """As if there were none."""
    documents = {RESOURCE: {"authorization_servers": ["{url}"]}, "/.well-known/oauth-authorization-server": document}
    async with serving(Metadata(documents)) as server:
        assert await probe(server.mcp, None) == Probed("unauthorized", ASKED, issuer=server.url)


# --- no connection


async def test_nobody_is_there() -> None:
    """Each in its own words, none in those of a library."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert await probe(f"http://127.0.0.1:{port}/", TOKEN) == Probed("unreachable", "Connection refused")
    assert await probe("https://mcp.invalid/", TOKEN) == Probed("unreachable", "its host is not known")
    async with serving(same(web.Response)) as plain:
        found = await probe(plain.mcp.replace("http:", "https:"), TOKEN)
    assert found == Probed("unreachable", "its TLS certificate is not trusted, or it does not speak TLS")


async def test_a_certificate_that_nobody_knows(tmp_path: Path) -> None:
    """A proxy that inspects TLS, or an attack: the token is not sent."""
    key, pem = tmp_path / "key.pem", tmp_path / "cert.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(pem)]
    made = await asyncio.to_thread(
        subprocess.run, [*make, "-subj", "/CN=localhost", "-days", "2"], check=True, capture_output=True, timeout=30
    )
    assert made.returncode == 0
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    got: list[bytes] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    async with server:
        found = await probe(f"https://localhost:{server.sockets[0].getsockname()[1]}/", TOKEN)
    assert found == Probed("unreachable", "its TLS certificate is not trusted, or it does not speak TLS")
    assert not any(got)


@pytest.mark.parametrize("answer", [b"", b"220 smtp.example ESMTP MARKER\r\n", b"HTTP/1.1 200 OK\r\nbroken"])
async def test_another_protocol(answer: bytes) -> None:
    """What it says is not repeated."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        found = await probe(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", None)
    assert found == Probed("unreachable", "the connection broke off, or it does not speak HTTP")


async def test_a_server_that_says_nothing() -> None:
    """There is an end to waiting."""

    async def handler(server: Server, request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    async with serving(handler) as server:
        assert await probe(server.mcp, None, seconds=0.3) == Probed("unreachable", "it does not answer within 0.3 s")


async def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be the only way out, as it is for Claude Code."""
    async with serving(same(lambda: web.json_response(about(1)))) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        assert (await probe("http://mcp.invalid/mcp", None)).outcome == "ok"
    assert proxy.asked[0] == ("POST", "http://mcp.invalid/mcp")


# --- what is not asked


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("", None),
        ("mcp.example", None),
        ("file:///etc/passwd", None),
        ("ftp://mcp.example/", None),
        ("https://", None),
        ("https://user@mcp.example/", None),
        ("https://user:MARKER@mcp.example/", None),
        ("https://mcp.example:99999/", None),
        ("https://mcp.example:x/", None),
        ("https://mcp.example/ MARKER", None),
        ("https://mcp.example/\r\nX: MARKER", None),
        ("https://[::1/", None),
        ("http://mcp.example/", TOKEN),
        ("http://10.0.0.1/", TOKEN),
        ("https://mcp.example/", "a b"),
        ("https://mcp.example/", "MARKER\r\nX: y"),
        ("https://mcp.example/", ""),
    ],
)
async def test_what_is_no_address_or_no_token_is_refused(url: str, token: str | None) -> None:
    """Before anything is connected to; a token is not sent in the clear, but to this machine. Nothing is repeated."""
    with pytest.raises(InvalidRequest) as refused:
        await probe(url, token)
    assert "MARKER" not in refused.value.message


async def test_a_query_stays(server: str) -> None:
    """Some servers want one: `https://huggingface.co/mcp?login`."""
    async with serving(same(lambda: web.Response(status=404))) as strange:
        await probe(f"{strange.mcp}?login", None)
    assert strange.asked == [("POST", "/mcp?login")]
