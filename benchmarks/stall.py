"""A client that reads nothing for a while: the child must wait, and not the gateway's memory grow."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from benchmarks.events import stub, warm_up
from benchmarks.stand import CHAT, RESPONSES, Served, asked, chat, question, read, stand


def measure(seconds: float = 15.0, count: int = 200_000) -> dict[str, Any]:
    """Per API the most memory that the stalled answer took, in MB; whether the child waited; whether all came."""
    with stand() as place:
        # Enough for the kernel's buffers not to take it all: 40 MB in 200,000 events.
        script = place.script(stub(count, "x" * 200))
        found = {}
        for name, path in {"chat": CHAT, "responses": RESPONSES}.items():
            served = place.gateway(claude=script)
            warm_up(served)
            found[name] = asyncio.run(stalled(served, path, seconds, count))
            place.end(served)
    return found


async def stalled(served: Served, path: str, seconds: float, count: int) -> dict[str, Any]:
    before, began, most = served.memory(), time.perf_counter(), 0.0
    async with asked(served.port, question(path, chat("go"))) as reader:
        while time.perf_counter() - began < seconds:
            await asyncio.sleep(0.1)
            most = max(most, served.memory() - before)
        waited = served.children() == 1
        answer = await read(reader, began, b"word0", b"word%d " % (count - 1))
    return {"memory_mb": round(most, 1), "child_waited": waited, "whole": answer.whole}
