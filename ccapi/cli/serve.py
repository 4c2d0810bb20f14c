"""`ccapi gateway` and `ccapi rehearsal`: the servers, in the foreground.

The only module of the host that imports the container's rooms: it is what the container itself runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ccapi import settings as host_settings
from ccapi.cli import context, output, values
from ccapi.cli.options import OptionalScenario
from ccapi.errors import OutputFailed, StackFailed, port_busy

if TYPE_CHECKING:
    from ccapi.gateway.settings import GatewaySettings

_PR_SET_DUMPABLE = 4

Host = Annotated[str, typer.Option(help="Address to listen on.")]


def register(app: typer.Typer) -> None:
    app.command(cls=OptionalScenario)(gateway)
    app.command()(rehearsal)


def gateway(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on. Default: gateway.host, 127.0.0.1. Others need API keys.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one. Default: gateway.port, 8000.")
    ] = None,
    workspace: Annotated[
        Path | None, typer.Option(help="Directory the agent works in. Default: the current one.", file_okay=False)
    ] = None,
    permission_mode: Annotated[
        str | None,
        typer.Option(
            help="What the agent may do unasked: default, acceptEdits, dontAsk, plan or bypassPermissions. "
            "Nobody can be asked, so what a mode does not allow is denied."
        ),
    ] = None,
    rehearsal: Annotated[
        str | None,
        typer.Option(
            metavar="[SCENARIO]",
            help="Answer with a scripted model: a shipped scenario's name or a file. No account.",
            autocompletion=values.scenarios,
        ),
    ] = None,
) -> None:
    """Run the API on this machine, in the foreground, without Docker.

    Claude Code runs as you, without a container around it. Sign in first with `claude auth login`, or set
    ANTHROPIC_API_KEY.
    """
    if os.name == "nt":  # what holds Claude Code's processes and files together there takes a POSIX system
        raise StackFailed("ccapi gateway does not run on Windows", hint="In the container it does: ccapi up")
    from ccapi.gateway import logs
    from ccapi.gateway import settings as gateway_settings

    _hide_from_the_agent()
    contained = host_settings.in_container()
    flags = {"gateway.port": port or None, "gateway.permission_mode": permission_mode}

    def read() -> GatewaySettings:
        return gateway_settings.from_settings(
            context.settings(flags, files=not contained),
            host=host,
            port=port,
            workspace=workspace and workspace.resolve(),
            rehearsal=rehearsal,
        )

    settings = read()
    logs.configure(settings.log_level, settings.log_format)
    asyncio.run(_gateway(settings, read))


async def _gateway(settings: GatewaySettings, read: Callable[[], GatewaySettings]) -> None:
    from ccapi.gateway import app as gateway_app

    async with contextlib.AsyncExitStack() as stack:
        prepare = None
        if settings.rehearsal:
            prepare = await _rehearsal(settings.rehearsal, stack)
            settings = prepare(settings)
        await gateway_app.run(
            settings,
            lambda port: _say_url(settings, port),
            lambda: prepare(read()) if prepare else read(),
        )


async def _rehearsal(name: str, stack: contextlib.AsyncExitStack) -> Callable[[GatewaySettings], GatewaySettings]:
    """Start the scripted model; the value makes any settings such that it answers, and nothing else is touched."""
    from ccapi.gateway import app as gateway_app
    from ccapi.rehearsal import scenario as scenarios
    from ccapi.rehearsal import server

    url = await stack.enter_async_context(server.serve(scenarios.load(name)))
    scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ccapi-rehearsal-")))

    def prepare(settings: GatewaySettings) -> GatewaySettings:
        # A script only does what it says: it may run its tools without asking.
        mode = settings.permission_mode or "bypassPermissions"
        # In the container its conversations survive a restart, as real ones do; elsewhere nothing is left behind.
        kept = settings.data_dir / "rehearsal" if settings.in_container else scratch
        environ = gateway_app.rehearsed(settings, url, scratch)
        return replace(settings, environ=environ, permission_mode=mode, data_dir=kept / "gateway")

    return prepare


def rehearsal(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8010,
    host: Host = "127.0.0.1",
    scenario: Annotated[
        str, typer.Option(help="A shipped scenario's name, or a TOML file.", autocompletion=values.scenarios)
    ] = "default",
    list_: Annotated[bool, typer.Option("--list", help="List the shipped scenarios and exit.")] = False,
) -> None:
    """Run the scripted model, a stand-in for Anthropic's API.

    For tests and demos without an account.

    Point the real Claude Code at it: ANTHROPIC_BASE_URL=http://127.0.0.1:8010 ANTHROPIC_API_KEY=any claude
    """
    from ccapi.rehearsal import scenario as scenarios
    from ccapi.rehearsal import server

    if list_:
        for name in scenarios.names():
            output.write(f"{name}\n")
        return
    script = scenarios.load(scenario)

    def ready(url: str) -> None:
        output.write(f"Rehearsal model on {url}\n")

    _run(lambda: server.serve_forever(script, host=host, port=port, ready=ready), host, port)


def _run(server: Callable[[], Awaitable[None]], host: str, port: int) -> None:
    async def main() -> None:
        await server()

    try:
        asyncio.run(main())
    except OSError as error:
        raise port_busy(host, port, error) from error


def _say_url(settings: GatewaySettings, port: int) -> None:
    if settings.in_container:
        return  # which address of the host leads here only Docker knows
    host = settings.host
    with contextlib.suppress(OutputFailed):  # a server goes on, whether or not somebody reads its first line
        output.write(f"Gateway on http://{f'[{host}]' if ':' in host else host}:{port}\n")


def _hide_from_the_agent() -> None:
    """Keep /proc/PID/environ and the memory of this process from other processes of the same user: from tools that the
    agent runs (Linux, PR_SET_DUMPABLE in prctl(2)).
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
