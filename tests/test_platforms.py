"""Windows and macOS, as far as Linux can tell: tests/elsewhere.py says how far that is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.support import DEADLINE, ROOT, Cli

PLATFORMS = ("win32", "darwin")
# What starts, runs and looks at the container; the container's own rooms run on Linux.
HOST = ("cli", "client", "commands", "doctor", "oauth", "stack", "web", "wire")


def elsewhere(cli: Cli, platform: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """`ccapi ARGUMENTS` as on that platform, to its end, where no Docker engine runs."""
    return subprocess.run(
        [sys.executable, "-m", "tests.elsewhere", platform, *arguments],
        cwd=ROOT,
        env={**cli.environ, "DOCKER_HOST": f"unix://{cli.directory}/no.sock"},
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE,
        check=False,
    )


def python(cli: Cli, platform: str, script: str) -> subprocess.CompletedProcess[str]:
    """A script, as on that platform."""
    return subprocess.run(
        [sys.executable, "-c", f"from tests.elsewhere import become\nbecome({platform!r})\n{script}"],
        cwd=ROOT,
        env={**cli.environ, "PATH": f"{cli.directory}:{cli.environ['PATH']}"},
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE,
        check=False,
    )


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command, in an empty directory."""
    return Cli(tmp_path)


def host_modules() -> list[str]:
    """All modules of the host's rooms, and the leaves."""
    package = ROOT / "ccapi"
    files = [*package.glob("*.py"), *(file for room in HOST for file in (package / room).rglob("*.py"))]
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files if file.name != "__main__.py"]
    return sorted(name.removesuffix(".__init__") for name in names)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_module_of_the_host_can_be_imported(platform: str, cli: Cli) -> None:
    """None of them needs at import what only POSIX, or only Linux, has."""
    names = host_modules()
    assert {"ccapi.cli.up", "ccapi.stack.engine", "ccapi.oauth.supervisor", "ccapi.paths"} <= set(names)
    script = f"import importlib\nfor name in {names!r}: importlib.import_module(name); print(name)"
    done = python(cli, platform, script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == names


def test_what_is_missing_is_really_missing(cli: Cli) -> None:
    """The simulation bites: ccapi's modules see neither the POSIX modules nor the functions, others do."""
    script = """
import os, fcntl
scope = {"__name__": "ccapi.some"}
exec("import os, sys, signal", scope)
print(hasattr(os, "fork"), hasattr(scope["os"], "fork"), hasattr(scope["signal"], "SIGKILL"), scope["sys"].platform)
try:
    exec("import fcntl", scope)
except ImportError as error:
    print(error)
"""
    done = python(cli, "win32", script)
    assert done.stdout.splitlines() == ["True False False win32", "No module named 'fcntl' on this system"]


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--version"], 0, "ccapi "),
        (["--help"], 0, "ccapi up"),
        (["config", "show"], 0, "gateway.port = 8000"),
        (["config", "path"], 0, "config.toml"),
        (["key", "create", "--name", "laptop"], 0, "ccapi-"),
        (["key", "list"], 0, "no API keys"),
        (["auth", "list"], 0, "notion"),
        (["proxy", "status"], 1, "stopped"),
        (["proxy", "stop"], 0, "Already stopped"),
        (["status"], 5, "docker unavailable"),
        (["up", "--rehearsal"], 5, "the Docker engine is not running"),
        (["down"], 5, "the Docker engine is not running"),
        (["logs"], 5, "the Docker engine is not running"),
        (["auth", "status"], 5, "the Docker engine is not running"),
        (["ask", "hello"], 1, "No gateway answers"),
        (["doctor", "--offline"], 1, "the Docker engine is not running"),
        (["doctor", "--list"], 0, "ports.gateway"),
        (["config", "validate"], 0, ""),
        (["completion", "powershell"], 0, "Register-ArgumentCompleter"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_commands(platform: str, arguments: list[str], code: int, says: str, cli: Cli) -> None:
    """Each does what it does on Linux: its work, or the error that there is no engine."""
    done = elsewhere(cli, platform, *arguments)
    assert done.returncode == code, done.stderr
    assert says in done.stdout + done.stderr
    assert "unexpectedly" not in done.stderr
    assert "the check itself failed" not in done.stdout


@pytest.mark.parametrize("platform", PLATFORMS)
def test_export(platform: str, cli: Cli) -> None:
    """The folder for a server is the same, whatever it is made on."""
    made = cli.directory / "made"
    done = elsewhere(cli, platform, "compose", "export", str(made))
    assert done.returncode == 0, done.stderr
    assert cli.run("compose", "export", "here").returncode == 0
    assert {file.name for file in made.iterdir()} == {file.name for file in (cli.directory / "here").iterdir()}


@pytest.mark.parametrize("arguments", [["gateway"], ["proxy", "start"], ["proxy", "install"]], ids="-".join)
def test_what_windows_does_not_have_is_said(arguments: list[str], cli: Cli) -> None:
    """One sentence and what to do instead, for each command that takes a POSIX system."""
    done = elsewhere(cli, "win32", *arguments)
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert first.startswith("error: ")
    assert second.removeprefix("  ").startswith(("Run it in a terminal: ccapi proxy run", "ccapi ", "In the container"))


def test_compose_can_be_interrupted_on_windows(cli: Cli) -> None:
    """Ctrl-C in a build ends `docker compose`, without the process groups that Windows does not have."""
    (cli.directory / "docker").write_text("#!/bin/sh\necho building\nsleep 1\necho ended\nexit 1\n")
    (cli.directory / "docker").chmod(0o755)
    script = """
import os, pathlib
from ccapi.stack import compose
def on_line(line):
    raise KeyboardInterrupt
try:
    here = pathlib.Path(".")
    compose.run("up", stack="x", text="", environ=dict(os.environ), variables={}, directory=here, on_line=on_line)
except KeyboardInterrupt:
    print("interrupted")
"""
    done = python(cli, "win32", script)
    assert done.stdout == "interrupted\n", done.stderr


def test_the_proxy_in_a_terminal_on_windows(cli: Cli) -> None:
    """`ccapi proxy run` is the server itself there, as no process can become another one."""
    script = """
import json, os, signal, socket, threading, time, urllib.request
from ccapi.cli.main import main
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
os.environ["CCAPI_OAUTH_PORT"] = str(port)
def ask():
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            print(json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/health"))["service"], flush=True)
            break
        except OSError:
            time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=ask).start()
try:
    print(main(["proxy", "run"]))
except SystemExit as ended:
    print(ended.code)
"""
    done = python(cli, "win32", script)
    assert done.stdout.splitlines() == ["oauth-proxy", "0"], done.stderr
