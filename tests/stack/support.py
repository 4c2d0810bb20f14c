"""The stack's commands, for real, and a stand-in for the `docker` command where the real one cannot be made to fail."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ccapi.stack.engine import Container
from tests.cli.support import DEADLINE, Cli, clean_environ, command, free_port
from tests.gateway.harness import await_that

NAME = "claude-code-api"
DATA = Path(__file__).parent / "data"
CA_FILE = DATA / "test-ca.pem"
CONFIG_VOLUME = f"{NAME}_claude-config"
BUILD_DEADLINE = 540  # seconds, for an image from nothing on a slow machine


def docker(*args: str, check: bool = True, timeout: float = 120) -> str:
    """Output of the docker command, both streams, as the person sees it. `timeout` in seconds."""
    done = subprocess.run(
        ["docker", *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0 or not check, done.stdout
    return done.stdout.strip()


def inspect(name: str = NAME) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(docker("inspect", name))[0]
    return document


def refuse_to_harm(stack: str = NAME) -> None:
    """If the person who runs the tests has a stack of that name in use, these tests would replace it."""
    label = f"label=ccapi.stack={stack}"
    there = docker("ps", "--all", "--quiet", "--filter", label) or docker("volume", "ls", "--quiet", "--filter", label)
    if there:
        message = f"the stack {stack}, or a volume of it, is there already; to run these tests: ccapi down --volumes"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


class Commands:
    """`ccapi` for one stack; `name` is what Docker calls that."""

    directory: Path
    environ: dict[str, str]
    name: str = NAME

    def cli(
        self, *args: str, environ: Mapping[str, str] | None = None, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """To its end, which may take as long as a build."""
        return subprocess.run(
            command(*args),
            cwd=self.directory,
            env={**self.environ, **(environ or {})},
            stdin=subprocess.DEVNULL if stdin is None else None,
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            timeout=BUILD_DEADLINE,
            check=False,
        )

    def up(self, *args: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """`ccapi up --rehearsal`, which must succeed."""
        done = self.cli("up", "--rehearsal", *args, environ=environ)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def status(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.cli("status", "--json").stdout)["data"]
        return document

    def docker(self, *args: str, check: bool = True) -> str:
        """As the function, at the engine that the stack is on."""
        return docker(*args, check=check)

    def inside(self, script: str) -> str:
        """What a shell script prints in the container, as the user that everything there runs as."""
        return self.docker("exec", self.name, "sh", "-c", script)


class Stack(Commands):
    """With a home and a port of its own and an extra CA certificate."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.oauth_port = free_port()
        self.environ = clean_environ(
            directory,
            CCAPI_GATEWAY_PORT=str(self.port),
            CCAPI_OAUTH_PORT=str(self.oauth_port),
            CCAPI_STACK_CA_FILE=str(CA_FILE),
        )

    def in_config_volume(self, script: str) -> None:
        """Run a script as the container's user in the volume of Claude's configuration, without the stack."""
        directory = "/home/claude/.claude"  # mounted elsewhere, an empty volume would be given to root
        volume = f"--volume={CONFIG_VOLUME}:{directory}"
        docker("run", "--rm", volume, f"--workdir={directory}", "--entrypoint=sh", self.image(), "-c", script)

    def image(self) -> str:
        """The image that the last `up` made."""
        return _images()[0]

    def remove_everything(self) -> None:
        self.cli("down", "--volumes", "--yes")
        for name in _images():
            docker("rmi", name, check=False)  # another stack may use it


def _images() -> list[str]:
    """The images that `up` made, and not one that was made by hand."""
    names = docker("images", "--filter", f"label=ccapi.image={NAME}", "--format", "{{.Repository}}:{{.Tag}}")
    return [name for name in names.splitlines() if not name.endswith((":local", ":<none>"))]


class Said:
    """What a command writes to standard error, line by line."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.text = ""
        self._process = process
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.text += line.decode()

    def rest(self) -> str:
        """All of it, once the command has ended."""
        self._thread.join(DEADLINE)
        return self.text

    def await_line(self, wanted: str) -> None:
        await_that(lambda: wanted in self.text or not self._thread.is_alive(), wanted, DEADLINE)
        assert wanted in self.text, self.text


def compose_processes(stack: str) -> list[int]:
    """Those of `docker compose`, and its plugin, that ccapi has started for a stack."""
    option = f"--project-name={stack}\0".encode()
    return [int(file.parent.name) for file in Path("/proc").glob("[0-9]*/cmdline") if option in _content(file)]


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # it has ended
        return b""


class FakeDocker:
    """A `docker` command that is a shell script, first on PATH."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()

    def says(self, script: str) -> dict[str, str]:
        """The environment in which this script is `docker`."""
        file = self.directory / "docker"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        return {"PATH": f"{self.directory}:{os.environ['PATH']}", "HOME": str(self.directory)}


def cli_without_engine(directory: Path) -> Cli:
    """The command on a machine where no engine runs."""
    cli = Cli(directory)
    cli.environ["DOCKER_HOST"] = f"unix://{directory}/no.sock"
    return cli


def container(**changes: Any) -> Container:
    """A healthy container as `docker inspect` would tell of it."""
    values: dict[str, Any] = {
        "id": "1" * 64,
        "name": NAME,
        "image": f"{NAME}:0123456789ab",
        "state": "running",
        "health": "healthy",
        "exit_code": 0,
        "oom_killed": False,
        "error": "",
        "restarts": 0,
        "started": None,
        "published": "127.0.0.1:8000",
        "workspace": None,
        "probe": "",
        "environment": {},
        "labels": {"ccapi.stack": NAME, "ccapi.compose": "abc"},
    }
    return Container(**{**values, **changes})
