"""The control API, health, and what is public (rows P11, P71, P72, P81, E18)."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ccapi.client.proxy import ProxyClient
from ccapi.errors import LoginNotFound, LoginRefused
from tests.cli.support import free_port
from tests.oauth import support
from tests.oauth.support import (
    CODE,
    SECRET,
    SITE,
    Login,
    Running,
    assert_error,
    assert_page,
    assert_secure,
    authorization_url,
    listening_on,
    new_state,
)

pytestmark = pytest.mark.usefixtures("clean_log")

API = [
    ("POST", "/oauth/register"),
    ("GET", "/oauth/sessions"),
    ("GET", "/oauth/sessions/x"),
    ("DELETE", "/oauth/sessions/x"),
]


# --- what is public


def test_health_says_what_is_documented_and_no_more(proxy: Running, login: Login) -> None:
    """P81: five fields in this order; the number of logins that wait, nothing of them."""
    response = proxy.call("GET", "/health", secret=None)
    port = proxy.gateway.port
    assert response.text == (
        '{"status": "healthy", "service": "oauth-proxy", "container_host": "localhost", '
        f'"container_port": {port}, "active_sessions": 1}}'
    )
    assert_secure(response)
    proxy.call("DELETE", f"/oauth/sessions/{login.state}")
    assert proxy.call("GET", "/health", secret=None).json()["active_sessions"] == 0


@pytest.mark.parametrize("gateway", ["silent", "absent"])
def test_health_is_degraded_without_a_gateway(tmp_path: Path, gateway: str) -> None:
    """Soon, also when the gateway only says nothing."""
    changes: dict[str, Any] = {"gateway_port": free_port()} if gateway == "absent" else {}
    with support.proxy(tmp_path, **changes) as running:
        running.gateway.silent = True
        began = time.monotonic()
        assert running.call("GET", "/health", secret=None).json()["status"] == "degraded"
        assert time.monotonic() - began < support.SILENCE - 1, "it did not wait for the gateway"


def test_a_gateway_that_is_busy_is_not_absent(tmp_path: Path) -> None:
    """It may take a second for an answer: as while its container starts several Claude Codes."""
    with support.proxy(tmp_path) as running:
        running.gateway.late = 1.0
        assert running.call("GET", "/health", secret=None).json()["status"] == "healthy"
        assert running.call("GET", "/oauth/sessions").json()["problem"] is None


def test_health_is_degraded_when_no_callback_would_be_taken(tmp_path: Path) -> None:
    """Health says no more than that; who knows the secret is told why, and the list of logins all the same."""
    with support.proxy(tmp_path) as running:
        running.gateway.secret = None
        assert running.call("GET", "/health", secret=None).json()["status"] == "degraded"
        document = running.call("GET", "/oauth/sessions").json()
        assert document["sessions"] == []
        assert document["problem"]["error"]["code"] == "stack_secret_invalid"
        assert "ccapi up" in document["problem"]["error"]["hint"]
        running.gateway.secret = SECRET
        (tmp_path / "stack.secret").unlink()
        assert running.call("GET", "/health", secret=None).json()["status"] == "degraded"


def test_the_landing_page(proxy: Running) -> None:
    """It says what this is, and what to run."""
    response = proxy.get("/")
    assert_page(response, 200, "OAuth proxy is running")
    assert "<code>ccapi auth NAME</code>" in response.text


@pytest.mark.parametrize("path", ["/status", "/metrics", "/oauth", "/sessions", "/register", "/health/", "/admin"])
def test_nothing_else_is_there(proxy: Running, path: str) -> None:
    """P81."""
    assert_page(proxy.get(path), 404)


# --- who may ask


@pytest.mark.parametrize(("method", "path"), API)
@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        f"Bearer {SECRET[:-1]}",
        f"Bearer {SECRET}x",
        f"Basic {SECRET}",
        SECRET,
        "Bearer é",
    ],
)
def test_the_secret_is_needed(proxy: Running, method: str, path: str, authorization: str | None) -> None:
    """P71: without it, or with another one, 401 and nothing happens."""
    port = free_port()
    headers = {} if authorization is None else {"Authorization": authorization.encode()}
    body = {"json": {"authorization_url": authorization_url(f"http://localhost:{port}/callback")}}
    options = body if method == "POST" else {}
    response = proxy.call(method, path, secret=None, headers=headers, **options)
    assert_error(response, 401, "stack_secret_invalid")
    assert listening_on(port) == set()


@pytest.mark.parametrize(("method", "path"), API)
@pytest.mark.parametrize("name", ["token", "secret", "access_token", "authorization"])
def test_the_secret_in_the_query_is_none(proxy: Running, method: str, path: str, name: str) -> None:
    """P71: queries end up in logs and histories."""
    response = proxy.call(method, f"{path}?{name}={SECRET}", secret=None)
    assert_error(response, 401, "stack_secret_invalid")


def test_without_a_secret_file_nobody_may(tmp_path: Path) -> None:
    """An empty or missing file is no secret that could be sent."""
    with support.proxy(tmp_path) as running:
        for content in ("", "\n", None):
            secret_file = Path(running.config.secret_file)
            secret_file.unlink() if content is None else secret_file.write_text(content)
            for sent in (None, "", SECRET):
                assert_error(running.call("GET", "/oauth/sessions", secret=sent), 401, "stack_secret_invalid")


def test_a_new_secret_is_taken_at_once(tmp_path: Path) -> None:
    """It is read at each use."""
    with support.proxy(tmp_path) as running:
        Path(running.config.secret_file).write_text("another-secret")
        assert running.call("GET", "/oauth/sessions").status_code == 401
        assert running.call("GET", "/oauth/sessions", secret="another-secret").status_code == 200


@pytest.mark.parametrize(("method", "path"), API)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:8888"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Dest": "empty"},
    ],
    ids=str,
)
def test_no_web_page_may(proxy: Running, method: str, path: str, headers: dict[str, str]) -> None:
    """P72: not even with the secret."""
    assert_error(proxy.call(method, path, headers=headers), 403, "request_refused")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_a_body_must_be_declared_as_json(proxy: Running, kind: str) -> None:
    """P72: what a form can send is nothing."""
    content = b'{"session_id": "x", "callback_port": 50000}'
    response = proxy.call("POST", "/oauth/register", content=content, headers={"Content-Type": kind})
    assert_error(response, 415, "unsupported_media_type")


@pytest.mark.parametrize(("method", "path"), API)
def test_a_foreign_host_may_not(proxy: Running, method: str, path: str) -> None:
    """DNS rebinding, with the secret."""
    headers = {"Host": f"evil.example:{proxy.port}"}
    assert_error(proxy.call(method, path, headers=headers), 421, "wrong_host")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", "/oauth/register"), ("HEAD", "/oauth/sessions"), ("POST", "/oauth/sessions")),
        ("PUT", "/oauth/sessions/x"),
        *(("OPTIONS", "/oauth/register"), ("DELETE", "/oauth/register"), ("PATCH", "/oauth/sessions/x")),
    ],
)
def test_a_wrong_method(proxy: Running, method: str, path: str) -> None:
    """405 in the form of all errors."""
    response = proxy.call(method, path)
    assert response.status_code == 405
    assert_secure(response)
    if method != "HEAD":
        assert_error(response, 405, "method_not_allowed")


# --- registering


def test_an_authorization_url(proxy: Running) -> None:
    """201 with the session; it waits on the redirect URI's own port and path."""
    port, state = free_port(), new_state()
    url = authorization_url(f"http://localhost:{port}/a/callback", state)
    response = proxy.register(authorization_url=url, expires_in=30)
    assert response.status_code == 201
    document = response.json()
    assert 29 < document.pop("expires_in") <= 30
    assert document == {
        "session_id": state,
        "status": "pending",
        "origin": "host",
        "site": SITE,
        "redirect_uri": f"http://localhost:{port}/a/callback",
        "callback_port": port,
    }
    assert next(iter(response.json())) == "session_id"
    login = Login(proxy, port, state, "/a/callback")
    assert_page(login.answer(login.target.removeprefix("/a")), 404)
    login.still_completes()
    assert proxy.gateway.callbacks[0]["path"] == "/a/callback"


