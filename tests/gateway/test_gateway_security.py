"""What every request must pass, and the one form of every error: over all routes, and over a raw socket."""

from __future__ import annotations

import gzip
import json
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from ccapi.commands import keys
from ccapi.gateway import security
from ccapi.paths import Home, keys_dir
from ccapi.wire.keys import Policy
from tests.gateway.harness import Gateway, body, gateway, in_thread

CHAT = "/v1/chat/completions"
ROUTES = [("GET", "/health"), ("GET", "/v1/models"), ("GET", "/v1/models/sonnet"), ("POST", CHAT), ("GET", "/nothing")]
KNOWN = ROUTES[:-1]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
MARKER = "MARKER31337"
POST = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

SECURE = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
POLICY = {"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"}


def assert_secure(headers: httpx.Headers) -> None:
    """The headers S of the catalogue of adversarial cases; nothing that helps another page, or names the server."""
    assert {name: headers.get(name) for name in SECURE} == SECURE
    assert set(headers.get("Content-Security-Policy", "").split("; ")) == POLICY
    for name in headers:
        assert not name.startswith("access-control-")
        assert name not in {"set-cookie", "location", "server", "x-powered-by"}


def assert_error(response: httpx.Response, status: int, code: str | None = None) -> dict[str, Any]:
    """An error in the one form, with nothing of what is inside."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"].startswith("application/json")
    document = response.json()
    assert set(document) == {"error"}
    error: dict[str, Any] = document["error"]
    assert set(error) - {"retry_after", "hint"} == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert error["message"]
    assert code is None or error["code"] == code
    assert_nothing_inside(response.text + str(response.headers))
    assert_secure(response.headers)
    return error


def assert_nothing_inside(text: str) -> None:
    """No stack, path, environment, token, version (G26), and no value of the request."""
    assert not re.search(
        r"Traceback|File \"|/home/|/root|/usr/|/tmp/|site-packages|aiohttp|Python/|sk-ant|\.py\b", text
    )
    assert MARKER not in text


def send(gateway: Gateway, method: str, path: str, **options: Any) -> httpx.Response:
    with gateway.client() as client:
        return client.request(method, path, **options)


def valid(method: str) -> dict[str, Any]:
    """A request that only lacks a question, so that nothing is started should it pass."""
    return {"json": {"model": "sonnet", "messages": []}} if method == "POST" else {}


@pytest.fixture(autouse=True)
def nothing_is_started(stubbed: Gateway) -> Iterator[None]:
    """None of these requests may start the CLI."""
    stubbed.stub.plan({"exit": 0})
    yield
    assert stubbed.stub.seen == {}


# --- what is public


def test_health_says_that_it_is_well_and_no_more(stubbed: Gateway) -> None:
    """No key, no paths, no versions of what is inside (G14)."""
    response = send(stubbed, "GET", "/health")
    assert response.status_code == 200
    assert response.json() == {"status": "healthy", "service": "claude-code-api"}
    assert_secure(response.headers)
    assert_nothing_inside(str(response.headers))


def test_the_models_are_listed(stubbed: Gateway) -> None:
    """The aliases and the mapped names, as OpenAI's objects."""
    response = send(stubbed, "GET", "/v1/models")
    document = response.json()
    assert document["object"] == "list"
    assert [model["id"] for model in document["data"]] == ["sonnet", "opus", "haiku", "gpt-4o"]
    for model in document["data"]:
        assert set(model) == {"id", "object", "created", "owned_by", "ccapi"}
        assert send(stubbed, "GET", f"/v1/models/{model['id']}").json() == model
    assert_secure(response.headers)


def test_a_model_is_retrieved_by_any_name_that_may_be_asked_for(stubbed: Gateway) -> None:
    """An old id, and one with the long context."""
    for name in ("claude-3-5-haiku-20241022", "sonnet[1m]"):
        assert send(stubbed, "GET", f"/v1/models/{name}").json()["id"] == name


