"""A login as the person sees it: on a terminal, over SSH, in a pipe; and what the terminal is like afterwards."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.support import DEADLINE, SGR, Terminal, clean_environ, on_terminal, read_line
from tests.oauth.loginstage import URL, Stage, staged
from tests.oauth.proxyprocess import until
from tests.oauth.support import Running, get, proxy, raw

LINK = re.compile(r"\x1b\]8;;([^\x1b\x07]+)\x1b\\([^\x1b]+)\x1b\]8;;\x1b\\")
WAITING = "Waiting for you to allow access in the browser"
SIGNED_IN = "✓ Signed in to demo · 2 tools: read_page, search"


class Auth:
    """`ccapi auth demo`, on its stage. `environ` is what its environment has besides."""

    def __init__(self, directory: Path, running: Running | None) -> None:
        self.stage: Stage = staged(directory, running)
        self.secret_file = running.config.secret_file if running else ""
        self.directory = directory
        self.environ = clean_environ(directory / "home")

    def command(self, wishes: dict[str, Any]) -> list[str]:
        where = [str(self.directory), self.stage.proxy_url or "", self.secret_file]
        return [sys.executable, "-m", "tests.oauth.drivelogin", *where, json.dumps(wishes)]

    @contextmanager
    def terminal(self, *, columns: int = 80, **wishes: Any) -> Iterator[Terminal]:
        """With a person there; in the end the terminal is as it was before."""
        with on_terminal(self.command(wishes), self.environ, self.directory, columns=columns) as terminal:
            yield terminal
            terminal.read_all()
            assert terminal.modes == terminal.before
            assert terminal.text.rfind("\x1b[?25l") <= terminal.text.rfind("\x1b[?25h"), "the cursor is back"

    @contextmanager
    def pipe(self, **wishes: Any) -> Iterator[subprocess.Popen[bytes]]:
        """Where nobody can be asked."""
        with subprocess.Popen(
            self.command(wishes),
            env=self.environ,
            cwd=self.directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def run(self, **wishes: Any) -> subprocess.CompletedProcess[str]:
        """To its end, in a pipe, by itself."""
        with self.pipe(**wishes) as process:
            out, err = process.communicate(timeout=DEADLINE)
        return subprocess.CompletedProcess([], process.returncode, out.decode(), err.decode())

    def allow(self) -> None:
        """Come back from the browser."""
        target = self.stage.answer.partition(str(self.stage.port))[2]
        threading.Thread(
            target=raw, args=(self.stage.port, get(target, f"Host: localhost:{self.stage.port}")), daemon=True
        ).start()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with proxy(tmp_path_factory.mktemp("proxy")) as running:
        yield running


@pytest.fixture
def auth(tmp_path: Path, running: Running) -> Auth:
    return Auth(tmp_path, running)


@pytest.fixture
def unrelayed(tmp_path: Path) -> Auth:
    """Without a proxy."""
    return Auth(tmp_path, None)


def shown(text: str) -> str:
    """What stays on the screen, more or less: without the lines that were taken away again, and without colours."""
    text = re.sub(r"[^\n]*\r\x1b\[(?:1A\x1b\[)?2K", "", text)
    return SGR.sub("", re.sub(r"\x1b\[\?25[lh]", "", text))


# --- on a terminal


def test_a_login(auth: Auth) -> None:
    """The address is one unbroken link, whatever the width; then it is waited for, and the tools are told."""
    with auth.terminal(columns=60) as terminal:
        terminal.read_until("Waiting for you to allow")
        auth.allow()
    assert terminal.process.returncode == 0
    ((target, text),) = LINK.findall(terminal.text)
    assert target == text
    assert target.startswith("https://as.example/authorize?")
    assert SIGNED_IN in SGR.sub("", terminal.text)
    # "Signing in" is there only for who looks while it lasts.
    for phase in ("Looking at the server", "Claude Code asks the server for a login", "Checking"):
        assert phase in terminal.text


@pytest.mark.parametrize("display", ["BROWSER", "none"])
def test_the_browser_is_opened(auth: Auth, display: str) -> None:
    """With exactly that address, and nothing that it prints reaches the terminal; not where there is no display."""
    seen = auth.directory / "seen"
    program = auth.directory / "browser"
    program.write_text(f'#!/bin/sh\necho noise; echo noise >&2\nprintf %s "$1" >{seen}.new && mv {seen}.new {seen}\n')
    program.chmod(0o755)
    if display == "BROWSER":
        auth.environ["BROWSER"] = str(program)
    with auth.terminal() as terminal:
        terminal.read_until(WAITING)
        if display == "BROWSER":
            until(seen.exists, "the browser has opened the page")
        auth.allow()
    assert "noise" not in terminal.text
    ((target, _),) = LINK.findall(terminal.text)
    assert seen.exists() == (display == "BROWSER")
    if seen.exists():
        assert seen.read_text() == target
    opens = "Your browser opens this page" if display == "BROWSER" else "Open this page in a browser"
    assert opens in terminal.text


def test_a_browser_that_does_not_open(auth: Auth) -> None:
    """It is said, and the login goes on."""
    auth.environ["BROWSER"] = "/bin/false"
    with auth.terminal() as terminal:
        terminal.read_until("no browser could be opened")
        auth.allow()
    assert terminal.process.returncode == 0


@pytest.mark.parametrize("never", [False, True])
def test_no_browser(auth: Auth, never: bool) -> None:
    """It is not opened when that was not wanted, now or ever."""
    auth.environ["BROWSER"] = f"touch {auth.directory}/opened"
    if never:
        auth.environ["CCAPI_OAUTH_OPEN_BROWSER"] = "never"
    with auth.terminal(browser=never) as terminal:
        terminal.read_until(WAITING)
        auth.allow()
    assert not (auth.directory / "opened").exists()


def test_over_ssh(auth: Auth) -> None:
    """The line that lets the answer through is shown, for this port and this machine; no browser is opened here."""
    auth.environ |= {"SSH_CONNECTION": "192.0.2.7 50000 192.0.2.1 22", "BROWSER": f"touch {auth.directory}/opened"}
    with auth.terminal() as terminal:
        terminal.read_until(WAITING)
        auth.allow()
    port = auth.stage.port
    assert re.search(rf"(?m)^ssh -L {port}:localhost:{port} \S+@192\.0\.2\.1$", terminal.text)
    assert not (auth.directory / "opened").exists()


def test_pasting(auth: Auth) -> None:
    """A mistake is told and can be mended; more than a terminal's line holds arrives whole; nothing is echoed."""
    long = auth.stage.answer.replace("C0DE", "C0DE" * 2000)
    with auth.terminal() as terminal:
        terminal.read_until(WAITING)
        terminal.type(b"M1STAKE\r")
        terminal.read_until("The address must begin with")
        terminal.type(b"typed wrongly\x15" + long.encode() + b"x\x7f\r")
    assert terminal.process.returncode == 0
    assert auth.stage.typed == f"{long}\r"
    assert "C0DE" not in terminal.text
    assert "M1STAKE" not in terminal.text


