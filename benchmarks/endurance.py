"""What is left in the gateway's memory after many requests, which must be nothing."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from benchmarks.stand import CHAT, RESPONSES, Served, asked, chat, question, stand

# A shell starts in a millisecond. Each run has a session of its own, as with the CLI.
STUB = """#!/bin/sh
read -r initialize; read -r turn
id=$(cat /proc/sys/kernel/random/uuid)
say() { printf '%s\\n' "$1"; }
event() { say '{"type":"stream_event","event":'"$1"',"session_id":"'$id'","parent_tool_use_id":null}'; }
say '{"type":"system","subtype":"init","session_id":"'$id'","model":"stub"}'
event '{"type":"message_start","message":{"id":"msg-'$id'","model":"stub","usage":{}}}'
event '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}'
event '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"You said so."}}'
message='{"id":"msg-'$id'","role":"assistant","model":"stub","content":[{"type":"text","text":"You said so."}]}'
say '{"type":"assistant","message":'"$message"',"parent_tool_use_id":null,"uuid":"c-'$id'"}'
event '{"type":"content_block_stop","index":0}'
event '{"type":"message_stop"}'
say '{"type":"result","subtype":"success","is_error":false,"session_id":"'$id'","stop_reason":"end_turn","num_turns":1}'
"""
_AT_ONCE = 8


def measure(requests: int = 1000) -> dict[str, Any]:
    """Resident MB after as many requests again as were sent to warm up; and how many failed."""
    with stand() as place:
        served = place.gateway(claude=place.script(STUB))
        failures = asyncio.run(send(served, requests // 2))
        before = served.memory()
        failures += asyncio.run(send(served, requests))
        after = served.memory()
    return {
        "requests": requests,
        "before_mb": round(before, 1),
        "after_mb": round(after, 1),
        "growth_mb": round(after - before, 1),
        "failures": failures,
    }


async def send(served: Served, requests: int) -> int:
    """In turn to both APIs, streamed and not; how many were not answered."""
    kinds = itertools.cycle([(path, stream) for path in (CHAT, RESPONSES) for stream in (True, False)])
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(number: int, path: str, *, stream: bool) -> bool:
        async with slots, asked(served.port, question(path, chat(f"hello {number}"), stream=stream)) as reader:
            answer = await reader.read(-1)
        return b"You said so." in answer and answer.startswith(b"HTTP/1.1 200")

    sent = (one(number, path, stream=stream) for number, (path, stream) in zip(range(requests), kinds, strict=False))
    return requests - sum(await asyncio.gather(*sent))
