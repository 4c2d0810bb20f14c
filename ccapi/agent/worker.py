"""A `claude` process that takes the turns of one conversation, one at a time.

It may be started long before its first turn, and live on after one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from ccapi.agent import control
from ccapi.agent.launch import Launch
from ccapi.agent.options import Resume, RunOptions
from ccapi.agent.process import ClaudeProcess
from ccapi.errors import ClaudeFailed
from ccapi.wire.events import Billing

READY_TIMEOUT = 20.0  # seconds; a busy machine starts many at once
CHECK_TIMEOUT = 2.0  # seconds; it answers in one or two milliseconds
CLAIM_TIMEOUT = 5.0  # seconds; it answers in a tenth of one
_SUMMARY_SINCE = (2, 1, 330)  # the version of the CLI that this was tried with
_OF_A_TURN = frozenset({"assistant", "user", "result", "stream_event"})

_Message = Mapping[str, Any]


class Worker:
    """Whoever holds it must end it (`process.end`) or hand it on; nobody else reads from it meanwhile."""

    def __init__(self, process: ClaudeProcess, options: RunOptions) -> None:
        self.process = process
        self.options = options
        self.born = self.idle_since = asyncio.get_running_loop().time()
        self.pooled = False  # it stood ready before it was asked for
        self.session_id = ""  # of the conversation it had a turn of
        self.checkpoint = ""  # where that turn ended
        self.billing: Billing = ""  # who paid for that turn; of a subscription the CLI says it once
        self.fingerprint = ""  # of the configuration it was started under
        self.parked = False  # it must be claimed before its first turn
        self._initialized = False

    @classmethod
    async def start(
        cls, launch: Launch, options: RunOptions, resume: Resume | None = None, *, parked: bool = False
    ) -> Self:
        """Raises `ClaudeNotFound` and `ClaudeFailed`."""
        worker = cls(await ClaudeProcess.start(launch.command(options, resume, parked=parked)), options)
        worker.parked = parked
        return worker

    async def initialize(self) -> _Message:
        """Wait until it has started and knows its system prompt; what it says of itself. Raises `ClaudeFailed`."""
        self._initialized = True
        await self.process.send(self._initialize())
        return await self._await(_is_response, READY_TIMEOUT)

    async def get_ready(self) -> None:
        """As `initialize`, with all done that its first turn needs. Raises `ClaudeFailed`."""
        initialized = await self.initialize()
        if _version(initialized) >= _SUMMARY_SINCE:
            # For this it builds its system prompt and its tools' schemas, as for a turn: the first one then takes it a
            # third less time. Nothing is asked of the model's API for a summary (for more it would be).
            await self.process.send(control.request("get_context_usage", detail="summary"))
            await self._await(lambda message: message.get("type") == "control_response", READY_TIMEOUT)

    async def check(self) -> None:
        """Make sure that it answers, and has said nothing since its last turn that the next one would take for its own.

        It asks nothing of the model. Raises `ClaudeFailed`.
        """
        await self.process.send(control.request("mcp_status"))
        await self._await(_is_quiet_response, CHECK_TIMEOUT)

    async def mcp_servers(self) -> Sequence[_Message]:
        """The MCP servers that it knows, each as it stands at this moment. Raises `ClaudeFailed`."""
        await self.process.send(control.request("mcp_status"))
        found = await self._await(_is_response, CHECK_TIMEOUT)
        servers = (found["response"].get("response") or {}).get("mcpServers")
        return [server for server in servers or () if isinstance(server, dict)]

    async def claim(self, directory: Path) -> None:
        """Let a parked process begin: only now it looks at its directory, and at what git says of it.

        (An ordinary one looks when it starts, and never again.) It asks nothing of the model. Raises `ClaudeFailed`.
        """
        await self.process.send(control.request("claim_session", cwd=str(directory)))
        await self._await(_is_claimed, CLAIM_TIMEOUT)
        self.parked = False

    async def ask(self, turn: _Message) -> None:
        """Send a turn, and before the first one what it must know for it; nothing is waited for.

        It keeps its model: one that is set after a turn leaves its mark in the history that the model sees.
        """
        messages = [turn] if self._initialized else [self._initialize(), turn]
        self._initialized = True
        await self.process.send(*messages)

    def _initialize(self) -> _Message:
        system = {"appendSystemPrompt": self.options.system} if self.options.system else {}
        return control.request("initialize", hooks=None, **system)

    async def _await(self, wanted: Callable[[_Message], bool], seconds: float) -> _Message:
        """Read until there is such a message; what comes before it, or with it, is nobody's."""
        try:
            async with asyncio.timeout(seconds):
                while (lines := await self.process.read()) is not None:
                    for message in map(_parsed, lines):
                        if wanted(message):
                            return message
        except TimeoutError:
            raise ClaudeFailed(f"Claude Code did not answer within {seconds:g} s") from None
        raise ClaudeFailed("Claude Code ended before its first turn", detail=self.process.stderr or None)


def _parsed(line: bytes) -> _Message:
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def _version(initialized: _Message) -> tuple[int, ...]:
    """Of the CLI, as it says in its answer to `initialize`; empty if it does not."""
    answer = initialized["response"].get("response") or {}
    parts = str(answer.get("claude_code_version") or "").split(".")
    return tuple(map(int, parts)) if all(map(str.isdecimal, parts)) else ()


def _is_response(message: _Message) -> bool:
    """Raises `ClaudeFailed` when it says no."""
    if message.get("type") != "control_response":
        return False
    control.raise_if_refused(message)
    return True


def _is_claimed(message: _Message) -> bool:
    """Raises `ClaudeFailed` when it is not."""
    if not _is_response(message):
        return False
    status = (message["response"].get("response") or {}).get("status")
    if status != "ok":
        raise ClaudeFailed(f"Claude Code could not begin in its directory: {status}")
    return True


def _is_quiet_response(message: _Message) -> bool:
    """Raises `ClaudeFailed` for what belongs to a turn: it began one by itself, which nobody saw."""
    if message.get("type") in _OF_A_TURN:
        raise ClaudeFailed("Claude Code went on by itself between two turns")
    return _is_response(message)