def test_without_a_proxy(unrelayed: Auth) -> None:
    """It says why, and that the address must be pasted."""
    with unrelayed.terminal() as terminal:
        terminal.read_until(WAITING)
        terminal.type(unrelayed.stage.answer.encode() + b"\r")
    assert terminal.process.returncode == 0
    text = shown(terminal.text)
    assert "only pasted: Port 8888 is in use by jupyter (PID 7)" in text
    assert "When you have allowed access, copy the address of that page and paste it here" in text


@pytest.mark.parametrize(("columns", "drawn"), [(120, True), (30, False)])
def test_a_qr_code(auth: Auth, columns: int, drawn: bool) -> None:
    """It is drawn if it fits into the window, and said if it does not."""
    with auth.terminal(columns=columns, qr=True) as terminal:
        terminal.read_until("Waiting for you")
        auth.allow()
    assert ("▄▄▄▄▄" in terminal.text) == drawn
    assert ("too narrow for the QR code" in terminal.text) == (not drawn)


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (lambda terminal: terminal.type(b"\x03"), 130),
        (lambda terminal: terminal.process.send_signal(signal.SIGTERM), 143),
        (lambda terminal: terminal.process.send_signal(signal.SIGHUP), 129),
    ],
)
def test_it_is_interrupted(auth: Auth, end: Callable[[Terminal], None], code: int) -> None:
    """The exit code that shells expect, a terminal as before, and nothing that is half there."""
    with auth.terminal() as terminal:
        terminal.read_until(WAITING)
        end(terminal)
    assert terminal.process.returncode == code
    assert auth.stage.configured == {}
    assert "Traceback" not in terminal.text


