"""What `ccapi ask` adds to the first text of an answer, in a pipe and on a terminal; `curl` asks the same beside it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.stand import Served, Stand, stand
from ccapi.client.question import Question, text_part

_CCAPI = str(Path(sys.executable).parent / "ccapi")  # as it is installed: its start script counts
_BARE, _BASE = "bare Python", "curl"
_FIRST = b"Y"  # of what the scripted model says; nothing before it on a terminal has one
_DELTA = b"response.output_text.delta"
# The least that a client with httpx can be: it says the first text as soon as it has come.
_HTTPX = """
import json, sys, httpx
with httpx.stream("POST", sys.argv[1], content=sys.argv[2], headers={"Content-Type": "application/json"}) as response:
    for line in response.iter_lines():
        if line.startswith("data: ") and (event := json.loads(line[6:]))["type"] == "response.output_text.delta":
            sys.stdout.write(event["delta"])
            sys.stdout.flush()
"""


def measure(rounds: int = 15) -> dict[str, Any]:
    """In ms, from a program's start to the first text that it hands on, all in turn: the median, and the best time.

    `added_ratio`: what the median is more than curl's, as a multiple of what bare Python takes; `best_ratio`: the same
    of the best times, for machines that have something else to do.
    """
    with stand() as place:
        place.model()
        served = place.gateway(pool=1)
        times: dict[str, list[float]] = {}
        for number in range(rounds + 1):
            for name, way in _ways(place, served, f"hello number {number}").items():
                served.await_ready(1)
                times.setdefault(name, []).append(way())
    found = {name: _summary(all_[1:]) for name, all_ in times.items()}  # the first round fills the caches
    bare, base = found[_BARE], found[_BASE]
    for name in found.keys() - {_BARE, _BASE}:
        for kind, ratio in (("median_ms", "added_ratio"), ("best_ms", "best_ratio")):
            found[name][ratio] = round((found[name][kind] - base[kind]) / bare[kind], 1)
    return found


def _summary(times: Sequence[float]) -> dict[str, float]:
    return {"median_ms": round(median(times) * 1000, 1), "best_ms": round(min(times) * 1000, 1)}


def _ways(place: Stand, served: Served, text: str) -> dict[str, Callable[[], float]]:
    url = f"http://127.0.0.1:{served.port}/v1/responses"
    body = json.dumps(Question((text_part(text),), "sonnet").body())
    curl = ("curl", "-sN", "--noproxy", "*", "-H", "Content-Type: application/json", "-d", body, url)
    ask = (_CCAPI, "ask", text, f"--port={served.port}")
    return {
        _BARE: lambda: _to_the_end(place, (sys.executable, "-c", "pass")),
        _BASE: lambda: _in_a_pipe(place, curl, _DELTA),
        "ccapi ask, pipe": lambda: _in_a_pipe(place, ask, _FIRST),
        "ccapi ask, terminal": lambda: _on_a_terminal(place, ask, _FIRST),
        "httpx": lambda: _in_a_pipe(place, (sys.executable, "-c", _HTTPX, url, body), _FIRST),
    }


def _to_the_end(place: Stand, command: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, cwd=place.directory, env=place.environ(), check=True)
    return time.perf_counter() - began


def _in_a_pipe(place: Stand, command: Sequence[str], first: bytes) -> float:
    began = time.perf_counter()
    with subprocess.Popen(
        command,
        cwd=place.directory,
        env=place.environ(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        return _first(process, process.stdout.fileno(), first) - began


def _on_a_terminal(place: Stand, command: Sequence[str], first: bytes) -> float:
    """All three of its streams are the terminal, as a person has it."""
    ours, theirs = pty.openpty()
    began = time.perf_counter()
    try:
        with subprocess.Popen(
            command,
            cwd=place.directory,
            env={**place.environ(), "TERM": "xterm-256color"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        ) as process:
            os.close(theirs)
            return _first(process, ours, first) - began
    finally:
        os.close(ours)


def _first(process: subprocess.Popen[bytes], output: int, first: bytes) -> float:
    """When that came; all else is read as well, up to the end of the process."""
    seen, at = b"", 0.0
    while chunk := _read(output):
        seen += chunk
        if not at and first in seen:
            at = time.perf_counter()
    if process.wait() or not at:
        raise RuntimeError(f"no answer: {seen!r}")
    return at


def _read(output: int) -> bytes:
    try:
        return os.read(output, 65536)
    except OSError:  # Linux: how a terminal says that its last writer has gone
        return b""
