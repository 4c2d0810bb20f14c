"""The gateway and the scripted model, started as production does, in a thread of their own; and a plain client.

Nothing is patched: `serve()` of both rooms runs in an event loop that the tests do not share, so a test that blocks
cannot help the gateway along, and a gateway that blocks cannot stop a test.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import httpx
from aiohttp import web

from ccapi.gateway import app as gateway_app
from ccapi.gateway.settings import GatewaySettings
from ccapi.rehearsal import scenario as scenarios
from ccapi.rehearsal import server as rehearsal
from tests.agent.stub import ENVIRONMENT, STUB, Stub

T = TypeVar("T")

SEPARATOR = "\n\n---\n\n"
_DEADLINE = 30.0  # seconds to wait for what should happen at once


# --- running servers


@contextmanager
def in_thread(manager: Callable[[], AbstractAsyncContextManager[T]]) -> Iterator[T]:
    """Enter an async context manager in an event loop of its own thread, and leave it there."""
    entered: concurrent.futures.Future[T] = concurrent.futures.Future()
    leave: concurrent.futures.Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = concurrent.futures.Future()
    problems: list[BaseException] = []

    async def main() -> None:
        over = asyncio.Event()
        leave.set_result((asyncio.get_running_loop(), over))
        async with manager() as value:
            entered.set_result(value)
            await over.wait()

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 -- it belongs to the thread that waits
            if entered.done():
                problems.append(error)
            else:
                entered.set_exception(error)

    thread = threading.Thread(target=run, name="servers", daemon=True)
    thread.start()
    try:
        yield entered.result(_DEADLINE)
    finally:
        loop, over = leave.result(_DEADLINE)
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            loop.call_soon_threadsafe(over.set)
        thread.join(_DEADLINE)
        assert not thread.is_alive(), "the servers did not end"
    if problems:
        raise problems[0]


@dataclass
class Model:
    """The scripted model; `bodies` holds every request of Claude Code, whole and in order."""

    url: str
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)  # of every request of any kind

    @property
    def conversation(self) -> list[dict[str, Any]]:
        """The requests of the conversation, without those that Claude Code makes on its own account."""
        return [body for body in self.bodies if body.get("tools")]


@asynccontextmanager
async def scripted(name_or_path: str, *, speed: float = 0.0, host: str = "127.0.0.1") -> AsyncIterator[Model]:
    """The rehearsal model with a recorder in front of it."""
    model = Model("")

    @web.middleware
    async def record(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        model.paths.append(request.path)
        if request.path == "/v1/messages":
            model.bodies.append(json.loads(await request.read()))
        response: web.StreamResponse = await handler(request)
        return response

    app = rehearsal.create_app(scenarios.load(name_or_path), speed=speed)
    app.middlewares.insert(0, record)
    async with rehearsal.serve_app(app, host=host) as url:
        model.url = url
        yield model


# --- the client's side


@dataclass
class Streamed:
    """A streamed answer as it came over the wire. `times` are the seconds from the request to each content delta."""

    status: int
    headers: httpx.Headers
    chunks: list[dict[str, Any]] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    deltas: list[str] = field(default_factory=list)
    reasoning: str = ""
    error: dict[str, Any] | None = None
    done: bool = False
    order: list[str] = field(default_factory=list)  # "content", "reasoning", "comment", ... as they came

    @property
    def content(self) -> str:
        return "".join(self.deltas)

    @property
    def finish_reason(self) -> str | None:
        reasons = [choice["finish_reason"] for chunk in self.chunks for choice in chunk["choices"]]
        given = [str(reason) for reason in reasons if reason]
        assert len(given) <= 1, f"more than one finish reason: {given}"
        return given[0] if given else None

    @property
    def usage(self) -> dict[str, Any] | None:
        given = [chunk["usage"] for chunk in self.chunks if chunk.get("usage")]
        assert len(given) <= 1
        return given[0] if given else None


def lines_of(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The lines of a byte stream, split at `\\n` only, as they become whole."""
    held = b""
    for chunk in chunks:
        *whole, held = (held + chunk).split(b"\n")
        yield from whole
    assert not held, f"the stream ended inside a line: {held[:200]!r}"


