"""Run the benchmarks, print their ratios, and write all numbers to `benchmarks/results.json`.

python -m benchmarks [--quick] [NAME ...], of: first_text ask events stall long_line concurrency endurance idle_proxy
start_up lifecycle render

Ratios are of things that ran in turn on this machine; they hold on others, seconds do not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import (
    ask,
    concurrency,
    endurance,
    events,
    first_text,
    idle_proxy,
    lifecycle,
    long_line,
    render,
    stall,
    start_up,
)

RESULTS = Path(__file__).parent / "results.json"
Measure = Callable[[], dict[str, Any]]
FULL: Mapping[str, Measure] = {
    "first_text": partial(first_text.measure, 15),
    "ask": ask.measure,
    "events": events.measure,
    "stall": stall.measure,
    "long_line": long_line.measure,
    "concurrency": partial(concurrency.measure, 5),
    "endurance": endurance.measure,
    "idle_proxy": idle_proxy.measure,
    "start_up": start_up.measure,
    "lifecycle": lifecycle.measure,
    "render": render.measure,
}
QUICK: Mapping[str, Measure] = {
    "first_text": partial(first_text.measure, 3),
    "ask": partial(ask.measure, 3),
    "events": partial(events.measure, (20_000,), 2),
    "stall": partial(stall.measure, 3.0, 100_000),
    "long_line": long_line.measure,
    "concurrency": partial(concurrency.measure, 1, (1, 4), 8, 2),
    "endurance": partial(endurance.measure, 100),
    "idle_proxy": partial(idle_proxy.measure, 2),
    "start_up": partial(start_up.measure, 3),
    "lifecycle": partial(lifecycle.measure, 3),
    "render": partial(render.measure, 20_000, 1),
}
# What is wanted: where the number is, and what it may be at most.
TARGETS: tuple[tuple[tuple[str, ...], float], ...] = (
    (("first_text", "gateway, warm", "first_ratio"), 0.25),
    (("first_text", "gateway, next turn", "first_ratio"), 0.10),
    (("ask", "ccapi ask, pipe", "added_ratio"), 10),
    (("ask", "ccapi ask, terminal", "added_ratio"), 10),
    (("events", "20000", "chat_ratio"), 2.5),
    (("events", "200000", "chat_ratio"), 2.5),
    (("events", "20000", "responses_ratio"), 2.5),
    (("events", "200000", "responses_ratio"), 2.5),
    (("stall", "chat", "memory_mb"), 20),
    (("stall", "responses", "memory_mb"), 20),
    (("concurrency", "8", "ratio"), 0.6),
    (("concurrency", "32 over 4 slots", "failures"), 0),
    (("endurance", "failures"), 0),
    (("idle_proxy", "proxy, idle", "private_mb"), 10),
    (("idle_proxy", "proxy, idle again", "private_mb"), 10),
    (("idle_proxy", "first answer", "seconds"), 0.5),
    (("start_up", "version", "ratio"), 2.0),
    (("start_up", "help", "ratio"), 10),
    (("start_up", "config path", "ratio"), 6),
    (("start_up", "completion script", "ratio"), 6),
    (("start_up", "completion of a command", "ratio"), 6),
    (("start_up", "completion of a setting", "ratio"), 6),
    (("start_up", "status, help", "ratio"), 6),
    (("start_up", "status, its own part", "ratio"), 6),
    (("lifecycle", "up", "ratio"), 1.5),
    (("lifecycle", "down", "ratio"), 1.3),
    (("render", "linear", "lines", "growth"), 1.3),
    (("render", "linear", "drawn", "growth"), 1.3),
    (("render", "drawn to rich", "cpu"), 0.1),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Benchmarks of the gateway, of the OAuth proxy, of the command line and of the stack.",
    )
    parser.add_argument("--quick", action="store_true", help="few rounds: to see that they run, not to compare")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of: {', '.join(FULL)}")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(FULL):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    known = json.loads(RESULTS.read_text("utf-8")) if arguments.names and RESULTS.exists() else {}
    results: dict[str, Any] = {**known, "machine": machine()}
    for name, measure in (QUICK if arguments.quick else FULL).items():
        if arguments.names and name not in arguments.names:
            continue
        began = time.monotonic()
        results[name] = measure()
        say(f"\n{name} ({time.monotonic() - began:.0f} s)")
        show(results[name])
    say("\ntargets")
    for path, limit in TARGETS:
        value = look_up(results, path) if not arguments.names or path[0] in arguments.names else None
        if value is not None:
            say(f"  {'ok    ' if value <= limit else 'MISSED'} {' / '.join(path)}: {value:g} (at most {limit:g})")
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    say(f"\nwritten to {RESULTS}")


def machine() -> dict[str, Any]:
    """What the seconds are worth."""
    load = os.getloadavg()[0]
    return {"cpus": os.cpu_count(), "load": round(load, 2), "python": platform.python_version()}


def show(values: Mapping[str, Any], indent: int = 2) -> None:
    for name, value in values.items():
        if isinstance(value, Mapping) and any(isinstance(each, Mapping) for each in value.values()):
            say(f"{' ' * indent}{name}")
            show(value, indent + 2)
        elif isinstance(value, Mapping):
            say(f"{' ' * indent}{name}: {', '.join(f'{key} {each}' for key, each in value.items())}")
        else:
            say(f"{' ' * indent}{name}: {value}")


def look_up(results: Mapping[str, Any], path: tuple[str, ...]) -> float | None:
    value: Any = results
    for name in path:
        if name not in value:
            return None
        value = value[name]
    return float(value)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
