"""The internal API: who may use it, and what it tells those who may not."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ccapi import __version__, paths
from ccapi.client.internal import InternalClient
from ccapi.commands import keys, secret
from ccapi.paths import Home
from ccapi.wire import internal as wire
from ccapi.wire.keys import Policy
from tests.gateway.harness import await_that, gateway
from tests.gateway.internalapi import Internal, internal
from tests.gateway.test_gateway_security import METHODS, assert_error, assert_secure

ROUTES = [
    ("POST", wire.CALLBACKS),
    ("GET", wire.LOGINS),
    ("GET", f"{wire.LOGINS}/x"),
    ("DELETE", f"{wire.LOGINS}/x"),
    ("GET", wire.MCP),
    ("GET", wire.OVERVIEW),
    ("POST", wire.PROBE),
]
MARKER = "MARKER31337"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Internal]:
    with internal(tmp_path_factory.mktemp("internal")) as running:
        yield running


def assert_kept_out(response: httpx.Response) -> None:
    assert_error(response, 401, "stack_secret_invalid")
    assert response.headers["WWW-Authenticate"] == "Bearer"


def body(method: str) -> dict[str, Any]:
    return {"json": {}} if method == "POST" else {}


# --- the secret


@pytest.mark.parametrize(("method", "path"), [*ROUTES, ("GET", "/internal/v1/nothing")])
def test_nothing_without_the_secret(running: Internal, method: str, path: str) -> None:
    """None, a wrong one, another scheme, two of them, in the query (P71); not even whether there is such a path."""
    good = running.secret
    for headers in (
        {"Authorization": ""},
        {"Authorization": f"Bearer {wire.new_secret()}"},
        {"Authorization": f"Bearer {good}x"},
        {"Authorization": f"Bearer {wire.digest(good)}"},
        {"Authorization": f"Basic {good}"},
        {"Authorization": good},
        {"Authorization": f"Bearer {good} {good}"},
        {"X-Api-Key": good, "Authorization": ""},
    ):
        assert_kept_out(running.send(method, path, headers=headers, **body(method)))
    assert_kept_out(running.send(method, f"{path}?secret={good}&access_token={good}", headers={"Authorization": ""}))


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if route[1] not in {wire.MCP, wire.OVERVIEW}])
def test_with_the_secret_a_request_is_let_in(running: Internal, method: str, path: str) -> None:
    """Also in another spelling of the scheme, which has none."""
    response = running.send(method, path, headers={"Authorization": f"bEARER  {running.secret}"}, **body(method))
    assert response.status_code in {204, 400, 404}
    assert_secure(response.headers)


def test_two_secrets_are_none(running: Internal) -> None:
    """One of them being right does not help."""
    with running.gateway.client() as client:
        pairs = [("Authorization", f"Bearer {running.secret}"), ("Authorization", "Bearer other")]
        assert_kept_out(client.get(wire.LOGINS, headers=pairs))


def test_a_key_is_no_secret_and_the_secret_is_no_key(tmp_path: Path) -> None:
    """Where keys are required the secret is all that this API wants, and it opens nothing else."""
    with internal(tmp_path, require_key=True) as running:
        key = keys.create(Home(running.home), None, Policy(), print).key
        assert running.send("GET", wire.LOGINS).status_code == 204
        assert_kept_out(running.send("GET", wire.LOGINS, headers={"Authorization": f"Bearer {key}"}))
        assert running.send("GET", "/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code == 200
        assert_error(running.send("GET", "/v1/models"), 401, "invalid_api_key")


def test_a_new_secret_is_good_at_once(tmp_path: Path) -> None:
    """And the old one for nothing; a digest that is missing or no digest lets nobody in, until there is one."""
    with internal(tmp_path) as running:
        old = running.secret
        secret.path(Home(running.home)).unlink()
        running.secret = secret.ensure(Home(running.home))
        assert running.send("GET", wire.LOGINS).status_code == 204
        assert_kept_out(running.send("GET", wire.LOGINS, headers={"Authorization": f"Bearer {old}"}))
        file = paths.keys_dir(Home(running.home)) / wire.HASH_FILE
        for spoilt in ("", "x", wire.digest(running.secret)[:-1], wire.digest(running.secret).upper()):
            file.write_text(spoilt)
            assert_kept_out(running.send("GET", wire.LOGINS))
        file.unlink()
        assert_kept_out(running.send("GET", wire.LOGINS))
        os.mkfifo(file)  # opening it must not wait for a writer
        assert_kept_out(running.send("GET", wire.LOGINS, timeout=30))
        file.unlink()
        secret.ensure(Home(running.home))
        assert running.send("GET", wire.LOGINS).status_code == 204


def test_without_a_secret_the_log_says_what_to_do(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Once, and not at every request."""
    with gateway(tmp_path) as running, running.client() as client:
        for _ in range(3):
            assert_kept_out(client.get(wire.LOGINS, headers={"Authorization": "Bearer x"}))
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len([line for line in said if "internal API" in line and "ccapi up" in line]) == 1


# --- the request


