"""The guided login from its beginning to its end, whatever that is, and what it leaves behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from ccapi.commands.login import Invitation, Phase, SignedIn
from ccapi.commands.loginadvice import Command, no_registration
from ccapi.commands.logindialogue import Dialogue
from ccapi.errors import (
    CcapiError,
    InputNeeded,
    LoginFailed,
    LoginRefused,
    LoginTimeout,
    NoRegistration,
    PortBusy,
    ProxyFailed,
    UsageError,
)
from ccapi.oauth.catalogue import Entry, Way
from ccapi.wire.internal import Probed
from tests.cli.support import DEADLINE
from tests.oauth.loginstage import TOOLS, URL, RecordingView, Stage, staged
from tests.oauth.proxyprocess import until
from tests.oauth.support import Running, get, proxy, raw

_ALL_PHASES: list[Phase] = ["looking", "starting", "waiting", "received", "exchanging", "checking"]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The real proxy; its gateway says that the CLI took the callback."""
    with proxy(tmp_path_factory.mktemp("proxy")) as running:
        yield running


@pytest.fixture
def stage(tmp_path: Path, running: Running) -> Stage:
    running.gateway.outcome = "accepted"
    return staged(tmp_path, running)


@pytest.fixture
def alone(tmp_path: Path) -> Stage:
    """Without a proxy."""
    return staged(tmp_path)


def in_the_browser(stage: Stage, query: str = "") -> RecordingView:
    """A person who allows access as soon as the page is shown; the login may be over before the answer comes."""
    target = f"/callback?{query}" if query else stage.answer.removeprefix(f"http://localhost:{stage.port}")

    def visit(_: Invitation) -> None:
        def go() -> None:
            with contextlib.suppress(ConnectionError):
                raw(stage.port, get(target, f"Host: localhost:{stage.port}"))

        threading.Thread(target=go, daemon=True).start()

    return RecordingView(visit)


def is_listened_to(proxy: Running) -> None:
    """Until the login waits for the proxy's word: a connection that is only just accepted outlives the loop here."""
    until(lambda: proxy.proxy._own.requests_count > 1, "the request that waits, behind the one that registers")


def nothing_is_left(stage: Stage) -> None:
    """No process of the CLI, and nobody who listens."""
    until(lambda: not listened_on(stage.port), "the listener is closed")
    until(lambda: not cli_processes(stage), "the CLI has ended")


def listened_on(port: int) -> bool:
    """As the kernel says. (To try and connect would be in the way of a listener that is just closing.)"""
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
    return any(line[1].endswith(f":{port:04X}") and line[3] == "0A" for line in lines[1:])


def cli_processes(stage: Stage) -> list[int]:
    """Of this stage: they have its configuration in their environment."""
    wanted, found = f"CLAUDE_CONFIG_DIR={stage.container.config}".encode(), []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command, environ = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
        except OSError:
            continue
        if b"scripted_claude" in command and b"login" in command and wanted in environ.split(b"\0"):
            found.append(int(entry.name))
    return found


# --- it goes well


def test_in_the_browser(stage: Stage) -> None:
    """The phases are shown once each and in order; the server stays, and its tools are told."""
    view = in_the_browser(stage)
    done = stage.login(view)
    assert (done.name, done.tools, done.already) == ("demo", TOOLS, False)
    assert view.phases == [phase for phase in _ALL_PHASES if phase in view.phases]
    # Where the CLI is signed in before the proxy's word of its answer is here, what lies between is not shown.
    assert set(_ALL_PHASES) - set(view.phases) <= {"received", "exchanging"}
    assert view.warnings == []
    (invitation,) = view.invitations
    assert invitation.relayed
    assert (invitation.login.site, invitation.login.redirect.port) == ("as.example", stage.port)
    assert stage.configured == {"demo": {"type": "http", "url": URL}}
    nothing_is_left(stage)