def read_stream(response: httpx.Response, began: float) -> Iterator[Streamed]:
    """The answer so far, after each line of it. Every rule of the wire format is checked on the way."""
    answer = Streamed(response.status_code, response.headers)
    for line in lines_of(response.iter_bytes()):
        if not line:
            continue
        assert not answer.done, "something came after [DONE]"
        line.decode("ascii")  # no client can split it at U+2028
        if line.startswith(b":"):
            answer.comments.append(line[1:].decode().strip())
            answer.order.append("comment")
        elif line == b"data: [DONE]":
            answer.done = True
        else:
            assert line.startswith(b"data: "), line
            _read_event(answer, json.loads(line[6:]), time.monotonic() - began)
        yield answer
    yield answer


def _read_event(answer: Streamed, event: dict[str, Any], at: float) -> None:
    assert answer.error is None, "something came after the error"
    if "error" in event:
        answer.error = event["error"]
        answer.order.append("error")
        return
    assert event["object"] == "chat.completion.chunk"
    answer.chunks.append(event)
    assert len({chunk["id"] for chunk in answer.chunks}) == 1
    for choice in event["choices"]:
        delta = choice["delta"]
        if delta.get("content"):
            answer.deltas.append(delta["content"])
            answer.times.append(at)
            answer.order.append("content")
        if delta.get("reasoning_content"):
            answer.reasoning += delta["reasoning_content"]
            answer.order.append("reasoning")


@dataclass
class Gateway:
    """A running gateway. Its `workspace` is its own, so that every process in it is known to be its child."""

    url: str
    workspace: Path
    settings: GatewaySettings
    model: Model | None = None

    def client(self, timeout: float = 60.0) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=timeout, trust_env=False)

    def post(self, document: Any, **options: Any) -> httpx.Response:
        with self.client() as client:
            return client.post("/v1/chat/completions", json=document, **options)

    def chat(self, prompt: str | Sequence[Mapping[str, Any]], **fields: Any) -> dict[str, Any]:
        """The whole completion of a question that must succeed."""
        response = self.post(body(prompt, **fields))
        assert response.status_code == 200, response.text
        document: dict[str, Any] = response.json()
        assert document["object"] == "chat.completion"
        return document

    def content(self, prompt: str | Sequence[Mapping[str, Any]], **fields: Any) -> str:
        return str(self.chat(prompt, **fields)["choices"][0]["message"]["content"])

    @contextmanager
    def streaming(self, prompt: str | Sequence[Mapping[str, Any]], **fields: Any) -> Iterator[Iterator[Streamed]]:
        """A streamed answer while it comes. Leaving the block early is a client that leaves."""
        began = time.monotonic()
        with (
            self.client() as client,
            client.stream("POST", "/v1/chat/completions", json=body(prompt, stream=True, **fields)) as response,
        ):
            if response.status_code != 200:
                response.read()
            assert response.status_code == 200, response.text
            assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
            yield read_stream(response, began)

    def stream(self, prompt: str | Sequence[Mapping[str, Any]], **fields: Any) -> Streamed:
        """A streamed answer to its end."""
        with self.streaming(prompt, **fields) as answers:
            *_, answer = answers
        return answer

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    @property
    def stub(self) -> Stub:
        """Where the stub CLI, if it runs here, gets its plan."""
        return Stub(self.workspace)

    def processes(self) -> dict[int, str]:
        return processes_in(self.workspace)


def body(prompt: str | Sequence[Mapping[str, Any]], **fields: Any) -> dict[str, Any]:
    """A request: of one user message, or of the messages given."""
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
    return {"model": "sonnet", "messages": messages, **fields}


