"""Logins that are started inside the container (rows P74, P75), and the question before a browser opens for one."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccapi.oauth import consent
from ccapi.oauth.login import OPEN
from tests.cli.support import free_port
from tests.gateway.harness import await_that
from tests.oauth import support
from tests.oauth.support import (
    MARKER,
    FakeGateway,
    Login,
    Running,
    assert_closed,
    authorization_url,
    listening_on,
    new_state,
)

pytestmark = pytest.mark.usefixtures("clean_log")


@pytest.fixture
def heard(proxy: Running, caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What the watcher logs; and it has caught up at the end."""
    caplog.set_level(logging.INFO)
    yield caplog
    await_that(lambda: not proxy.gateway.logins, "all are acknowledged")


def sessions(proxy: Running) -> list[dict[str, object]]:
    listed = proxy.call("GET", "/oauth/sessions").json()["sessions"]
    return [one for one in listed if one["origin"] == "container" and one["status"] in OPEN]


def test_a_login_of_the_container_is_listened_for(proxy: Running, heard: pytest.LogCaptureFixture) -> None:
    """It is acknowledged, shown with host and port only, and its callback is delivered."""
    port, state = free_port(), new_state()
    number = proxy.gateway.reports(authorization_url(f"http://127.0.0.1:{port}/callback", state))
    await_that(lambda: number in proxy.gateway.acknowledged, "acknowledged")
    (shown,) = sessions(proxy)
    assert shown.pop("expires_in")
    assert shown == {
        "session_id": number,
        "status": "pending",
        "origin": "container",
        "site": "as.example",
        "redirect_uri": f"http://127.0.0.1:{port}/callback",
        "callback_port": port,
    }
    assert listening_on(port) == {"127.0.0.1", "::1"}
    answer = Login(proxy, port, state).answer()
    support.assert_page(answer, 200, "Sign-in received")
    assert proxy.session(number)["status"] == "delivered"
    line = f"login started in the container: as.example, port {port}; open the URL that Claude Code printed"
    assert line in heard.text


def test_it_expires(proxy: Running) -> None:
    """After the time that the gateway says; the listener closes."""
    port = free_port()
    number = proxy.gateway.reports(authorization_url(f"http://localhost:{port}/callback", new_state()), expires_in=0.1)
    await_that(lambda: number in proxy.gateway.acknowledged, "acknowledged")
    await_that(lambda: proxy.session(number)["status"] == "expired", "expired")
    assert_closed(port)


def test_it_is_given_up_with_the_cli(proxy: Running, heard: pytest.LogCaptureFixture) -> None:
    """P09: Ctrl-C in the container closes the listener on this machine, and the session says so."""
    port = free_port()
    number = proxy.gateway.reports(authorization_url(f"http://localhost:{port}/callback", new_state()))
    await_that(lambda: number in proxy.gateway.acknowledged, "acknowledged")
    assert listening_on(port)
    proxy.gateway.over.add(number)
    assert_closed(port)
    assert proxy.session(number)["status"] == "cancelled"
    assert f"as.example, port {port}: cancelled" in heard.text


def test_it_is_given_up_with_the_container(tmp_path: Path) -> None:
    """A gateway that is not there is asked twice; then the CLI that was beside it has ended, too."""
    fake = FakeGateway()
    with support.proxy(tmp_path, fake):
        port = free_port()
        fake.reports(authorization_url(f"http://localhost:{port}/callback", new_state()))
        await_that(lambda: fake.acknowledged, "acknowledged")
        fake.gone = True
        assert_closed(port)


def test_an_old_gateway_that_cannot_be_asked_for_the_end_keeps_the_login(proxy: Running) -> None:
    """It answers 404 as well, but does not say that the login is over."""
    port, state = free_port(), new_state()
    proxy.gateway.old = True
    number = proxy.gateway.reports(authorization_url(f"http://localhost:{port}/callback", state))
    await_that(lambda: proxy.gateway.requests.count(f"GET /internal/v1/logins/{number}") > 1, "asked twice")
    assert proxy.session(number)["status"] == "pending"
    support.assert_page(Login(proxy, port, state).answer(), 200, "Sign-in received")


def test_another_login_on_its_port_takes_its_place(proxy: Running) -> None:
    """The CLI gives a server the same port each time, and the container has one listener on it: the second one's."""
    port, states = free_port(), [new_state(), new_state()]
    first, second = (
        proxy.gateway.reports(authorization_url(f"http://localhost:{port}/callback", state)) for state in states
    )
    await_that(lambda: {first, second} <= set(proxy.gateway.acknowledged), "acknowledged")
    proxy.gateway.over.add(first)
    await_that(lambda: proxy.session(first)["status"] == "cancelled", "the first one is over")
    assert listening_on(port) == {"127.0.0.1", "::1"}
    support.assert_page(Login(proxy, port, states[0]).answer(), 410)
    support.assert_page(Login(proxy, port, states[1]).answer(), 200, "Sign-in received")
    assert len(proxy.gateway.callbacks) == 1