def test_pasted(stage: Stage) -> None:
    """What is no answer of this login is refused in words; the right one is typed as it was copied."""
    wrong = ["nonsense", stage.answer.replace("GOOD", "BAD"), "http://localhost:1/callback?code=1&state=2"]
    view = RecordingView(pastes=[*wrong, stage.answer])
    assert stage.login(view).tools == TOOLS
    assert len(view.warnings) == len(wrong)
    assert stage.typed == stage.answer + "\r"
    assert "received" not in view.phases
    nothing_is_left(stage)


def test_without_a_proxy(alone: Stage) -> None:
    """It says so, and the answer is pasted."""
    view = RecordingView(pastes=[alone.answer])
    assert alone.login(view).tools == TOOLS
    assert view.warnings == [
        "The browser's answer cannot be received here, only pasted: Port 8888 is in use by jupyter (PID 7)"
    ]
    assert not view.invitations[0].relayed


def test_a_proxy_that_ends_in_the_middle(stage: Stage, tmp_path: Path) -> None:
    """It says so, and the answer can still be pasted."""
    directory = tmp_path / "other"
    directory.mkdir()
    warned = threading.Event()

    class View(RecordingView):
        def warn(self, text: str) -> None:
            super().warn(text)
            warned.set()

    with proxy(directory) as other:
        stage.proxy_url = f"http://127.0.0.1:{other.port}"
        view, ended = View(), threading.Event()

        def end_it(_: Invitation) -> None:
            ended.set()

        view.act = end_it
        thread = threading.Thread(target=stage.login, args=(view,))
        thread.start()
        assert ended.wait(DEADLINE)
        is_listened_to(other)
    assert warned.wait(DEADLINE)
    stage.delivered()
    thread.join(DEADLINE)
    assert "only pasted: the OAuth proxy has ended" in view.warnings[0]
    assert view.phases[-1] == "checking"


def test_a_proxy_that_is_started_anew(stage: Stage, tmp_path: Path) -> None:
    """The login is registered with it as well, so the browser's answer arrives; nobody has to be told."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    invited = threading.Event()
    view = RecordingView(lambda _: invited.set())
    done: list[SignedIn] = []
    with proxy(first) as other:
        port = other.port
        stage.proxy_url = f"http://127.0.0.1:{port}"
        thread = threading.Thread(target=lambda: done.append(stage.login(view)))
        thread.start()
        assert invited.wait(DEADLINE)
        is_listened_to(other)
    with proxy(second, port=port) as anew:
        anew.gateway.during = stage.delivered
        until(lambda: anew.proxy.relay.registry.pending > 0, "the login is registered once more")
        in_the_browser(stage).invite(view.invitations[0])
        thread.join(DEADLINE)
        nothing_is_left(stage)
    assert [one.tools for one in done] == [TOOLS]
    assert view.warnings == []


def test_a_server_without_a_login(stage: Stage) -> None:
    """It is added, and no browser is needed."""
    stage.gateway.probed = Probed("ok", tools=TOOLS)
    stage.has("other", signed_in=True)
    (stage.container.config / "signed-in" / "demo").touch()  # the CLI connects to it
    view = RecordingView()
    assert stage.login(view).open
    assert view.invitations == []
    assert set(stage.configured) == {"demo", "other"}


def test_the_port_that_it_must_come_back_to(stage: Stage) -> None:
    """It is in the redirect URI of this login, and in the configuration for later ones."""
    port, stage.script["port"] = stage.port, 1
    stage.plays()
    stage.script["port"] = port
    stage.login(in_the_browser(stage), callback_port=port)
    assert stage.configured["demo"]["oauth"] == {"callbackPort": port}


def test_an_app_of_ones_own(stage: Stage) -> None:
    """The client id is configured; the secret is on no command line."""
    stage.gateway.probed = Probed("unauthorized", issuer="https://as.example")
    stage.script["port"] = 18888
    stage.plays()
    stage.login(in_the_browser(stage), client_id="my-app", client_secret="s3cret-of-the-app")
    assert stage.configured["demo"]["oauth"] == {"clientId": "my-app", "callbackPort": 18888}
    assert "s3cret" not in str(stage.container.commands)


def test_a_server_of_the_catalogue(stage: Stage) -> None:
    """Needs no address, and has the port that its vendor knows."""
    entry = Entry("demo", "Demo", "pages", URL, ("browser",), "A", callback_port=stage.port)
    stage.login(in_the_browser(stage), entry, url=None)
    assert stage.configured["demo"] == {"type": "http", "url": URL, "oauth": {"callbackPort": stage.port}}


@pytest.mark.parametrize("before", [False, True])
def test_a_client_that_the_vendor_knows(stage: Stage, before: bool) -> None:
    """A server that registers nobody is signed in to as Claude Code, also where it was configured without that."""
    stage.gateway.probed = Probed("unauthorized", issuer="https://as.example")
    if before:
        stage.has("demo", signed_in=False)
    entry = Entry("demo", "Demo", "pages", URL, ("browser",), "A", callback_port=stage.port, client_id="claude-code")
    assert stage.login(in_the_browser(stage), entry, url=None).tools == TOOLS
    assert stage.configured["demo"]["oauth"] == {"clientId": "claude-code", "callbackPort": stage.port}


def test_a_client_of_another_address(stage: Stage) -> None:
    """What the vendor knows is not given to another server of that name; an app of one's own comes first."""
    stage.gateway.probed = Probed("unauthorized", issuer="https://as.example")
    entry = Entry("demo", "Demo", "pages", URL, ("browser",), "A", callback_port=stage.port, client_id="claude-code")
    with pytest.raises(NoRegistration):
        stage.login(RecordingView(), entry, url="https://other.example/mcp")
    stage.login(in_the_browser(stage), entry, client_id="my-app")
    assert stage.configured["demo"]["oauth"]["clientId"] == "my-app"


