"""The MCP servers that Claude Code in the container has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ccapi.doctor import advice
from ccapi.doctor.check import Check, Finding, Fix, Trouble, fail, info, ok, warn
from ccapi.doctor.facts import Facts
from ccapi.errors import StackFailed

if TYPE_CHECKING:
    from ccapi.commands.authstatus import ServerState
    from ccapi.wire.internal import Server

_LIMIT = 60.0  # seconds: a Claude Code is started, and waits for its servers


def servers(facts: Facts) -> Finding:
    found = _servers(facts)
    if not found:
        return info("no MCP server is set up; `ccapi auth` sets one up")
    bad = [server for server in found if not server.fine]
    if not bad:
        what = "the MCP server is" if len(found) == 1 else f"{len(found)} MCP servers are"
        return ok(f"{what} connected", "\n".join(_line(server) for server in found))
    summary = advice.listed(f"{_name(server)} {_what(server)}" for server in bad)
    if len(found) > 1:
        summary = f"{len(bad)} of {len(found)} MCP servers are not connected: {summary}"
    else:
        summary = f"the MCP server {summary}"
    details = "\n".join(_line(server) for server in bad)
    if all(server.status == "pending" for server in bad):
        return warn(summary, details, Fix("Look again in a moment", advice.ccapi(facts, "doctor mcp")))
    return fail(summary, details, _fix(facts, bad))


def _servers(facts: Facts) -> Sequence[ServerState]:
    from ccapi.client.internal import InternalClient
    from ccapi.commands import authstatus
    from ccapi.stack.container import Container

    facts.running_container()

    def seen() -> Sequence[Server]:
        """Without the secret the CLI is asked instead."""
        if (secret := facts.secret()) is None:
            raise StackFailed("there is no secret")
        with InternalClient(facts.base_url(), secret) as gateway:
            return gateway.servers()

    with facts.engine() as engine:
        return authstatus.servers(Container(engine), seen)


def _name(server: ServerState) -> str:
    """The agent can write the configuration, so it may be anything."""
    return advice.quoted(server.name)[0] if server.name.strip() else "a server without a name"


def _what(server: ServerState) -> str:
    match server.status:
        case "needs-auth":
            return "wants a sign-in"
        case "pending":
            return "has not answered yet"
        case _:
            return "cannot be reached" if server.kind != "other" else "does not start"


def _line(server: ServerState) -> str:
    url = f" ({server.url})" if server.url else ""
    number = len(server.tools) if server.fine and server.tools is not None else None
    tools = "" if number is None else f", {number} tool{'' if number == 1 else 's'}"
    reason = f": {' '.join(advice.quoted(server.reason))}" if server.reason else ""
    return f"{_name(server)}{advice.quoted(url)[0] if url else ''}: {server.status}{tools}{reason}"


def _fix(facts: Facts, bad: Sequence[ServerState]) -> Fix:
    """Commands to copy: so none with a name that could be one itself."""
    from ccapi.commands import mcpservers

    named = [server for server in bad if mcpservers.is_name(server.name) and server.status != "pending"]
    commands = [advice.ccapi(facts, _command(server)) for server in named]
    if all(server.status == "needs-auth" for server in bad):
        text = "Sign in"
    elif all(server.kind == "token" for server in bad):
        text = "If the server is up, it no longer takes its token: give another one"
    else:
        text = "See whether the server is up, and can be reached from the container. One that is gone for good can go"
    return Fix(text, "\n".join(commands) or None)


def _command(server: ServerState) -> str:
    if server.status == "needs-auth" or server.kind == "token":
        return f"auth {server.name}"
    return f"auth logout {server.name} --remove"


CHECKS: tuple[Check, ...] = (
    Check(
        "mcp.servers",
        "Whether the MCP servers are connected",
        servers,
        needs=("stack.health", "claude.binary"),
        limit=_LIMIT,
        trouble=(
            Trouble("A server wants a sign-in again.", "`ccapi auth NAME`: logins end, each when its server says so."),
            Trouble("A server cannot be reached.", "Its address must be reachable from inside the container."),
        ),
    ),
)