def test_ten_minutes_unless_it_is_said(proxy: Running, login: Login) -> None:
    """As long as the CLI itself would wait, more or less."""
    assert 595 < proxy.session(login.state)["expires_in"] <= 600


@pytest.mark.parametrize("entry", ["own port", "redirect port"])
@pytest.mark.parametrize("path", [None, "/x/callback"])
def test_a_session_id_and_a_port(proxy: Running, entry: str, path: str | None) -> None:
    """Both the proxy's own redirect URI and the port's are good; the target is the port."""
    port, state = free_port(), new_state()
    body: dict[str, Any] = {"session_id": state, "callback_port": port} | ({"callback_path": path} if path else {})
    response = proxy.register(**body)
    assert response.status_code == 201
    assert response.json()["redirect_uri"] == f"http://localhost:{proxy.port}/oauth/callback"
    assert response.json()["site"] is None
    where = Login(proxy, port, state, path or "/callback")
    if entry == "own port":
        where = Login(proxy, proxy.port, state, "/oauth/callback")
    assert_page(where.answer(), 200, "Sign-in received")
    (callback,) = proxy.gateway.callbacks
    assert callback == {"host": "localhost", "port": port, "path": path or "/callback", "query": where.query}


def test_a_redirect_uri_of_the_proxys_own(proxy: Running) -> None:
    """It needs the port of the listener in the container; nothing else is listened on."""
    port, state = free_port(), new_state()
    url = authorization_url(f"http://localhost:{proxy.port}/oauth/callback", state)
    assert_error(proxy.register(authorization_url=url), 400, "login_refused")
    assert proxy.register(authorization_url=url, callback_port=port).status_code == 201
    assert listening_on(port) == set()
    Login(proxy, proxy.port, state, "/oauth/callback").still_completes()
    assert proxy.gateway.callbacks[0]["port"] == port
    assert proxy.gateway.callbacks[0]["path"] == "/callback"