# --- a login that works


def test_a_login_that_works_is_kept(stage: Stage) -> None:
    """It is asked before; after a no, nothing has changed."""
    stage.has("demo", signed_in=True)
    view = RecordingView(agrees=False)
    done = stage.login(view)
    assert (done.already, done.tools) == (True, TOOLS)
    assert view.asked == [TOOLS]
    assert stage.gateway.server("demo") == stage.gateway.server("demo")
    assert view.invitations == []


def test_nobody_to_ask(stage: Stage) -> None:
    """Then it is an error, and the login that works is still there."""
    stage.has("demo", signed_in=True)
    with pytest.raises(InputNeeded):
        stage.login(RecordingView(agrees=InputNeeded("no one")))
    assert (stage.container.config / "signed-in" / "demo").exists()


def test_replacing_is_not_asked_with_force(stage: Stage) -> None:
    """And when the new login fails, it is said that the old one is gone, as the CLI has it."""
    stage.has("demo", signed_in=True)
    stage.plays(end="OAuth error: access_denied - The user said no")
    view = in_the_browser(stage, f"error=access_denied&state={stage.script['state']}")
    with pytest.raises(LoginFailed):
        stage.login(view, replace=True)
    assert view.asked == []
    assert "is gone" in view.warnings[-1]
    assert set(stage.configured) == {"demo"}, "it was there before, and stays"


def test_another_address(stage: Stage) -> None:
    """A login at another address that fails leaves the old address."""
    stage.has("demo", signed_in=False, url="https://old.example/mcp")
    stage.plays(end="OAuth error: server_error")
    with pytest.raises(LoginFailed):
        stage.login(in_the_browser(stage))
    assert stage.configured["demo"]["url"] == "https://old.example/mcp"


