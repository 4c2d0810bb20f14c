"""A stack of its own for what doctor says of containers: a real one, and quick ones in its place that are broken.

It is another stack than the one that `ccapi up` makes without a project, so that both can be there at the same time.
What is shown of it in docs/troubleshooting.md is what a person sees who has one stack only.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from ccapi.doctor.check import Finding
from ccapi.doctor.runner import Result
from tests.cli.support import command
from tests.doctor.support import Doctor, Table
from tests.gateway.harness import await_that
from tests.stack.support import NAME, Stack, docker, inspect

PROJECT = "doctor"
BASE = "debian:trixie-slim"  # what the image is built from: it is there wherever the image is
_IMAGE = re.compile(rf"{NAME}:[0-9a-f]{{12}}")


class Stage(Stack):
    """`cli` and `up` are about this stack; `look` is doctor's look at it."""

    images: ClassVar[set[str]] = set()  # that the containers were made of

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.name = f"{NAME}-{PROJECT}"
        self.environ["CCAPI_STACK_PROJECT"] = PROJECT
        self.doctor = Doctor(directory)
        self.doctor.environ = self.environ
        self.volume = f"{self.name}_claude-config"

    def up(self, *args: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        done = super().up(*args, environ=environ)
        self.images.add(inspect(self.name)["Config"]["Image"])
        return done

    def look(self, check: str, environ: Mapping[str, str] | None = None) -> Result:
        return self.doctor.look(check, environ)

    def finding(self, check: str, environ: Mapping[str, str] | None = None) -> Finding:
        return self.look(check, environ).finding

    def add(self, table: Table, condition: str, broken: Result, mended: Result, **replace: str) -> None:
        """A row, in which this is the only stack. `replace`: see `Table.add`; an underscore at its end is dropped."""
        image = _IMAGE.search((broken.finding.fix.command if broken.finding.fix else None) or "")
        table.add(
            condition,
            broken,
            mended,
            replace={
                self.name: NAME,
                f" --project {PROJECT}": "",
                " --rehearsal=default": "",
                str(self.port): "8000",
                str(self.oauth_port): "8888",
                str(self.directory): "~",
                **({image[0]: f"{NAME}:IMAGE"} if image else {}),
                **replace,
            },
        )

    def do(self, result: Result) -> None:
        """What doctor says to do: its commands, as they stand, in this stack's environment."""
        assert result.finding.fix is not None
        assert result.finding.fix.command is not None
        for line in result.finding.fix.command.splitlines():
            shell = line.replace("ccapi ", " ".join(command()) + " ", 1) if line.startswith("ccapi ") else line
            done = subprocess.run(
                ["sh", "-c", shell],
                cwd=self.directory,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=540,
                check=False,
            )
            assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"

    def apply(self, result: Result) -> None:
        """What `ccapi doctor --fix` would do."""
        assert result.finding.fix is not None
        assert result.finding.fix.apply is not None
        result.finding.fix.apply()

    def healthy(self) -> None:
        """As `ccapi up` makes it, whatever was there before."""
        if not docker("ps", "--quiet", "--filter", f"name=^/{self.name}$", "--filter", "health=healthy"):
            self.gone()
        self.up()

    def gone(self) -> None:
        """Without a container."""
        docker("rm", "--force", "--volumes", self.name, check=False)

    @contextmanager
    def container(self, *options: str, script: str = "exec sleep 600", image: str = BASE) -> Iterator[None]:
        """In the place of the stack's own, one that runs a script as soon as it is made; afterwards neither is there.

        Its labels are those of a container that compose made, so that `ccapi up` puts its own in its place.
        """
        self.gone()
        labels = {
            "ccapi.stack": self.name,
            "com.docker.compose.project": self.name,
            "com.docker.compose.service": "gateway",
            "com.docker.compose.container-number": "1",
            "com.docker.compose.oneoff": "False",
            "com.docker.compose.config-hash": "0" * 64,
        }
        marks = [f"--label={name}={value}" for name, value in labels.items()]
        docker("run", "--detach", f"--name={self.name}", *marks, *options, "--entrypoint=sh", image, "-c", script)
        try:
            yield
        finally:
            self.gone()

    def await_state(self, *states: str) -> None:
        await_that(lambda: inspect(self.name)["State"]["Status"] in states, f"the container is {' or '.join(states)}")

    def await_health(self, health: str) -> None:
        await_that(lambda: inspect(self.name)["State"]["Health"]["Status"] == health, f"the container is {health}")

    def inside(self, script: str) -> str:
        return docker("exec", self.name, "sh", "-c", script)

    def remove_everything(self) -> None:
        self.gone()
        self.cli("down", "--volumes", "--yes")
