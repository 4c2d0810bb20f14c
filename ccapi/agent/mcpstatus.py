"""The MCP servers as Claude Code itself sees them: which are connected, what they offer, why the others are not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from ccapi.agent.launch import Launch
from ccapi.agent.options import RunOptions
from ccapi.agent.worker import Worker
from ccapi.redact import redact
from ccapi.wire.internal import Server, ServerStatus

SECONDS = 15.0  # for the servers, once Claude Code has started
_POLL = 0.1  # seconds; it answers in one or two milliseconds
_MAX_ERROR = 300  # characters
_STATUSES: tuple[ServerStatus, ...] = get_args(ServerStatus)


async def mcp_servers(
    launch: Launch, workspace: Path, *, name: str | None = None, seconds: float = SECONDS
) -> list[Server]:
    """All servers, once none is pending any more; with `name` once that one is not. After `seconds` as they are then.

    A process is started for it, as a run would have it, so that what it says holds for the next run. The model is asked
    nothing. Raises `ClaudeNotFound` and `ClaudeFailed`.
    """
    worker = await Worker.start(launch, RunOptions(workspace=workspace, persist=False))
    try:
        await worker.initialize()
        return await _settled(worker, name, seconds)
    finally:
        await worker.process.end()


async def _settled(worker: Worker, name: str | None, seconds: float) -> list[Server]:
    clock = asyncio.get_running_loop().time
    deadline = clock() + seconds
    while True:
        servers = list(_servers(await worker.mcp_servers()))
        waiting = [server for server in servers if server.status == "pending" and name in {None, server.name}]
        if not waiting or clock() >= deadline:
            return servers
        await asyncio.sleep(_POLL)


def _servers(found: Iterable[Mapping[str, Any]]) -> Iterator[Server]:
    for server in found:
        tools = [tool["name"] for tool in server.get("tools") or () if isinstance(tool, dict) and tool.get("name")]
        status, error = _standing(str(server.get("status")), server.get("error"))
        yield Server(str(server.get("name")), status, tuple(map(str, tools)), error)


def _standing(status: str, error: object) -> tuple[ServerStatus, str | None]:
    """A status that a later version of Claude Code may have is no good one."""
    for known in _STATUSES:
        if status == known:
            return known, redact(str(error))[:_MAX_ERROR] if error else None
    return "failed", f"Claude Code says {status[:_MAX_ERROR]!r}"
