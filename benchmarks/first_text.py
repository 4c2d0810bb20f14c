"""Time to an answer's first text and to its end: `claude -p` itself, the gateway, `ccapi ask`; all in turn."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.stand import CHAT, Served, Stand, ask, chat, stand

Times = tuple[float, float]  # of the first text, and of the end
# The first round fills caches, of the machine and of the CLI.
_WARM_UP = 1


def measure(rounds: int = 9) -> dict[str, Any]:
    """Medians in seconds, and each as a ratio to `claude -p`."""
    with stand() as place:
        place.model()
        cold, warm = place.gateway(), place.gateway(pool=1, sessions=2)
        times: dict[str, list[Times]] = {}
        for number in range(rounds + _WARM_UP):
            for name, way in ways(place, cold, warm, number).items():
                warm.await_ready(1)
                times.setdefault(name, []).append(way())
    medians = {
        name: tuple(statistics.median(column) for column in zip(*found[_WARM_UP:], strict=True))
        for name, found in times.items()
    }
    base = medians["claude -p"]
    return {
        name: {
            "first_s": round(first, 4),
            "total_s": round(total, 4),
            "first_ratio": round(first / base[0], 3),
            "total_ratio": round(total / base[1], 3),
        }
        for name, (first, total) in medians.items()
    }


def ways(place: Stand, cold: Served, warm: Served, number: int) -> dict[str, Callable[[], Times]]:
    """Each is asked once a round; the next turn is that of the conversation that the warm one began."""
    text = f"hello number {number}"
    return {
        "claude -p": lambda: claude_p(place, text),
        "gateway, cold": lambda: through(cold, text),
        "gateway, warm": lambda: through(warm, text),
        "gateway, next turn": lambda: through(warm, text, f"You said: {text}", "and then?"),
        "ccapi ask, warm": lambda: ccapi_ask(place, warm, text),
    }


def claude_p(place: Stand, text: str) -> Times:
    began, first = time.perf_counter(), 0.0
    with place.claude() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(text.encode())
        process.stdin.close()
        for line in process.stdout:
            if not first and b'"text_delta"' in line:
                first = time.perf_counter() - began
    if not first or process.returncode:
        raise RuntimeError("claude -p gave no answer")
    return first, time.perf_counter() - began


def through(served: Served, *texts: str) -> Times:
    answer = asyncio.run(ask(served.port, CHAT, chat(*texts)))
    if not answer.whole:
        raise RuntimeError("the gateway gave no whole answer")
    return answer.first, answer.total


def ccapi_ask(place: Stand, served: Served, text: str) -> Times:
    began = time.perf_counter()
    with place.ccapi("ask", text, f"--port={served.port}") as process:
        assert process.stdout is not None
        process.stdout.read(1)
        first = time.perf_counter() - began
        process.stdout.read()
    return first, time.perf_counter() - began
