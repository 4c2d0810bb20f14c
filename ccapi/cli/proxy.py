"""`ccapi proxy run`, `start`, `stop`, `restart`, `status`, `logs`, `install` and `uninstall`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from ccapi import settings as host_settings
from ccapi.cli import context, output
from ccapi.cli.options import Json

if TYPE_CHECKING:
    from ccapi.client.proxy import Session
    from ccapi.commands.proxy import ProxyStatus, Started
    from ccapi.oauth.service import Installed
    from ccapi.settings import Settings


def register(app: typer.Typer) -> None:
    help_text = "The OAuth proxy: it brings MCP sign-ins into the container."
    group = typer.Typer(no_args_is_help=True, help=help_text)
    for command in (run, start, stop, restart, status, logs, install, uninstall):
        group.command()(command)
    app.add_typer(group, name="proxy")


def run() -> None:
    """Run the proxy in the foreground, until Ctrl-C.

    There is one for each port: if another runs already, this says so and ends.
    """
    from ccapi.commands import proxy

    proxy.run(_settings())


def start() -> None:
    """Start the proxy in the background; `ccapi up` does so as well.

    One that runs with other settings is replaced, also one that the system started.
    """
    from ccapi.commands import proxy

    settings = _settings()
    _say_started(proxy.start(settings), proxy.callback_url(settings.oauth_port))


def stop() -> None:
    """Stop the proxy, whoever started it.

    Logins that wait for a browser are over.
    """
    from ccapi.commands import proxy

    stopped = proxy.stop(context.home())
    output.note("Stopped" if stopped else "Already stopped")


def restart() -> None:
    """Stop the proxy and start it again, with the settings of now."""
    from ccapi.commands import proxy

    settings = _settings()
    proxy.stop(settings.home)
    _say_started(proxy.start(settings), proxy.callback_url(settings.oauth_port))


def _settings() -> Settings:
    from ccapi.commands import proxy

    return proxy.settings(context.settings(), host_settings.docker_environment())


def _say_started(result: Started, callback_url: str) -> None:
    output.note(f"{'Already running' if result.already else 'Started'} (PID {result.pid})")
    output.write(f"OAuth callback URL: {callback_url}\n")


def status(
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No output, only the exit code.")] = False,
) -> None:
    """Say how the proxy is, and which logins wait for a browser.

    Exit code 0: running, and the gateway takes what it brings. 1: stopped or degraded.
    """
    from ccapi.commands import proxy

    result = proxy.status(context.settings())
    if as_json and not quiet:
        output.write_json(_document(result), ok=result.healthy)
    elif not quiet:
        _say_status(result)
    raise typer.Exit(0 if result.healthy else 1)


def _say_status(result: ProxyStatus) -> None:
    output.write(f"{output.printable(result.verdict)}\n")
    rows = {"Address": result.address, "Log": str(result.log_file)}
    if result.running:
        rows["Callback"] = result.callback_url
        rows["PID"] = str(result.pid)
        rows["Logins"] = f"{len(result.waiting)}" if result.waiting else "none"
    output.write(output.table(rows))
    for login in result.waiting:
        output.write(f"    {_described(login)}\n")
    if not result.running:
        output.note("Start it: ccapi proxy start")
    elif result.problem and result.problem.hint:
        output.note(result.problem.hint)


def _described(login: Session) -> str:
    what = f"{login.site or 'unknown site'}, port {_port(login)}: {login.status}"
    return output.printable(f"{what}, {login.expires_in:.0f} s left")


def _port(login: Session) -> int | None:
    return urlsplit(login.redirect_uri).port


def _document(result: ProxyStatus) -> dict[str, Any]:
    """Without the logins' ids: those are their states. With those that are over since a short while."""
    return {
        "running": result.running,
        "healthy": result.healthy,
        "verdict": result.verdict,
        "pid": result.pid,
        "port": result.port,
        "address": result.address,
        "callback_url": result.callback_url,
        "problem": result.problem.code if result.problem else None,
        "logins": [
            {
                "site": login.site,
                "port": _port(login),
                "status": login.status,
                "expires_in": login.expires_in,
            }
            for login in result.logins
        ],
        "log_file": str(result.log_file),
    }


def logs(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    tail: Annotated[int, typer.Option("--tail", "-n", min=0, help="Lines to begin with.")] = 100,
) -> None:
    """Show the log of the proxy in the background."""
    from ccapi.commands import proxy

    home = context.home()
    for text in proxy.follow(home, tail=tail) if follow else [proxy.logs(home, tail=tail)]:
        output.write(output.printable(text))


def install(
    print_: Annotated[bool, typer.Option("--print", help="Only print the unit or agent; change nothing.")] = False,
) -> None:
    """Have the system start the proxy whenever you log in.

    A systemd user unit on Linux, a launchd agent on macOS. Do it again after a change of the port.
    """
    from ccapi.commands import proxy

    settings = context.settings()
    if print_:
        output.write(proxy.unit(settings))
    else:
        _say_installed(proxy.install(settings))


def _say_installed(result: Installed) -> None:
    output.note(f"Written: {result.file}")
    if result.active:
        output.note("The OAuth proxy runs, and will after each login")
        return
    output.note("The system's service manager does not answer here. What is left to do:")
    for command in result.commands:
        output.note(f"  {command}")


def uninstall() -> None:
    """Undo `install`; the proxy that the system started is stopped."""
    from ccapi.commands import proxy

    removed = proxy.uninstall(context.home())
    output.note(f"Removed: {removed}" if removed else "It was not installed")
