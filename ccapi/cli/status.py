"""`ccapi status`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ccapi import settings as host_settings
from ccapi.cli import context, output, statusview
from ccapi.cli.options import Json
from ccapi.errors import CcapiError, DockerUnavailable, UsageError

if TYPE_CHECKING:
    from ccapi.commands.status import Report, Status
    from ccapi.paths import Home

_EVERY = 2.0  # seconds between two looks
_ABOVE = "\x1b[H"  # the cursor to the top left; what is written over stays until it is
_REST = "\x1b[K"  # the rest of a line away
_BELOW = "\x1b[J"
_NOT_NEEDED = "not-needed"  # clients want a key, whether or not the gateway does


def register(app: typer.Typer) -> None:
    app.command()(status)


def status(
    *,
    as_json: Json = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again every two seconds, until Ctrl-C.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No output, only the exit code.")] = False,
    form: Annotated[
        Literal["text", "env"], typer.Option("--output", "-o", help="env: lines for a shell, as OpenAI clients read.")
    ] = "text",
    show_secrets: Annotated[bool, typer.Option("--show-secrets", help="With -o env: the API key as well.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Each stack on this machine, in a line.")] = False,
) -> None:
    """Say how the container is, and whether the OAuth proxy runs.

    Exit code 0: healthy. 1: stopped or degraded. 5: Docker is not available. Starts nothing and asks nothing.
    """
    if sum((watch, as_json, quiet, form == "env")) > 1:
        raise UsageError("only one of --watch, --json, --quiet and -o env can be had at once")
    if watch:
        _watch(every=every)
    try:
        code = _all(as_json=as_json, quiet=quiet) if every else _one(form, as_json, quiet, show_secrets)
    except DockerUnavailable as error:
        _say_unavailable(error, as_json=as_json, quiet=quiet, env=form == "env")
        code = error.exit_code
    raise typer.Exit(code)


def _look() -> Report:
    from ccapi.commands import status as use

    return use.look(context.home(), host_settings.docker_environment(), context.settings)


def _one(form: str, as_json: bool, quiet: bool, show_secrets: bool) -> int:
    from ccapi.commands import status as use

    if quiet:
        return _code(use.status(context.home(), host_settings.docker_environment()).state)
    report = _look()
    code = _code(report.status.state)
    if form == "env":
        _say_environment(report, show_secrets)
    elif as_json:
        output.write_json(statusview.document(report), ok=code == 0)
    else:
        output.write(output.addressed(statusview.text(report)))
        if report.status.state in {"absent", "stopped"}:
            output.note("Start it: ccapi up")
    return code


def _code(state: str) -> int:
    return 0 if state == "healthy" else 1


def _say_unavailable(error: DockerUnavailable, *, as_json: bool, quiet: bool, env: bool) -> None:
    verdict = f"docker unavailable: {error.message}"
    if quiet:
        return
    if as_json:
        output.write_json({"state": "docker_unavailable", "verdict": verdict, "hint": error.hint}, ok=False)
        return
    (output.say if env else output.write)(f"{verdict}{'' if env else chr(10)}")
    for line in (error.hint or "").splitlines():
        output.note(f"  {line}")


# --- for a shell


def _say_environment(report: Report, show_secrets: bool) -> None:
    container = report.status.container
    if container is None or not container.address:
        output.say(f"{report.status.verdict}\nStart it: ccapi up")
        return
    from ccapi.commands.status import base_url

    key = host_settings.api_key()
    needed = report.facts.overview.needs_key if report.facts.overview else True
    if key and not show_secrets:
        output.note("The API key is left out; with it: ccapi status -o env --show-secrets")
        shown = None
    elif key is None and needed:
        output.note("An API key is needed: ccapi key create, then put it into CCAPI_API_KEY")
        shown = None
    else:
        shown = key or _NOT_NEEDED
    output.write(statusview.environment(f"{base_url(container)}/v1", shown))


# --- all of them


def _all(*, as_json: bool, quiet: bool) -> int:
    from ccapi.commands import status as use

    found = use.every(context.home(), host_settings.docker_environment())
    code = 0 if found and all(one.state == "healthy" for _, one in found) else 1
    if as_json:
        stacks = [statusview.brief(home.stack, one) for home, one in found]
        output.write_json({"stacks": stacks}, ok=code == 0)
    elif not quiet:
        output.write(_table(found) if found else "there is no stack on this machine\n")
    return code


def _table(found: list[tuple[Home, Status]]) -> str:
    rows: list[tuple[str, ...]] = [("STACK", "PROJECT", "STATUS", "ADDRESS")]
    for home, one in found:
        address = one.container.address if one.container else None
        rows.append((home.stack, home.project or "-", one.verdict, address or "-"))
    return statusview.columns(rows)


# --- again and again


def _now(every: bool) -> str:
    from ccapi.commands import status as use

    if every:
        return _table(use.every(context.home(), host_settings.docker_environment()))
    return output.addressed(statusview.text(_look()))


def _watch(*, every: bool) -> None:
    """Until Ctrl-C. On a terminal in one place; elsewhere what has changed is written once more."""
    shown, screen = "", output.on_screen()
    if screen:
        output.write("\x1b[2J")
    while True:
        try:
            now = _now(every)
        except DockerUnavailable as error:
            now = f"docker unavailable: {error.message}\n"
        except CcapiError as error:
            now = f"{error.message}\n"
        if screen:
            output.write(_ABOVE + now.replace("\n", f"{_REST}\n") + _BELOW)
        elif now != shown:
            output.write(now)
        shown = now
        time.sleep(_EVERY)
