"""`ccapi demo`: the whole way once, and nothing left of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.support import ROOT, Cli, claude_pids, read_line

ANSWER = "[0, 1, 1, 2, 3, 5, 8, 13, 21, 34]"


def processes_in(directory: Path) -> list[str]:
    """Command lines of the processes that work in `directory` or were told about it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            cwd = (entry / "cwd").readlink()
        except OSError:
            continue
        if (cwd.is_relative_to(directory) or f"{directory}/" in line) and int(entry.name) != os.getpid():
            found.append(line)
    return found


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Where the demo's temporary files go."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return scratch


@dataclass(frozen=True)
class Demo:
    """One run of it: what it gave, and what was there when it had ended."""

    done: subprocess.CompletedProcess[str]
    processes: list[str]
    files: list[Path]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The plain command, in an empty directory with an empty home."""
    directory = tmp_path_factory.mktemp("demo")
    (directory / "scratch").mkdir()
    (directory / "home").mkdir()
    done = Cli(directory).run("demo", environ={"TMPDIR": str(directory / "scratch")})
    kept = {directory / "scratch", directory / "home"}
    return Demo(done, processes_in(directory), [path for path in directory.rglob("*") if path not in kept])


def test_the_demo(demo: Demo) -> None:
    """Exit 0; stdout is the complete answer with what the tool really printed; stderr says what was real."""
    assert demo.done.returncode == 0, demo.done.stderr
    steps = demo.done.stdout.split("\n\n---\n\n")
    assert len(steps) == 3
    assert "**Write** `" in steps[0]
    assert "def fibonacci(" in steps[0]
    assert f"**Bash** `python3 fibonacci.py`\n\n```\n{ANSWER}\n```" in steps[1]
    assert f"```\n{ANSWER}\n```" in steps[2]
    lines = demo.done.stderr.splitlines()
    said = dict(line.split(":", 1) for line in lines if line.startswith(("Real:", "Scripted:")))
    assert "Claude Code" in said["Real"]
    assert "model" in said["Scripted"]


def test_the_demo_leaves_nothing(demo: Demo) -> None:
    """No process, and no file in the temporary directory, the current one or the home directory."""
    assert demo.done.returncode == 0, demo.done.stderr
    assert demo.processes == []
    assert demo.files == []


def test_the_demo_uses_no_account(cli: Cli, scratch: Path) -> None:
    """Credentials, settings and proxies of the person who runs it reach neither Claude Code nor the scripted model."""
    unreachable = "http://127.0.0.1:9"
    environ = {
        "TMPDIR": str(scratch),
        "ANTHROPIC_API_KEY": "real",
        "ANTHROPIC_BASE_URL": unreachable,
        "CLAUDE_CODE_OAUTH_TOKEN": "real",
        "CLAUDE_CONFIG_DIR": str(cli.directory / "mine"),
        "CCAPI_GATEWAY_PORT": "9",
        "CCAPI_PERMISSION_MODE": "plan",
        "HTTPS_PROXY": unreachable,
        "http_proxy": unreachable,
    }
    done = cli.run("demo", environ=environ)
    assert done.returncode == 0, done.stderr
    assert ANSWER in done.stdout
    assert not (cli.directory / "mine").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_ended_demo_leaves_nothing(cli: Cli, scratch: Path, number: signal.Signals, code: int) -> None:
    """Ctrl-C, `kill` and a closed terminal: the gateway, Claude Code and all files are gone."""
    with cli.start("demo", environ={"TMPDIR": str(scratch)}) as process:
        assert read_line(process.stdout, "the answer's first line").startswith("I'll do this")
        assert claude_pids(scratch), "Claude Code is at work"
        process.send_signal(number)
        _, stderr = process.communicate(timeout=15)
    assert process.returncode == code
    assert b"Traceback" not in stderr
    assert processes_in(scratch) == []
    assert list(scratch.iterdir()) == []


def test_the_demo_on_a_terminal(cli: Cli, scratch: Path) -> None:
    """Question, answer and what was real, in this order; its lines fit 80 columns; its end is the README's."""
    with cli.terminal("demo", environ={"TMPDIR": str(scratch), "NO_COLOR": "1"}) as terminal:
        shown = terminal.read_all()
    assert terminal.process.returncode == 0
    positions = [shown.index(part) for part in ("Question: ", "● Write", "● Bash", f"  │ {ANSWER}", "Real: ")]
    assert positions == sorted(positions)
    (example,) = re.findall(r"(?ms)^```text\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"))
    assert example in shown
    own = shown[: shown.index("I'll do this")] + shown[shown.index("Real: ") :]
    assert max(map(len, own.splitlines())) <= 80