def test_an_unknown_model_is_not_found(stubbed: Gateway) -> None:
    """404 `model_not_found`, on both routes."""
    assert_error(send(stubbed, "GET", "/v1/models/gpt-9"), 404, "model_not_found")
    assert_error(send(stubbed, "POST", CHAT, json=body("hi", model="gpt-9")), 404, "model_not_found")


@pytest.mark.parametrize("model", ["--dangerously-skip-permissions", "x; id", "$(id)", "a\nb", "../../etc/passwd"])
def test_what_is_no_model_name_is_refused(stubbed: Gateway, model: str) -> None:
    """400 and nothing started (G20)."""
    assert assert_error(send(stubbed, "POST", CHAT, json=body("hi", model=model)), 400)["param"] == "model"


# --- the form of errors


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/v1", "/v1/models/", "/v1/chat/completions/", "/admin", "/v1/%2e%2e/health"]
)
def test_an_unknown_path_is_not_found(stubbed: Gateway, path: str) -> None:
    """404 in the form of all errors, without the path."""
    assert_error(send(stubbed, "GET", path), 404)


@pytest.mark.parametrize(("right", "path"), KNOWN)
@pytest.mark.parametrize("method", METHODS)
def test_a_wrong_method_is_not_allowed(stubbed: Gateway, right: str, path: str, method: str) -> None:
    """405 with `Allow`, and no side effect (G12); HEAD is not GET in disguise."""
    if method == right:
        return
    response = send(stubbed, method, path, **valid(method))
    assert response.status_code == 405
    assert response.headers["Allow"] == right
    assert_secure(response.headers)
    if method != "HEAD":
        assert_error(response, 405, "method_not_allowed")


def test_a_query_changes_nothing_and_is_not_repeated(stubbed: Gateway) -> None:
    """Parameters mean nothing here."""
    assert send(stubbed, "GET", f"/health?x={MARKER}").status_code == 200
    assert_error(send(stubbed, "GET", f"/nothing?x={MARKER}"), 404)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", MARKER.encode(), b"\xff", json.dumps({"messages": MARKER}).encode()]
)
def test_a_malformed_body_is_a_400(stubbed: Gateway, content: bytes) -> None:
    """Whatever is wrong with it, in the form of all errors."""
    headers = {"Content-Type": "application/json"}
    error = assert_error(send(stubbed, "POST", CHAT, content=content, headers=headers), 400, "invalid_request")
    assert error["type"] == "invalid_request_error"


def test_the_field_at_fault_is_named(stubbed: Gateway) -> None:
    """`param` holds its path."""
    wrong = {"model": "sonnet", "messages": [{"role": "user", "content": 5}]}
    assert assert_error(send(stubbed, "POST", CHAT, json=wrong), 400)["param"] == "messages[0].content"


def test_no_user_message_is_a_400(stubbed: Gateway) -> None:
    """There is nothing to ask."""
    wrong = {"model": "sonnet", "messages": [{"role": "system", "content": "s"}]}
    assert assert_error(send(stubbed, "POST", CHAT, json=wrong), 400)["param"] == "messages"


def chunked(size: int) -> Iterator[bytes]:
    for _ in range(size // 1000):
        yield b"x" * 1000


def test_a_compressed_body_is_refused(stubbed: Gateway) -> None:
    """What it would unpack to is not even looked at."""
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    bomb = gzip.compress(b" " * 50_000_000)
    assert_error(send(stubbed, "POST", CHAT, content=bomb, headers=headers), 415, "unsupported_media_type")


@pytest.mark.parametrize("kind", ["declared", "chunked"])
def test_an_oversized_body_is_a_413(stubbed: Gateway, kind: str) -> None:
    """By its declared length, and by what came."""
    headers = {"Content-Type": "application/json"}
    content: Any = b"x" * 150_000
    if kind == "chunked":
        content = chunked(150_000)
    assert_error(send(stubbed, "POST", CHAT, content=content, headers=headers), 413, "request_too_large")


def test_a_body_at_the_limit_passes(stubbed: Gateway) -> None:
    """The limit is a limit, not one less: this one fails for its content only."""
    content = b'{"model": "sonnet", "messages": []}'.ljust(100_000)
    response = send(stubbed, "POST", CHAT, content=content, headers={"Content-Type": "application/json"})
    assert assert_error(response, 400)["param"] == "messages"


# --- what a web page would send


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:1", "file://", "http://127.0.0.1", ""]
)
def test_a_foreign_origin_is_refused(stubbed: Gateway, method: str, path: str, origin: str) -> None:
    """On every route, a 404 included (G05); also another port of this machine."""
    assert_error(send(stubbed, method, path, headers={"Origin": origin}, **valid(method)), 403, "request_refused")


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
def test_a_foreign_site_is_refused(stubbed: Gateway, method: str, path: str, site: str) -> None:
    """Browsers say where a request comes from, whatever a page does."""
    assert_error(send(stubbed, method, path, headers={"Sec-Fetch-Site": site}, **valid(method)), 403, "request_refused")


