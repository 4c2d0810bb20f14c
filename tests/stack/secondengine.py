"""A Docker engine of the tests' own, which may be stopped and started: the machine's would take others along.

Its containers reach no network, and so no registry and no mirror: what is built or pulled there fails for want of one.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ccapi.paths import Home
from tests.cli.support import ROOT, Cli, free_port
from tests.gateway.harness import await_that
from tests.stack.support import BUILD_DEADLINE, Commands, docker

# An engine that is told to have no bridge, or a pool of addresses, removes docker0, which is the other engine's.
BRIDGE = "ccapi-test0"
_START = 60.0  # seconds
_STOP = 40.0


class SecondEngine:
    """`directory` is where all of it lies. Needs root."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        return f"unix://{self.socket}"

    def docker(self, *args: str, check: bool = True) -> str:
        return docker(f"--host={self.host}", *args, check=check)

    def load(self, image: str, *more: str) -> None:
        """Bring images here from the machine's engine. (A slow disk takes its time for so much.)"""
        file = self.directory.parent / "images.tar"
        docker("save", "--output", str(file), image, *more, timeout=BUILD_DEADLINE)
        docker(f"--host={self.host}", "load", "--input", str(file), timeout=BUILD_DEADLINE)
        file.unlink()

    def start(self) -> None:
        """Returns when it answers."""
        self.begin()
        await_that(self.answers, "the engine", _START)

    def begin(self) -> None:
        """Have it start."""
        if not Path("/sys/class/net", BRIDGE).exists():
            for command in ("link add {} type bridge", "addr add 10.214.7.1/24 dev {}", "link set {} up"):
                subprocess.run(["ip", *command.format(BRIDGE).split()], check=True, timeout=10)
        options = [f"--{name}={self.directory / name}" for name in ("data-root", "exec-root")]
        options += [f"--pidfile={self.directory / 'pid'}", f"--host={self.host}", f"--bridge={BRIDGE}"]
        options += ["--iptables=false", "--ip6tables=false"]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["dockerd", *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def answers(self) -> bool:
        assert self._process is None or self._process.poll() is None, (self.directory / "log").read_text("utf-8")
        command = ["docker", f"--host={self.host}", "info"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def stop(self) -> None:
        """As a machine that goes down does it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(_STOP)
            self._process = None

    def remove(self) -> None:
        self.stop()
        subprocess.run(["ip", "link", "delete", BRIDGE], check=False, timeout=10, capture_output=True)
        deadline = time.monotonic() + 10
        while self.directory.exists() and time.monotonic() < deadline:  # mounts go a moment later
            shutil.rmtree(self.directory, ignore_errors=True)


class Frozen(Commands, Cli):
    """`ccapi` from a copy of its sources: whoever edits them meanwhile does not change what image it wants.

    `project`: one of several stacks, which finds its own ports; the others' are given. `engine`: another one than the
    machine's.
    """

    def __init__(
        self, directory: Path, package: Path, *, project: str | None = None, engine: SecondEngine | None = None
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        super().__init__(directory)
        self.engine = engine
        self.name = Home(project=project).stack
        self.port, self.oauth_port = free_port(), free_port()
        self.environ["PYTHONPATH"] = str(package)
        if project:
            self.environ["CCAPI_STACK_PROJECT"] = project
        else:
            self.environ |= {"CCAPI_GATEWAY_PORT": str(self.port), "CCAPI_OAUTH_PORT": str(self.oauth_port)}
        if engine:
            self.environ["DOCKER_HOST"] = engine.host

    def cli(
        self,
        *args: str,
        environ: Mapping[str, str] | None = None,
        stdin: str | None = None,
        package: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """`package`: from another copy, this once."""
        sources = {"PYTHONPATH": str(package)} if package else {}
        return super().cli(*args, environ={**(environ or {}), **sources}, stdin=stdin)

    def docker(self, *args: str, check: bool = True) -> str:
        return self.engine.docker(*args, check=check) if self.engine else super().docker(*args, check=check)

    def inspect(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.docker("inspect", self.name))[0]
        return document

    def volume(self, role: str = "claude-config") -> Path:
        """Where a volume lies on this machine."""
        return Path(self.docker("volume", "inspect", "--format={{.Mountpoint}}", f"{self.name}_{role}"))

    def left(self) -> list[str]:
        """The names of all that carries the stack's label."""
        label = f"--filter=label=ccapi.stack={self.name}"
        names = self.docker("ps", "--all", label, "--format={{.Names}}").split()
        for kind in ("volume", "network"):
            names += self.docker(kind, "ls", label, "--format={{.Name}}").split()
        return sorted(names)

    def remove(self) -> None:
        """Also what an engine may only now be making, whose `up` was interrupted."""

        def gone() -> bool:
            self.cli("down", "--volumes", "--yes")
            return self.left() == []

        await_that(gone, "all of it is removed")


def copied(directory: Path) -> Path:
    """The package and its templates, where Python finds them."""
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("ccapi", "templates"):
        shutil.copytree(ROOT / name, directory / name, ignore=ignore)
    return directory


def possible() -> str | None:
    """Why no engine can be started here; None when one can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a second engine needs root on Linux"
    missing = [name for name in ("dockerd", "ip") if shutil.which(name) is None]
    return f"{missing[0]} is not installed" if missing else None
