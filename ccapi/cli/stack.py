"""`ccapi up`, `down`, `status` and `logs`."""

from __future__ import annotations

import codecs
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ccapi import settings as host_settings
from ccapi.cli import output, prompt
from ccapi.cli.options import OptionalScenario
from ccapi.cli.progress import ProgressView
from ccapi.errors import DockerUnavailable, InputNeeded
from ccapi.redact import redact

if TYPE_CHECKING:
    from ccapi.commands.stack import Down, Status, Up, Volume
    from ccapi.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]

_LOGIN = "ccapi auth claude"
_HOLDS = {
    "claude-config": "Claude's sign-in, its sessions and MCP logins",
    "workspace": "the files the agent works on",
}


def register(app: typer.Typer) -> None:
    app.command(cls=OptionalScenario)(up)
    app.command()(down)
    app.command()(status)
    app.command()(logs)


def up(
    *,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the API on 127.0.0.1.")] = None,
    workspace: Annotated[
        Path | None, typer.Option(help="Directory of this machine the agent works in. Default: a Docker volume.")
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option(help="Extra CA certificates (PEM), for the image's build and in the container.")
    ] = None,
    rehearsal: Annotated[
        str | None,
        typer.Option(metavar="[SCENARIO]", help="Answer with a scripted model instead of Anthropic's. No account."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds to wait for the container to be healthy, once its image is there.")
    ] = 120,
    as_json: Json = False,
) -> None:
    """Start the container and the OAuth proxy.

    Builds the image if need be, and waits until the container is healthy. Run it again at any time: it changes only
    what is not as wanted.
    """
    from ccapi.commands import proxy, stack

    settings = host_settings.load({"gateway.port": port, "stack.workspace": workspace, "stack.ca_file": ca_file})
    network = host_settings.network_environment()
    with ProgressView() as view:
        result = stack.up(
            settings,
            docker=host_settings.docker_environment(),
            network=network,
            rehearsal=rehearsal,
            timeout=timeout,
            report=view,
        )
        callback_url = proxy.ensure(settings, view)
    if as_json:
        output.write_json({**asdict(result), "url": f"{result.url}/v1", "oauth_proxy": callback_url})
    else:
        _say_up(result, settings, rehearsal, network.get("ANTHROPIC_BASE_URL"), callback_url)


def _say_up(
    result: Up, settings: Settings, rehearsal: str | None, model_api: str | None, callback_url: str | None
) -> None:
    if result.already:
        output.note("Already running and healthy")
    rows = {
        "API": f"{result.url}/v1",
        "OAuth proxy": callback_url or "not running",
        "Workspace": str(settings.workspace or "a Docker volume"),
    }
    if rehearsal:
        rows["Model"] = f"scripted (rehearsal scenario {rehearsal}), no account needed"
    else:
        if model_api:  # taken over from this shell's environment: that must not happen unseen
            rows["Model API"] = redact(model_api)
        if not result.signed_in:
            rows["Sign in"] = _LOGIN
    rows["Next"] = 'ccapi ask "hello"'
    output.write("\n" + output.table(rows))


def down(
    volumes: Annotated[
        bool, typer.Option("--volumes", help="Remove the volumes too, with all that is on them.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Stop the container and the OAuth proxy; the volumes stay.

    The container is removed. With --volumes the volumes go too, and with them the sign-in and the agent's files.
    """
    from ccapi.commands import proxy, stack

    docker = host_settings.docker_environment()
    home = host_settings.home_directory()
    if volumes and not yes and not _agreed(stack.volumes(docker)):
        output.note("Nothing was removed")
        raise typer.Exit(1)
    with ProgressView() as view:
        proxy_stopped = proxy.end(home, view)
        result = stack.down(home, docker=docker, volumes=volumes, report=view)
        proxy_stopped |= proxy.end(home, view)  # a login that was waiting until now has started it once more
    if as_json:
        output.write_json({**asdict(result), "oauth_proxy_stopped": proxy_stopped})
    else:
        _say_down(result)


def _agreed(volumes: list[Volume]) -> bool:
    if not volumes:
        return True
    losses = _describe(volumes)
    if not output.interactive():
        raise InputNeeded(
            "removing the volumes needs a yes", hint=f"{losses}\nIf they may go: ccapi down --volumes --yes"
        )
    output.note(f"These volumes and all that is on them will be gone:\n{losses}")
    return prompt.confirm("Remove them?")


def _say_down(result: Down) -> None:
    if not result.removed:
        output.note("Already stopped: there was no container")
    if result.removed_volumes:
        output.note(f"Removed:\n{_describe(result.removed_volumes)}")
    if result.kept:
        output.note(f"Kept:\n{_describe(result.kept)}\nRemove them with: ccapi down --volumes")


def _describe(volumes: list[Volume]) -> str:
    return output.table({volume.name: _HOLDS.get(volume.role, "") for volume in volumes}).rstrip()


def status(
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No output, only the exit code.")] = False,
) -> None:
    """Say how the container is, and whether the OAuth proxy runs.

    Exit code 0: healthy. 1: stopped or degraded. 5: Docker is not available.
    """
    from ccapi.commands import proxy, stack

    try:
        result = stack.status(host_settings.docker_environment())
    except DockerUnavailable as error:
        _say_unavailable(error, as_json=as_json, quiet=quiet)
        raise typer.Exit(error.exit_code) from None
    if not quiet:
        _say_status(result, proxy.running(host_settings.home_directory()), as_json=as_json)
    raise typer.Exit(0 if result.state == "healthy" else 1)


def _say_unavailable(error: DockerUnavailable, *, as_json: bool, quiet: bool) -> None:
    verdict = f"docker unavailable: {error.message}"
    if as_json and not quiet:
        output.write_json({"state": "docker_unavailable", "verdict": verdict, "hint": error.hint})
    elif not quiet:
        output.write(f"{verdict}\n")
        for line in (error.hint or "").splitlines():
            output.note(f"  {line}")


def _say_status(result: Status, callback_url: str | None, *, as_json: bool) -> None:
    if as_json:
        output.write_json({**_status_document(result), "oauth_proxy": callback_url})
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


def logs(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    tail: Annotated[int, typer.Option("--tail", "-n", min=0, help="Lines to begin with.")] = 100,
    timestamps: Annotated[bool, typer.Option("--timestamps", "-t", help="Docker's time before each line.")] = False,
) -> None:
    """Show the container's log."""
    from ccapi.commands import stack

    docker = host_settings.docker_environment()
    if not follow:
        output.write(output.printable(stack.logs(docker, tail=tail, timestamps=timestamps).decode("utf-8", "replace")))
        return
    decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a chunk may end within a character
    for chunk in stack.follow(docker, tail=tail, timestamps=timestamps, note=output.note):
        output.write(output.printable(decoder.decode(chunk)))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
