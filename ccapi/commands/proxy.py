"""The OAuth proxy's use cases: start it, stop it, look at it, read its log, have the system start it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ccapi import settings as host_settings
from ccapi.commands import secret
from ccapi.errors import CcapiError
from ccapi.oauth import daemon
from ccapi.oauth.daemon import Started
from ccapi.paths import Home
from ccapi.settings import Settings
from ccapi.stack.progress import Progress, Report

if TYPE_CHECKING:
    from ccapi.client.proxy import Session
    from ccapi.oauth.service import Installed

__all__ = ["ProxyStatus", "Started"]


@dataclass(frozen=True, slots=True)
class ProxyStatus:
    """`pid`: None when it does not run. `problem`: why no callback would arrive, though it does.

    `logins`: those that wait, and those that are over since a short while.
    """

    port: int
    log_file: Path
    pid: int | None = None
    logins: list[Session] = field(default_factory=list)
    problem: CcapiError | None = None

    @property
    def running(self) -> bool:
        return self.pid is not None

    @property
    def healthy(self) -> bool:
        return self.running and self.problem is None

    @property
    def waiting(self) -> list[Session]:
        """The logins of which something may come yet."""
        return [login for login in self.logins if not login.over]

    @property
    def verdict(self) -> str:
        """The one line that says it all."""
        if not self.running:
            return "stopped"
        return f"degraded: {self.problem.message}" if self.problem else "running (healthy)"

    @property
    def address(self) -> str:
        """Where it answers on this machine."""
        return f"http://localhost:{self.port}"

    @property
    def callback_url(self) -> str:
        return callback_url(self.port)


def settings(wanted: Settings, docker: Mapping[str, str]) -> Settings:
    """`wanted` with the port on which the container really is published: `ccapi up --port` may have said it."""
    from ccapi.stack import status as stack_status

    with suppress(CcapiError):  # without Docker there is no container to deliver to, and yet the proxy can be started
        if (container := stack_status.status(docker, wanted.home.stack).container) and container.port:
            return wanted.with_value("gateway.port", container.port)
    return wanted


def callback_url(port: int) -> str:
    """The redirect URI of a proxy on this port."""
    return f"http://localhost:{port}/oauth/callback"


def start(wanted: Settings) -> Started:
    """Have it run in the background. Raises `ProxyFailed`, and what `secret.ensure` raises."""
    if not (there := daemon.as_wanted(wanted)):
        secret.ensure(wanted.home)
        there = daemon.start(wanted)
    return there


def resume(wanted: Settings) -> int:
    """For what needs it once more: the port of the one that runs, with whatever settings; else start it.

    Raises what `start` raises.
    """
    port = next(daemon.ports(wanted.home), None)
    if port is None:
        start(wanted)
    return wanted.oauth_port if port is None else port


def run(wanted: Settings) -> NoReturn:
    """Become it. Raises what `start` raises."""
    secret.ensure(wanted.home)
    daemon.run(wanted)


def stop(home: Home) -> list[int]:
    """Stop it, whatever port it is on; the ports that it was on. Raises `ProxyFailed`."""
    return daemon.stop(home)


def ensure(wanted: Settings, report: Report) -> str | None:
    """For `up`: have it run, and return the redirect URI; None, after a warning, when that fails: the API works."""
    try:
        start(wanted)
    except CcapiError as error:
        report(Progress("warning", f"the OAuth proxy does not run: {error.message}"))
        for line in (error.hint or "").splitlines():
            report(Progress("note", f"  {line}"))
        return None
    return callback_url(wanted.oauth_port)


def end(home: Home, report: Report) -> bool:
    """For `down`: stop it if it runs; whether it did. What keeps it from that is a warning."""
    try:
        stopped = bool(stop(home))
    except CcapiError as error:
        report(Progress("warning", error.message))
        return False
    if stopped:
        report(Progress("note", "Stopped the OAuth proxy"))
    return stopped


def running(home: Home) -> str | None:
    """The redirect URI of the proxy, if it runs. A look at its lock only, which does not start its server."""
    port = next(daemon.ports(home), None)
    return None if port is None else callback_url(port)


def status(wanted: Settings) -> ProxyStatus:
    """What it says of itself: the gateway, and the logins."""
    from ccapi.client.proxy import ProxyClient

    log_file = daemon.log_path(wanted.home)
    port = next(daemon.ports(wanted.home), wanted.oauth_port)
    if not (found := daemon.found(wanted.home, port)):
        return ProxyStatus(port, log_file)
    try:
        with ProxyClient(f"http://127.0.0.1:{port}", secret.ensure(wanted.home)) as client:
            overview = client.overview()
    except CcapiError as error:
        return ProxyStatus(port, log_file, found.pid, problem=error)
    return ProxyStatus(port, log_file, found.pid, overview.sessions, overview.problem)


def logs(home: Home, *, tail: int) -> str:
    """The last lines of its log. Raises `ProxyFailed` when there is none."""
    from ccapi.oauth import logreader

    return logreader.last(daemon.log_path(home), tail)


def follow(home: Home, *, tail: int) -> Iterator[str]:
    """The last lines and all that come, until the caller stops. Raises `ProxyFailed` when there is no log."""
    from ccapi.oauth import logreader

    return logreader.follow(daemon.log_path(home), tail)


def unit(wanted: Settings) -> str:
    """What `install` writes for the system. Raises `ProxyFailed` where that is not known how to."""
    from ccapi.oauth import service

    return service.text(wanted, host_settings.directories_environment())


def unit_file(home: Home) -> Path:
    """Where it writes that; nothing need be there. Raises as `unit`."""
    from ccapi.oauth import service

    return service.file(home)


def install(wanted: Settings) -> Installed:
    """Have the system start it after each login. Raises `ProxyFailed`, `OutputFailed`."""
    from ccapi.oauth import service

    secret.ensure(wanted.home)
    return service.install(wanted, host_settings.directories_environment())


def uninstall(home: Home) -> Path | None:
    """Undo it; the file that was removed, None when there was none. Raises `ProxyFailed`."""
    from ccapi.oauth import service

    return service.uninstall(home)
