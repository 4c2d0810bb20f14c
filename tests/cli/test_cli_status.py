"""`ccapi status` where no engine runs, and how its values are written."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import pytest

from ccapi.cli.statusview import duration
from tests.cli.support import Cli
from tests.stack.support import cli_without_engine


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return cli_without_engine(tmp_path)


def test_without_an_engine(cli: Cli) -> None:
    """The verdict is the data, exit 5; as a document; not a word with -q; for a shell nothing to take."""
    done = cli.run("status")
    assert done.returncode == 5
    assert done.stdout.startswith("docker unavailable: ")
    as_json = cli.run("status", "--json")
    document = json.loads(as_json.stdout)
    assert (as_json.returncode, document["status"]) == (5, "failed")
    assert document["data"]["state"] == "docker_unavailable"
    quiet = cli.run("status", "-q")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (5, "", "")
    shell = cli.run("status", "-o", "env")
    assert (shell.returncode, shell.stdout) == (5, "")
    assert "docker unavailable" in shell.stderr


@pytest.mark.parametrize("options", [[], ["--all"], ["--json"], ["-o", "env"]])
def test_an_engine_that_hangs(cli: Cli, tmp_path: Path, options: list[str]) -> None:
    """Within two seconds, on top of what Python itself takes to start: long, now and then, on a busy machine."""
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(tmp_path / "mute.sock"))
        mute.listen(64)

        def took() -> float:
            began = time.monotonic()
            done = cli.run("status", *options, environ={"DOCKER_HOST": f"unix://{tmp_path}/mute.sock"})
            assert done.returncode == 5
            assert "does not answer" in done.stdout + done.stderr
            return time.monotonic() - began

        assert any(took() < 6 for _ in range(4))


@pytest.mark.parametrize("options", [["-w", "--json"], ["-q", "--json"], ["-o", "env", "-w"]])
def test_one_form_at_a_time(cli: Cli, options: list[str]) -> None:
    done = cli.run("status", *options)
    assert done.returncode == 2
    assert "at once" in done.stderr


def test_watching_an_engine_that_does_not_run(cli: Cli) -> None:
    """It may come: the watch goes on until Ctrl-C."""
    with cli.terminal("status", "-w") as terminal:
        terminal.read_until("docker unavailable")
        terminal.type(b"\x03")
        terminal.read_all()
    assert terminal.process.returncode == 130


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59, "59 s"), (61, "1 min"), (7500, "2 h 5 min"), (3 * 86400 + 3700, "3 d 1 h")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
