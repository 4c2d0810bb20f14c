"""What the gateway is told: the table of `ccapi.settings`, and what its surroundings decide.

These have no row in the table, as a person does not choose them: `CCAPI_CLAUDE` (another CLI), `CCAPI_REHEARSAL`,
`CCAPI_DATA_DIR`, `CCAPI_KEYS_DIR`, and `CCAPI_IN_CONTAINER` and `CCAPI_BROWSER_SOCKET`, which the image sets.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ccapi import paths, settings
from ccapi.errors import SettingInvalid, UsageError
from ccapi.settings import LOOPBACK, Settings

log = logging.getLogger(__name__)

_CREDENTIALS_FILE = "credentials.env"
_CREDENTIALS = frozenset({"ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"})


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Times in seconds, sizes in bytes. `environ` is the gateway's own environment, credentials file included."""

    host: str = "127.0.0.1"  # that it listens on
    published: str = "127.0.0.1"  # that others reach it by
    port: int = 8000
    workspace: Path = field(default_factory=Path.cwd)
    default_workspace: str = "."
    data_dir: Path = field(default_factory=lambda: paths.state_dir() / "gateway")
    keys_dir: Path = field(default_factory=paths.keys_dir)
    require_key: bool = False
    run_timeout: float = 300.0  # without any event
    background_grace: float = 120.0  # for commands that a finished answer left running
    shutdown_grace: float = 20.0  # for runs when the gateway is told to stop
    heartbeat: float = 10.0  # between SSE comments while nothing happens
    idle_connection: float = 15.0  # until one without a whole request is closed: many would keep others out
    max_body: int = 32 * 1024 * 1024
    max_runs: int = 0  # at once; 0: as many as the memory takes
    max_queue: int = 64  # requests that wait for a slot
    max_retries: int = 4  # of a failed request to the model's API, by the CLI
    pool_size: int = 2  # processes started before anybody asks
    pool_sessions: int = 4  # processes kept for a conversation's next turn
    pool_session_idle: float = 300.0
    pool_max_age: float = 600.0
    pool_memory: int = 0  # bytes that waiting processes may take; 0: a fifth of what there is
    keep_days: int = 30
    model_map: Mapping[str, str] = field(default_factory=dict)
    model_fallback: bool = True
    small_model: str = "haiku"
    permission_mode: str | None = None
    claude: str | None = None
    log_level: str = "INFO"
    log_format: Literal["text", "json"] = "text"
    rehearsal: str | None = None  # a scenario that plays the model
    browser_socket: str | None = None  # of the image's `$BROWSER`, as @name
    in_container: bool = False  # says the image: Docker decides who reaches the port
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def key_required(self) -> bool:
        """Whether every request needs an API key: wanted, or because others than this machine reach the gateway."""
        return self.require_key or self.published not in LOOPBACK


def from_environment(environ: Mapping[str, str] | None = None, **flags: object) -> GatewaySettings:
    """As `from_settings`, with no settings but those in the environment."""
    environ = dict(os.environ if environ is None else environ)
    return from_settings(settings.load(environ=environ, files=False), environ, **flags)


def from_settings(table: Settings, environ: Mapping[str, str] | None = None, **flags: object) -> GatewaySettings:
    """`flags` are fields of `GatewaySettings` and win; None counts as not given. Raises `SettingInvalid`."""
    environ = dict(os.environ if environ is None else environ)
    environ = {**_credentials(environ), **{name: value for name, value in environ.items() if value}}
    contained = settings.in_container(environ)
    read: dict[str, object] = {
        "published": table.host,
        "port": table.port,
        "default_workspace": table.value("gateway.default_workspace") or ("default" if contained else "."),
        "data_dir": _directory(environ, "CCAPI_DATA_DIR", paths.state_dir(table.home) / "gateway"),
        "keys_dir": _directory(environ, "CCAPI_KEYS_DIR", paths.keys_dir(table.home)),
        "require_key": table.value("api.require_key"),
        "run_timeout": table.value("gateway.timeout"),
        **{name: table.value(f"gateway.{name}") for name in _SAME},
        # In the container that is what confines the agent, and nobody is there to ask for each tool.
        "permission_mode": table.value("gateway.permission_mode") or ("bypassPermissions" if contained else None),
        **{f"pool_{name}": table.value(f"pool.{name}") for name in ("size", "sessions", "session_idle", "max_age")},
        "pool_memory": (table.value("pool.memory") or 0) * 1_000_000,
        "keep_days": table.value("sessions.keep_days"),
        **{f"model_{name}": table.value(f"models.{name}") for name in ("map", "fallback")},
        "small_model": table.value("models.small"),
        **{f"log_{name}": table.value(f"log.{name}") for name in ("level", "format")},
        "claude": environ.get("CCAPI_CLAUDE"),
        "rehearsal": environ.get("CCAPI_REHEARSAL"),
        "browser_socket": environ.get("CCAPI_BROWSER_SOCKET") if contained else None,
        "in_container": contained,
        **{name: value for name, value in flags.items() if value is not None},
    }
    given = {name: value for name, value in read.items() if value is not None}
    if not contained:
        given["published"] = given.setdefault("host", table.host)
    found = GatewaySettings(**given, environ=environ)  # type: ignore[arg-type] # each value was made for its field
    _check_surroundings(found)
    return found


_SAME = ("background_grace", "shutdown_grace", "heartbeat", "max_body", "max_runs", "max_queue", "max_retries")


def _directory(environ: Mapping[str, str], name: str, default: Path) -> Path:
    return Path(environ[name]) if environ.get(name) else default


def _check_surroundings(found: GatewaySettings) -> None:
    if found.in_container and os.geteuid() == 0:
        raise SettingInvalid("The gateway does not run as root in the container; leave the image's user as it is")
    if not found.host:
        raise UsageError("--host: an address is missing")


def _credentials(environ: Mapping[str, str]) -> dict[str, str]:
    """The credentials kept in a file on Claude's own volume: in no compose text and no `docker inspect`."""
    file = Path(environ.get("CLAUDE_CONFIG_DIR") or "/nonexistent") / _CREDENTIALS_FILE
    try:
        lines = file.read_text("utf-8").splitlines()
        mode = file.stat().st_mode
    except OSError:
        return {}
    except UnicodeDecodeError:
        raise SettingInvalid(f"{file}: not UTF-8 text") from None
    if mode & 0o077:
        log.warning("%s can be read by others: chmod 600 it", file)
    return dict(_credential(line, f"{file}, line {number}") for number, line in enumerate(lines, 1) if _counts(line))


def _counts(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _credential(line: str, place: str) -> tuple[str, str]:
    name, equals, value = line.partition("=")
    if not equals or name.strip() not in _CREDENTIALS:  # never shown: it may be the credential itself
        raise SettingInvalid(f"{place}: expected NAME=value with one of {', '.join(sorted(_CREDENTIALS))}")
    return name.strip(), value.strip().strip("\"'")
