"""The OAuth proxy's use cases: start it, stop it, look at it, read its log, have the system start it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from ccapi import settings as host_settings
from ccapi.client.proxy import ProxyClient, Session
from ccapi.commands import secret
from ccapi.errors import CcapiError
from ccapi.oauth import daemon, logreader, service
from ccapi.oauth.daemon import Started
from ccapi.oauth.service import Installed
from ccapi.settings import Settings
from ccapi.stack import status as stack_status

__all__ = ["Installed", "ProxyStatus", "Session", "Started"]


@dataclass(frozen=True, slots=True)
class ProxyStatus:
    """`gateway`: whether it answers the proxy. `problem`: why the proxy, though it runs, could not be asked."""

    running: bool
    port: int
    log_file: Path
    pid: int | None = None
    gateway: bool = False
    logins: list[Session] = field(default_factory=list)
    problem: str | None = None

    @property
    def healthy(self) -> bool:
        return self.running and self.gateway and self.problem is None

    @property
    def verdict(self) -> str:
        """The one line that says it all."""
        if not self.running:
            return "stopped"
        if self.problem:
            return f"degraded: {self.problem}"
        return "running (healthy)" if self.gateway else "degraded: the gateway does not answer"

    @property
    def address(self) -> str:
        """Where it answers on this machine."""
        return f"http://localhost:{self.port}"

    @property
    def callback_url(self) -> str:
        return f"{self.address}/oauth/callback"


def settings(docker: Mapping[str, str]) -> Settings:
    """The settings, with the port on which the container really is published: `ccapi up --port` may have said it."""
    with suppress(CcapiError):  # without Docker there is no container to deliver to, and yet the proxy can be started
        if (container := stack_status.status(docker).container) and container.port:
            return host_settings.load({"gateway.port": container.port})
    return host_settings.load()


def start(wanted: Settings) -> Started:
    """Have it run in the background. Raises `ProxyFailed`, and what `secret.ensure` raises."""
    secret.ensure(wanted.home)
    return daemon.start(wanted)


def run(wanted: Settings) -> NoReturn:
    """Become it. Raises what `start` raises."""
    secret.ensure(wanted.home)
    daemon.run(wanted)


def stop(home: str | None) -> list[int]:
    """Stop it, whatever port it is on; the ports that it was on. Raises `ProxyFailed`."""
    return daemon.stop(home)


def running(home: str | None, port: int) -> ProxyStatus:
    """Whether it runs, without a word to it: a look does not start its server."""
    found = daemon.found(home, port)
    return ProxyStatus(found is not None, port, daemon.log_path(home), found.pid if found else None)


def status(wanted: Settings) -> ProxyStatus:
    """What it says of itself: the gateway, and the logins that wait."""
    there = running(wanted.home, wanted.oauth_port)
    if there.pid is None:
        return there
    try:
        with ProxyClient(f"http://127.0.0.1:{there.port}", secret.ensure(wanted.home)) as client:
            gateway, logins = client.reaches_gateway(), client.sessions()
    except CcapiError as error:
        return ProxyStatus(True, there.port, there.log_file, there.pid, problem=error.message)  # noqa: FBT003
    return ProxyStatus(True, there.port, there.log_file, there.pid, gateway, logins)  # noqa: FBT003


def logs(home: str | None, *, tail: int) -> str:
    """The last lines of its log. Raises `ProxyFailed` when there is none."""
    return logreader.last(daemon.log_path(home), tail)


def follow(home: str | None, *, tail: int) -> Iterator[str]:
    """The last lines and all that come, until the caller stops. Raises `ProxyFailed` when there is no log."""
    return logreader.follow(daemon.log_path(home), tail)


def unit(wanted: Settings) -> str:
    """What `install` writes for the system. Raises `ProxyFailed` where that is not known how to."""
    return service.text(wanted, host_settings.directories_environment())


def install(wanted: Settings) -> Installed:
    """Have the system start it after each login. Raises `ProxyFailed`, `OutputFailed`."""
    secret.ensure(wanted.home)
    return service.install(wanted, host_settings.directories_environment())


def uninstall() -> Path | None:
    """Undo it; the file that was removed, None when there was none. Raises `ProxyFailed`."""
    return service.uninstall()