def test_the_time_is_over(auth: Auth) -> None:
    """Exit code 124, and how to get more."""
    with auth.terminal(timeout=1.0) as terminal:
        pass
    assert terminal.process.returncode == 124
    assert "nobody signed in within 1 seconds" in terminal.text
    assert f"ccapi auth demo --url {URL} --timeout SECONDS" in terminal.text


@pytest.mark.parametrize(("answer", "code"), [(b"n", 1), (b"y", 0)])
def test_a_login_that_works(auth: Auth, answer: bytes, code: int) -> None:
    """It is asked for before it is given up."""
    auth.stage.has("demo", signed_in=True)
    with auth.terminal() as terminal:
        terminal.read_until("[y/N]")
        terminal.type(answer + b"\r")
        if answer == b"y":
            terminal.read_until(WAITING)
            auth.allow()
    assert terminal.process.returncode == code
    text = shown(terminal.text)
    assert "You are signed in to demo, and it works · 2 tools: read_page, search." in text
    assert ("Nothing was changed" in text) == (answer == b"n")


def test_a_server_that_registers_nobody(auth: Auth) -> None:
    """The person is asked for another way; the token that is typed does not show, and a wrong one is not kept."""
    auth.stage.plays(unregistered=True)
    with auth.terminal() as terminal:
        terminal.read_until("How do you want to sign in to demo?")
        terminal.read_until("With an OAuth app of your own")
        terminal.type(b"\r")
        terminal.read_until("Token for demo (it does not show)")
        terminal.type(b"t0ken-of-mine\r")
    assert terminal.process.returncode == 1
    assert "demo does not accept this token; nothing was kept" in terminal.text
    assert "t0ken" not in terminal.text
    assert auth.stage.configured == {}


def test_an_app_of_ones_own_by_questions(auth: Auth) -> None:
    """The redirect URI to register is told; the secret does not show, and is on no command line."""
    auth.stage.plays(unregistered=True, port=18888)
    with auth.terminal() as terminal:
        terminal.read_until("With an OAuth app of your own")
        terminal.type(b"\x1b[B\r")
        terminal.read_until("Client ID")
        assert "http://localhost:18888/callback" in terminal.text
        terminal.type(b"my-app\r")
        terminal.read_until("Client secret")
        terminal.type(b"s3cret\r")
        terminal.read_until(WAITING)
        auth.allow()
    assert terminal.process.returncode == 0
    assert "s3cret" not in terminal.text
    assert auth.stage.configured["demo"]["oauth"]["clientId"] == "my-app"


def test_an_app_that_is_there(auth: Auth) -> None:
    """The redirect URI that it must have is told before anything is opened; the secret is asked for."""
    auth.stage.plays(unregistered=True, port=18888)
    with auth.terminal(client_id="my-app") as terminal:
        terminal.read_until("Client secret")
        assert "Redirect URI that the app must have: http://localhost:18888/callback" in terminal.text
        terminal.type(b"\r")
        terminal.read_until(WAITING)
        auth.allow()
    assert terminal.process.returncode == 0


def test_what_must_be_known_beforehand(auth: Auth) -> None:
    """What the catalogue says of the server is shown once, dim, and before the address; a script is not told."""
    auth.stage.plays(port=3118)
    note = "\x1b[2mAn admin of the workspace must approve the app."
    with auth.terminal(name="slack") as terminal:
        terminal.read_until(WAITING)
        auth.allow()
    assert terminal.process.returncode == 0
    assert terminal.text.count("An admin of the workspace") == 1
    assert 0 <= terminal.text.find(note) < terminal.text.find("https://as.example/")
    auth.stage.container.run("rm", "-r", str(auth.stage.container.config / "signed-in"))
    with auth.pipe(name="slack", browser=False) as process:
        read_line(process.stdout, "the address")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=DEADLINE)
    assert b"An admin" not in err


def test_a_dumb_terminal(auth: Auth) -> None:
    """Plain lines, and the address without a link."""
    auth.environ["TERM"] = "dumb"
    with auth.terminal() as terminal:
        terminal.read_until(WAITING)
        auth.allow()
    assert terminal.process.returncode == 0
    assert "\x1b" not in terminal.text


# --- in a pipe


