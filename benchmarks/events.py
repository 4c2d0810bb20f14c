"""What the gateway costs for each streamed event, beside a bare loop, and how much memory it takes for many of them.

A stub in the place of `claude` prints token events as fast as they are taken. The bare loop reads the same lines,
parses each and writes one SSE chunk for it, with its writes coalesced: the least that any gateway must do.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.stand import CHAT, RESPONSES, Served, ask, chat, stand

STUB = """#!{python} -S
import json, sys
sys.stdin.readline()
count = 10 if "warm up" in sys.stdin.readline() else {count}
def line(value): return json.dumps(value) + "\\n"
def event(value):
    return line({{"type": "stream_event", "event": value, "session_id": "s", "parent_tool_use_id": None, "uuid": "u"}})
out = sys.stdout.write
out(line({{"type": "system", "subtype": "init", "session_id": "s", "model": "stub"}}))
out(event({{"type": "message_start", "message": {{"id": "m", "model": "stub", "usage": {{}}}}}}))
out(event({{"type": "content_block_start", "index": 0, "content_block": {{"type": "text", "text": ""}}}}))
for number in range(count):
    delta = {{"type": "text_delta", "text": "word%d {filler}" % number}}
    out(event({{"type": "content_block_delta", "index": 0, "delta": delta}}))
out(event({{"type": "content_block_stop", "index": 0}}))
out(event({{"type": "message_stop"}}))
out(line({{"type": "result", "subtype": "success", "is_error": False, "session_id": "s", "stop_reason": "end_turn"}}))
"""


def stub(count: int, filler: str = "") -> str:
    """What stands in for `claude`; each event's text is its number and `filler`."""
    return STUB.format(python=sys.executable, count=count, filler=filler)


def measure(counts: tuple[int, ...] = (20_000, 200_000), rounds: int = 3) -> dict[str, Any]:
    """Per count: µs of CPU per event, of the loop and of both streams, their ratios; and the peak memory in MB."""
    return {str(count): _measure(count, rounds) for count in counts}


def _measure(count: int, rounds: int) -> dict[str, Any]:
    with stand() as place:
        script = place.script(stub(count))
        spent: dict[str, list[float]] = {}
        peaks: dict[str, float] = {}
        served = place.gateway(claude=script)
        warm_up(served)
        before = served.memory()
        for _ in range(rounds):  # side by side, so that a busy machine slows all
            spent.setdefault("loop", []).append(asyncio.run(bare_loop(script)))
            for name, path in {"chat": CHAT, "responses": RESPONSES}.items():
                served.forget_peak()
                spent.setdefault(name, []).append(through(served, path, count))
                peaks[name] = max(peaks.get(name, 0.0), served.peak() - before)
    least = {name: min(values) / count * 1e6 for name, values in spent.items()}
    return {
        **{f"{name}_us": round(value, 2) for name, value in least.items()},
        **{f"{name}_ratio": round(least[name] / least["loop"], 2) for name in ("chat", "responses")},
        **{f"{name}_peak_mb": round(value, 1) for name, value in peaks.items()},
    }


def warm_up(served: Served) -> None:
    """Have imported and allocated what is so only once."""
    for path in (CHAT, RESPONSES):
        asyncio.run(ask(served.port, path, chat("warm up"), b"word0"))


def through(served: Served, path: str, count: int) -> float:
    """CPU seconds of the gateway for one streamed answer."""
    before = served.cpu()
    answer = asyncio.run(ask(served.port, path, chat("go"), b"word0", b"word%d " % (count - 1)))
    if not answer.whole:
        raise RuntimeError("the gateway gave no whole answer")
    return served.cpu() - before


async def bare_loop(script: Path) -> float:
    """CPU seconds of reading, parsing and writing one chunk per event, to a pipe that is read."""
    pipe = asyncio.subprocess.PIPE
    source = await asyncio.create_subprocess_exec(str(script), stdin=pipe, stdout=pipe, limit=256 * 1024)
    sink = await asyncio.create_subprocess_exec("cat", stdin=pipe, stdout=asyncio.subprocess.DEVNULL)
    assert source.stdin is not None
    assert source.stdout is not None
    assert sink.stdin is not None
    source.stdin.write(b"{}\n{}\n")
    began, held = time.process_time(), b""
    while chunk := await source.stdout.read(256 * 1024):
        *lines, held = (held + chunk).split(b"\n")
        out = []
        for line in lines:
            event = json.loads(line).get("event", {})
            if event.get("type") == "content_block_delta":
                out.append(f"data: {json.dumps({'choices': [{'delta': {'content': event['delta']['text']}}]})}\n\n")
        sink.stdin.write("".join(out).encode())
        await sink.stdin.drain()
    spent = time.process_time() - began
    sink.stdin.close()
    await asyncio.gather(source.wait(), sink.wait())
    return spent
