"""The scripted model, started as production does, and the real Claude Code to talk to it."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from ccapi.rehearsal.scenario import load
from ccapi.rehearsal.server import REQUESTS, create_app, serve_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    from ccapi.rehearsal.received import Received

_CLAUDE_LIMIT = 100  # seconds for a whole run of Claude Code


@dataclass
class Model:
    """A running scripted model and a client for it."""

    url: str
    session: aiohttp.ClientSession
    app: Any

    @property
    def requests(self) -> list[Received]:
        return list(self.app[REQUESTS])

    def post(self, body: Any, path: str = "/v1/messages", **options: Any) -> Any:
        return self.session.post(self.url + path, json=body, **options)

    async def events(self, body: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
        """The stream events of an answer; the `event:` names are checked on the way."""
        async with self.post(body | {"stream": True}, **options) as response:
            assert response.status == 200, await response.text()
            return self.parse(await response.read())

    @staticmethod
    def parse(raw: bytes) -> list[dict[str, Any]]:
        events = []
        for frame in raw.decode("ascii").removesuffix("\n\n").split("\n\n"):
            name, data = frame.split("\n")
            event = json.loads(data.removeprefix("data: "))
            assert name == f"event: {event['type']}"
            events.append(event)
        return events


@asynccontextmanager
async def _model(name_or_path: str, *, speed: float = 0) -> AsyncIterator[Model]:
    app = create_app(load(name_or_path), speed=speed)
    async with serve_app(app) as url, aiohttp.ClientSession() as session:
        yield Model(url, session, app)


@pytest.fixture
def model() -> Callable[..., Any]:
    """Starts the scripted model: `async with model("chat") as m`. Without pauses unless a speed is given."""
    return _model


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Writes a scenario file and gives its path."""

    def write(text: str, name: str = "scenario.toml") -> str:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


@dataclass
class Run:
    """What Claude Code printed, and what the model was asked for it."""

    exit_code: int
    events: list[dict[str, Any]]
    stderr: str
    requests: list[Received]

    @property
    def result(self) -> dict[str, Any]:
        return next(event for event in self.events if event["type"] == "result")

    @property
    def texts(self) -> list[str]:
        return [block["text"] for block in self._blocks("assistant", "text")]

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        return self._blocks("assistant", "tool_use")

    @property
    def tool_results(self) -> list[str]:
        return [block["content"] for block in self._blocks("user", "tool_result")]

    @property
    def retries(self) -> list[int | None]:
        """The HTTP status behind each retry that Claude Code announced."""
        return [event["error_status"] for event in self.events if event.get("subtype") == "api_retry"]

    @property
    def streamed(self) -> str:
        return "".join(
            event["event"].get("delta", {}).get("text", "") for event in self.events if event["type"] == "stream_event"
        )

    def _blocks(self, kind: str, block_type: str) -> list[dict[str, Any]]:
        messages = [event["message"] for event in self.events if event["type"] == kind]
        return [block for message in messages for block in message["content"] if block["type"] == block_type]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    path = tmp_path / "work space"
    path.mkdir()
    return path


@pytest.fixture
def run_claude(claude: Path, workspace: Path, tmp_path: Path) -> Callable[..., Awaitable[Run]]:
    """Runs Claude Code once, against the scripted model, in the workspace, prompt on stdin."""

    async def run(scenario: str, prompt: str, *options: str, env: Mapping[str, str | None] | None = None) -> Run:
        async with _model(scenario) as model:
            process = await asyncio.create_subprocess_exec(
                claude,
                "-p",
                "--verbose",
                "--output-format=stream-json",
                "--include-partial-messages",
                "--dangerously-skip-permissions",
                *options,
                cwd=workspace,
                env=_environment(model.url, tmp_path, env or {}),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            try:
                out, err = await asyncio.wait_for(process.communicate(prompt.encode()), _CLAUDE_LIMIT)
            except BaseException:
                process.kill()
                await process.wait()
                raise
            events = [json.loads(line) for line in out.split(b"\n") if line]
            return Run(process.returncode or 0, events, err.decode(), model.requests)

    return run


def _environment(url: str, home: Path, changes: Mapping[str, str | None]) -> dict[str, str]:
    """What Claude Code gets; a change to None leaves a variable out."""
    usual = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": "any",
        "CLAUDE_CONFIG_DIR": str(home / "claude"),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "2",
        "IS_SANDBOX": "1",
    }
    return {name: value for name, value in (usual | dict(changes)).items() if value is not None}