@pytest.mark.parametrize("site", ["none", "same-origin"])
def test_a_typed_address_and_the_own_origin_pass(stubbed: Gateway, site: str) -> None:
    """A person who looks at /health in a browser."""
    headers = {"Sec-Fetch-Site": site, "Origin": stubbed.url}
    assert send(stubbed, "GET", "/health", headers=headers).status_code == 200


@pytest.mark.parametrize("path", [CHAT, "/v1/models"])
def test_a_preflight_gets_no_permission(stubbed: Gateway, path: str) -> None:
    """403 or 405, without any header of CORS (G06)."""
    headers = {
        "Origin": "https://evil.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    response = send(stubbed, "OPTIONS", path, headers=headers)
    assert_error(response, 403)


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/json",
        "",
        None,
        "application/jsonp",
    ],
)
def test_a_body_must_be_declared_as_json(stubbed: Gateway, content_type: str | None) -> None:
    """What a plain form of any page can send is no request (G03): aiohttp would parse it."""
    headers = {} if content_type is None else {"Content-Type": content_type}
    content = json.dumps(body("hello")).encode()
    assert_error(send(stubbed, "POST", CHAT, content=content, headers=headers), 415, "unsupported_media_type")


def test_a_charset_is_no_other_type(stubbed: Gateway) -> None:
    """`application/json; charset=utf-8` is what many clients send."""
    headers = {"Content-Type": "application/json; charset=utf-8"}
    assert_error(send(stubbed, "POST", CHAT, content=b"{}", headers=headers), 400)


# --- the raw wire


def raw(gateway: Gateway, request: bytes) -> httpx.Response:
    """Send bytes as they are; the first response."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        while not _whole(answer) and (chunk := connection.recv(65536)):
            answer += chunk
    head, _, content = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    return httpx.Response(int(status.split()[1]), headers=headers, content=content)


def _whole(answer: bytes) -> bool:
    head, end, content = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return bool(end and length and len(content) >= int(length[1]))


def get(target: str, *headers: str, version: str = "1.1", method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/{version}", *headers, "Connection: close", "", ""]).encode("latin-1")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "localhost:8000", "127.0.0.1:80", "[::1]:8000"])
def test_the_names_of_this_machine_pass(stubbed: Gateway, host: str) -> None:
    """With any port: a container's published port is not the one that is listened on."""
    assert raw(stubbed, get("/health", f"Host: {host}")).status_code == 200


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_foreign_host_is_refused_on_every_route(stubbed: Gateway, method: str, path: str) -> None:
    """DNS rebinding: a name of the attacker that suddenly means 127.0.0.1 (G09)."""
    assert_error(send(stubbed, method, path, headers={"Host": "evil.example:8000"}, **valid(method)), 421, "wrong_host")


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, dict[str, str]]]:
    """A gateway where every request needs a key, and the header with one."""
    home = Home(str(tmp_path_factory.mktemp("keyed")))
    key = keys.create(home, None, Policy(), print).key
    directory = tmp_path_factory.mktemp("gateway") / "gateway"
    with gateway(directory, require_key=True, keys_dir=keys_dir(home)) as running:
        yield running, {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize("host", ["api.example.com", "gateway:8000", "192.0.2.1:8443", "[2001:db8::1]", "localhost:80"])
def test_with_a_key_the_name_may_be_any(keyed: tuple[Gateway, dict[str, str]], host: str) -> None:
    """A proxy with HTTPS passes its own name on, a container calls by the service's: the key is what counts."""
    running, key = keyed
    assert send(running, "GET", "/v1/models", headers={"Host": host, **key}).status_code == 200
    assert_error(send(running, "GET", "/v1/models", headers={"Host": host}), 401, "invalid_api_key")
    assert_error(send(running, "GET", "/v1/models", headers={"Host": f"{host}@evil.example", **key}), 421, "wrong_host")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        *(("https://api.example.com", 200), ("http://api.example.com", 200), ("https://api.example.com:8443", 403)),
        *(("https://evil.example", 403), ("https://api.example.com.evil.example", 403), ("null", 403)),
    ],
)
def test_the_own_page_behind_a_proxy_with_https(
    keyed: tuple[Gateway, dict[str, str]], origin: str, status: int
) -> None:
    """Its Origin has the proxy's scheme; any other page is refused, whatever key it has."""
    running, key = keyed
    headers = {"Host": "api.example.com", "Origin": origin, **key}
    assert send(running, "GET", "/v1/models", headers=headers).status_code == status


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Forwarded-Host"])
def test_what_is_said_of_the_way_here_opens_nothing(keyed: tuple[Gateway, dict[str, str]], header: str) -> None:
    """Nobody becomes this machine by saying so: no decision hangs on where a request came from."""
    running, _ = keyed
    value = "for=127.0.0.1;host=localhost" if header == "Forwarded" else "127.0.0.1"
    assert_error(send(running, "GET", "/v1/models", headers={header: value}), 401, "invalid_api_key")