def test_nobody_is_there(auth: Auth) -> None:
    """Exit code 4 and the exact command, before anything is begun."""
    done = auth.run()
    assert (done.returncode, done.stdout) == (4, "")
    assert f"From a script, which shows somebody the page: ccapi auth demo --url {URL} --no-browser" in done.stderr
    assert auth.stage.container.commands == []


@pytest.mark.parametrize("browser", [True, False])
def test_a_name_that_stands_for_nothing(auth: Auth, browser: bool) -> None:
    """It is a mistake, whatever else was asked for, and the way out is told."""
    done = auth.run(name="nosuch", url=None, browser=browser)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Give its address: ccapi auth nosuch --url https://..." in done.stderr


def test_a_name_that_is_set_up(auth: Auth) -> None:
    """It needs no address, and is no mistake: somebody has to be there."""
    auth.stage.has("demo", signed_in=False)
    done = auth.run(url=None)
    assert done.returncode == 4
    assert "ccapi auth demo --no-browser" in done.stderr


def test_a_script_shows_the_page(auth: Auth) -> None:
    """The address, and nothing else, is on standard output; what happens on the other, a line each."""
    with auth.pipe(browser=False) as process:
        url = read_line(process.stdout, "the address")
        assert url.startswith("https://as.example/authorize?")
        auth.allow()
        out, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, out) == (0, b"")
    assert err.decode().splitlines()[-1] == SIGNED_IN
    assert f"{WAITING} ..." in err.decode().splitlines()
    assert "\x1b" not in err.decode()


def test_a_script_that_reads_json(auth: Auth) -> None:
    """A line with the address, then one with the result."""
    with auth.pipe(browser=False, as_json=True) as process:
        invitation = json.loads(read_line(process.stdout, "the address"))
        auth.allow()
        out, _ = process.communicate(timeout=DEADLINE)
    assert invitation["type"] == "authorization"
    assert invitation["redirect_uri"] == f"http://localhost:{auth.stage.port}/callback"
    result = json.loads(out)
    assert (result["type"], result["status"]) == ("result", "ok")
    assert result["data"] == {
        "name": "demo",
        "status": "connected",
        "tools": ["read_page", "search"],
        "already": False,
    }


def test_a_script_that_pastes(unrelayed: Auth) -> None:
    """A wrong line is told, and the next one counts. No proxy is needed."""
    with unrelayed.pipe(paste=True) as process:
        assert read_line(process.stdout, "the address").startswith("https://as.example/")
        out, err = process.communicate(f"wrong\n{unrelayed.stage.answer}\n".encode(), timeout=DEADLINE)
    assert (process.returncode, out) == (0, b"")
    assert "The address must begin with" in err.decode()
    assert unrelayed.stage.typed == unrelayed.stage.answer + "\r"


def test_a_script_without_a_proxy(unrelayed: Auth) -> None:
    """Then the answer can come in no way, and that is the failure."""
    done = unrelayed.run(browser=False)
    assert done.returncode == 1
    assert "Port 8888 is in use by jupyter (PID 7)" in done.stderr
    assert unrelayed.stage.configured == {}


def test_a_login_that_works_and_nobody_to_ask(auth: Auth) -> None:
    """Exit code 3, and the option that says so."""
    auth.stage.has("demo", signed_in=True)
    done = auth.run(browser=False)
    assert done.returncode == 3
    assert f"ccapi auth demo --url {URL} --force" in done.stderr


def test_an_app_of_ones_own(auth: Auth) -> None:
    """The secret is the first line of standard input, and what follows it is left for the answer."""
    with auth.pipe(browser=False, paste=True, client_id="my-app", callback_port=auth.stage.port) as process:
        assert process.stdin
        process.stdin.write(b"s3cret-of-the-app\n")
        process.stdin.flush()
        assert read_line(process.stdout, "the address").startswith("https://as.example/")
        process.communicate(f"{auth.stage.answer}\n".encode(), timeout=DEADLINE)
    assert process.returncode == 0
    assert auth.stage.configured["demo"]["oauth"] == {"clientId": "my-app", "callbackPort": auth.stage.port}


def test_terminated_in_a_pipe(auth: Auth) -> None:
    """As on a terminal."""
    with auth.pipe(browser=False) as process:
        read_line(process.stdout, "the address")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=DEADLINE)
    assert process.returncode == 143
    assert auth.stage.configured == {}
