"""How a status is shown: to a person, to a program, and to a shell."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ccapi.cli import output

if TYPE_CHECKING:
    from datetime import datetime

    from ccapi.commands.status import Facts, Report, Status
    from ccapi.stack.signin import Details

_AUTH = {
    "signed-in": "signed in",
    "expired": "the sign-in has ended",
    "token": "by a token",
    "none": "no sign-in",
    "command": "a program",
}


def text(report: Report) -> str:
    """The verdict, the services in a table, then what is known of the gateway."""
    return f"{report.status.verdict}\n\n{columns(_services(report))}\n{_table(_rows(report))}"


def columns(rows: list[tuple[str, ...]]) -> str:
    """A table whose first row is its head."""
    return "".join(f"  {line}\n" for line in output.columns(rows).splitlines())


def _table(rows: dict[str, str]) -> str:
    """Names and values, some of more than one line."""
    indent = " " * (max(map(len, rows)) + 4)
    return output.table({name: value.replace("\n", f"\n{indent}") for name, value in rows.items()})


def _services(report: Report) -> list[tuple[str, ...]]:
    status, head = report.status, ("SERVICE", "STATE", "HEALTH", "UPTIME", "RESTARTS", "IMAGE", "ADDRESS")
    proxy = report.proxy_url
    proxy_row = ("proxy", "running" if proxy else "stopped", "-", "-", "-", "-", _address(proxy))
    container = status.container
    if container is None:
        return [head, ("gateway", "not created", "-", "-", "-", "-", "-"), proxy_row]
    address = container.address or "-"
    uptime = duration(status.uptime) if status.uptime is not None else "-"
    image = container.image.rpartition(":")[2]
    health = container.health if container.health and not container.ended else "-"
    gateway = ("gateway", container.state, health, uptime, str(container.restarts), image, address)
    return [head, gateway, proxy_row]


def _address(callback_url: str | None) -> str:
    return callback_url.removeprefix("http://").partition("/")[0] if callback_url else "-"


def _rows(report: Report) -> dict[str, str]:
    from ccapi.commands.status import base_url

    status, facts, rows = report.status, report.facts, {}
    if container := status.container:
        if container.address:
            rows["API"] = f"{base_url(container)}/v1"
        rows |= _gateway(report)
        if report.outdated and facts.wanted_image:
            rows["Image"] = f"{facts.wanted_image.rpartition(':')[2]} is wanted: ccapi up"
        rows["Workspace"] = container.workspace or "a Docker volume"
        if status.state in {"unhealthy", "starting"} and container.probe:
            rows["Probe"] = output.printable(container.probe).replace("\n", " ")
    if status.volumes:
        rows["Volumes"] = "\n".join(volume.name for volume in status.volumes)
    rows["OAuth proxy"] = report.proxy_url or "stopped"
    return rows


def _gateway(report: Report) -> dict[str, str]:
    facts, rows = report.facts, {}
    container = report.status.container
    running = container is not None and container.state == "running"
    versions = [
        f"ccapi {facts.overview.version}" if facts.overview else "",
        f"Claude Code {facts.claude}" if facts.claude else "",
    ]
    if any(versions):
        rows["Version"] = ", ".join(filter(None, versions))
    if report.rehearsal:
        rows["Model"] = f"scripted (rehearsal scenario {report.rehearsal})"
    elif facts.sign_in:
        rows["Sign-in"] = _sign_in(facts.sign_in)
    if report.billing:
        rows["Billing"] = report.billing
    if facts.overview:
        rows["Answers"] = _answers(facts)
    elif running:
        rows["Answers"] = "the gateway does not say"
    if facts.sign_in and facts.sign_in.servers:
        servers = [f"{output.printable(one.name)} ({_AUTH[one.auth]})" for one in facts.sign_in.servers]
        rows["MCP servers"] = "\n".join(servers)
    return rows


def _sign_in(found: Details) -> str:
    if found.method == "none":
        return "none: ccapi auth claude"
    parts = [found.method, found.plan, found.account, f"until {_day(found.expires)}" if found.expires else None]
    return output.printable(", ".join(filter(None, parts)))


def _answers(facts: Facts) -> str:
    assert facts.overview
    found = facts.overview
    words = f"{found.runs} of at most {found.slots} at work"
    if found.waiting:
        words += f", {found.waiting} in the queue"
    return words + (f"; conversations kept ready: {found.conversations}" if found.conversations else "")


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d")


def duration(seconds: float) -> str:
    """Such as `3 min`, `2 h 5 min`, `4 d 1 h`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{rest} s"


# --- for programs


def document(report: Report) -> dict[str, Any]:
    """What `--json` has."""
    status, facts = report.status, report.facts
    return {
        **brief(report.stack, status),
        "container": _container(status),
        "uptime_seconds": status.uptime,
        "volumes": [volume.name for volume in status.volumes],
        "oauth_proxy": report.proxy_url,
        "image": {
            "running": status.container.image if status.container else None,
            "wanted": facts.wanted_image,
        },
        "gateway": asdict(facts.overview) if facts.overview else None,
        "claude_code": facts.claude,
        "rehearsal": report.rehearsal,
        "sign_in": _sign_in_document(facts.sign_in),
        "billing": report.billing,
        "mcp_servers": [asdict(one) for one in facts.sign_in.servers] if facts.sign_in else None,
    }


def brief(stack: str, status: Status) -> dict[str, Any]:
    """The first of it, which `--all` has of each stack."""
    from ccapi.commands.status import base_url

    container = status.container
    return {
        "stack": stack,
        "state": status.state,
        "verdict": status.verdict,
        "url": f"{base_url(container)}/v1" if container and container.address else None,
    }


def _container(status: Status) -> dict[str, Any] | None:
    container = status.container
    if container is None:
        return None
    names = ("id", "image", "state", "health", "exit_code", "oom_killed", "restarts", "published", "workspace", "probe")
    started = container.started.isoformat() if container.started else None
    return {name: getattr(container, name) for name in names} | {"started": started}


def _sign_in_document(found: Details | None) -> dict[str, Any] | None:
    if found is None:
        return None
    expires = found.expires.isoformat() if found.expires else None
    return {"method": found.method, "account": found.account, "plan": found.plan, "expires": expires}


# --- for shells


def environment(url: str, key: str | None) -> str:
    """What `eval` takes. `key`: None is left out."""
    pairs = {"OPENAI_BASE_URL": url} | ({"OPENAI_API_KEY": key} if key else {})
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in pairs.items())
