"""The demo: the whole way once, with a scripted model."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ccapi import paths, settings
from ccapi.client.question import Question, text_part
from ccapi.commands import stack, teardown
from ccapi.commands import status as stack_status
from ccapi.commands.ask import View, ask
from ccapi.commands.teardown import Losses
from ccapi.errors import StackFailed
from ccapi.stack.progress import Progress, Report

QUESTION = "Write a Python function for Fibonacci numbers and run it."
INTRODUCTION = f"""\
Question: {QUESTION}
"""
CONCLUSION = """
Real:     Claude Code and its tools (the file was written, Python ran), the
          gateway, and the way of this answer to your terminal.
Scripted: the model's words. For the real ones: `ccapi up`, sign in, and
          `ccapi ask "..."`."""

SCENARIO = "fibonacci"
MODEL = "sonnet"
_QUESTION = Question((text_part(QUESTION),), MODEL)
_STOP_TIMEOUT = 10  # seconds
# Whatever a person has set for the real thing: the demo is of this machine, needs no key and does what its script says.
_OWN = {"gateway.host": "127.0.0.1", "api.require_key": False, "gateway.permission_mode": "bypassPermissions"}

Say = Callable[[str], None]


def locally(view: View, *, on_step: Say) -> None:
    """Gateway and model as processes of this machine, in a directory that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="ccapi-demo-") as directory:
        on_step("Starting the gateway and the scripted model ...\n")
        with _gateway(Path(directory)) as url:
            ask(url, _QUESTION, view)


def in_docker(view: View, *, on_step: Say) -> None:
    """The same in the container. Refuses to replace a stack that is there; leaves nothing but the image."""
    docker, home = settings.docker_environment(), settings.find_home()
    if stack_status.status(home, docker).container:
        raise StackFailed("the stack is in use", hint="Stop it first (ccapi down), or run the demo without --docker.")
    had_volumes = bool(teardown.volumes(home, docker))
    with tempfile.TemporaryDirectory(prefix="ccapi-demo-", ignore_cleanup_errors=True) as directory:
        workspace = Path(directory) / "workspace"
        workspace.mkdir()
        workspace.chmod(0o777)  # the container's user is another than this one
        wanted = settings.load({"stack.workspace": str(workspace), **_OWN}, home=home)
        say = _progress(on_step)
        try:
            up = stack.up(wanted, docker=docker, network={}, rehearsal=SCENARIO, report=say)
            ask(up.url, _QUESTION, view)
        finally:
            teardown.down(wanted.home, docker=docker, losses=Losses(volumes=not had_volumes), report=say)


def _progress(say: Say) -> Report:
    def report(progress: Progress) -> None:
        if progress.kind in {"phase", "done", "warning"}:
            say(progress.text)

    return report


@contextmanager
def _gateway(directory: Path) -> Iterator[str]:
    """A gateway process with the rehearsal model; its URL."""
    workspace, log = directory / "workspace", directory / "gateway.log"
    workspace.mkdir()
    command = [paths.interpreter(), "-m", "ccapi", "gateway", "--port=0", f"--rehearsal={SCENARIO}"]
    own = settings.load(_OWN, environ={"CCAPI_HOME": str(directory / "home")}, files=False)
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [*command, f"--workspace={workspace}"],
            env={
                **settings.rehearsal_environment(),
                **own.gateway_environment(),
                "CCAPI_HOME": str(own.home.directory),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,  # Ctrl-C is ours to handle: the run ends first, then the gateway
        )
        try:
            yield _url(process, log)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()


def _url(process: subprocess.Popen[bytes], log: Path) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().decode().strip()
    if not line.startswith("Gateway on "):
        raise StackFailed("The gateway did not start", hint=log.read_text("utf-8", "replace").strip()[-2000:])
    return line.removeprefix("Gateway on ")