def test_the_proxys_own_port_as_the_callback_port(tmp_path: Path) -> None:
    """E18: a server that knows one port only, and it is this one."""
    port = free_port()
    with support.proxy(tmp_path, port=port, callback_port=port) as running:
        Login(running, port, login_on(running, port), "/callback").still_completes()
        assert running.gateway.callbacks[0]["port"] == port
        assert_page(running.get(f"/oauth/callback?code={CODE}&state={login_on(running, port)}"), 400)


def login_on(running: Running, port: int) -> str:
    state = new_state()
    url = authorization_url(f"http://localhost:{port}/callback", state)
    assert running.register(authorization_url=url).status_code == 201
    return state


@pytest.mark.parametrize("port", [22, 25, 80, 443, 1023, 8000, 65536, 0, -1, "own", "gateway"])
def test_ports_that_no_login_may_have(proxy: Running, port: int | str) -> None:
    """P11: those of services, the gateway's inside and outside, the proxy's own."""
    number = {"own": proxy.port, "gateway": proxy.gateway.port}.get(port, port) if isinstance(port, str) else port
    response = proxy.register(authorization_url=authorization_url(f"http://localhost:{number}/callback"))
    assert_error(response, 400, "login_refused")
    assert_error(proxy.register(session_id=new_state(), callback_port=number), 400, "login_refused")
    own = authorization_url(f"http://localhost:{proxy.port}/oauth/callback")
    assert_error(proxy.register(authorization_url=own, callback_port=number), 400, "login_refused")


GOOD = {"session_id": "s", "callback_port": 50000}


@pytest.mark.parametrize(
    "body",
    [
        *({}, [], "x", None, 5, {"session_id": "s"}, {"callback_port": 50000}, {**GOOD, "x": 1}),
        *({**GOOD, "session_id": 5}, {**GOOD, "session_id": ""}, {**GOOD, "session_id": "a b"}),
        *({**GOOD, "session_id": "x" * 513}, {**GOOD, "session_id": "é"}, {**GOOD, "authorization_url": "https://a/"}),
        *({**GOOD, "callback_port": "50000"}, {**GOOD, "callback_port": True}, {**GOOD, "callback_port": 50000.5}),
        *({**GOOD, "callback_path": "/admin"}, {**GOOD, "callback_path": "/../callback"}, {**GOOD, "callback_path": 1}),
        *({**GOOD, "expires_in": 0}, {**GOOD, "expires_in": -1}, {**GOOD, "expires_in": 3601}),
        *({**GOOD, "expires_in": "60"}, {**GOOD, "expires_in": True}, {**GOOD, "expires_in": float("nan")}),
        *({"authorization_url": 5}, {"authorization_url": ""}, {"authorization_url": "https://as.example/"}),
        {"authorization_url": authorization_url("http://localhost:50000/callback"), "callback_port": 50001},
        {"authorization_url": authorization_url("http://localhost:50000/callback"), "callback_path": "/callback"},
        {"authorization_url": authorization_url("http://evil.example:50000/callback")},
    ],
    ids=lambda body: str(body)[:60],
)
def test_what_is_no_registration(proxy: Running, body: Any) -> None:
    """400 without a value of the body; nothing is listened on."""
    response = proxy.call(
        "POST", "/oauth/register", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 400
    assert_error(response, 400, response.json()["error"]["code"])
    assert listening_on(50000) == set()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 10_000], ids=["empty", "half", "no UTF-8", "deep"])
def test_what_is_no_json(proxy: Running, content: bytes) -> None:
    """400 in the form of all errors."""
    response = proxy.call("POST", "/oauth/register", content=content, headers={"Content-Type": "application/json"})
    assert_error(response, 400, "invalid_request")


