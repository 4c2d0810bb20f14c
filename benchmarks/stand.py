"""What the benchmarks measure: the gateway, the scripted model and `claude`, as users run them, side by side."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ccapi.agent.launch import find_claude

# Says at once what it was told: what is measured is everything but the model.
SCENARIO = """
[[turn]]
step = [{ text = "You said: @{prompt}" }]
"""


@dataclass(frozen=True)
class Served:
    """A gateway process."""

    port: int
    process: subprocess.Popen[bytes]

    def cpu(self) -> float:
        """Seconds of processor time that it has used so far, its children not counted."""
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text("ascii").split()[0]) for thread in threads) / 1e9

    def memory(self) -> float:
        """Resident now, in MB."""
        return self._status("VmRSS")

    def peak(self) -> float:
        """The most that was ever resident, or since `forget_peak`, in MB."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5", "ascii")

    def _status(self, name: str) -> float:
        lines = Path(f"/proc/{self.process.pid}/status").read_text("ascii").splitlines()
        (value,) = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
        return int(value) / 1e3

    def children(self) -> int:
        """Processes that it has started and that still run."""
        found = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, check=False)
        return len(found.stdout.split())

    def waiting(self) -> int:
        """Processes that stand ready, as `/ready` says."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _AnyStatus())
        with opener.open(f"http://127.0.0.1:{self.port}/ready") as response:
            checks = json.load(response)["checks"]
        (pool,) = [check["message"] for check in checks if check["name"] == "pool"]
        counts = {kind: int(number) for number, kind in (part.split() for part in pool.partition(": ")[2].split(", "))}
        return counts["warm"]

    def await_ready(self, count: int) -> None:
        """Return once so many stand ready, and have stood for a moment: people are not so quick as to ask before."""
        deadline = time.monotonic() + 120
        while self.waiting() < count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no {count} processes ready within 120 s")
            time.sleep(0.05)
        time.sleep(0.4)


class _AnyStatus(urllib.request.HTTPErrorProcessor):
    def http_response(self, request: urllib.request.Request, response: Any) -> Any:
        del request
        return response


@dataclass
class Stand:
    """A directory of its own, and what runs in it."""

    directory: Path
    stack: ExitStack
    environment: dict[str, str] = field(default_factory=dict)

    def model(self) -> str:
        """Start the scripted model, for everything that is started after it."""
        file = self.directory / "scenario.toml"
        file.write_text(SCENARIO, "utf-8")
        url = self._start("rehearsal", "--port=0", f"--scenario={file}")[1].split()[-1]
        self.environment |= {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "rehearsal", "IS_SANDBOX": "1"}
        return url

    def gateway(self, *, claude: Path | None = None, pool: int = 0, sessions: int = 0, runs: int = 0) -> Served:
        """`pool`, `sessions`: processes that wait; `runs`: slots, 0 for the default."""
        # Each has a state of its own, so that none knows another's conversations.
        name = f"gateway-{time.monotonic_ns()}"
        settings = {
            "CCAPI_POOL_SIZE": str(pool),
            "CCAPI_POOL_SESSIONS": str(sessions),
            "CCAPI_POOL_MEMORY": "8000",
            "CCAPI_DATA_DIR": str(self.directory / name),
            **({"CCAPI_GATEWAY_MAX_RUNS": str(runs)} if runs else {}),
            **({"CCAPI_CLAUDE": str(claude)} if claude else {}),
        }
        process, line = self._start("gateway", "--port=0", f"--workspace={self.workspace}", environment=settings)
        served = Served(int(line.rsplit(":", 1)[1]), process)
        if pool:
            served.await_ready(pool)
        return served

    @property
    def workspace(self) -> Path:
        directory = self.directory / "workspace"
        directory.mkdir(exist_ok=True)
        return directory

    def script(self, text: str) -> Path:
        """An executable of its own in the place of `claude`."""
        file = self.directory / f"claude-{len(text)}-{time.monotonic_ns()}"
        file.write_text(text, "utf-8")
        file.chmod(0o755)
        return file

    def ccapi(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "ccapi", *arguments],
            env=self.environ(),
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def claude(self) -> subprocess.Popen[bytes]:
        """`claude -p`, which reads its prompt from stdin and says each token as it comes."""
        arguments = ["-p", "--verbose", "--output-format=stream-json", "--include-partial-messages"]
        return subprocess.Popen(
            [str(find_claude()), *arguments],
            cwd=self.workspace,
            env=self.environ(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def environ(self, more: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
        """In which nothing of the person's own is seen."""
        foreign = ("CCAPI_", "ANTHROPIC_", "CLAUDE")
        own = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        own = {name: value for name, value in own.items() if not name.lower().endswith("_proxy")}
        places = {"HOME": str(self.directory), "CLAUDE_CONFIG_DIR": str(self.directory / "config")}
        return {**own, **places, **self.environment, **more}

    def _start(self, *arguments: str, environment: Mapping[str, str] | None = None) -> tuple[Any, str]:
        """A process that says on its first line where it listens."""
        with (self.directory / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "ccapi", *arguments],
                env=self.environ(environment or {}),
                cwd=self.directory,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self.stack.callback(_end, process)
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        if "http://" not in line:
            raise RuntimeError((self.directory / "log").read_text("utf-8"))
        return process, line.strip()

    def end(self, served: Served) -> None:
        _end(served.process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


@contextmanager
def stand() -> Iterator[Stand]:
    with (
        tempfile.TemporaryDirectory(prefix="ccapi-bench-", ignore_cleanup_errors=True) as directory,
        ExitStack() as stack,
    ):
        yield Stand(Path(directory), stack)


# --- a client that costs as little as can be

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"


def chat(*texts: str) -> list[dict[str, str]]:
    """Questions and answers in turn, the last of them a question."""
    return [{"role": ("user", "assistant")[number % 2], "content": text} for number, text in enumerate(texts)]


def question(path: str, messages: Sequence[Mapping[str, str]], *, stream: bool = True) -> bytes:
    """The bytes of a request."""
    said = {"messages": messages} if path == CHAT else {"input": messages}
    body = json.dumps({"model": "sonnet", "stream": stream, **said}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@asynccontextmanager
async def asked(port: int, request: bytes) -> AsyncIterator[asyncio.StreamReader]:
    """The answer, not yet read; until then little of it is taken from the gateway."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=32 * 1024)
    try:
        writer.write(request)
        await writer.drain()
        yield reader
    finally:
        writer.close()


FIRST = b'"content": "Y'  # of what the scripted model says, in a chunk of a chat: its tokens come one by one
_WHOLE = (b"data: [DONE]", b"event: response.completed")


@dataclass(frozen=True)
class Answer:
    """Times in seconds from the request on. `whole`: it came to its proper end, with all that was wanted in it."""

    first: float
    total: float
    whole: bool


async def read(reader: asyncio.StreamReader, began: float, first: bytes, last: bytes = b"") -> Answer:
    """Read to the end; `first` is what the first text begins with, `last` what must be somewhere."""
    held, at, ended, found = b"", 0.0, False, not last
    while chunk := await reader.read(256 * 1024):
        held = held[-256:] + chunk
        if not at and first in held:
            at = time.perf_counter() - began
        found = found or last in held
        ended = ended or any(mark in held for mark in _WHOLE)
    return Answer(at, time.perf_counter() - began, ended and found and at > 0)


async def ask(
    port: int, path: str, messages: Sequence[Mapping[str, str]], first: bytes = FIRST, last: bytes = b""
) -> Answer:
    """A streamed question, and its answer to the end."""
    began = time.perf_counter()
    async with asked(port, question(path, messages)) as reader:
        return await read(reader, began, first, last)