# --- it does not go well


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("OAuth error: access_denied - The user said no", "was told not to allow access"),
        ("Issuer mismatch: expected https://a, got https://b", "may be an attack"),
        ("SDK auth failed: Incompatible auth server: does not support dynamic client registration", "registered"),
        ("Refusing to send credentials to non-https token endpoint http://x", "unencrypted"),
        ("SDK auth failed: something new", "something new"),
    ],
)
def test_why_it_failed(stage: Stage, reason: str, said: str) -> None:
    """In words for people, with the command to go on with; nothing is left of it."""
    stage.plays(end=reason)
    with pytest.raises(LoginFailed) as raised:
        stage.login(in_the_browser(stage), callback_port=stage.port)
    assert said in raised.value.message
    assert raised.value.hint
    assert raised.value.hint.count("--callback-port") <= 1
    assert stage.configured == {}
    nothing_is_left(stage)


def test_a_listener_that_refuses(stage: Stage, running: Running) -> None:
    """The CLI's listener wanted another state: the login is over, and it says how to begin another."""
    running.gateway.outcome = "refused"
    running.gateway.during = None
    with pytest.raises(LoginFailed, match="did not take it") as raised:
        stage.login(in_the_browser(stage))
    assert raised.value.hint == f"Start again: ccapi auth demo --url {URL}"
    nothing_is_left(stage)


def test_the_redirect_port_is_busy(stage: Stage) -> None:
    """The owner is named, and no browser is opened."""
    with socket.create_server(("127.0.0.1", stage.port)):
        view = RecordingView()
        with pytest.raises(PortBusy, match=rf"{stage.port}.*PID {os.getpid()}"):
            stage.login(view)
    assert view.invitations == []
    assert stage.configured == {}
    nothing_is_left(stage)


def test_the_time_is_over(stage: Stage) -> None:
    """Exit code 124, and nothing is left."""
    with pytest.raises(LoginTimeout) as raised:
        stage.login(RecordingView(), timeout=0.3)
    assert raised.value.exit_code == 124
    assert stage.configured == {}
    nothing_is_left(stage)


def test_the_cli_is_killed(stage: Stage) -> None:
    """One clear line."""

    def kill(_: Invitation) -> None:
        for pid in cli_processes(stage):
            os.kill(pid, signal.SIGKILL)

    with pytest.raises(LoginFailed, match="was ended in the middle") as raised:
        stage.login(RecordingView(kill))
    assert (raised.value.hint or "").startswith("Start again: ccapi auth demo")
    nothing_is_left(stage)


def test_the_cli_fails_before_there_is_a_url(stage: Stage) -> None:
    """Its reason is told."""
    stage.plays(at_once=True, end="SDK auth failed: fetch failed")
    with pytest.raises(LoginFailed, match="cannot be reached from the container"):
        stage.login(RecordingView())
    assert stage.configured == {}


def test_the_cli_shows_no_url(stage: Stage) -> None:
    """It is not waited for without an end."""
    stage.plays(silent=True)
    stage.has("demo", signed_in=False)
    with stage.container.terminal("claude", "mcp", "login", "demo") as terminal:
        dialogue = Dialogue(Command("demo"), terminal, stage.parts.proxy, RecordingView(), timeout=30, url_within=0.3)
        with pytest.raises(LoginFailed, match="shows no address"):
            dialogue.run()
    nothing_is_left(stage)


def test_a_url_that_is_not_relayed(stage: Stage) -> None:
    """A redirect to a port of the system is refused before anything is opened."""
    stage.script["port"] = 22
    stage.plays()
    view = RecordingView()
    with pytest.raises(LoginRefused):
        stage.login(view)
    assert view.invitations == []
    assert stage.configured == {}


def test_neither_proxy_nor_paste(alone: Stage) -> None:
    """Then there is no way for the answer to come, and that is said."""
    with pytest.raises(ProxyFailed):
        alone.login(RecordingView(can_paste=False))
    assert alone.configured == {}


