"""Has the system start the proxy when the person logs in: a systemd user unit, or a launchd agent."""

from __future__ import annotations

import os
import plistlib
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from platformdirs import PlatformDirs

from ccapi import files, paths
from ccapi.errors import OutputFailed, ProxyFailed
from ccapi.oauth import daemon
from ccapi.paths import Home
from ccapi.settings import Settings

UNIT = "ccapi-oauth-proxy"
LABEL = "ccapi.oauth-proxy"
_USED = ("stack.project", "gateway.host", "gateway.port", "oauth.port", "oauth.callback_port", "oauth.open_browser")
_TIMEOUT = 30.0  # seconds, of a command
_START_TIMEOUT = 10.0
_POLL = 0.1


@dataclass(frozen=True, slots=True)
class Installed:
    """`active`: it runs, and will after each login. Otherwise `commands` are what is left to do."""

    file: Path
    active: bool
    commands: list[str]


def install(settings: Settings, directories: Mapping[str, str]) -> Installed:
    """Write the unit, or the agent, and start it in the place of a proxy that runs. May be done again at any time.

    `directories`: see `settings.directories_environment`. Raises `ProxyFailed`, `OutputFailed`.
    """
    manager = _manager(settings.home)
    files.replace(manager.file, manager.text(settings, directories), mode=0o644)
    _make_room_for_log(settings)
    if not manager.answers():
        return Installed(manager.file, active=False, commands=manager.commands)
    daemon.stop(settings.home)
    manager.activate()
    _await(settings, manager.advice)
    return Installed(manager.file, active=True, commands=[])


def uninstall(home: Home) -> Path | None:
    """Undo it; the file that is gone, or None when there was none. Raises `ProxyFailed`."""
    manager = _manager(home)
    if not manager.file.exists():
        return None
    manager.deactivate()
    try:
        manager.file.unlink()
    except OSError as error:
        raise ProxyFailed(f"{manager.file} cannot be removed: {error.strerror}") from error
    manager.forget()
    return manager.file


def file(home: Home) -> Path:
    """What `install` writes; it need not exist. Raises `ProxyFailed` where that is not known how to."""
    return _manager(home).file


def text(settings: Settings, directories: Mapping[str, str]) -> str:
    """What `install` would write. Raises `ProxyFailed`."""
    return _manager(settings.home).text(settings, directories)


class Systemd:
    """A unit of the person's own systemd; each stack has its own."""

    def __init__(self, home: Home) -> None:
        self.unit = f"{_named(UNIT, home)}.service"
        self.advice = f"journalctl --user --unit {self.unit}"
        self.file = PlatformDirs("systemd", appauthor=False).user_config_path / "user" / self.unit
        self.commands = [
            "systemctl --user daemon-reload",
            f"systemctl --user enable {self.unit}",
            f"systemctl --user restart {self.unit}",
        ]

    def text(self, settings: Settings, directories: Mapping[str, str]) -> str:
        variables = _environment(settings, directories)
        return "\n".join(
            [
                "# Made by `ccapi proxy install`; `ccapi proxy uninstall` removes it.",
                "[Unit]",
                "Description=ccapi OAuth proxy: brings MCP sign-ins into the container",
                "",
                "[Service]",
                f"ExecStart={' '.join(_quoted(word.replace('$', '$$')) for word in _command(settings))}",
                *(f"Environment={_quoted(f'{name}={value}')}" for name, value in variables.items()),
                "Restart=on-failure",
                "RestartSec=5",
                "",
                "[Install]",
                "WantedBy=default.target",
                "",
            ]
        )

    def answers(self) -> bool:
        """There may be no systemd, or none for this person, as in a container."""
        return _run("systemctl", "--user", "daemon-reload") == ""

    def activate(self) -> None:
        _must("systemctl", "--user", "enable", self.unit)
        _must("systemctl", "--user", "restart", self.unit)

    def deactivate(self) -> None:
        _run("systemctl", "--user", "disable", "--now", self.unit)

    def forget(self) -> None:
        _run("systemctl", "--user", "daemon-reload")


class Launchd:
    """An agent of the person's own launchd; each stack has its own."""

    def __init__(self, home: Home) -> None:
        self.label = _named(LABEL, home)
        self.advice = f"launchctl print gui/$(id -u)/{self.label}"
        self.file = Path.home() / "Library" / "LaunchAgents" / f"{self.label}.plist"
        self._domain = f"gui/{os.getuid()}"
        self.commands = [f"launchctl bootstrap {self._domain} {self.file}"]

    def text(self, settings: Settings, directories: Mapping[str, str]) -> str:
        document = {
            "Label": self.label,
            "ProgramArguments": _command(settings),
            "EnvironmentVariables": _environment(settings, directories),
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ProcessType": "Background",
            "StandardErrorPath": str(daemon.log_path(settings.home)),
        }
        return plistlib.dumps(document).decode()

    def answers(self) -> bool:
        return _run("launchctl", "print", self._domain) == ""

    def activate(self) -> None:
        self.deactivate()  # an agent that is loaded stays as it was
        _must("launchctl", "bootstrap", self._domain, str(self.file))

    def deactivate(self) -> None:
        _run("launchctl", "bootout", f"{self._domain}/{self.label}")

    def forget(self) -> None:
        """There is nothing left of it."""


def _named(name: str, home: Home) -> str:
    return f"{name}-{home.project}" if home.project else name


def _manager(home: Home) -> Systemd | Launchd:
    managers: dict[str, type[Systemd | Launchd]] = {"linux": Systemd, "darwin": Launchd}
    if manager := managers.get(sys.platform):
        return manager(home)
    raise ProxyFailed(
        "the system can be told to start the OAuth proxy on Linux (systemd) and macOS (launchd) only",
        hint="Run it in a terminal: ccapi proxy run",
    )


def _command(settings: Settings) -> list[str]:
    log = str(daemon.log_path(settings.home))
    return [paths.interpreter(), "-P", "-m", "ccapi.oauth", "--log-file", log]


def _environment(settings: Settings, directories: Mapping[str, str]) -> dict[str, str]:
    """What holds in this shell and directory, and would not for a service, which reads the user's files itself."""
    read = [paths.config_file(settings.home), paths.project_config_file(settings.home)]
    own = {"default", *map(str, read)} if not settings.home.config else {"default"}
    return {**directories, **settings.as_environment(key for key in _USED if settings.resolved[key].origin not in own)}


def _quoted(word: str) -> str:
    """As systemd reads it (systemd.syntax(7)): C escapes within quotes, and % begins a specifier."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _make_room_for_log(settings: Settings) -> None:
    directory = daemon.log_path(settings.home).parent
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OutputFailed(f"{directory} cannot be made: {error.strerror}") from error


def _await(settings: Settings, advice: str) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    while not daemon.found(settings.home, settings.oauth_port):
        if time.monotonic() > deadline:
            message = "the service was installed, but the OAuth proxy does not run"
            raise ProxyFailed(message, hint=f"See why: {advice}\nOr: ccapi proxy logs")
        time.sleep(_POLL)


def _must(*command: str) -> None:
    if problem := _run(*command):
        raise ProxyFailed(f"{' '.join(command)}: {problem}")


def _run(*command: str) -> str:
    """What kept the command from success, in one line; empty when nothing did."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer within {_TIMEOUT:g} s"
    except OSError as error:
        return error.strerror or str(error)
    if done.returncode == 0:
        return ""
    with suppress(IndexError):
        return done.stderr.strip().splitlines()[-1]
    return f"exit code {done.returncode}"
