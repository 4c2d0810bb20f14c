"""What the OAuth proxy takes while nobody uses it, beside servers that do nothing; and how soon it answers then."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.stand import Stand, stand

# Each says on its first line that it is ready, and then waits.
_READY = "print(flush=True)"
_ASYNCIO = f"""
import asyncio
async def main():
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    {_READY}
    await server.serve_forever()
asyncio.run(main())
"""
_AIOHTTP = f"""
from aiohttp import web
async def hello(request):
    return web.Response(text="hello")
async def ready(app):
    {_READY}
app = web.Application()
app.router.add_get("/", hello)
app.on_startup.append(ready)
web.run_app(app, host="127.0.0.1", port=0, print=None)
"""
_OTHERS = {
    "python -c": f"{_READY}; input()",
    "asyncio server": _ASYNCIO,
    "aiohttp hello world": _AIOHTTP,
}
_SETTLE = 1.0  # seconds
_IDLE_TIMEOUT = 60.0


def measure(rounds: int = 10) -> dict[str, Any]:
    """Private and resident memory in MB; the first answer out of idleness in seconds, and as a ratio to a warm one."""
    found: dict[str, Any] = {}
    for name, code in _OTHERS.items():
        with _process([sys.executable, "-c", code]) as process:
            found[name] = _memory(process.pid)
    with stand() as place, _proxy(place) as (port, process):
        found["proxy, idle"] = _memory(process.pid)
        first, warm = [], []
        for _ in range(rounds):
            first.append(_answer(port))
            warm += [_answer(port) for _ in range(5)]
            found["proxy, its server"] = _memory(_children(process.pid)[0])
            _await_idle(process.pid)
        found["proxy, idle again"] = _memory(process.pid)
    found["first answer"] = {
        "seconds": round(median(first), 3),
        "worst_seconds": round(max(first), 3),
        "warm_seconds": round(median(warm), 4),
        "ratio": round(median(first) / median(warm), 1),
    }
    return found


@contextmanager
def _proxy(place: Stand) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """`python -m ccapi.oauth`, whose server ends after half a second."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    environ = {**os.environ, "CCAPI_HOME": str(place.directory), "CCAPI_OAUTH_PORT": str(port)}
    with _process([sys.executable, "-m", "ccapi.oauth"], environ) as process:
        file = place.directory / "state" / f"proxy-{port}.json"
        text = file.read_text("utf-8")
        file.write_text(text.replace('"idle": 15.0', '"idle": 0.5'), "utf-8")
        yield port, process


@contextmanager
def _process(command: Sequence[str], environ: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """It is ready, and has been for a moment."""
    with subprocess.Popen(
        command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout
        if not process.stdout.readline():
            raise RuntimeError(f"{command[1:]} did not start")
        time.sleep(_SETTLE)
        yield process
        process.terminate()


def _memory(pid: int) -> dict[str, float]:
    fields = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()[1:])
    sizes = {name: int(size) * 1024 / 1e6 for name, size, *_ in fields}
    private = sizes["Private_Clean:"] + sizes["Private_Dirty:"]
    return {"private_mb": round(private, 1), "resident_mb": round(sizes["Rss:"], 1)}


def _answer(port: int) -> float:
    """Seconds to the whole of a page that asks nobody else."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    began = time.perf_counter()
    with opener.open(f"http://127.0.0.1:{port}/") as response:
        response.read()
    return time.perf_counter() - began


def _children(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(child) for child in found.stdout.split()]


def _await_idle(pid: int) -> None:
    deadline = time.monotonic() + _IDLE_TIMEOUT
    while _children(pid):
        if time.monotonic() > deadline:
            raise RuntimeError("the server does not end")
        time.sleep(0.05)
