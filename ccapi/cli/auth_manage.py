"""`ccapi auth list`, `status` and `logout`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ccapi import settings as host_settings
from ccapi.cli import context, output, values
from ccapi.cli.options import Json
from ccapi.errors import DockerUnavailable, StackFailed
from ccapi.paths import Home

if TYPE_CHECKING:
    from ccapi.commands.authstatus import Report, ServerState
    from ccapi.commands.claudeauth import State
    from ccapi.commands.inside import Inside
    from ccapi.commands.mcpservers import Configured, Known
    from ccapi.oauth.catalogue import Entry
    from ccapi.wire.internal import Server, ServerStatus


CLAUDE = "claude"  # among the names of servers: Claude's own sign-in
_WORDS: dict[ServerStatus, str] = {
    "connected": "Connected",
    "needs-auth": "Needs authentication",
    "failed": "Failed",
    "pending": "Pending",
    "disabled": "Disabled",
}
_WAYS = {"browser": "browser", "token": "token", "client-id": "own OAuth app"}
_CLAUDE_PAGES = {
    "subscription": "https://claude.ai/settings",
    "token": "https://claude.ai/settings",
    "console": "https://platform.claude.com/settings/keys",
    "api-key": "https://platform.claude.com/settings/keys",
}


def register(group: typer.Typer) -> None:
    group.command(name="list")(list_)
    group.command()(status)
    group.command()(logout)


# --- list


def list_(as_json: Json = False) -> None:
    """List the MCP servers that are set up, and those known.

    Those that are set up come with their state, which takes the container.
    """
    from ccapi.commands import inside
    from ccapi.oauth import catalogue

    try:
        with inside.opened(host_settings.docker_environment(), context.home().stack) as container:
            listing(container, as_json=as_json)
    except (DockerUnavailable, StackFailed) as problem:
        output.note(f"What is set up cannot be seen: {problem.message}")
        _show_list([_only_known(entry) for entry in catalogue.load().entries], as_json=as_json)


def listing(container: Inside, *, as_json: bool = False) -> None:
    """What `ccapi auth list` shows of this container."""
    from ccapi.commands import mcpservers
    from ccapi.oauth import catalogue

    _show_list([_row(known) for known in mcpservers.overview(container, catalogue.load())], as_json=as_json)


def _only_known(entry: Entry) -> dict[str, Any]:
    from ccapi.commands.mcpservers import Known

    return _row(Known(entry.name, entry, None))


def _row(known: Known) -> dict[str, Any]:
    entry = known.entry
    return {
        "name": known.name,
        "title": entry.title if entry else None,
        "about": entry.about if entry else None,
        "url": known.url,
        "ways": list(entry.ways) if entry else [],
        "configured": known.configured is not None,
        "status": known.status,
        "reason": known.reason,
    }


def _show_list(rows: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    from ccapi.oauth import catalogue

    checked = catalogue.load().checked
    if as_json:
        output.write_json({"servers": rows, "checked": checked})
        return
    cells = [("NAME", "STATE", "SIGN IN WITH", "WHAT IT IS")]
    for row in rows:
        state = _WORDS[row["status"]] if row["status"] else "-"
        what = row["about"] or row["url"] or ""
        cells.append((row["name"], state, ", ".join(_WAYS[way] for way in row["ways"]), what))
    output.write(_table(cells))
    output.note(f"Sign in: ccapi auth NAME; any other server: ccapi auth NAME --url URL. As of {checked}.")


# --- status


def status(as_json: Json = False) -> None:
    """Say how Claude and each MCP server are signed in.

    Exit code 0: all is well. 1: something needs you. 5: Docker is not available.
    """
    from ccapi.client.internal import InternalClient
    from ccapi.commands import inside, secret

    settings = context.settings()

    def seen() -> Sequence[Server]:
        with InternalClient(settings.base_url, secret.ensure(settings.home)) as gateway:
            return gateway.servers()

    with inside.opened(host_settings.docker_environment(), context.home().stack) as container:
        fine = show_status(container, seen, home=settings.home, port=settings.oauth_port, as_json=as_json)
    raise typer.Exit(0 if fine else 1)


def show_status(
    container: Inside, seen: Callable[[], Sequence[Server]], *, home: Home, port: int, as_json: bool = False
) -> bool:
    """What `ccapi auth status` shows of this container; whether all is well."""
    from ccapi.commands import authstatus

    report = authstatus.look(container, seen, home=home, port=port)
    if as_json:
        output.write_json(_document(report), ok=report.fine)
    else:
        _say_status(report)
    return report.fine


def _say_status(report: Report) -> None:
    claude = report.claude
    rows = [("claude", "Signed in" if claude.signed_in else _signed_out(claude), _about_claude(claude))]
    rows += [(server.name, _WORDS[server.status], _about(server)) for server in report.servers]
    rows.append(("oauth proxy", report.proxy, f"port {report.proxy_port}"))
    output.write(_table(rows))
    for hint in _hints(report):
        output.note(hint)


def _signed_out(claude: State) -> str:
    return "Expired" if claude.expired else "Not signed in"


def _about_claude(claude: State) -> str:
    parts = [claude.billing] if claude.method != "none" else []
    if claude.method == claude.login:
        parts += [part for part in (claude.account, claude.organization, claude.plan) if part]
    if claude.method == claude.login and claude.expires:
        parts.append(f"until {claude.expires.astimezone():%Y-%m-%d %H:%M}")
    parts += [f"{found.name} ({found.kind}…) in {found.place}" for found in claude.credentials]
    if claude.rehearsal:
        parts.append(f"not used: the scenario {claude.rehearsal} plays the model")
    return "; ".join(parts)


def _about(server: ServerState) -> str:
    parts = []
    if server.status == "connected" and server.tools is not None:
        parts.append(f"{len(server.tools)} {'tool' if len(server.tools) == 1 else 'tools'}")
    if server.reason:
        parts.append(server.reason)
    if server.token:
        parts.append(f"token {server.token}")
    return "; ".join(parts)


def _hints(report: Report) -> list[str]:
    hints = []
    if not report.claude.signed_in and not report.claude.rehearsal:
        hints.append("Sign Claude in: ccapi auth claude")
    if report.claude.login != "none":
        over = report.claude.over(report.claude.login)
        hints += [f"{one.name} in {one.place} wins over Claude's own login ({report.claude.login})." for one in over]
    return hints + [hint for server in report.servers if (hint := _hint(server))]


def _hint(server: ServerState) -> str | None:
    """A command to copy: so none with a name that could be one itself."""
    from ccapi.commands import mcpservers

    if not mcpservers.is_name(server.name):
        return None
    if server.status == "failed" and server.kind == "token":
        return f"Give {server.name} another token: ccapi auth {server.name} --with-token"
    return f"Sign in: ccapi auth {server.name}" if server.status == "needs-auth" else None


def _document(report: Report) -> dict[str, Any]:
    claude = report.claude
    return {
        "ok": report.fine,
        "claude": {
            **asdict(claude),
            "signed_in": claude.signed_in,
            "billing": claude.billing,
            "expires": claude.expires.isoformat() if claude.expires else None,
        },
        "servers": [asdict(server) for server in report.servers],
        "proxy": {"state": report.proxy, "port": report.proxy_port},
    }


# --- logout


def logout(
    name: Annotated[
        str, typer.Argument(help="The MCP server, or `claude` for Claude itself.", autocompletion=values.servers)
    ],
    remove: Annotated[bool, typer.Option("--remove", help="Take the server out, too.")] = False,
) -> None:
    """Forget a sign-in, and say where to revoke it.

    A server that was given a token is taken out with it.
    """
    from ccapi.commands import inside

    with inside.opened(host_settings.docker_environment(), context.home().stack) as container:
        sign_out(container, name, remove=remove)


def sign_out(container: Inside, name: str, *, remove: bool = False) -> None:
    """What `ccapi auth logout` does to this container."""
    if name == CLAUDE:
        _sign_out_claude(container)
    else:
        _sign_out_server(container, name, remove=remove)


def _sign_out_server(container: Inside, name: str, *, remove: bool) -> None:
    from ccapi.commands import mcpservers

    found = mcpservers.get(container, mcpservers.check_name(name))
    if found is None:
        raise mcpservers.unknown(name)
    mcpservers.logout(container, name)
    if remove or found.kind == "token":
        mcpservers.remove(container, name)
    _say_signed_out(found, removed=remove or found.kind == "token")


def _say_signed_out(found: Configured, *, removed: bool) -> None:
    from ccapi.oauth import catalogue

    entry = catalogue.load().get(found.name)
    title = entry.title if entry else found.name
    output.note(f"Signed out of {title}" + ("; the server was taken out" if removed else "; it is still set up"))
    if not removed:
        output.note(f"Sign in again: ccapi auth {found.name}   Take it out: ccapi auth logout {found.name} --remove")
    what = f"The token {found.token} itself" if found.kind == "token" else "What you allowed there"
    where = (entry.revoke or entry.token.page) if entry and found.kind == "token" else entry.revoke if entry else None
    output.note(f"{what} still counts at {title}. Revoke it: {where or 'in your settings there, under connected apps'}")


def _sign_out_claude(container: Inside) -> None:
    from ccapi.commands import claudeauth

    before = claudeauth.state(container)
    claudeauth.logout(container)
    after = claudeauth.state(container)
    if after.method != "none":
        output.note("Claude's own login, and what was in credentials.env, are gone")
    else:
        output.note("Claude is signed out" if before.method != "none" else "Claude was not signed in")
    if page := _CLAUDE_PAGES.get(before.method):
        output.note(f"What it had still counts at Anthropic; revoke it: {page}")
    for credential in after.credentials:
        output.warn(f"{credential.name} is still in the container's environment, and is used")
    if after.login == "helper":
        output.warn("the apiKeyHelper of Claude's settings.json is still there, and is used")


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    """Of one line each, whatever is in the cells: the agent can write what they are made of."""
    rows = [tuple(" ".join(output.printable(cell).split()) for cell in row) for row in rows]
    return output.columns(rows)