def test_a_login_of_the_host_on_its_port_stays(proxy: Running, login: Login) -> None:
    """Whatever the container reports, and whatever becomes of that."""
    number = proxy.gateway.reports(authorization_url(f"http://localhost:{login.port}/callback", new_state()))
    await_that(lambda: number in proxy.gateway.acknowledged, "acknowledged")
    proxy.gateway.over.add(number)
    await_that(lambda: proxy.session(number)["status"] == "cancelled", "the container's is over")
    login.still_completes()


def test_it_does_not_wait_for_ever(proxy: Running) -> None:
    """Whatever the gateway says: ten minutes at most."""
    port = free_port()
    number = proxy.gateway.reports(authorization_url(f"http://localhost:{port}/callback", new_state()), expires_in=1e9)
    await_that(lambda: number in proxy.gateway.acknowledged, "acknowledged")
    assert 590 < proxy.session(number)["expires_in"] <= 600
    proxy.call("DELETE", f"/oauth/sessions/{number}")


def test_a_busy_port_is_logged_with_its_owner(proxy: Running, heard: pytest.LogCaptureFixture) -> None:
    """There is nobody else to be told."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        number = proxy.gateway.reports(authorization_url(f"http://localhost:{port}/callback", new_state()))
        await_that(lambda: number in proxy.gateway.acknowledged, "acknowledged")
    assert f"Port {port}, which this login comes back to, is in use by " in heard.text
    assert "pytest" in heard.text
    assert not sessions(proxy)


BAD = [
    "file:///etc/passwd",
    "javascript:alert(1)",
    "data:text/html,x",
    "vscode://x",
    "ssh://x",
    "--flag",
    "",
    "https://evil.example/\x1b[2J",
    "http://192.168.0.1/authorize?redirect_uri=http://localhost:50001/callback&state=x",
    "https://evil.example/authorize?redirect_uri=http://localhost:50001/callback&state=x#" + MARKER,
    authorization_url("http://localhost:22/callback"),
    authorization_url("http://localhost:8000/callback"),
    authorization_url("http://evil.example:50001/callback"),
    authorization_url("https://localhost:50001/callback"),
    authorization_url("http://localhost:50001/callback") + "&x=" * 5000,
    authorization_url("http://localhost:50001/callback", site="evil.example\\@as.example"),
    authorization_url("http://localhost:50001/callback", site="as.example<b>"),
]


@pytest.mark.parametrize("url", BAD, ids=lambda url: repr(url)[:50])
def test_what_is_no_login_opens_nothing(proxy: Running, heard: pytest.LogCaptureFixture, url: str) -> None:
    """P74, P75: acknowledged and logged without any of it; no listener."""
    number = proxy.gateway.reports(url)
    await_that(lambda: number in proxy.gateway.acknowledged, "acknowledged")
    assert not sessions(proxy)
    assert listening_on(50001) == set()
    assert "login started in the container: " in heard.text
    assert "evil" not in heard.text


@pytest.mark.parametrize("path", ["/oauth/callback", "/callback"])
def test_the_proxys_own_port_is_not_the_containers(proxy: Running, path: str) -> None:
    """It would name no listener."""
    number = proxy.gateway.reports(authorization_url(f"http://localhost:{proxy.port}{path}", new_state()))
    await_that(lambda: number in proxy.gateway.acknowledged, "acknowledged")
    assert not sessions(proxy)


def test_the_container_cannot_keep_the_persons_logins_out(proxy: Running) -> None:
    """Eight of it at once at most; a login of the host is taken all the same."""
    port = free_port()
    numbers = [
        proxy.gateway.reports(authorization_url(f"http://localhost:{port}/callback", new_state())) for _ in range(20)
    ]
    await_that(lambda: set(numbers) <= set(proxy.gateway.acknowledged), "acknowledged")
    waiting = sessions(proxy)
    assert len(waiting) == 8
    proxy.login().still_completes()
    for one in waiting:
        proxy.call("DELETE", f"/oauth/sessions/{one['session_id']}")


def test_a_login_that_cannot_be_acknowledged_is_taken_once(proxy: Running, caplog: pytest.LogCaptureFixture) -> None:
    """The gateway goes on to report it, under an id that is none; nothing spins."""
    caplog.set_level(logging.INFO)
    port = free_port()
    url = authorization_url(f"http://localhost:{port}/callback", new_state())
    asked = len(proxy.gateway.requests)
    proxy.gateway.logins.append({"id": "../callbacks", "url": url, "expires_in": 60})
    await_that(lambda: listening_on(port), "listened for")
    time.sleep(0.5)
    proxy.gateway.logins.clear()
    assert caplog.text.count("login started in the container") == 1
    assert len(proxy.gateway.requests) - asked < 5
    for one in sessions(proxy):
        proxy.call("DELETE", f"/oauth/sessions/{str(one['session_id']).replace('/', '%2F')}")


@pytest.mark.parametrize(
    "logins", [[{}], ["x"], [{"id": "a", "url": 5, "expires_in": "soon"}], [{"id": None, "url": None}]], ids=str
)
def test_a_list_of_another_form_is_passed_over(tmp_path: Path, logins: list[dict[str, object]]) -> None:
    """And the next one is seen."""
    with support.proxy(tmp_path) as running:
        running.gateway.logins = logins
        await_that(lambda: running.gateway.requests, "asked")
        running.gateway.logins = []
        port = free_port()
        running.gateway.reports(authorization_url(f"http://localhost:{port}/callback", new_state()))
        await_that(lambda: listening_on(port), "listened for")


def test_a_gateway_that_comes_back_is_asked_again(tmp_path: Path) -> None:
    """As after a restart of the container."""
    with support.proxy(tmp_path, FakeGateway(secret=None)) as running:
        await_that(lambda: running.gateway.requests, "asked, and refused")
        running.gateway.secret = support.SECRET
        port = free_port()
        running.gateway.reports(authorization_url(f"http://localhost:{port}/callback", new_state()))
        await_that(lambda: listening_on(port), "listened for")


# --- the question


def found(*names: str) -> consent.Which:
    return lambda name: f"/usr/bin/{name}" if name in names else None


@pytest.mark.parametrize(("programs", "first"), [(("zenity", "kdialog"), "zenity"), (("kdialog",), "kdialog")])
def test_the_question_is_one_argument_and_names_the_site_in_full(programs: tuple[str, ...], first: str) -> None:
    """The site comes from the container: it is no markup, no option, no script."""
    command = consent.dialog("Open as.example?", "linux", found(*programs))
    assert command
    assert command[0] == f"/usr/bin/{first}"
    assert [argument for argument in command if "as.example" in argument] == [command[-1]]
    assert command[-1] in {"--text=Open as.example?", "Open as.example?"}
    assert ("--no-markup" in command) == (first == "zenity")


def test_the_question_on_a_mac() -> None:
    """The script is fixed; the question is handed to it."""
    command = consent.dialog('Open "as.example"?', "darwin", found("osascript"))
    assert command
    assert command[:2] == ["/usr/bin/osascript", "-e"]
    assert "as.example" not in command[2]
    assert command[3] == 'Open "as.example"?'


def test_nothing_to_ask_with() -> None:
    """Then nothing is opened."""
    assert consent.dialog("Open as.example?", "linux", found()) is None


@pytest.mark.parametrize(("status", "opened"), [(0, True), (1, False)])
async def test_the_browser_opens_after_a_yes_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, opened: bool
) -> None:
    """The programs are stand-ins that keep what they were given."""
    log = tmp_path / "log"
    for name, code in (("zenity", status), ("browser", 0)):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" {name} "$@" >> {log}\nexit {code}\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("BROWSER", str(tmp_path / "browser"))
    url = authorization_url("http://localhost:50000/callback", "x")
    await consent.ask_and_open("as.example", url)
    lines = log.read_text().splitlines()
    assert lines[0] == "zenity"
    assert any("Open as.example in your browser?" in line for line in lines)
    assert (lines[-2:] == ["browser", url]) == opened
    assert (url in lines) == opened


async def test_a_browser_that_stays_open_keeps_nothing_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some end only when the person closes them; the server can end all the same."""
    pid = tmp_path / "pid"
    stays = f"echo $$ >{pid}.new; /bin/mv {pid}.new {pid}; exec /bin/sleep 60"
    for name, does in (("zenity", "exit 0"), ("browser", stays)):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{does}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("BROWSER", str(tmp_path / "browser"))
    opening = asyncio.create_task(consent.ask_and_open("as.example", "https://as.example"))
    await asyncio.to_thread(await_that, pid.exists, "the browser runs", 20)
    try:
        async with asyncio.timeout(20):
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)
