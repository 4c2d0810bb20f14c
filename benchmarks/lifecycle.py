"""What `ccapi up` and `ccapi down` take, beside `docker compose` doing the same to the same stack."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from ccapi import paths, settings
from ccapi.commands import stack
from ccapi.paths import Home
from ccapi.stack import templates
from ccapi.stack.engine import Engine

_PROJECT = "benchmark"


def measure(rounds: int = 15) -> dict[str, Any]:
    """Medians in seconds, and their ratios; the two take turns."""
    with tempfile.TemporaryDirectory(prefix="ccapi-bench-") as directory:
        bench = _Bench(Path(directory))
        try:
            bench.ccapi("up", "--rehearsal")
            return {"up": bench.up(rounds), "down": bench.down(max(rounds // 3, 3))}
        finally:
            bench.ccapi("down", "--volumes", "--yes")


class _Bench:
    """A stack of its own, and two ways to drive it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.home = Home(str(directory), _PROJECT)
        # With the compiled modules that every installation has.
        foreign = ("CCAPI_", "ANTHROPIC_", "CLAUDE", "COMPOSE_", "PYTHONDONTWRITEBYTECODE")
        own = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        self.environ = {name: value for name, value in own.items() if not name.lower().endswith("_proxy")}
        self.ours = {**self.environ, "CCAPI_HOME": str(directory), "CCAPI_STACK_PROJECT": _PROJECT}

    def up(self, rounds: int) -> dict[str, float]:
        """On a stack that runs, and is as wanted."""
        compose = self._compose()
        ours, theirs = [], []
        for _ in range(rounds):
            ours.append(self.ccapi("up", "--rehearsal"))
            theirs.append(self._timed([*compose, "up", "--detach"], self._variables()))
        return _compared(ours, theirs)

    def down(self, rounds: int) -> dict[str, float]:
        """Of a stack that runs; its volumes stay."""
        compose = self._compose()
        ours, theirs = [], []
        for _ in range(rounds):
            ours.append(self.ccapi("down"))
            self.ccapi("up", "--rehearsal")
            theirs.append(self._timed([*compose, "down"], self._variables()))
            self.ccapi("down")  # the proxy, of which compose knows nothing
            self.ccapi("up", "--rehearsal")
        return _compared(ours, theirs)

    def ccapi(self, *arguments: str) -> float:
        return self._timed([sys.executable, "-m", "ccapi", *arguments], self.ours)

    def _timed(self, command: Sequence[str], environ: dict[str, str]) -> float:
        began = time.perf_counter()
        done = subprocess.run(
            command, env=environ, cwd=self.directory, check=False, capture_output=True, text=True, timeout=600
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
        return time.perf_counter() - began

    def _compose(self) -> list[str]:
        """With the text that ccapi gives it, and the same variables: it finds nothing to do."""
        with Engine(settings.docker_environment(self.environ), self.home.stack) as engine:
            text = templates.compose_text(start_interval=engine.knows_start_interval)
        file = self.directory / "docker-compose.yml"
        file.write_text(text, "utf-8")
        return [
            "docker",
            "compose",
            f"--project-name={self.home.stack}",
            f"--env-file={os.devnull}",
            f"--project-directory={paths.templates_dir() / 'compose'}",
            f"--file={file}",
        ]

    def _variables(self) -> dict[str, str]:
        wanted = stack.wanted(settings.load(home=self.home, environ=self.ours), {}, "default")
        inputs = templates.build_input(wanted.base_image, wanted.ca_file, wanted.user)
        text = (self.directory / "docker-compose.yml").read_text("utf-8")
        return {**self.environ, **wanted.interpolation(inputs.image, templates.compose_id(text))}


def _compared(ours: list[float], theirs: list[float]) -> dict[str, float]:
    return {
        "ccapi_seconds": round(median(ours), 3),
        "compose_seconds": round(median(theirs), 3),
        "ratio": round(median(ours) / median(theirs), 2),
    }