@pytest.mark.parametrize(
    "host",
    [
        *(
            "evil.example",
            "localhost.",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "127.0.0.1.",
            "localhost:8000@evil.example",
        ),
        *(
            "evil.example@localhost",
            "localhost@evil.example",
            "user:pw@localhost",
            "[::ffff:127.0.0.1]",
            "127.1",
            "2130706433",
        ),
        *(
            "0.0.0.0",
            "[::]",
            "::1",
            "localhost:",
            "localhost:x",
            "localhost:123456",
            "localhost/evil",
            "localhost#x",
            "",
            " ",
        ),
        *(
            "localhost localhost",
            "localhost,evil.example",
            "127.0.0.2",
            "0x7f.1",
            "localhost%00.evil.example",
            "::1:8000",
        ),
    ],
)
def test_only_the_exact_names_of_this_machine_pass(stubbed: Gateway, host: str) -> None:
    """400 or 421 for everything that only looks like loopback (G10)."""
    response = raw(stubbed, get("/health", f"Host: {host}"))
    assert response.status_code in {400, 421}
    assert_error(response, response.status_code)


@pytest.mark.parametrize(
    "request_",
    [
        get("http://evil.example/health", "Host: localhost"),
        get("http://localhost/health", "Host: localhost"),
        get("http://localhost/health", "Host: evil.example"),
        get("https://evil.example/v1/models", "Host: 127.0.0.1"),
        get("localhost:8000", "Host: localhost:8000", method="CONNECT"),
        get("evil.example:443", "Host: localhost:8000", method="CONNECT"),
        get("*", "Host: localhost", method="OPTIONS"),
        get("//evil.example/health", "Host: evil.example"),
        get("/health", version="1.0"),
        get("/health"),
        get("/health", "Host: localhost", "Host: localhost"),
        get("/health", "Host: localhost", "Host: evil.example"),
        get("/health", "Host: evil.example", "Host: localhost"),
    ],
    ids=lambda request: request.decode().replace("\r\n", "|"),
)
def test_odd_targets_and_hosts_are_refused(stubbed: Gateway, request_: bytes) -> None:
    """Absolute-form, authority-form, `*`, HTTP/1.0 and 1.1 without Host, two Hosts: refused in the one form."""
    response = raw(stubbed, request_)
    assert response.status_code in {400, 405, 421}
    assert_error(response, response.status_code)


