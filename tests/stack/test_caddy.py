"""The overlay `tls`: Debian's Caddy runs its Caddyfile in front of a gateway where every request needs a key."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from ccapi.commands import keys, secret
from ccapi.paths import Home
from ccapi.wire import internal
from ccapi.wire.keys import Policy
from tests.cli.support import DEADLINE, Gateway, free_port, gateway
from tests.stack.caddyprocess import CHAT, SITE, Caddy, caddy, need_caddy

ASK = "/v1/chat/completions"
PAUSE = 2.0  # seconds in mid-answer
SILENCE = 12.0  # seconds: longer than every timeout of the Caddyfile that a request could run into
SCENARIO = f"""
description = "An answer in two parts, and one that keeps its reader waiting."

[[turn]]
when.prompt = "silence"
[[turn.step]]
text = "Before."
[[turn.step]]
pause = {SILENCE}
[[turn.step]]
text = " After."

[[turn]]
[[turn.step]]
text = "First part."
[[turn.step]]
pause = {PAUSE}
[[turn.step]]
text = " Second part."
"""
SPOOFED = {
    "X-Forwarded-For": "127.0.0.1",
    "X-Forwarded-Host": "localhost:8000",
    "X-Forwarded-Proto": "http",
    "X-Real-IP": "127.0.0.1",
    "Forwarded": "for=127.0.0.1;host=localhost;proto=http",
}


class Echo(BaseHTTPRequestHandler):
    """Stands where Open WebUI would: answers with the headers that came."""

    def do_GET(self) -> None:
        body = json.dumps(dict(self.headers.items())).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, *args: object) -> None:
        pass


class Front(NamedTuple):
    """Caddy, the gateway behind it, a key for that, and the stack's own secret."""

    caddy: Caddy
    gateway: Gateway
    key: str
    secret: str

    def client(self, **options: Any) -> httpx.Client:
        return self.caddy.client(
            headers={"Authorization": f"Bearer {self.key}", **options.pop("headers", {})}, **options
        )


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    need_caddy()
    directory = tmp_path_factory.mktemp("front")
    (directory / "parts.toml").write_text(SCENARIO, "utf-8")
    home = Home(str(directory / "gateway" / "home" / "ccapi"))
    key = keys.create(home, None, Policy(), print).key
    known = secret.ensure(home)
    settings = {"CCAPI_API_REQUIRE_KEY": "on", "CCAPI_GATEWAY_HEARTBEAT": "30"}
    echo = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=echo.serve_forever, daemon=True).start()
    try:
        with (
            gateway(directory / "gateway", f"--rehearsal={directory / 'parts.toml'}", **settings) as running,
            caddy(directory / "caddy", running.port, echo.server_port) as proxy,
        ):
            yield Front(proxy, running, key, known)
    finally:
        echo.shutdown()
        echo.server_close()


def question(prompt: str) -> dict[str, Any]:
    return {"model": "sonnet", "stream": True, "messages": [{"role": "user", "content": prompt}]}


def streamed(front: Front, prompt: str) -> tuple[str, list[tuple[float, str]]]:
    """How the answer ended, and each piece of its text with the time at which it came."""
    pieces: list[tuple[float, str]] = []
    last = ""
    with front.client() as client, client.stream("POST", ASK, json=question(prompt)) as response:
        assert response.status_code == 200, response.read()
        for line in response.iter_lines():
            last = line.removeprefix("data: ") or last
            if line.startswith("data: {"):
                deltas = [choice["delta"].get("content") for choice in json.loads(last)["choices"]]
                pieces += [(time.monotonic(), text) for text in deltas if text]
    return last, pieces


def test_a_key_is_needed(front: Front) -> None:
    """The certificate is good, the name of the site passes, and who has no key is told so in the API's own form."""
    with front.caddy.client() as client:
        refused = client.get("/v1/models")
        assert refused.status_code == 401
        assert refused.json()["error"]["code"] == "invalid_api_key"
        assert client.post(ASK, json=question("x")).status_code == 401
        assert client.get("/health").json()["status"] == "healthy"
    with front.client() as client:
        assert client.get("/v1/models").status_code == 200


def test_an_answer_comes_as_it_is_made(front: Front) -> None:
    """Nothing waits in Caddy for more: the first words are there long before the last."""
    end, pieces = streamed(front, "two parts")
    assert end == "[DONE]"
    assert "".join(text for _, text in pieces) == "First part. Second part."
    assert pieces[-1][0] - pieces[0][0] > PAUSE * 0.4


def test_a_long_silence_ends_nothing(front: Front) -> None:
    """No timeout of Caddy's cuts off a run that thinks, also when the gateway gives no sign of life meanwhile."""
    end, pieces = streamed(front, "silence")
    assert end == "[DONE]"
    assert "".join(text for _, text in pieces) == "Before. After."
    assert pieces[-1][0] - pieces[0][0] > SILENCE * 0.8


