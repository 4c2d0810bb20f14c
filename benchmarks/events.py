"""What the gateway costs for each event: CPU beside a bare loop, and memory while a client stalls.

A stub in the place of `claude` prints COUNT token events as fast as they are taken. The bare loop reads the same lines,
parses each and writes one SSE chunk for it, with its writes coalesced: the least that any gateway must do.

    python -m benchmarks.events [COUNT]
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STUB = """#!{python}
import json, sys
sys.stdin.readline(); sys.stdin.readline()
def say(value): sys.stdout.write(json.dumps(value) + "\\n")
def event(value):
    say({{"type": "stream_event", "event": value, "session_id": "s", "parent_tool_use_id": None, "uuid": "u"}})
say({{"type": "system", "subtype": "init", "session_id": "s", "model": "stub"}})
event({{"type": "message_start", "message": {{"id": "m", "model": "stub", "usage": {{}}}}}})
event({{"type": "content_block_start", "index": 0, "content_block": {{"type": "text", "text": ""}}}})
for number in range({count}):
    event({{"type": "content_block_delta", "index": 0, "delta": {{"type": "text_delta", "text": "word%d " % number}}}})
event({{"type": "content_block_stop", "index": 0}})
event({{"type": "message_stop"}})
say({{"type": "result", "subtype": "success", "is_error": False, "session_id": "s", "stop_reason": "end_turn"}})
"""


async def bare_loop(stub: Path) -> float:
    """CPU seconds of reading, parsing and writing one chunk per event, to a pipe that is read."""
    process = await asyncio.create_subprocess_exec(
        str(stub), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=256 * 1024
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"{}\n{}\n")
    sink = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL)
    assert sink.stdin is not None
    began, held = time.process_time(), b""
    while chunk := await process.stdout.read(256 * 1024):
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
    await asyncio.gather(process.wait(), sink.wait())
    return spent


class Gateway:
    """The gateway as users run it, with the stub for `claude`."""

    def __init__(self, stub: Path, workspace: Path) -> None:
        command = [sys.executable, "-m", "ccapi", "gateway", "--port=0", f"--workspace={workspace}"]
        environment = {**os.environ, "CCAPI_CLAUDE": str(stub)}
        self._process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline().rsplit(b":", 1)[1])

    def cpu(self) -> float:
        """CPU seconds it has used so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text("ascii").rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Resident memory in MB."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text("ascii").split()[1])
        return pages * resource.getpagesize() / 1e6

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


async def ask(port: int, *, stall: float = 0.0) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A streamed question over a bare socket; with `stall` nothing is read for so many seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=64 * 1024)
    body = json.dumps({"model": "sonnet", "stream": True, "messages": [{"role": "user", "content": "go"}]})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
    await asyncio.sleep(stall)
    return reader, writer


async def drain(reader: asyncio.StreamReader) -> bool:
    """Read to the end; whether the answer was complete."""
    last = b""
    while chunk := await reader.read(256 * 1024):
        last = (last + chunk)[-4096:]
    return b"data: [DONE]" in last


async def measure(count: int) -> dict[str, float]:
    """CPU per event (µs) of loop and gateway, their ratio, and the memory that a stalled client costs (MB)."""
    with tempfile.TemporaryDirectory() as directory:
        stub = Path(directory) / "claude"
        stub.write_text(STUB.format(python=sys.executable, count=count), "utf-8")
        stub.chmod(0o755)
        gateway = Gateway(stub, Path(directory))
        try:
            loops, gateways = [], []
            for _ in range(3):  # side by side, so that a busy machine slows both
                loops.append(await bare_loop(stub) / count * 1e6)
                before = gateway.cpu()
                reader, writer = await ask(gateway.port)
                assert await drain(reader)
                writer.close()
                gateways.append((gateway.cpu() - before) / count * 1e6)
            before_stall = gateway.memory()
            reader, writer = await ask(gateway.port, stall=5.0)
            stalled = gateway.memory() - before_stall
            assert await drain(reader)
            writer.close()
        finally:
            gateway.close()
    loop, ours = min(loops), min(gateways)
    return {"loop_us": loop, "gateway_us": ours, "ratio": ours / loop, "stalled_mb": stalled}


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    result = asyncio.run(measure(count))
    sys.stdout.write(json.dumps({"events": count, **{name: round(value, 2) for name, value in result.items()}}) + "\n")


if __name__ == "__main__":
    main()
