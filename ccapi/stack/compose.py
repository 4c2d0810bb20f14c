"""Drives `docker compose`: the only place that starts it."""

from __future__ import annotations

import collections
import logging
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from ccapi.errors import CcapiError, ComposeFailed, DockerUnavailable
from ccapi.stack import lock

MINIMUM = (2, 20)  # `--progress` as an option of `docker compose` itself

_TAIL = 60  # lines kept for the error
_GRACE = 10.0  # seconds for compose to stop what it is doing
_INSTALL = "Install Docker with its command and the compose plugin: https://docs.docker.com/engine/install/"
_INSTALL_PLUGIN = "Install the compose plugin: https://docs.docker.com/compose/install/linux/"

_log = logging.getLogger(__name__)  # what --verbose shows

OnLine = Callable[[str], None]


def run(
    *command: str,
    stack: str,
    text: str,
    environ: Mapping[str, str],
    variables: Mapping[str, str],
    directory: Path,
    on_line: OnLine = lambda _: None,
) -> None:
    """Run a command of `docker compose` on a compose text, handing over each line it prints.

    `stack` is the compose project. The text goes in on stdin and no `.env` is read, so that nothing in a directory can
    change what is run. `variables` is what the text refers to. The child has its own process group: Ctrl-C reaches only
    us, and we then interrupt the child and wait for it. Raises `DockerUnavailable` or `ComposeFailed`.
    """
    arguments = ["docker", "compose", "--progress=plain", f"--project-name={stack}"]
    arguments += [f"--env-file={os.devnull}", f"--project-directory={directory}", "--file=-", *command]
    lines: collections.deque[str] = collections.deque(maxlen=_TAIL)
    process = _start(arguments, {**environ, **variables})
    assert process.stdout is not None
    try:
        _feed(process, text)
        for line in process.stdout:
            lines.append(line.rstrip())
            _log.debug("%s", lines[-1])
            on_line(lines[-1])
        code = process.wait()
    except BaseException:
        _stop(process)
        raise
    finally:
        process.stdout.close()
    if code:
        raise _failure(command[0], list(lines), environ)


def _start(arguments: list[str], environ: Mapping[str, str]) -> subprocess.Popen[str]:
    """It does nothing before it has the compose text: not even if we are interrupted before anybody knows of it."""
    _log.info("%s", shlex.join(arguments))
    try:
        return subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environ,
            pass_fds=lock.held(),  # if we are killed, it goes on with the container until it is done
            start_new_session=True,
            encoding="utf-8",
            errors="replace",
        )
    except FileNotFoundError:
        raise DockerUnavailable("the docker command was not found", hint=_INSTALL) from None


def _feed(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it ended without reading: its exit code and output tell
        process.stdin.write(text)
        process.stdin.close()
    process.stdin = None  # or `communicate` trips over the closed file


def _stop(process: subprocess.Popen[str]) -> None:
    """Interrupt, wait, kill. A second Ctrl-C while waiting kills at once.

    Windows has no process groups of this kind: there the console itself has told the child of a Ctrl-C.
    """
    groups = hasattr(os, "killpg")
    if groups:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
    try:
        process.communicate(timeout=_GRACE)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL) if groups else process.kill()
        process.communicate()


def version(environ: Mapping[str, str]) -> tuple[int, ...]:
    """Of the plugin. Raises `DockerUnavailable` when it, or the command itself, is not there."""
    try:
        said = subprocess.run(
            ["docker", "compose", "version", "--short"], env=environ, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise DockerUnavailable("the docker command was not found", hint=_INSTALL) from None
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", said.stdout)
    if said.returncode or not found:
        raise DockerUnavailable("docker has no compose plugin", hint=_INSTALL_PLUGIN, detail=said.stderr or said.stdout)
    return tuple(map(int, found.groups()))


def _failure(what: str, lines: list[str], environ: Mapping[str, str]) -> CcapiError:
    """A missing plugin shows in many ways (docker takes our options for its own); so ask for the plugin itself."""
    if subprocess.run(["docker", "compose", "version"], env=environ, capture_output=True, check=False).returncode:
        return DockerUnavailable("docker has no compose plugin", hint=_INSTALL_PLUGIN, detail="\n".join(lines))
    return ComposeFailed(f"docker compose {what} failed: {_reason(lines)}", detail="\n".join(lines))


def _reason(lines: list[str]) -> str:
    """The line that says why: the last one of those that name an error, else the last one."""
    said = [line for line in lines if line.strip()]
    errors = [line for line in said if "error" in line.lower() or "failed" in line.lower()]
    return (errors or said or ["it printed nothing"])[-1].strip()