def leave_unanswered(running: Gateway, request: Mapping[str, Any], when: Callable[[], object]) -> None:
    """Send a request, and leave when the condition holds, before anything of the answer was read."""
    content = json.dumps(request).encode()
    lines = ["POST /v1/chat/completions HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    head = "\r\n".join([*lines, f"Content-Length: {len(content)}", "", ""])
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
        connection.sendall(head.encode() + content)
        await_that(when, "the moment to leave")


@contextmanager
def gateway(
    directory: Path,
    scenario: str | None = None,
    *,
    speed: float = 0.0,
    environ: Mapping[str, str] | None = None,
    **settings: Any,
) -> Iterator[Gateway]:
    """A gateway in `directory`: with the real CLI and the scripted model if a scenario is named, else with the stub.

    Leaving it checks that no process is left in its workspace.
    """
    workspace = directory / "workspace"
    workspace.mkdir(parents=True, exist_ok=True)
    own = {"PATH": ENVIRONMENT["PATH"], "HOME": str(directory)}
    wanted = GatewaySettings(
        port=0,
        workspace=workspace,
        environ={**own, **(environ or {})},
        **{
            "permission_mode": "bypassPermissions",
            "max_retries": 2,
            "data_dir": directory / "data",
            "keys_dir": directory / "keys",
            # Processes that wait have tests of their own; elsewhere each one must be accounted for.
            "pool_size": 0,
            "pool_sessions": 0,
            "shutdown_grace": 0.0,
            **({} if scenario else {"claude": str(STUB)}),
            **settings,
        },
    )

    @asynccontextmanager
    async def servers() -> AsyncIterator[Gateway]:
        async with AsyncExitStack() as stack:
            model, with_model = None, wanted
            if scenario is not None:
                model = await stack.enter_async_context(scripted(scenario, speed=speed))
                with_model = rehearsed(wanted, model.url, directory / "scratch")
            port = await stack.enter_async_context(gateway_app.serve(with_model))
            yield Gateway(f"http://127.0.0.1:{port}", workspace, with_model, model)

    with in_thread(servers) as running:
        yield running
    assert_gone(workspace, within=5.0)


def rehearsed(settings: GatewaySettings, url: str, scratch: Path) -> GatewaySettings:
    """The settings with which Claude Code talks to the scripted model at `url`."""
    scratch.mkdir(exist_ok=True)
    return replace(settings, environ=gateway_app.rehearsed(settings, url, scratch))


# --- processes


def processes_in(workspace: Path) -> dict[int, str]:
    """Pid and command line of every process whose working directory is in `workspace` (Linux)."""
    found: dict[int, str] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if Path(os.readlink(entry / "cwd")).is_relative_to(workspace):  # noqa: PTH115 -- it may be gone
                argv = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
                if argv:  # a zombie has none
                    found[int(entry.name)] = argv
    return found


def claudes(workspace: Path) -> list[int]:
    """The Claude Code processes there.

    One that starts a program has for a moment a child with its own command line, which is none.
    """
    found = [pid for pid, argv in processes_in(workspace).items() if "--print" in argv and "stream-json" in argv]
    return [pid for pid in found if parent_of(pid) not in {None, *found}]


def parent_of(pid: int) -> int | None:
    """None: the process has ended meanwhile."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[1])
    except OSError:
        return None


def kill(*pids: int) -> None:
    """SIGKILL to those that are still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def await_that(condition: Callable[[], T], what: str, within: float = _DEADLINE) -> T:
    """The first true value of `condition`. Fails after `within` seconds."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        time.sleep(0.01)
    return value


def assert_gone(workspace: Path, within: float) -> None:
    """No process of the workspace is left within so many seconds."""
    deadline = time.monotonic() + within
    while left := processes_in(workspace):
        assert time.monotonic() < deadline, f"still there after {within:g} s: {left}"
        time.sleep(0.01)
