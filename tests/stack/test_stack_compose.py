"""Driving `docker compose`, with a `docker` that does what the real one cannot be made to do."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from ccapi.errors import DockerUnavailable, StackFailed
from ccapi.stack import compose
from tests.cli.support import DEADLINE
from tests.gateway.harness import await_that
from tests.stack.support import FakeDocker


def run(environ: Mapping[str, str], directory: Path, text: str = "services: {}\n", **options: compose.OnLine) -> None:
    compose.run(
        "up",
        "--detach",
        stack="claude-code-api",
        text=text,
        environ=environ,
        variables={"CCAPI_IMAGE": "image:tag"},
        directory=directory,
        **options,
    )


def test_what_compose_gets(fake_docker: FakeDocker, tmp_path: Path) -> None:
    """The text on stdin, our project and no `.env`; of the environment what it was given and nothing else."""
    lines: list[str] = []
    environ = fake_docker.says('echo "$@"; cat; echo "image $CCAPI_IMAGE"; env | cut -d= -f1 | sort | tr "\\n" " "')
    run(environ, tmp_path, on_line=lines.append)
    assert lines[0] == (
        "compose --progress=plain --project-name=claude-code-api --env-file=/dev/null "
        f"--project-directory={tmp_path} --file=- up --detach"
    )
    assert lines[1:3] == ["services: {}", "image image:tag"]
    assert set(lines[3].split()) <= {"CCAPI_IMAGE", "HOME", "PATH", "PWD", "OLDPWD", "SHLVL", "_"}


def test_a_failure_says_why(fake_docker: FakeDocker, tmp_path: Path) -> None:
    """The last line that names an error, from either stream; all of it is kept for `--debug`."""
    environ = fake_docker.says(
        '[ "$2" = version ] && exit 0; echo " Container x  Creating"; echo "Error: it broke" >&2; exit 17'
    )
    with pytest.raises(StackFailed, match="docker compose up failed: Error: it broke") as failed:
        run(environ, tmp_path)
    assert "Creating" in (failed.value.detail or "")


def test_without_the_docker_command(tmp_path: Path) -> None:
    """The engine may answer all the same: exit code 5, and how to get the command."""
    with pytest.raises(DockerUnavailable, match="docker command was not found") as failed:
        run({"PATH": str(tmp_path)}, tmp_path)
    assert failed.value.hint


@pytest.mark.parametrize(
    "says",
    ["unknown flag: --progress", "unknown shorthand flag: 'f' in -f", "docker: 'compose' is not a docker command."],
)
def test_without_the_compose_plugin(fake_docker: FakeDocker, tmp_path: Path, says: str) -> None:
    """Docker's own message is about its options; ours is about the plugin."""
    with pytest.raises(DockerUnavailable, match="no compose plugin") as failed:
        run(fake_docker.says(f'echo "{says}" >&2; exit 125'), tmp_path)
    assert failed.value.hint


def test_an_interrupt_reaches_compose_which_may_finish(fake_docker: FakeDocker, tmp_path: Path) -> None:
    """Ctrl-C goes to us alone: the child is then interrupted, waited for, and not killed while it tidies up."""
    script = f"trap 'sleep 0.3; echo tidy >{tmp_path}/done; exit 130' INT; echo started; while :; do sleep 0.05; done"

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(fake_docker.says(script), tmp_path, on_line=interrupt)
    assert (tmp_path / "done").read_text() == "tidy\n"


def test_any_exception_ends_the_child(fake_docker: FakeDocker, tmp_path: Path) -> None:
    """Nothing goes on behind our back when the caller fails; an endless output does not block the end."""
    script = f"echo $$ >{tmp_path}/pid; trap 'exit 1' INT; while :; do echo line; done"

    def fail(_: str) -> None:
        raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        run(fake_docker.says(script), tmp_path, on_line=fail)
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


def test_an_interrupt_while_compose_gets_its_text(fake_docker: FakeDocker, tmp_path: Path) -> None:
    """It does not go on with what it got: the same as later on."""
    pid = tmp_path / "pid"

    def interrupt() -> None:
        await_that(lambda: pid.exists() and pid.read_text(), "the child", DEADLINE)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run(fake_docker.says(f"echo $$ >{pid}; exec sleep 600"), tmp_path, "more than a pipe takes " * 10_000)
    thread.join()
    assert not Path("/proc", pid.read_text().strip()).exists()


def test_output_that_is_not_text(fake_docker: FakeDocker, tmp_path: Path) -> None:
    """Whatever bytes a build prints, none of them ends the run."""
    lines: list[str] = []
    run(fake_docker.says("cat >/dev/null; printf 'a\\377b\\r\\n'"), tmp_path, on_line=lines.append)
    assert lines == ["a\ufffdb"]
