"""The proxy in the background, as `ccapi proxy` starts and stops it, with its real server."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli.support import DEADLINE, free_port
from tests.oauth.proxyprocess import (
    LINES,
    Ccapi,
    alive,
    ask,
    ccapi,
    children,
    private_memory,
    processes_of,
    refuses,
    started,
    until,
)

PROMISED_MEMORY = 10.0  # MB, private


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Ccapi]:
    with ccapi(tmp_path) as command:
        yield command


def health(port: int) -> dict[str, object]:
    document: dict[str, object] = json.loads(ask(port, path="/health"))
    return document


def python(cli: Ccapi, program: str) -> str:
    """What it prints, with the environment of the command."""
    done = subprocess.run(
        [sys.executable, "-c", program], env=cli.environ, capture_output=True, text=True, timeout=DEADLINE, check=True
    )
    return done.stdout


def test_start_and_stop(cli: Ccapi) -> None:
    """When `start` returns, it listens; it has no terminal and no directory of ours, and both may be done again."""
    done = cli.proxy("start")
    assert (done.returncode, done.stdout) == (0, f"OAuth callback URL: http://localhost:{cli.port}/oauth/callback\n")
    pid = cli.pid()
    assert done.stderr == f"Started (PID {pid})\n"
    assert health(cli.port)["service"] == "oauth-proxy"
    assert os.getsid(pid) == pid
    assert Path(f"/proc/{pid}/cwd").resolve() == Path("/")
    assert {Path(f"/proc/{pid}/fd/{number}").resolve() for number in range(3)} == {Path("/dev/null")}
    again = cli.proxy("start")
    assert (again.returncode, again.stderr) == (0, f"Already running (PID {pid})\n")
    stopped = cli.proxy("stop")
    assert (stopped.returncode, stopped.stdout, stopped.stderr) == (0, "", "Stopped\n")
    assert refuses(cli.port)
    assert not alive(pid)
    again = cli.proxy("stop")
    assert (again.returncode, again.stderr) == (0, "Already stopped\n")


def test_nothing_secret_is_anywhere(cli: Ccapi) -> None:
    """Not in the configuration, the log, the command lines or the environments; only the file has it, for us alone."""
    cli.proxy("start")
    health(cli.port)
    secret = (cli.state / "stack.secret").read_text().strip()
    assert len(secret) > 40
    for file in [*cli.state.glob("proxy-*"), cli.log, cli.state / "stack.secret"]:
        assert file.stat().st_mode & 0o077 == 0
        assert (secret in file.read_text()) == (file.name == "stack.secret")
    pids = [cli.pid(), *children(cli.pid())]
    assert len(pids) == 2
    for pid in pids:
        for name in ("cmdline", "environ"):
            assert secret.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()


def test_idle_it_takes_less_than_ten_megabytes(cli: Ccapi) -> None:
    """What is promised: of private memory, before the first request and after the server has ended again."""
    cli.proxy("start")
    pid = cli.pid()
    assert children(pid) == []
    assert private_memory(pid) < PROMISED_MEMORY
    health(cli.port)
    (server,) = children(pid)
    os.kill(server, signal.SIGTERM)  # as it ends by itself, only sooner
    until(lambda: not children(pid), "the server ends")
    assert private_memory(pid) < PROMISED_MEMORY


def test_the_server_ends_when_nobody_needs_it(cli: Ccapi) -> None:
    """By itself, and the next request is answered by another one."""
    cli.proxy("start")
    file = cli.state / f"proxy-{cli.port}.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "idle": 0.5}))  # it is read by each server
    with socket.create_connection(("127.0.0.1", cli.port)):  # which needs it
        health(cli.port)
        first = children(cli.pid())
        assert len(first) == 1
    until(lambda: not children(cli.pid()), "the server ends")
    health(cli.port)
    assert children(cli.pid()) != first
    assert "failed" not in cli.log.read_text()


def test_other_settings_replace_it(cli: Ccapi) -> None:
    """It is restarted where it does not run as wanted: another gateway, another port. There is one, not two."""
    cli.proxy("start")
    first = cli.pid()
    cli.proxy("start", CCAPI_GATEWAY_PORT="1234")
    assert not alive(first)
    assert health(cli.port)["container_port"] == 1234
    other = free_port()
    cli.proxy("start", CCAPI_OAUTH_PORT=str(other))
    assert refuses(cli.port)
    assert health(other)["container_port"] == cli.gateway_port


def test_a_login_that_goes_on(cli: Ccapi) -> None:
    """Takes the proxy that runs by now as it is, whatever its settings; without one it starts it as it wants it."""
    wanted = "from ccapi import settings; from ccapi.commands import proxy; print(proxy.resume(settings.load()))"
    other = free_port()
    cli.proxy("start", CCAPI_OAUTH_PORT=str(other))
    assert python(cli, wanted) == f"{other}\n"
    assert refuses(cli.port)
    cli.proxy("stop")
    assert python(cli, wanted) == f"{cli.port}\n"
    assert refuses(other)
    assert health(cli.port)["service"] == "oauth-proxy"


def test_one_that_cannot_be_configured_replaces_nothing(cli: Ccapi) -> None:
    """As on a full disk: what runs goes on."""
    cli.proxy("start")
    pid, other = cli.pid(), free_port()
    (cli.state / f"proxy-{other}.json").mkdir()
    done = cli.proxy("start", CCAPI_OAUTH_PORT=str(other))
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert alive(pid)
    assert health(cli.port)["service"] == "oauth-proxy"


def test_one_of_another_version_is_replaced(cli: Ccapi) -> None:
    """After an upgrade the old one does not stay."""
    cli.proxy("start")
    lock = cli.state / f"proxy-{cli.port}.lock"
    first = cli.pid()
    lock.write_text(json.dumps({"pid": first, "config": {"of": "other fields"}}))
    assert "Started" in cli.proxy("start").stderr
    assert not alive(first)
    assert cli.pid() != first


def test_restart(cli: Ccapi) -> None:
    """Whether it ran or not."""
    assert cli.proxy("restart").returncode == 0
    first = cli.pid()
    assert cli.proxy("restart").returncode == 0
    assert not alive(first)
    assert health(cli.port)["active_sessions"] == 0


def test_many_start_it_at_once(cli: Ccapi) -> None:
    """One of them does, and none fails."""
    with ExitStack() as stack:
        starting = [stack.enter_context(cli.start("proxy", "start")) for _ in range(4)]
        said = [each.communicate(timeout=30)[1].decode() for each in starting]
    assert [each.returncode for each in starting] == [0] * 4, said
    assert len(processes_of(cli.directory)) == 1


@pytest.mark.parametrize("content", ["", "not JSON", '{"pid": 1, "config": {}}'])
def test_a_lock_file_that_was_left_behind(cli: Ccapi, content: str) -> None:
    """It hinders neither start nor stop, and the process that it names is left alone."""
    cli.state.mkdir(parents=True)
    (cli.state / f"proxy-{cli.port}.lock").write_text(content)
    assert cli.proxy("stop").stderr == "Already stopped\n"
    assert "Started" in cli.proxy("start").stderr


def test_one_that_does_not_end(cli: Ccapi) -> None:
    """It is killed."""
    cli.proxy("start")
    pid = cli.pid()
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    assert cli.proxy("stop").stderr == "Stopped\n"
    assert time.monotonic() - began < 20
    assert not alive(pid)


def test_a_busy_port(cli: Ccapi) -> None:
    """Exit code 1, the owner and the ways out; and the next attempt works, once the port is free."""
    with socket.create_server(("127.0.0.1", cli.port)):
        done = cli.proxy("start")
    assert (done.returncode, done.stdout) == (1, "")
    lines = done.stderr.splitlines()
    assert lines[0].startswith(f"error: port {cli.port}, which the OAuth proxy listens on, is in use by ")
    assert lines[0].endswith(f"(PID {os.getpid()})")
    assert len(lines) == 4
    assert cli.proxy("start").returncode == 0


def test_in_the_foreground(cli: Ccapi) -> None:
    """`ccapi proxy run`: the two lines, the log on standard error, and the end with Ctrl-C."""
    with cli.start("proxy", "run") as process:
        assert process.stdout
        assert (process.stdout.readline() + process.stdout.readline()).decode() == LINES.format(cli.port)
        assert health(cli.port)["status"] == "degraded"
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=DEADLINE)
    assert (process.returncode, stdout) == (0, b"")
    assert b"Started on port" in stderr
    assert b"Traceback" not in stderr
    assert not cli.log.exists()


def test_one_in_a_terminal_is_left_alone(cli: Ccapi) -> None:
    """`up` and `start` are content with it; `run` says that there is one."""
    with cli.start("proxy", "run") as process:
        until(lambda: not refuses(cli.port), "it listens")
        assert cli.proxy("start").stderr == f"Already running (PID {process.pid})\n"
        second = cli.proxy("run")
        assert (second.returncode, second.stdout) == (0, "")
        assert "already runs" in second.stderr
        assert process.poll() is None


def test_without_the_command_line(cli: Ccapi) -> None:
    """`python -m ccapi.oauth`: the same process becomes the proxy, and loads none of the command line's libraries."""
    command = [sys.executable, "-m", "ccapi.oauth"]
    with started(command, cli.directory, **cli.environ) as process:
        assert process.stdout
        assert (process.stdout.readline() + process.stdout.readline()).decode() == LINES.format(cli.port)
        assert cli.pid() == process.pid
        mapped = Path(f"/proc/{process.pid}/maps").read_text()
        assert "/_asyncio" not in mapped
        assert private_memory(process.pid) < PROMISED_MEMORY
        assert health(cli.port)["service"] == "oauth-proxy"


