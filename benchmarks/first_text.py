"""Time to an answer's first text: `claude -p` itself, the gateway, `ccapi ask`; interleaved, with a scripted model.

python -m benchmarks.first_text [ROUNDS]
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.events import ask
from ccapi.agent.launch import find_claude

PROMPT = "hello there"


class Rehearsal:
    """`ccapi rehearsal` and `ccapi gateway`, as users run them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._processes: list[subprocess.Popen[bytes]] = []
        self.model = self._start("rehearsal", "--port=0", "--scenario=chat")
        self.environment = {
            **os.environ,
            "ANTHROPIC_BASE_URL": self.model,
            "ANTHROPIC_API_KEY": "rehearsal",
            "CLAUDE_CONFIG_DIR": str(directory / "config"),
            "IS_SANDBOX": "1",
        }
        self.port = int(self._start("gateway", "--port=0", f"--workspace={directory}").rsplit(":", 1)[1])

    def _start(self, *arguments: str) -> str:
        process = subprocess.Popen(
            [sys.executable, "-m", "ccapi", *arguments],
            env=getattr(self, "environment", None),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._processes.append(process)
        assert process.stdout is not None
        return process.stdout.readline().decode().split()[-1]

    def close(self) -> None:
        for process in self._processes:
            process.terminate()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def claude_p(stand: Rehearsal) -> float:
    arguments = ["-p", "--verbose", "--output-format=stream-json", "--include-partial-messages"]
    began = time.perf_counter()
    with subprocess.Popen(
        [str(find_claude()), *arguments],
        cwd=stand.directory,
        env=stand.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(PROMPT.encode())
        process.stdin.close()
        for line in process.stdout:
            if b'"text_delta"' in line:
                spent = time.perf_counter() - began
                process.stdout.read()
                return spent
    raise RuntimeError("claude -p gave no text")


def gateway(stand: Rehearsal) -> float:
    async def first() -> float:
        began = time.perf_counter()
        reader, writer = await ask(stand.port)
        while b'"content": "Y' not in await reader.readline():
            pass
        spent = time.perf_counter() - began
        await reader.read()
        writer.close()
        return spent

    return asyncio.run(first())


def ccapi_ask(stand: Rehearsal) -> float:
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "ccapi", "ask", PROMPT, f"--port={stand.port}"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        spent = time.perf_counter() - began
        process.stdout.read()
    return spent


WAYS: dict[str, Callable[[Rehearsal], float]] = {"claude -p": claude_p, "gateway": gateway, "ccapi ask": ccapi_ask}


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory(prefix="ccapi-bench-") as directory:
        stand = Rehearsal(Path(directory))
        try:
            for _ in range(rounds + 1):
                for name, way in WAYS.items():
                    times[name].append(way(stand))
        finally:
            stand.close()
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}  # the first round warms up
    base = medians["claude -p"]
    report = {name: {"seconds": round(value, 3), "ratio": round(value / base, 2)} for name, value in medians.items()}
    sys.stdout.write(json.dumps({"rounds": rounds, **report}) + "\n")


if __name__ == "__main__":
    main()
