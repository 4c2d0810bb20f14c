"""`ccapi demo`: the whole way once, and nothing left of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.support import DEADLINE, ROOT, Cli, claude_pids, command, is_dying, read_line
from tests.cli.tmux import tmux
from tests.oauth.proxyprocess import until

ANSWER = "[0, 1, 1, 2, 3, 5, 8, 13, 21, 34]"


def processes_in(directory: Path) -> list[tuple[int, str]]:
    """Pid and command line of the processes that work in `directory` or were told about it, and that go on."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            cwd, going_on = (entry / "cwd").readlink(), not is_dying(entry)
        except OSError:
            continue
        ours = cwd.is_relative_to(directory) or f"{directory}/" in line
        if ours and going_on and int(entry.name) != os.getpid():
            found.append((int(entry.name), line))
    return found


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """Where the demo's temporary files go. What a failed test leaves running is killed."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    yield scratch
    for pid, _ in processes_in(scratch):
        os.kill(pid, signal.SIGKILL)


@dataclass(frozen=True)
class Demo:
    """One run of it: what it gave, and what was there when it had ended."""

    done: subprocess.CompletedProcess[str]
    processes: list[tuple[int, str]]
    files: list[Path]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The command in an empty directory with an empty home, and with an account and settings that must not matter."""
    directory = tmp_path_factory.mktemp("demo")
    scratch, home = directory / "scratch", directory / "home"
    scratch.mkdir()
    home.mkdir()
    unreachable = "http://127.0.0.1:9"
    environ = {
        "TMPDIR": str(scratch),
        "ANTHROPIC_API_KEY": "real",
        "ANTHROPIC_BASE_URL": unreachable,
        "CLAUDE_CODE_OAUTH_TOKEN": "real",
        "CLAUDE_CONFIG_DIR": str(directory / "mine"),
        "CCAPI_GATEWAY_PORT": "9",
        "CCAPI_GATEWAY_PERMISSION_MODE": "plan",
        "HTTPS_PROXY": unreachable,
        "http_proxy": unreachable,
    }
    cli = Cli(directory)
    (directory / "ccapi.toml").write_text('[api]\nrequire_key = true\n[gateway]\npermission_mode = "plan"\n', "utf-8")
    config = Path(cli.environ["CCAPI_HOME"]) / "config" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[gateway]\nhost = "0.0.0.0"\n', "utf-8")
    before = set(directory.rglob("*"))
    done = cli.run("demo", environ=environ)
    return Demo(done, processes_in(directory), sorted(set(directory.rglob("*")) - before))


def test_the_demo(demo: Demo) -> None:
    """Exit 0; stdout is the complete answer with what the tool really printed; stderr says what was real.

    Credentials, settings and proxies of the person who runs it do not matter: it needs, and uses, no account.
    """
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
    """No process, and no file in the temporary directory, the current one, the home or Claude's own directory."""
    assert demo.done.returncode == 0, demo.done.stderr
    assert demo.processes == []
    assert demo.files == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_ended_demo_leaves_nothing(cli: Cli, scratch: Path, number: signal.Signals, code: int) -> None:
    """Ctrl-C, `kill` and a closed terminal: the gateway, Claude Code, its tool and all files are gone."""
    program = cli.directory / "bin" / "python3"  # the tool, which else may be done before anybody looks
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    path = f"{program.parent}:{cli.environ['PATH']}"
    with cli.start("demo", environ={"TMPDIR": str(scratch), "PATH": path}) as process:
        assert read_line(process.stdout, "the answer's first line").startswith("I'll do this")
        until(lambda: any(line == "sleep 600 " for _, line in processes_in(scratch)), "the tool runs")
        assert claude_pids(scratch), "Claude Code is at work"
        process.send_signal(number)
        _, stderr = process.communicate(timeout=DEADLINE)
    assert process.returncode == code
    assert b"Traceback" not in stderr
    assert processes_in(scratch) == []
    assert list(scratch.iterdir()) == []


def test_the_demo_on_a_terminal(cli: Cli, scratch: Path) -> None:
    """Question, answer and what was real, in this order; its lines fit 80 columns; its end is the README's."""
    environ = {**cli.environ, "TMPDIR": str(scratch)}
    with tmux(command("demo"), environ, cli.directory, columns=80, rows=24) as terminal:
        assert terminal.await_end() == 0
        shown = re.sub(r"\d+(?:\.\d)? s\b", "0.2 s", "\n".join(terminal.history))
    positions = [shown.index(part) for part in ("Question: ", "✓ Write", "✓ Bash", f"  │ {ANSWER}", "Real: ")]
    assert positions == sorted(positions)
    (example,) = re.findall(r"(?ms)^```text\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"))
    assert example in shown
    own = shown[: shown.index("I'll do this")] + shown[shown.index("Real: ") :]
    assert max(map(len, own.splitlines())) <= 80
