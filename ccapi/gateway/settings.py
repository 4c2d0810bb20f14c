"""What the gateway is told by its environment and its command line."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ccapi.errors import SettingInvalid, UsageError

log = logging.getLogger(__name__)

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_CREDENTIALS_FILE = "credentials.env"
_CREDENTIALS = frozenset({"ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"})


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Times in seconds, sizes in bytes. `environ` is the gateway's own environment, credentials file included."""

    host: str = "127.0.0.1"
    port: int = 8000
    workspace: Path = field(default_factory=Path.cwd)
    run_timeout: float = 300.0  # without any event
    background_grace: float = 120.0  # for commands that a finished answer left running
    heartbeat: float = 10.0  # between SSE comments while nothing happens
    max_body: int = 32 * 1024 * 1024
    max_runs: int = 0  # at once; 0: as many as the memory takes
    max_queue: int = 64  # requests that wait for a slot
    max_retries: int = 4  # of a failed request to the model's API, by the CLI
    model_map: Mapping[str, str] = field(default_factory=dict)
    model_fallback: bool = True
    permission_mode: str | None = None
    claude: str | None = None
    log_level: str = "INFO"
    rehearsal: str | None = None  # a scenario that plays the model
    in_container: bool = False  # says the image: Docker decides who reaches the port
    environ: Mapping[str, str] = field(default_factory=dict)


def from_environment(environ: Mapping[str, str] | None = None, **flags: object) -> GatewaySettings:
    """`flags` are fields of `GatewaySettings` and win; None counts as not given. Raises `SettingInvalid`."""
    environ = dict(os.environ if environ is None else environ)
    environ = {**_credentials(environ), **{name: value for name, value in environ.items() if value}}
    read: dict[str, object] = {
        "run_timeout": _number(environ, "CCAPI_RUN_TIMEOUT"),
        "background_grace": _number(environ, "CCAPI_BACKGROUND_GRACE"),
        "heartbeat": _number(environ, "CCAPI_HEARTBEAT", most=30),  # clients give up after a minute of silence
        "max_body": _whole(environ, "CCAPI_MAX_BODY", 1),
        "max_runs": _whole(environ, "CCAPI_MAX_RUNS", 1),
        "max_queue": _whole(environ, "CCAPI_MAX_QUEUE", 0),
        "max_retries": _whole(environ, "CCAPI_MAX_RETRIES", 0),
        "model_map": _model_map(environ),
        "model_fallback": _switch(environ, "CCAPI_MODEL_FALLBACK"),
        "permission_mode": environ.get("CCAPI_PERMISSION_MODE"),
        "claude": environ.get("CCAPI_CLAUDE"),
        "log_level": _log_level(environ),
        "rehearsal": environ.get("CCAPI_REHEARSAL"),
        "in_container": _switch(environ, "CCAPI_IN_CONTAINER"),
        **{name: value for name, value in flags.items() if value is not None},
    }
    given = {name: value for name, value in read.items() if value is not None}
    settings = GatewaySettings(**given, environ=environ)  # type: ignore[arg-type] # each value was made for its field
    _check_surroundings(settings)
    return settings


def _check_surroundings(settings: GatewaySettings) -> None:
    if settings.in_container:
        if os.geteuid() == 0:
            raise SettingInvalid("The gateway does not run as root in the container; leave the image's user as it is")
    elif settings.host not in _LOOPBACK:
        # Nobody is asked for a key, so only this machine may ask.
        raise UsageError(f"--host {settings.host}: the gateway listens on loopback only ({', '.join(_LOOPBACK)})")


def _invalid(name: str, expected: str, value: str) -> SettingInvalid:
    return SettingInvalid(f"{name}: expected {expected}, not {value!r}")


def _number(environ: Mapping[str, str], name: str, most: float = 1e9) -> float | None:
    if not (value := environ.get(name)):
        return None
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number <= most:
        raise _invalid(name, "seconds, more than 0" + (f" and at most {most:g}" if most < 1e9 else ""), value)
    return number


def _whole(environ: Mapping[str, str], name: str, least: int) -> int | None:
    if not (value := environ.get(name)):
        return None
    if not value.isdecimal() or int(value) < least:
        raise _invalid(name, f"a whole number, {least} or more", value)
    return int(value)


def _switch(environ: Mapping[str, str], name: str) -> bool | None:
    if not (value := environ.get(name)):
        return None
    if value.lower() not in {"on", "off", "true", "false", "1", "0"}:
        raise _invalid(name, "on or off", value)
    return value.lower() in {"on", "true", "1"}


def _log_level(environ: Mapping[str, str]) -> str | None:
    if not (value := environ.get("CCAPI_LOG_LEVEL")):
        return None
    if value.upper() not in _LOG_LEVELS:
        raise _invalid("CCAPI_LOG_LEVEL", f"one of {', '.join(_LOG_LEVELS)}", value)
    return value.upper()


def _model_map(environ: Mapping[str, str]) -> dict[str, str]:
    text = environ.get("CCAPI_MODEL_MAP", "")
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    if not all(name.strip() and model.strip() for name, _, model in pairs):
        raise _invalid("CCAPI_MODEL_MAP", "name=model,name=model", text)
    return {name.strip(): model.strip() for name, _, model in pairs}


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
