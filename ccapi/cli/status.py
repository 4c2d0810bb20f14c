"""`ccapi status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ccapi import settings as host_settings
from ccapi.cli import context, output
from ccapi.errors import DockerUnavailable

if TYPE_CHECKING:
    from ccapi.commands.status import Status

Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


def register(app: typer.Typer) -> None:
    app.command()(status)


def status(
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No output, only the exit code.")] = False,
) -> None:
    """Say how the container is, and whether the OAuth proxy runs.

    Exit code 0: healthy. 1: stopped or degraded. 5: Docker is not available.
    """
    from ccapi.commands import proxy
    from ccapi.commands import status as stack

    try:
        result = stack.status(context.home(), host_settings.docker_environment())
    except DockerUnavailable as error:
        _say_unavailable(error, as_json=as_json, quiet=quiet)
        raise typer.Exit(error.exit_code) from None
    if not quiet:
        _say_status(result, proxy.running(context.home()), as_json=as_json)
    raise typer.Exit(0 if result.state == "healthy" else 1)


def _say_unavailable(error: DockerUnavailable, *, as_json: bool, quiet: bool) -> None:
    verdict = f"docker unavailable: {error.message}"
    if as_json and not quiet:
        output.write_json({"state": "docker_unavailable", "verdict": verdict, "hint": error.hint}, ok=False)
    elif not quiet:
        output.write(f"{verdict}\n")
        for line in (error.hint or "").splitlines():
            output.note(f"  {line}")


def _say_status(result: Status, callback_url: str | None, *, as_json: bool) -> None:
    if as_json:
        output.write_json({**_status_document(result), "oauth_proxy": callback_url}, ok=result.state == "healthy")
        return
    rows = {**_status_rows(result), "OAuth proxy": callback_url or "stopped"}
    output.write(f"{result.verdict}\n{output.table(rows)}")
    if result.state in {"absent", "stopped"}:
        output.note("Start it: ccapi up")


def _status_rows(result: Status) -> dict[str, str]:
    rows = {}
    if container := result.container:
        if container.published and not container.ended:
            rows["API"] = f"http://{container.published}/v1"
        if result.uptime is not None:
            rows["Up"] = _duration(result.uptime)
        rows["Restarts"] = str(container.restarts)
        rows["Image"] = container.image
        rows["Workspace"] = container.workspace or "a Docker volume"
        if result.state == "unhealthy":
            rows["Probe"] = container.probe
    if result.volumes:
        rows["Volumes"] = ", ".join(volume.name for volume in result.volumes)
    return rows


def _status_document(result: Status) -> dict[str, Any]:
    document: dict[str, Any] = {"state": result.state, "verdict": result.verdict, "url": None, "container": None}
    if container := result.container:
        if container.published and not container.ended:
            document["url"] = f"http://{container.published}/v1"
        names = (
            "id",
            "image",
            "state",
            "health",
            "exit_code",
            "oom_killed",
            "restarts",
            "published",
            "workspace",
            "probe",
        )
        started = container.started.isoformat() if container.started else None
        document["container"] = {name: getattr(container, name) for name in names} | {"started": started}
        document["uptime_seconds"] = result.uptime
    return document | {"volumes": [volume.name for volume in result.volumes]}


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