@pytest.mark.parametrize("published", ["127.0.0.1", "0.0.0.0"])
def test_the_host_is_loopback_wherever_it_is_published(tmp_path: Path, published: str) -> None:
    """A name that resolves to this machine is not enough, with the secret either."""
    with internal(tmp_path / "first") as first:
        keys.create(Home(first.home), None, Policy(), print)
        home = paths.keys_dir(Home(first.home))
        with gateway(tmp_path / "second", published=published, keys_dir=home) as running:
            second = Internal(running, first.secret, first.home)
            for host in ("localhost", "127.0.0.1:8000", "[::1]:1"):
                assert second.send("GET", wire.LOGINS, headers={"Host": host}).status_code == 204
            for host in ("evil.example", "192.168.0.7:8000", "localhost.evil.example", "localhost."):
                assert_error(second.send("GET", wire.LOGINS, headers={"Host": host}), 421, "wrong_host")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Content-Type": "text/plain"}, 415),
    ],
)
def test_a_web_page_cannot_call_it(running: Internal, headers: dict[str, str], status: int) -> None:
    """With or without the secret (P72)."""
    for authorization in (f"Bearer {running.secret}", ""):
        sent = {**headers, "Authorization": authorization}
        assert_error(running.send("POST", wire.CALLBACKS, headers=sent, content="{}"), status)


@pytest.mark.parametrize("path", sorted({path for _, path in ROUTES}))
def test_other_methods_are_refused(running: Internal, path: str) -> None:
    """405 with what there is, HEAD included."""
    allowed = {method for method, known in ROUTES if known == path}
    for method in set(METHODS) - allowed:
        response = running.send(method, path)
        assert response.status_code == 405
        assert set(response.headers["Allow"].split(",")) == allowed


@pytest.mark.parametrize("path", [wire.CALLBACKS, wire.PROBE])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"host": 1, "url": 1}', b'{"port": "1", "url": []}'])
def test_what_is_not_understood_is_refused(running: Internal, path: str, content: bytes) -> None:
    """The field is named, no value repeated."""
    response = running.send("POST", path, content=content, headers={"Content-Type": "application/json"})
    assert_error(response, 400, "invalid_request")


@pytest.mark.parametrize("wait", ["-1", "301", "nan", "inf", "x", "", MARKER])
def test_a_time_to_wait_is_a_number(running: Internal, wait: str) -> None:
    response = running.send("GET", wire.LOGINS, params={"wait": wait})
    assert assert_error(response, 400, "invalid_request")["param"] == "wait"


# --- what goes on


def test_the_overview_counts_what_goes_on(tmp_path: Path) -> None:
    """An answer that is being written, and the process that is kept when it is over; the client reads the same."""
    with internal(tmp_path, "slow", max_runs=3) as running, running.gateway.client() as client:
        quiet = running.send("GET", wire.OVERVIEW).json()
        assert (quiet["runs"], quiet["slots"], quiet["waiting"], quiet["needs_key"]) == (0, 3, 0, False)
        assert quiet["version"] == __version__
        body = {"model": "sonnet", "stream": True, "messages": [{"role": "user", "content": "silent"}]}
        with client.stream("POST", "/v1/chat/completions", json=body) as answer:
            next(answer.iter_bytes())
            with InternalClient(str(client.base_url), running.secret) as host:
                assert host.overview() == wire.Overview(__version__, 1, 3, 0, 0, needs_key=False)
        await_that(lambda: running.send("GET", wire.OVERVIEW).json()["runs"] == 0, "the end of the run")


# --- what is seen of it


def test_it_is_in_no_document(running: Internal) -> None:
    """What is not for others to call is not described to them either."""
    with running.gateway.client() as client:
        for path in ("/openapi.json", "/docs"):
            assert "internal" not in client.get(path).text


def test_metrics_and_log_name_the_route_only(running: Internal, caplog: pytest.LogCaptureFixture) -> None:
    """Neither an id, nor a query, nor a body, nor a path that is not there; at DEBUG as well (P78)."""
    caplog.set_level("DEBUG")
    running.send("GET", f"{wire.LOGINS}/{MARKER}?wait=0&x={MARKER}")
    running.send("GET", f"/internal/v1/{MARKER}")
    running.send("DELETE", f"{wire.LOGINS}/{MARKER}")
    callback = {"host": "localhost", "port": 9, "path": f"/{MARKER}", "query": f"code={MARKER}"}
    running.send("POST", wire.CALLBACKS, json=callback)
    running.send("POST", wire.CALLBACKS, json={**callback, "port": closed_port(), "path": "/callback"})
    running.send("POST", wire.CALLBACKS, json={**callback, "path": "/callback", "query": f"{MARKER}\n"})
    running.send("POST", wire.PROBE, json={"url": f"http://127.0.0.1:{closed_port()}/{MARKER}", "token": MARKER})
    with running.gateway.client() as client:
        metrics = client.get("/metrics").text
    assert f'route="{wire.LOGINS}/{{id}}"' in metrics
    lines = [record.getMessage() for record in caplog.records if not record.name.startswith("http")]
    assert any(f"{wire.LOGINS}/{{id}}" in line for line in lines)
    assert any("caller=stack" in line for line in lines)
    for text in (metrics, *lines):
        assert MARKER not in text
        assert running.secret not in text


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
