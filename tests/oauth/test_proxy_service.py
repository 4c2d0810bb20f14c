"""The unit and the agent with which the system starts the proxy, and stand-ins for the programs that load them."""

from __future__ import annotations

import os
import plistlib
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccapi import settings
from ccapi.oauth import service
from tests.oauth.proxyprocess import Ccapi, ask, ccapi, until

UNIT = f"{service.UNIT}.service"
# Answers as systemd does for a person; `restart` starts what the unit says, as a service is started: away from here.
SYSTEMCTL = """#!/bin/sh
echo "$*" >>{calls}
case "$2" in
restart)
    unit={unit}
    sed -n 's/^Environment="\\(.*\\)"$/export \\1/p; s/^ExecStart=//p' "$unit" >{script}
    cd / && setsid sh {script} </dev/null >/dev/null 2>&1 &
    ;;
esac
{end}
"""


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Ccapi]:
    with ccapi(tmp_path) as command:
        yield command


def unit_file(cli: Ccapi) -> Path:
    return Path(cli.environ["HOME"]) / ".config" / "systemd" / "user" / UNIT


def systemctl(cli: Ccapi, end: str = "") -> Path:
    """Put the stand-in on the command's path; the file with the calls it got."""
    programs, calls = cli.directory / "bin", cli.directory / "calls"
    programs.mkdir()
    calls.touch()
    file = programs / "systemctl"
    script = SYSTEMCTL.format(calls=calls, unit=unit_file(cli), script=cli.directory / "unit.sh", end=end)
    file.write_text(script)
    file.chmod(0o755)
    cli.environ["PATH"] = f"{programs}:{cli.environ['PATH']}"
    return calls


def line(unit: str, name: str) -> str:
    (found,) = [each.partition("=")[2] for each in unit.splitlines() if each.startswith(f"{name}=")]
    return found


def test_the_unit(cli: Ccapi) -> None:
    """It starts the proxy without the command line, as this shell's settings have it, again when it fails."""
    done = cli.proxy("install", "--print")
    assert (done.returncode, done.stderr) == (0, "")
    unit = done.stdout
    assert shlex.split(line(unit, "ExecStart")) == [
        sys.executable, "-P", "-m", "ccapi.oauth", "--log-file", str(cli.log)
    ]  # fmt: skip
    variables = [each for each in unit.splitlines() if each.startswith("Environment=")]
    assert f'Environment="CCAPI_HOME={cli.environ["CCAPI_HOME"]}"' in variables
    assert f'Environment="CCAPI_OAUTH_PORT={cli.port}"' in variables
    assert f'Environment="CCAPI_GATEWAY_PORT={cli.gateway_port}"' in variables
    assert len(variables) == 3, "what is as in the defaults, or in the user's file, is left to those"
    assert line(unit, "Restart") == "on-failure"
    assert line(unit, "WantedBy") == "default.target"
    assert not unit_file(cli).exists(), "--print changes nothing"


def test_settings_of_a_project(cli: Ccapi) -> None:
    """They hold where the command was given; the service runs elsewhere."""
    del cli.environ["CCAPI_OAUTH_PORT"]
    (cli.directory / "ccapi.toml").write_text("[oauth]\nport = 7777\nopen_browser = 'never'\n")
    unit = cli.proxy("install", "--print").stdout
    assert 'Environment="CCAPI_OAUTH_PORT=7777"' in unit
    assert 'Environment="CCAPI_OAUTH_OPEN_BROWSER=never"' in unit


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say, also of a directory with all that needs quoting in its name."""
    home = tmp_path / "a \"quoted\" 100% $HOME 'dir'"
    wanted = settings.load(environ={"CCAPI_HOME": str(home)})
    file = tmp_path / UNIT
    file.write_text(service.Systemd(wanted.home).text(wanted, {"CCAPI_HOME": str(home)}))
    verify = ["systemd-analyze", "--user", "verify", "--man=no", str(file)]
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(verify, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert UNIT not in done.stdout + done.stderr
    assert done.returncode == 0, done.stderr


def test_the_agent(tmp_path: Path) -> None:
    """A property list with the same in it, for macOS; it is started again only when it failed."""
    environ = {"CCAPI_HOME": str(tmp_path), "CCAPI_OAUTH_PORT": "7777"}
    wanted = settings.load(environ=environ)
    agent = plistlib.loads(
        service.Launchd(wanted.home).text(wanted, settings.directories_environment(environ)).encode()
    )
    log = str(tmp_path / "state" / "log" / "proxy.log")
    assert agent == {
        "Label": "ccapi.oauth-proxy",
        "ProgramArguments": [sys.executable, "-P", "-m", "ccapi.oauth", "--log-file", log],
        "EnvironmentVariables": environ,
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ProcessType": "Background",
        "StandardErrorPath": log,
    }


def test_install_where_systemd_answers(cli: Ccapi) -> None:
    """One that runs makes room; then the system's runs, listens and answers. Done again, all is the same."""
    calls = systemctl(cli)
    cli.proxy("start")
    first = cli.pid()
    for _ in range(2):
        done = cli.proxy("install")
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert "runs, and will after each login" in done.stderr
        assert unit_file(cli).stat().st_mode & 0o777 == 0o644
        assert cli.pid() != first
        assert b"oauth-proxy" in ask(cli.port, path="/health")
    assert calls.read_text().splitlines() == [
        "--user daemon-reload", f"--user enable {UNIT}", f"--user restart {UNIT}",
    ] * 2  # fmt: skip
    assert cli.proxy("start").stderr.startswith("Already running"), "it runs with the settings as they are"


def test_install_where_it_does_not_answer(cli: Ccapi) -> None:
    """As in a container: the unit is there, the commands that are left are told, and what runs goes on."""
    systemctl(cli, "echo 'Failed to connect to bus: No medium found' >&2; exit 1")
    cli.proxy("start")
    pid = cli.pid()
    done = cli.proxy("install")
    assert (done.returncode, done.stdout) == (0, "")
    assert unit_file(cli).exists()
    assert f"  systemctl --user enable {UNIT}\n" in done.stderr
    assert cli.pid() == pid


def test_install_where_there_is_no_systemd(cli: Ccapi) -> None:
    """The same."""
    cli.environ["PATH"] = str(cli.directory)
    done = cli.proxy("install")
    assert done.returncode == 0
    assert "What is left to do:" in done.stderr


def test_a_service_that_does_not_start(cli: Ccapi) -> None:
    """What systemd says of it."""
    systemctl(cli, 'test "$2" != enable || { echo Unit is masked >&2; exit 1; }')
    done = cli.proxy("install")
    assert done.returncode == 1
    assert done.stderr == f"error: systemctl --user enable {UNIT}: Unit is masked\n"


def test_uninstall(cli: Ccapi) -> None:
    """The unit is stopped, disabled and gone; done again, it is no failure."""
    calls = systemctl(cli)
    cli.proxy("install")
    done = cli.proxy("uninstall")
    assert (done.returncode, done.stderr) == (0, f"Removed: {unit_file(cli)}\n")
    assert not unit_file(cli).exists()
    assert calls.read_text().splitlines()[-2:] == [f"--user disable --now {UNIT}", "--user daemon-reload"]
    again = cli.proxy("uninstall")
    assert (again.returncode, again.stderr) == (0, "It was not installed\n")


def test_its_log_is_where_the_command_looks(cli: Ccapi) -> None:
    """`ccapi proxy logs` shows what the service says."""
    systemctl(cli)
    cli.proxy("install")
    until(lambda: "Started on port" in cli.proxy("logs").stdout, "the log has it")
