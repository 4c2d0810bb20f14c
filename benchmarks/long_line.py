"""A line of two million characters from `claude`, such as a tool's output: it must come through whole."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from benchmarks.stand import CHAT, asked, chat, question, stand

STUB = """#!{python} -S
import json, sys
sys.stdin.readline(); sys.stdin.readline()
def say(value): sys.stdout.write(json.dumps(value) + "\\n")
def message(number, *blocks):
    content = {{"id": "m%d" % number, "type": "message", "role": "assistant", "model": "stub", "content": list(blocks)}}
    say({{"type": "assistant", "message": content, "parent_tool_use_id": None, "uuid": "u%d" % number}})
say({{"type": "system", "subtype": "init", "session_id": "s", "model": "stub"}})
message(1, {{"type": "tool_use", "id": "t", "name": "Bash", "input": {{"command": "cat"}}}})
result = {{"type": "tool_result", "tool_use_id": "t", "content": "x" * {size}}}
say({{"type": "user", "message": {{"role": "user", "content": [result]}}, "parent_tool_use_id": None, "uuid": "u"}})
message(2, {{"type": "text", "text": "y" * {size}}})
say({{"type": "result", "subtype": "success", "is_error": False, "session_id": "s", "stop_reason": "end_turn"}})
"""


def measure(size: int = 2_000_000) -> dict[str, Any]:
    """How many of the characters came, streamed and not."""
    with stand() as place:
        served = place.gateway(claude=place.script(STUB.format(python=sys.executable, size=size)))
        found = {
            name: asyncio.run(content(served.port, stream=name == "streamed")) for name in ("streamed", "not streamed")
        }
    return {
        name: {"output": text.count("x" * 1000) * 1000, "text": text.count("y" * 1000) * 1000, "size": size}
        for name, text in found.items()
    }


async def content(port: int, *, stream: bool) -> str:
    async with asked(port, question(CHAT, chat("go"), stream=stream)) as reader:
        body = (await _all(reader)).partition(b"\r\n\r\n")[2].decode()
    if not stream:
        return str(json.loads(body)["choices"][0]["message"]["content"])
    lines = _unchunked(body).split("\n")
    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


async def _all(reader: Any) -> bytes:
    pieces = []
    while piece := await reader.read(1 << 20):
        pieces.append(piece)
    return b"".join(pieces)


def _unchunked(body: str) -> str:
    """Without HTTP's chunk sizes (the text is ASCII, so a character is a byte)."""
    pieces, place = [], 0
    while place < len(body):
        end = body.index("\r\n", place)
        size = int(body[place:end], 16)
        pieces.append(body[end + 2 : end + 2 + size])
        place = end + 2 + size + 2
    return "".join(pieces)
