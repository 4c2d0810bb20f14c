"""The menu of `ccapi auth`: Claude itself, the configured servers with their state, then the catalogue."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ccapi import settings as host_settings
from ccapi.cli import context, output, prompt
from ccapi.cli.progress import ProgressView
from ccapi.cli.prompt import Option
from ccapi.errors import ClaudeFailed
from ccapi.stack.progress import Progress

if TYPE_CHECKING:
    from ccapi.commands.inside import Inside
    from ccapi.commands.mcpservers import Known

CLAUDE = ""  # chosen: Claude itself, which has a name that a server in the container could have as well

_STATES = {
    "connected": "✓ signed in",
    "needs-auth": "! needs a login",
    "failed": "✗ failed",
    "pending": "? not known",
    "disabled": "- disabled",
}


def choose() -> str:
    """The name of the server that the person chose, or `CLAUDE`."""
    from ccapi.commands import inside

    with inside.opened(host_settings.docker_environment(), context.home().stack) as container:
        return ask(container)


def ask(container: Inside) -> str:
    """As `choose`."""
    from ccapi.commands import claudeauth, mcpservers
    from ccapi.oauth import catalogue

    with ProgressView() as view:
        view(Progress("phase", "Looking at the servers"))
        known = mcpservers.overview(container, catalogue.load())
        claude = "? not known"
        with suppress(ClaudeFailed):  # the servers can be chosen all the same
            state = claudeauth.state(container)
            claude = f"✓ signed in: {state.billing}" if state.signed_in else "! needs a login"
    width = max(len(server.name) for server in known)
    configured = [server for server in known if server.status]
    others = [server for server in known if not server.status]
    options = [
        Option(CLAUDE, f"{'claude':<{width}}  {output.printable(claude)}", section="Claude itself"),
        *_section("Configured", configured, width),
        *_section("Known servers", others, width),
    ]
    return prompt.select("What do you want to sign in to?", options)


def _section(heading: str, servers: list[Known], width: int) -> list[Option]:
    return [
        Option(server.name, _line(server, width), section=heading if number == 0 else None)
        for number, server in enumerate(servers)
    ]


def _line(server: Known, width: int) -> str:
    if server.status:
        reason = f": {output.printable(server.reason)}" if server.reason and server.status == "failed" else ""
        return f"{server.name:<{width}}  {_STATES[server.status]}{reason}"
    return f"{server.name:<{width}}  {server.entry.about if server.entry else ''}".rstrip()