@pytest.mark.parametrize(
    ("arguments", "environ", "code", "said"),
    [
        (["--verbose"], {}, 2, "usage: python -m ccapi.oauth [--log-file FILE]"),
        ([], {"CCAPI_OAUTH_PORT": "many"}, 2, "error: CCAPI_OAUTH_PORT: expected a port"),
    ],
)
def test_what_is_wrong_with_it(cli: Ccapi, arguments: list[str], environ: dict[str, str], code: int, said: str) -> None:
    """One line, as the command line has it."""
    with started([sys.executable, "-m", "ccapi.oauth", *arguments], cli.directory, **{**cli.environ, **environ}) as it:
        _, stderr = it.communicate(timeout=20)
    assert it.returncode == code
    assert stderr.decode().startswith(said)
    assert len(stderr.splitlines()) == 1


def test_a_file_in_the_way_of_imports(cli: Ccapi) -> None:
    """A `json.py` where the person happens to be is not ours."""
    in_the_way = cli.directory / "json.py"
    in_the_way.write_text("raise ImportError('the wrong one')")
    with started([sys.executable, "-P", "-m", "ccapi.oauth"], cli.directory, **cli.environ):
        until(lambda: not refuses(cli.port), "it listens")
        assert health(cli.port)["service"] == "oauth-proxy"
    in_the_way.unlink()