def test_the_same_state_twice(login: Login) -> None:
    """409, however it is registered; the first one stays."""
    url = authorization_url(f"http://localhost:{free_port()}/callback", login.state)
    assert_error(login.running.register(authorization_url=url), 409, "login_known")
    response = login.running.register(session_id=login.state, callback_port=free_port())
    assert_error(response, 409, "login_known")
    login.still_completes()
    assert_error(login.running.register(authorization_url=url), 409, "login_known")


def test_no_more_than_so_many_wait(tmp_path: Path) -> None:
    """32; one more is told to wait, until one is done."""
    with support.proxy(tmp_path) as running:
        port = free_port()
        logins = [running.login(port=port) for _ in range(32)]
        url = authorization_url(f"http://localhost:{port}/callback", new_state())
        assert_error(running.register(authorization_url=url), 429, "rate_limit_exceeded")
        logins[7].still_completes()
        assert running.register(authorization_url=url).status_code == 201


# --- sessions


def test_a_session_is_told_as_soon_as_it_changes(login: Login) -> None:
    """`wait` and `known`: the answer comes with the callback, not at the end of the wait."""
    began = time.monotonic()
    answering = threading.Timer(0.3, login.answer)
    answering.start()
    path = f"/oauth/sessions/{login.state}?wait=20&known=pending"
    status = login.running.call("GET", path).json()["status"]
    while status == "delivering":
        status = login.running.call("GET", path.replace("pending", status)).json()["status"]
    assert status == "delivered"
    assert 0.2 < time.monotonic() - began < 15
    answering.join()


def test_a_wait_ends(login: Login) -> None:
    """With the status that it has, after the time; without `wait` at once; a `known` that it has not, at once."""
    path = f"/oauth/sessions/{login.state}"
    for query, shortest, longest in (("", 0, 10), ("?known=x&wait=20", 0, 10), ("?wait=0.4", 0.35, 10)):
        began = time.monotonic()
        assert login.running.call("GET", path + query).json()["status"] == "pending"
        assert shortest <= time.monotonic() - began < longest


@pytest.mark.parametrize("wait", ["x", "-1", "1e9", "", "nan", "inf", "1" * 30, "٣"])
def test_what_is_no_wait(login: Login, wait: str) -> None:
    """400."""
    response = login.running.call("GET", f"/oauth/sessions/{login.state}", params={"wait": wait})
    assert_error(response, 400, "invalid_request")


def test_a_session_of_any_state(proxy: Running) -> None:
    """A state may have what means something in a path."""
    for part in ("a/b", "a%2Fb", "a?b=c&d", "a+b=", "a;b", "#", "..a"):
        state = new_state() + part
        login = proxy.login(state=state)
        assert login.status == "pending"
        login.still_completes()
        assert login.status == "delivered"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_session(proxy: Running, method: str) -> None:
    """404 with its own slug."""
    assert_error(proxy.call(method, "/oauth/sessions/unknown"), 404, "login_not_found")


def test_all_sessions(proxy: Running, login: Login) -> None:
    """Those that wait, and those that are over since a short while."""
    done = proxy.login()
    done.still_completes()
    listed = {one["session_id"]: one for one in proxy.call("GET", "/oauth/sessions").json()["sessions"]}
    assert listed[login.state]["status"] == "pending"
    assert listed[done.state]["status"] == "delivered"
    assert listed[done.state]["expires_in"] == 0


def test_a_cancel_changes_what_waits_only(login: Login) -> None:
    """204 in any case."""
    path = f"/oauth/sessions/{login.state}"
    login.still_completes()
    assert login.running.call("DELETE", path).status_code == 204
    assert login.status == "delivered"
    assert_page(login.running.get(f"/oauth/callback?{login.query}"), 400)


def test_the_client_of_the_command_line(proxy: Running) -> None:
    """`ccapi.client.proxy` and this server understand each other."""
    port, state = free_port(), new_state() + "/%?"
    with ProxyClient(f"http://127.0.0.1:{proxy.port}", SECRET) as client:
        url = authorization_url(f"http://localhost:{port}/callback", state)
        session = client.register(url, expires_in=60)
        assert session.status == "pending"
        assert client.wait(session, 0.2).status == "pending"
        Login(proxy, port, state).still_completes()
        assert client.wait(session).over
        with pytest.raises(LoginRefused):
            client.register(url, expires_in=60)
        client.cancel(session)
        with pytest.raises(LoginNotFound):
            client.cancel(replace(session, id="unknown"))