@pytest.mark.parametrize("name", SPOOFED)
def test_nobody_becomes_this_machine_by_saying_so(front: Front, name: str) -> None:
    """What a client claims of its way here opens nothing."""
    with front.caddy.client(headers={name: SPOOFED[name]}) as client:
        assert client.get("/v1/models").status_code == 401


def test_what_is_behind_learns_the_true_way_here(front: Front) -> None:
    """The X-Forwarded headers are Caddy's own, whatever a client sent."""
    with front.caddy.client(CHAT, headers=SPOOFED) as client:
        response = client.get("/")
    seen = response.json()
    assert seen["X-Forwarded-Proto"] == "https"
    assert seen["X-Forwarded-Host"] == f"{CHAT}:{front.caddy.port}"
    assert seen["X-Forwarded-For"] == "127.0.0.1"  # here the truth is the same as the lie
    assert response.headers["Strict-Transport-Security"]
    with front.caddy.client(CHAT, headers={"X-Forwarded-For": "192.0.2.7"}) as client:
        assert client.get("/").json()["X-Forwarded-For"] == "127.0.0.1"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "evil.example", "gateway:8000"])
def test_another_host_reaches_nothing(front: Front, host: str) -> None:
    """Caddy passes on what is meant for its site; a key does not help."""
    with front.client(headers={"Host": host}) as client:
        response = client.get("/v1/models")
    assert response.content == b""
    assert "X-Request-Id" not in response.headers


@pytest.mark.parametrize(
    "path", [internal.LOGINS, internal.MCP, "/internal/", "/v1/../internal/v1/logins", "//internal/v1/logins"]
)
def test_the_hosts_own_part_is_not_there(front: Front, path: str) -> None:
    """Not even with the stack's own secret, which never leaves the machine. (401: no such path, and no key.)"""
    with front.caddy.client(headers={"Authorization": f"Bearer {front.secret}"}) as client:
        response = client.get(path)
    assert response.status_code in {400, 401, 404, 421}
    assert "logins" not in response.text


@pytest.mark.parametrize(
    ("size", "status", "code"), [(20_000_000, 400, "invalid_request"), (40_000_000, 413, "request_too_large")]
)
def test_the_gateway_decides_how_large_a_request_may_be(front: Front, size: int, status: int, code: str) -> None:
    """20 MB are read to the end (and refused for something else); what is too much is refused in the API's form."""
    body = {**question("x" * size), "n": 2}
    with front.client() as client:
        response = client.post(ASK, json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


def test_a_web_page_of_the_site_may_ask_and_another_may_not(front: Front) -> None:
    """The gateway, which speaks HTTP, takes the Origin of its own pages behind HTTPS for what it is."""
    own = f"https://{SITE}:{front.caddy.port}"
    for origin, status in ((own, 200), ("https://evil.example", 403), (own.replace("https", "http"), 200)):
        with front.client(headers={"Origin": origin}) as client:
            assert client.get("/v1/models").status_code == status, origin


def test_without_https_there_is_only_the_way_to_it(front: Front) -> None:
    """A key that was sent in the clear is not used."""
    with httpx.Client(trust_env=False, timeout=DEADLINE) as client:
        response = client.get(f"http://127.0.0.1:{front.caddy.http_port}/v1/models", headers={"Host": SITE})
    assert response.status_code == 308
    assert response.headers["Location"].startswith(f"https://{SITE}")


def test_the_server_is_not_named(front: Front) -> None:
    """Neither Caddy nor what is behind it."""
    with front.client() as client:
        response = client.get("/v1/models")
    assert "Server" not in response.headers
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_no_key_is_in_the_log(front: Front) -> None:
    """Each request is there, with address and status, and without its headers."""
    with front.client(headers={"X-Api-Key": front.key, "Cookie": "session=MARKER"}) as client:
        client.get("/v1/models?here=1")
    deadline = time.monotonic() + DEADLINE
    while "here=1" not in (text := front.caddy.log.read_text("utf-8")):
        assert time.monotonic() < deadline, text
        time.sleep(0.05)
    (line,) = [json.loads(line) for line in text.splitlines() if "here=1" in line]
    assert (line["status"], line["request"]["remote_ip"], line["request"]["method"]) == (200, "127.0.0.1", "GET")
    assert front.key not in text
    assert "MARKER" not in text


def test_a_gateway_that_is_gone(tmp_path: Path) -> None:
    """502, at once, and Caddy goes on."""
    with caddy(tmp_path / "caddy", free_port(), free_port()) as proxy, proxy.client() as client:
        assert client.get("/v1/models").status_code == 502
