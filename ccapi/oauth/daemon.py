"""The proxy as a process: in the foreground, or in the background, where one runs for each port until it is stopped."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from ccapi import __version__, paths
from ccapi.errors import ProxyFailed
from ccapi.oauth import config as proxy_config
from ccapi.oauth import instance
from ccapi.oauth.config import ProxyConfig
from ccapi.oauth.instance import Instance
from ccapi.paths import Home
from ccapi.settings import Settings
from ccapi.wire.internal import SECRET_FILE

_START_TIMEOUT = 10.0  # seconds
_TERM_TIMEOUT = 4.0  # seconds; the supervisor gives its server 1.5
_KILL_TIMEOUT = 2.0
_POLL = 0.03
_LOCK_NAME = re.compile(r"proxy-(\d{1,5})\.lock")


@dataclass(frozen=True, slots=True)
class Started:
    """`already`: it ran, and as wanted, before anybody asked."""

    pid: int
    already: bool


def configured(settings: Settings, *, log_file: Path | None = None) -> ProxyConfig:
    """What the settings say about the proxy. `log_file`: None logs to standard error."""
    return ProxyConfig(
        port=settings.oauth_port,
        gateway_host=urlsplit(settings.base_url).hostname or "127.0.0.1",
        gateway_port=settings.port,
        secret_file=str(paths.state_dir(settings.home) / SECRET_FILE),
        log_file=None if log_file is None else str(log_file),
        callback_port=settings.callback_port,
        open_browser=settings.value("oauth.open_browser"),
        version=__version__,
    )


def log_path(home: Home) -> Path:
    """The log of the proxy in the background."""
    return paths.state_dir(home) / "log" / "proxy.log"


def found(home: Home, port: int) -> Instance | None:
    """The proxy that runs on this port, if one does."""
    return instance.running(str(_lock_file(home, port)))


def ports(home: Home) -> Iterator[int]:
    """Those that a proxy runs on: more than one, for a moment, when the setting was changed."""
    for file in sorted(paths.state_dir(home).glob("proxy-*.lock")):
        if (name := _LOCK_NAME.fullmatch(file.name)) and instance.running(str(file)):
            yield int(name[1])


def run(settings: Settings, *, log_file: Path | None = None) -> NoReturn:
    """Become the proxy. (Where no process can become another one, run its server as it is.)"""
    file = _write(settings, configured(settings, log_file=log_file))
    if os.name != "posix":
        raise SystemExit(_server(["--config", str(file)]))
    command = _supervisor(file)
    os.execv(command[0], command)  # noqa: S606 -- there is no shell to be had either


def as_wanted(settings: Settings) -> Started | None:
    """The one that runs in the background, if there is nothing to be done about it."""
    wanted = configured(settings, log_file=log_path(settings.home))
    there = found(settings.home, wanted.port)
    return Started(there.pid, already=True) if there and _same(there.config, wanted) else None


def start(settings: Settings) -> Started:
    """Have it run in the background, and listen, with these settings; whatever else runs for this user is stopped.

    Raises `ProxyFailed`, which says why it does not listen.
    """
    if already := as_wanted(settings):
        return already
    home, wanted = settings.home, configured(settings, log_file=log_path(settings.home))
    file = _write(settings, wanted)  # where that cannot be done, what runs goes on
    stop(home)
    _launch(file)
    if not (there := found(home, wanted.port)):
        raise ProxyFailed("the OAuth proxy ended as soon as it was started", hint="Look at: ccapi proxy logs")
    return Started(there.pid, already=False)


def stop(home: Home) -> list[int]:
    """Stop the proxy, on whatever port it runs; the ports. Raises `ProxyFailed`."""
    return [port for port in ports(home) if _stop(home, port)]


def _stop(home: Home, port: int) -> bool:
    for number, timeout in ((signal.SIGTERM, _TERM_TIMEOUT), (signal.SIGKILL, _KILL_TIMEOUT)):
        there = found(home, port)
        if there is None:
            return True
        try:
            os.kill(there.pid, number)
        except ProcessLookupError:
            continue  # it has ended meanwhile
        except PermissionError:
            message = f"the OAuth proxy on port {port} (PID {there.pid}) is another user's"
            raise ProxyFailed(message, hint=f"Stop it: sudo kill {there.pid}") from None
        deadline = time.monotonic() + timeout
        while (left := found(home, port)) and left.pid == there.pid and time.monotonic() < deadline:
            time.sleep(_POLL)
        if left is None or left.pid != there.pid:
            return True
    raise ProxyFailed(f"the OAuth proxy on port {port} cannot be stopped")


def _same(running: ProxyConfig | None, wanted: ProxyConfig) -> bool:
    """Where it logs to makes no difference: one that somebody runs in a terminal is left alone."""
    return running is not None and running._replace(log_file=None) == wanted._replace(log_file=None)


def _launch(file: Path) -> None:
    """Returns when it listens: it then lets go of the streams that it was given."""
    import subprocess  # here, as it takes longer than a look at the proxy that runs

    if os.name != "posix":
        raise ProxyFailed("the OAuth proxy runs in the background on Linux and macOS only", hint="ccapi proxy run")
    try:
        done = subprocess.run(
            [*_supervisor(file), "--detach"],
            cwd="/",  # no directory of the person's is kept busy
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_START_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ProxyFailed(f"the OAuth proxy did not start within {_START_TIMEOUT:g} s") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        message, _, hint = said.removeprefix("error: ").partition("\n")
        raise ProxyFailed(message or "the OAuth proxy did not start", hint="\n".join(map(str.strip, hint.splitlines())))


def _supervisor(file: Path) -> list[str]:
    return [paths.interpreter(), "-P", "-m", "ccapi.oauth.supervisor", "--config", str(file)]


def _server(arguments: list[str]) -> int:
    from ccapi.oauth import server

    return server.main(arguments)


def _write(settings: Settings, config: ProxyConfig) -> Path:
    file = paths.state_dir(settings.home) / f"proxy-{config.port}.json"
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if config.log_file:
            Path(config.log_file).parent.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ProxyFailed(f"{error.filename}: {error.strerror}") from error
    proxy_config.dump(config, str(file))
    return file


def _lock_file(home: Home, port: int) -> Path:
    return paths.state_dir(home) / f"proxy-{port}.lock"
