"""Many questions at once: 1 and 8 beside as many `claude -p`, and 32 over few run slots."""

from __future__ import annotations

import asyncio
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.first_text import claude_p
from benchmarks.stand import CHAT, Answer, Served, Stand, ask, chat, stand


def measure(rounds: int = 3, counts: tuple[int, ...] = (1, 8), crowd: int = 32, slots: int = 4) -> dict[str, Any]:
    """Medians of the wall time in seconds until all are answered, and their ratio; failures in the crowd."""
    with stand() as place:
        place.model()
        warm = place.gateway(pool=max(counts), runs=max(counts))
        found: dict[str, Any] = {}
        for count in counts:
            times: dict[str, list[float]] = {"claude": [], "gateway": []}
            for _ in range(rounds):
                times["claude"].append(processes(place, count))
                warm.await_ready(max(counts))
                times["gateway"].append(at_once(warm, count)[0])
            claude, gateway = (statistics.median(times[name]) for name in ("claude", "gateway"))
            found[str(count)] = {
                "claude_s": round(claude, 3), "gateway_s": round(gateway, 3), "ratio": round(gateway / claude, 3)
            }  # fmt: skip
        place.end(warm)
        seconds, answers = at_once(place.gateway(pool=2, sessions=4, runs=slots), crowd)
        failures = sum(not answer.whole for answer in answers)
        found[f"{crowd} over {slots} slots"] = {"seconds": round(seconds, 3), "failures": failures}
    return found


def processes(place: Stand, count: int) -> float:
    """Seconds until so many `claude -p` at once have answered."""
    began = time.perf_counter()
    with ThreadPoolExecutor(count) as threads:
        list(threads.map(lambda number: claude_p(place, f"hello {number}"), range(count)))
    return time.perf_counter() - began


def at_once(served: Served, count: int) -> tuple[float, list[Answer]]:
    async def all_of_them() -> list[Answer]:
        return await asyncio.gather(*(ask(served.port, CHAT, chat(f"hello {number}")) for number in range(count)))

    began = time.perf_counter()
    answers = asyncio.run(all_of_them())
    return time.perf_counter() - began, answers
