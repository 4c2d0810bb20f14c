"""What the README tells a user to do, from the installation to the end, on the real Docker engine and port 8000.

By its name this stands before tests/stack, whose tests keep the one stack of this machine until they are over.
"""

from __future__ import annotations

import os
import pwd
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.readme import ASK, CURLS, FIBONACCI, bash, check_answer, content_of, shell
from tests.cli.support import DEADLINE, ROOT, clean_environ, command, on_terminal
from tests.stack.support import CA_FILE, docker, refuse_to_harm

LABEL = "label=ccapi.stack=claude-code-api"
SIGN_IN = "ccapi auth claude"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Where pipx and what it installs stay among themselves. pip's cache is the person's: no 100 MB each time."""
    tools = Path(sys.executable).parent  # where the dev extra puts pipx
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "DOCKER_"))}
    return {
        **{name: value for name, value in clean_environ(tmp_path / "home").items() if name != "PYTHONPATH"},
        "PATH": f"{tmp_path / 'bin'}:{tools}:{os.environ['PATH']}",
        "PIPX_HOME": str(tmp_path / "pipx"),
        "PIPX_BIN_DIR": str(tmp_path / "bin"),
        "PIP_CACHE_DIR": str(Path(pwd.getpwuid(os.getuid()).pw_dir) / ".cache" / "pip"),
        "CCAPI_STACK_CA_FILE": str(CA_FILE),  # so that tests/stack can use the same image
        **kept,
    }


@pytest.fixture
def nobodys_stack(docker_engine: None, environ: dict[str, str]) -> Iterator[None]:
    """Leaves a stack that is there alone, and at the end nothing of its own but the image."""
    refuse_to_harm()
    yield
    end = subprocess.run(
        command("down", "--volumes", "--yes"),
        env={**environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert end.returncode == 0, end.stderr
    assert stack_objects() == set()


def stack_objects() -> set[str]:
    """The kinds of things of the stack that are there; the image may stay."""
    kinds = {"container": ["--all"], "volume": [], "network": []}
    return {kind for kind, more in kinds.items() if docker(kind, "ls", "--quiet", "--filter", LABEL, *more)}


@pytest.mark.docker
@pytest.mark.timeout(900)
def test_use_it_for_real(nobodys_stack: None, environ: dict[str, str], tmp_path: Path) -> None:
    """Install with pipx, start, sign in, ask, look, stop: each line as it stands in the README.

    Nobody is signed in, so the first question is refused and says how to; then the model is the scripted one, by the
    line that the README has for it.
    """
    shell("pipx install .", environ, ROOT, timeout=300)

    started = shell("ccapi up", environ, tmp_path, timeout=540)
    assert "http://127.0.0.1:8000/v1" in started
    assert SIGN_IN in started
    with on_terminal(shlex.split(SIGN_IN), environ, tmp_path) as terminal:
        terminal.read_until("How shall Claude be signed in?")
        terminal.type(b"\r")
        terminal.read_until("https://claude.ai/oauth/authorize?")
        terminal.read_until("Code (it does not show): ")
        terminal.type(b"\x03")
        terminal.read_all()
    assert terminal.process.returncode == 130
    refused = bash(ASK, environ, tmp_path)
    assert (refused.returncode, refused.stdout) == (4, ""), refused.stderr
    assert SIGN_IN in refused.stderr

    assert "scripted" in shell("ccapi up --rehearsal", environ, tmp_path, timeout=200)
    for number, line in enumerate(CURLS):
        check_answer(number, content_of(shell(line, environ, tmp_path, timeout=60)))
    assert f"\n{FIBONACCI}\n" in shell(ASK, environ, tmp_path, timeout=60)

    assert shell("ccapi status", environ, tmp_path).startswith("running (healthy)\n")
    assert "Aggregated 3 assistant messages" in shell("ccapi logs", environ, tmp_path)
    shell("ccapi down", environ, tmp_path, timeout=60)
    assert stack_objects() == {"volume"}


@pytest.mark.docker
@pytest.mark.timeout(900)
def test_the_demo_in_docker(nobodys_stack: None, environ: dict[str, str], tmp_path: Path) -> None:
    """`ccapi demo --docker`: the same answer out of the container, of which nothing but the image is left."""
    demo = shlex.join(command("demo", "--docker"))
    answer = shell(demo, {**environ, "PYTHONPATH": str(ROOT)}, tmp_path, timeout=540)
    assert "\n\n---\n\n" in answer
    assert f"```\n{FIBONACCI}\n```" in answer
    assert stack_objects() == set()


@pytest.mark.timeout(300)
def test_install_with_claude(environ: dict[str, str], tmp_path: Path) -> None:
    """With the extra `local` the installed command brings Claude Code along: its demo runs without a checkout."""
    if not os.environ.get("CI"):
        pytest.skip("installs 400 MB from the package index; CI does it")
    shell("pipx install '.[local]'", environ, ROOT, timeout=240)
    assert f"\n{FIBONACCI}\n" in shell("ccapi demo", environ, tmp_path, timeout=DEADLINE)
