"""How everything that is signed in to is: Claude itself, the MCP servers, and the proxy that brings logins in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from ccapi.commands import claudeauth, mcpservers
from ccapi.commands.claudeauth import State
from ccapi.commands.inside import Inside
from ccapi.commands.mcpservers import Configured
from ccapi.errors import CcapiError
from ccapi.oauth import daemon
from ccapi.paths import Home
from ccapi.redact import redact
from ccapi.wire.internal import Server, ServerStatus

ProxyState = Literal["running", "stopped"]


@dataclass(frozen=True, slots=True)
class ServerState:
    """`tools` is None when the gateway could not be asked for them."""

    name: str
    url: str | None
    kind: mcpservers.Kind
    status: ServerStatus
    reason: str | None = None
    tools: tuple[str, ...] | None = None
    token: str | None = None

    @property
    def fine(self) -> bool:
        return self.status in {"connected", "disabled"}


@dataclass(frozen=True, slots=True)
class Report:
    """`fine`: nothing needs anybody. A proxy that does not run is fine: a login starts it."""

    claude: State
    servers: tuple[ServerState, ...]
    proxy: ProxyState
    proxy_port: int

    @property
    def fine(self) -> bool:
        return (self.claude.signed_in or self.claude.rehearsal is not None) and all(one.fine for one in self.servers)


def look(container: Inside, seen: Callable[[], Sequence[Server]], *, home: Home, port: int) -> Report:
    """`seen`: the servers as the gateway tells of them; `port`: of the proxy. Raises `ClaudeFailed`, `StackFailed`."""
    claude = claudeauth.state(container)
    proxy: ProxyState = "running" if daemon.found(home, port) else "stopped"
    return Report(claude, servers(container, seen), proxy, port)


def servers(container: Inside, seen: Callable[[], Sequence[Server]]) -> tuple[ServerState, ...]:
    """Those that are configured, with their state. `seen`: as of `look`. Raises `ClaudeFailed`, `StackFailed`."""
    there = mcpservers.configured(container)
    states = _states(container, seen) if there else {}
    return tuple(_joined(one, states.get(one.name)) for one in there)


def _states(container: Inside, seen: Callable[[], Sequence[Server]]) -> dict[str, ServerState]:
    """From the gateway, which knows the tools as well; else from the CLI."""
    try:
        found = seen()
    except CcapiError:
        listed = mcpservers.listed(container)
        return {one.name: ServerState(one.name, one.target, "other", one.status, one.reason) for one in listed}
    return {
        one.name: ServerState(one.name, None, "other", one.status, redact(one.error) if one.error else None, one.tools)
        for one in found
    }


def _joined(there: Configured, state: ServerState | None) -> ServerState:
    status, reason, tools = (state.status, state.reason, state.tools) if state else ("failed", "not loaded", None)
    return ServerState(there.name, there.url, there.kind, status, reason, tools, there.token)