def test_no_registration(stage: Stage) -> None:
    """It is known before a browser is opened, and the two ways out are told."""
    stage.gateway.probed = Probed("unauthorized", issuer="https://as.example")
    with pytest.raises(NoRegistration) as raised:
        stage.login(RecordingView())
    assert raised.value.exit_code == 4
    assert f"ccapi auth demo --url {URL} --with-token" in (raised.value.hint or "")
    assert stage.configured == {}


@pytest.mark.parametrize(
    ("ways", "token", "app"),
    [
        (("client-id",), False, True),
        (("browser", "token"), True, False),
        (("token", "client-id"), True, True),
        (("browser",), True, True),  # the catalogue is wrong about it, so it may be either
    ],
)
def test_the_ways_out_that_there_are(ways: tuple[Way, ...], token: bool, app: bool) -> None:
    """Nothing is told to be tried that the vendor does not have."""
    entry = Entry("demo", "Demo", "pages", URL, ways, "A")
    hint = no_registration(Command("demo"), entry).hint or ""
    assert ("--with-token" in hint, "--client-id ID" in hint) == (token, app)


def test_what_is_typed_to_try_again() -> None:
    """All that was given, for a shell; each option once, also where another value of it is told to be tried."""
    command = Command("demo", "https://x.example/mcp?a=1&b=2", trust_url=True, client_id="my app", callback_port=1234)
    address = "ccapi auth demo --url 'https://x.example/mcp?a=1&b=2'"
    assert str(command) == f"{address} --client-id 'my app' --callback-port 1234 --trust-url"
    assert command.with_client == f"{address} --client-id ID --callback-port 1234 --trust-url"
    assert command.with_port == f"{address} --client-id 'my app' --callback-port PORT --trust-url"
    assert command.with_token == f"{address} --trust-url --with-token"
    assert str(Command("notion")) == "ccapi auth notion"


def test_an_authorization_server_that_says_nothing(stage: Stage) -> None:
    """Without any metadata it is for the CLI to find out."""
    stage.gateway.probed = Probed("unauthorized")
    assert stage.login(in_the_browser(stage)).tools == TOOLS


@pytest.mark.parametrize(
    ("probed", "said"),
    [
        (
            Probed("unreachable", detail="Connection refused"),
            "cannot be reached from the container: Connection refused",
        ),
        (Probed("no_mcp"), "is no MCP server"),
    ],
)
def test_an_address_that_leads_nowhere(stage: Stage, probed: Probed, said: str) -> None:
    """Nothing is added for it."""
    stage.gateway.probed = probed
    for entry, url in ((None, URL), (Entry("demo", "Demo", "pages", URL, ("browser",), "A"), None)):
        with pytest.raises(LoginFailed, match=said) as raised:
            stage.login(RecordingView(), entry, url=url)
        mistyped = "often ends in /mcp" in (raised.value.hint or "")
        assert mistyped == (probed.outcome == "no_mcp" and url is not None)
    assert stage.configured == {}


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ({"name": "--scope"}, UsageError),
        ({"url": "http://10.0.0.1/mcp"}, UsageError),
        ({"url": None}, UsageError),
    ],
)
def test_what_is_no_server(stage: Stage, wanted: dict[str, Any], error: type[CcapiError]) -> None:
    """A name or an address that Claude Code must not get, and a name that stands for nothing."""
    with pytest.raises(error):
        stage.login(RecordingView(), **wanted)
    assert stage.configured == {}


@pytest.mark.parametrize("moment", [phase for phase in get_args(Phase) if phase != "healthy"])
def test_ctrl_c(stage: Stage, running: Running, moment: Phase) -> None:
    """At any moment: no listener, no process, and no server that is half there."""
    if moment in {"received", "exchanging"}:  # not passed over: the CLI does not come to its end before these are shown
        running.gateway.during = None
    view = in_the_browser(stage)
    view.interrupt = moment
    with pytest.raises(KeyboardInterrupt):
        stage.login(view)
    nothing_is_left(stage)
    assert set(stage.configured) == ({"demo"} if moment == "checking" else set()), "after the login it stays"
