"""What `ccapi proxy status` and `logs` tell, and the proxy's part in `up`, `down` and `status`."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ccapi import settings
from ccapi.commands import proxy as commands
from ccapi.oauth.log import LARGEST
from ccapi.stack.progress import Progress
from tests.oauth.proxyprocess import DEADLINE, Ccapi, Gateway, ccapi, refuses, until

URL = (
    "https://auth.example/authorize?client_id=c&state={state}&redirect_uri="
    "http%3A%2F%2Flocalhost%3A{port}%2Fcallback&code_challenge=x&response_type=code"
)


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Ccapi]:
    with ccapi(tmp_path) as command:
        yield command


def register(cli: Ccapi, port: int, state: str = "s3cret-state") -> None:
    """A login that waits for its callback."""
    secret = (cli.state / "stack.secret").read_text().strip()
    answer = httpx.post(
        f"http://127.0.0.1:{cli.port}/oauth/register",
        json={"authorization_url": URL.format(port=port, state=state), "expires_in": 300},
        headers={"Authorization": f"Bearer {secret}"},
        trust_env=False,
        timeout=DEADLINE,
    )
    assert answer.status_code == 201, answer.text


def test_status_when_it_does_not_run(cli: Ccapi) -> None:
    """Exit 1; where it would be, and how to start it. Nothing is started by asking."""
    done = cli.proxy("status")
    assert done.returncode == 1
    assert done.stdout.startswith("stopped\n")
    assert done.stderr == "Start it: ccapi proxy start\n"
    document = json.loads(cli.proxy("status", "--json").stdout)["data"]
    assert (document["running"], document["healthy"], document["pid"]) == (False, False, None)
    assert document["port"] == cli.port
    assert refuses(cli.port)


def test_status_without_a_gateway(cli: Ccapi) -> None:
    """Degraded, exit 1, and where to look."""
    cli.proxy("start")
    done = cli.proxy("status")
    assert done.returncode == 1
    assert done.stdout.startswith("degraded: The gateway does not answer\n")
    assert str(cli.pid()) in done.stdout
    assert done.stderr == "Look at the container: ccapi status\n"
    assert json.loads(cli.proxy("status", "--json").stdout)["data"]["problem"] == "gateway_unreachable"


def test_status_with_a_gateway_that_rejects_the_secret(cli: Ccapi) -> None:
    """It answers, and yet no callback would arrive: degraded, exit 1, and the one command that mends it."""
    gateway = Gateway(cli.gateway_port)
    gateway.statuses = [401] * 50
    with gateway.serving():
        cli.proxy("start")
        done = cli.proxy("status")
        as_json = cli.proxy("status", "--json")
    assert (done.returncode, done.stderr) == (1, "Run: ccapi up\n")
    assert done.stdout.startswith("degraded: The gateway does not know this stack's secret\n")
    document = json.loads(as_json.stdout)["data"]
    assert (document["healthy"], document["problem"]) == (False, "stack_secret_invalid")


def test_status_when_all_is_well(cli: Ccapi) -> None:
    """Exit 0; the logins that wait, by site, port, status and time left, and nothing secret of them."""
    with Gateway(cli.gateway_port).serving():
        cli.proxy("start")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        register(cli, port)
        done = cli.proxy("status")
        as_json = cli.proxy("status", "--json")
        quiet = cli.proxy("status", "-q")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("running (healthy)\n")
    assert f"auth.example, port {port}: pending, " in done.stdout
    assert f"http://localhost:{cli.port}/oauth/callback" in done.stdout
    assert str(cli.log) in done.stdout
    document = json.loads(as_json.stdout)["data"]
    assert document["healthy"] is True
    (login,) = document["logins"]
    assert 0 < login.pop("expires_in") <= 300
    assert login == {"site": "auth.example", "port": port, "status": "pending"}
    assert "s3cret" not in done.stdout + as_json.stdout + cli.log.read_text()
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


def test_status_after_a_login(cli: Ccapi) -> None:
    """One that is over waits no longer: it is neither counted nor listed; how it ended is in the document."""
    with Gateway(cli.gateway_port).serving():
        cli.proxy("start")
        with socket.create_server(("127.0.0.1", 0)) as free, socket.create_server(("127.0.0.1", 0)) as other:
            over, waiting = free.getsockname()[1], other.getsockname()[1]
        register(cli, over)
        url = f"http://localhost:{over}/callback?code=c&state=s3cret-state"
        assert httpx.get(url, trust_env=False, timeout=DEADLINE).status_code == 502, "this gateway delivers nothing"
        alone = cli.proxy("status")
        register(cli, waiting, state="an0ther-state")
        both = cli.proxy("status")
        document = json.loads(cli.proxy("status", "--json").stdout)["data"]
    assert re.search(r"(?m)^ *Logins +none$", alone.stdout)
    assert "auth.example" not in alone.stdout
    assert re.search(r"(?m)^ *Logins +1$", both.stdout)
    assert f"auth.example, port {waiting}: pending, " in both.stdout
    assert f"port {over}" not in both.stdout
    assert {login["port"]: login["status"] == "pending" for login in document["logins"]} == {over: False, waiting: True}


def test_status_of_one_on_another_port(cli: Ccapi) -> None:
    """The setting was changed meanwhile: what runs is told, not what is set."""
    cli.proxy("start")
    document = json.loads(cli.proxy("status", "--json", CCAPI_OAUTH_PORT="1234").stdout)["data"]
    assert (document["running"], document["port"]) == (True, cli.port)


def test_status_when_it_does_not_answer(cli: Ccapi) -> None:
    """Its process is there, and hangs: degraded, after some seconds, and no traceback."""
    cli.proxy("start")
    os.kill(cli.pid(), signal.SIGSTOP)
    done = cli.proxy("status")
    os.kill(cli.pid(), signal.SIGCONT)
    assert done.returncode == 1
    assert done.stdout.startswith("degraded: The OAuth proxy at ")
    assert "Traceback" not in done.stderr


def test_logs(cli: Ccapi) -> None:
    """The last lines; without a log the way to one; nothing that would command the terminal."""
    missing = cli.proxy("logs")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr == "error: there is no log yet\n  Start the proxy: ccapi proxy start\n"
    cli.log.parent.mkdir(parents=True)
    Path(f"{cli.log}.1").write_text("one\ntwo\n")
    cli.log.write_text("three \x1b[31m\n")
    assert cli.proxy("logs").stdout == "one\ntwo\nthree [31m\n"
    assert cli.proxy("logs", "-n", "2").stdout == "two\nthree [31m\n"
    assert cli.proxy("logs", "-n", "0").stdout == ""


def test_following_the_log(cli: Ccapi) -> None:
    """It goes on with what comes, also when another file takes the name, and ends with Ctrl-C."""
    cli.proxy("start")
    with cli.terminal("proxy", "logs", "--follow", "-n", "1") as terminal:
        terminal.read_until("cannot be asked for logins")
        with cli.log.open("a") as log:
            log.write("x" * LARGEST + "\n")
        cli.proxy("stop")
        terminal.read_until("Ended")
        terminal.type(b"\x03")
        terminal.read_all()
    assert Path(f"{cli.log}.1").exists()
    assert terminal.process.returncode == 128 + signal.SIGINT


# --- up, down and status of the stack


def test_up_has_it_run(cli: Ccapi, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ensure`: with the stack's secret made, and the redirect URI to show."""
    wanted = settings.load(environ=cli.environ)
    said: list[Progress] = []
    assert commands.ensure(wanted, said.append) == f"http://localhost:{cli.port}/oauth/callback"
    assert said == []
    assert (cli.state / "stack.secret").exists()
    assert commands.running(wanted.home) == f"http://localhost:{cli.port}/oauth/callback"


def test_up_goes_on_without_it(cli: Ccapi) -> None:
    """A port that is taken is a warning with the ways out, not a failure: the API works."""
    wanted = settings.load(environ=cli.environ)
    said: list[Progress] = []
    with socket.create_server(("127.0.0.1", cli.port)):
        assert commands.ensure(wanted, said.append) is None
    first, *ways_out = said
    assert first.kind == "warning"
    assert first.text.startswith(f"the OAuth proxy does not run: port {cli.port}, ")
    assert len(ways_out) == 3
    assert {each.kind for each in ways_out} == {"note"}


def test_down_stops_it(cli: Ccapi) -> None:
    """Also where Docker is not to be had, and with settings that cannot be read."""
    cli.proxy("start")
    (cli.directory / "ccapi.toml").write_text("broken")
    done = cli.run("down")
    (cli.directory / "ccapi.toml").unlink()
    assert done.returncode == 5
    assert done.stderr.startswith("Stopped the OAuth proxy\n")
    until(lambda: refuses(cli.port), "nobody listens")