@pytest.mark.parametrize(
    "request_",
    [
        f"GET /{MARKER} HTTP/9.9\r\nHost: localhost\r\n\r\n",
        f"GET /{MARKER}\r\n\r\n",
        f"{MARKER}\r\n\r\n",
        f"GET /health HTTP/1.1\r\nHost: localhost\r\n{MARKER}\r\n\r\n",
        f"GET /health HTTP/1.1\r\nHost: localhost\r\nX {MARKER}: 1\r\n\r\n",
        f"GET /health HTTP/1.1\r\nHost: localhost\r\nX: {MARKER}\x00\r\n\r\n",
        f"GET /{MARKER}{'a' * 20_000} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        f"GET /health HTTP/1.1\r\nHost: localhost\r\nX: {MARKER}{'a' * 20_000}\r\n\r\n",
        f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {MARKER}\r\n\r\n",
        f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        f"{POST}Transfer-Encoding: {MARKER}\r\n\r\n",
        f"{POST}Transfer-Encoding: chunked\r\n\r\n{MARKER}\r\n",
        "GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "a" * 100 + "\r\n\r\n",
    ],
    ids=lambda request: request[:70].replace("\r\n", "|"),
)
def test_what_is_no_http_is_refused_without_an_echo(stubbed: Gateway, request_: str) -> None:
    """The server's own 400 would repeat the request line and name the server and its version."""
    response = raw(stubbed, request_.encode("latin-1"))
    assert 400 <= response.status_code < 500
    assert_error(response, response.status_code)


def test_an_expectation_that_nobody_knows_changes_nothing(stubbed: Gateway) -> None:
    """aiohttp's own 417 would come before any handler and repeat the header; ignoring it is allowed (RFC 9110)."""
    response = send(stubbed, "POST", CHAT, headers={"Expect": MARKER}, json={"model": "sonnet", "messages": []})
    assert assert_error(response, 400)["param"] == "messages"


def test_a_client_that_waits_for_the_go_ahead_gets_it(stubbed: Gateway) -> None:
    """curl sends `Expect: 100-continue` before a large body."""
    content = b'{"model": "sonnet", "messages": []}'
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
    with socket.create_connection(("127.0.0.1", stubbed.port), timeout=10) as connection:
        connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(content)
        assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_the_gateway_still_answers_after_all_that(stubbed: Gateway) -> None:
    """None of it wears it down."""
    for request in (
        b"\x00" * 10_000,
        b"GET",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", stubbed.port), timeout=10) as connection:
            connection.sendall(request)
    assert send(stubbed, "GET", "/health").status_code == 200


@pytest.mark.parametrize(
    "sent", [b"", b"POST /v1/chat/completions HTTP/1.1\r\nHost: lo"], ids=["nothing", "half a header"]
)
def test_a_connection_without_a_whole_request_is_closed(tmp_path: Path, sent: bytes) -> None:
    """Whoever opens a thousand of them must not keep the others out."""
    with (
        gateway(tmp_path, idle_connection=0.5) as running,
        socket.create_connection(("127.0.0.1", running.port), timeout=30) as connection,
    ):
        connection.sendall(sent)
        assert connection.recv(1000) == b""


# --- failures of our own


@asynccontextmanager
async def failing() -> AsyncIterator[int]:
    """An app with the gateway's own middlewares and handlers that fail."""

    async def fail(_: web.Request) -> web.Response:
        raise RuntimeError(f"/root/secret.py: sk-ant-api03-{MARKER}")

    async def refuse(_: web.Request) -> web.Response:
        raise web.HTTPServiceUnavailable(text=MARKER)

    app = web.Application(middlewares=[security.errors, security.guard(any_name=False)])
    app.on_response_prepare.append(security.set_headers)
    app.router.add_get("/fail", fail)
    app.router.add_get("/refuse", refuse)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(("path", "status"), [("/fail", 500), ("/refuse", 500)])
def test_an_unexpected_failure_shows_nothing_of_the_inside(
    path: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The client gets a 500 in the known form, the operator the traceback in the log (G26)."""
    with in_thread(failing) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        assert_error(client.get(path), status, "error")
    if path == "/fail":
        assert "RuntimeError" in caplog.text
