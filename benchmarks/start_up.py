"""What a command takes before it does anything, beside bare Python and the smallest Typer program."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

_CCAPI = str(Path(sys.executable).parent / "ccapi")  # as it is installed: its start script counts
_HELLO = """
import typer
app = typer.Typer()
@app.command()
def hello(name: str = "you") -> None:
    typer.echo(f"hello {name}")
app()
"""
_BARE = "bare Python"
_ENGINE = "Docker's SDK alone"
# All end with 0 or, where there is no engine, with 5; nothing is asked of another process.
COMMANDS: Mapping[str, Sequence[str]] = {
    _BARE: (sys.executable, "-c", "pass"),
    "hello-world Typer": (sys.executable, "-c", _HELLO),
    "hello-world Typer, help": (sys.executable, "-c", _HELLO, "--help"),
    "version": (_CCAPI, "--version"),
    "help": (_CCAPI, "--help"),
    "config path": (_CCAPI, "config", "path"),
    "completion script": (_CCAPI, "completion", "bash"),
    "completion of a command": (_CCAPI, "__complete", "=stat"),
    "completion of a setting": (_CCAPI, "__complete", "=gateway.", "config", "get"),
    "status, help": (_CCAPI, "status", "--help"),
    "status, no engine": (_CCAPI, "status"),
    _ENGINE: (sys.executable, "-c", "import docker"),
}


def measure(rounds: int = 25) -> dict[str, Any]:
    """Of each, in ms: the best time and the median by the clock, and the median of processor time.

    `ratio`: the best time as a multiple of bare Python's, so that what else the machine does counts as little as can
    be; for the same reason they run in turn. `cpu_ratio`: the same of processor time.
    """
    with tempfile.TemporaryDirectory() as directory:
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": directory,
            "DOCKER_HOST": f"unix://{directory}/none.sock",
            "CCAPI_NO_UPDATE_CHECK": "1",
        }
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
        for _ in range(rounds + 1):
            for name, command in COMMANDS.items():
                times[name].append(_once(command, environ, directory))
    found = {name: _summary(all_[1:]) for name, all_ in times.items()}  # the first round fills the caches
    bare = dict(found[_BARE])
    for values in found.values():
        values["ratio"] = round(values["best_ms"] / bare["best_ms"], 2)
        values["cpu_ratio"] = round(values["cpu_ms"] / bare["cpu_ms"], 2)
    own = found["status, no engine"]["ratio"] - found[_ENGINE]["ratio"] + 1
    found["status, its own part"] = {"ratio": round(own, 2)}
    return found


def _once(command: Sequence[str], environ: Mapping[str, str], directory: str) -> tuple[float, float]:
    """Seconds by the clock, and of a processor, from the start of the process to its end."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=directory, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    took = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in {0, 5}:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return took, usage.ru_utime + usage.ru_stime


def _summary(times: Sequence[tuple[float, float]]) -> dict[str, float]:
    wall, cpu = zip(*times, strict=True)
    named = {"best_ms": min(wall), "median_ms": median(wall), "cpu_ms": median(cpu)}
    return {name: round(seconds * 1000, 1) for name, seconds in named.items()}
