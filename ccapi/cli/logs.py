"""`ccapi logs`."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ccapi import settings as host_settings
from ccapi.cli import context, output
from ccapi.cli.options import JsonLines

if TYPE_CHECKING:
    from ccapi.commands.logs import Line, Wanted

_LEVEL = re.compile(r"\b(DEBUG|WARNING|ERROR|CRITICAL)\b")
_COLORS = {"DEBUG": "2", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31", "gateway": "36", "proxy": "35"}


def register(app: typer.Typer) -> None:
    app.command()(logs)


def logs(
    services: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SERVICE]...",
            help="gateway, which is in the container, or proxy, or both.",
            autocompletion=lambda incomplete: [name for name in ("gateway", "proxy") if name.startswith(incomplete)],
        ),
    ] = None,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    tail: Annotated[int, typer.Option("--tail", "-n", min=0, help="Lines of each service to begin with.")] = 100,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Not before: 10m ago, or a date and time.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Not after.")] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", "-t", help="The time before each line.")] = False,
    level: Annotated[
        Literal["debug", "info", "warning", "error"] | None,
        typer.Option(case_sensitive=False, help="This level or worse; and what has none, such as a crash."),
    ] = None,
    request: Annotated[str | None, typer.Option(metavar="ID", help="Of one request: its X-Request-Id.")] = None,
    no_color: Annotated[bool, typer.Option("--no-color", help="As --color never.")] = False,
    no_prefix: Annotated[bool, typer.Option("--no-prefix", help="Not the service before each line.")] = False,
    as_json: JsonLines = False,
) -> None:
    """Show the container's log.

    Following goes on across restarts, until Ctrl-C or until the container is stopped.
    """
    from ccapi.commands import logs as use

    if no_color:
        context.mode.color = "never"
    wanted = _wanted(services, tail=tail, since=since, until=until, level=level, request=request, follow=follow)
    read = use.follow if follow else use.last
    prefixes = use.prefixes(wanted.services) if len(wanted.services) > 1 and not no_prefix else {}
    number = 0
    for line in read(context.home(), host_settings.docker_environment(), wanted, output.note):
        number += 1
        if as_json:
            output.write_line_json(_document(line))
        else:
            output.write(_shown(line, prefixes.get(line.service, ""), timestamps=timestamps))
    if as_json:
        output.write_result({"lines": number})


def _wanted(
    services: list[str] | None,
    *,
    tail: int,
    since: str | None,
    until: str | None,
    level: str | None,
    request: str | None,
    follow: bool,
) -> Wanted:
    from ccapi.commands import logs as use
    from ccapi.errors import UsageError

    if unknown := set(services or []) - set(use.SERVICES):
        raise UsageError(f"no service is called {min(unknown)}", hint=f"There are: {', '.join(use.SERVICES)}")
    if until and follow:
        raise UsageError("--until is the end, and --follow has none: only one of them can be had")
    now = datetime.now(UTC)
    return use.Wanted(
        services=tuple(one for one in use.SERVICES if one in (services or ["gateway"])),
        tail=tail,
        since=use.moment(since, now) if since else None,
        until=use.moment(until, now) if until else None,
        level=level.upper() if level else None,
        request=request,
    )


def _document(line: Line) -> dict[str, str | None]:
    return {
        "type": "log",
        "ts": line.ts,
        "service": line.service,
        "level": line.level,
        "request_id": line.request,
        "message": output.printable(line.message),
    }


def _shown(line: Line, prefix: str, *, timestamps: bool) -> str:
    text = output.printable(line.text)
    if line.level in _COLORS:
        text = _LEVEL.sub(lambda found: output.tinted(found[0], _COLORS[found[0]]), text, count=1)
    stamp = f"{line.ts} " if timestamps else ""
    return f"{output.tinted(prefix, _COLORS[line.service]) if prefix else ''}{stamp}{text}\n"
