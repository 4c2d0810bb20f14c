"""The settings: one table, and where each value came from.

Precedence: flag > environment (`CCAPI_*`) > project file (`./ccapi.toml`) > user file > default. The gateway is told
its settings by the environment, under the same names; `Settings.gateway_environment` writes them down for it.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccapi import paths
from ccapi.errors import SettingInvalid, StackFailed
from ccapi.paths import Home

PROJECT_FILE = "ccapi.toml"
PERMISSION_MODES = (
    "plan",
    "default",
    "dontAsk",
    "acceptEdits",
    "bypassPermissions",
)  # from the narrowest to the widest
WORKSPACE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LOOPBACK = ("127.0.0.1", "::1", "localhost")
_PROJECT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_MOST_SILENCE = 30  # seconds; clients give up after a minute of it


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table. `parse` takes what TOML, the environment or a flag gave, and raises `ValueError`.

    `gateway`: the gateway is told of it, so a change takes `ccapi up` (or a restart of `ccapi gateway`).
    """

    key: str
    default: Any
    expected: str
    help: str
    parse: Callable[[Any], Any]
    gateway: bool = False

    @property
    def env(self) -> str:
        """`gateway.port` is `CCAPI_GATEWAY_PORT` in the environment."""
        return "CCAPI_" + self.key.replace(".", "_").upper()

    @property
    def written_default(self) -> str:
        """The default as the environment would hold it; empty if there is none."""
        return "" if self.default is None else _written(self.default)


def _port(value: Any) -> int:
    port = _integer(value)
    if not 1 <= port <= 65535:
        raise ValueError
    return port


def _callback_port(value: Any) -> int:
    if (port := _port(value)) < 1024:
        raise ValueError
    return port


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError  # noqa: TRY004 -- one exception means "not what was expected"
    return int(value)


def _whole(value: Any) -> int:
    number = _integer(value)
    if number < 0:
        raise ValueError
    return number


def _count(value: Any) -> int:
    number = _whole(value)
    if number == 0:
        raise ValueError
    return number


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError  # noqa: TRY004 -- as above
    seconds = float(value)
    if not 0 < seconds < 1e9:
        raise ValueError
    return seconds


def _heartbeat(value: Any) -> float:
    if (seconds := _seconds(value)) > _MOST_SILENCE:
        raise ValueError
    return seconds


def _one_of(*choices: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        for choice in choices:
            if isinstance(value, str) and value.lower() == choice.lower():
                return choice
        raise ValueError

    return parse


def _switch(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    try:
        return {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}[str(value).lower()]
    except KeyError:
        raise ValueError from None


def _moment(value: Any) -> float:
    return 0.0 if value in {0, "0"} and not isinstance(value, bool) else _seconds(value)


def _address(value: Any) -> str:
    return str(ipaddress.ip_address("127.0.0.1" if value == "localhost" else _text(value)))


def _workspace(value: Any) -> str:
    if value != "." and not (isinstance(value, str) and WORKSPACE_NAME.fullmatch(value)):
        raise ValueError
    return str(value)


def _project(value: Any) -> str:
    if not isinstance(value, str) or not _PROJECT_NAME.fullmatch(value):
        raise ValueError
    return value


def _path(value: Any) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError
    return Path(value).expanduser().resolve()


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or any(c in value for c in "\n\r\0"):
        raise ValueError
    return value


def _model_map(value: Any) -> dict[str, str]:
    """A TOML table, or `name=model,name=model` from the environment."""
    if isinstance(value, str):
        value = dict(pair.split("=", 1) for pair in value.split(",") if pair.strip())
    if not isinstance(value, Mapping):
        raise ValueError  # noqa: TRY004 -- as above
    pairs = {str(name).strip(): model for name, model in value.items()}
    if not all(name and isinstance(model, str) and model.strip() for name, model in pairs.items()):
        raise ValueError
    if any(set(",=") & set(name + model) for name, model in pairs.items()):
        raise ValueError  # they would not survive the way into the container's environment
    return {name: model.strip() for name, model in pairs.items()}


TABLE: tuple[Setting, ...] = (
    Setting("gateway.port", 8000, "a port, 1 to 65535", "Port of the API.", _port),
    Setting(
        "gateway.host",
        "127.0.0.1",
        "an IP address",
        "Address of this machine on which the API is published. Any but loopback's needs API keys.",
        _address,
        gateway=True,
    ),
    Setting(
        "gateway.timeout",
        300.0,
        "seconds, more than 0",
        "A run that shows no event for this long is ended. There is no limit on a run's total time.",
        _seconds,
        gateway=True,
    ),
    Setting(
        "gateway.background_grace",
        120.0,
        "seconds, more than 0",
        "How long a finished answer waits, in silence, for commands it left running in the background.",
        _seconds,
        gateway=True,
    ),
    Setting(
        "gateway.shutdown_grace",
        20.0,
        "seconds",
        "How long runs may go on when the gateway is told to stop, before they end with an error.",
        _moment,
        gateway=True,
    ),
    Setting(
        "gateway.heartbeat",
        10.0,
        f"seconds, more than 0 and at most {_MOST_SILENCE}",
        "Time between signs of life in a stream while nothing happens.",
        _heartbeat,
        gateway=True,
    ),
    Setting(
        "gateway.max_body",
        32 * 1024 * 1024,
        "a whole number, 1 or more",
        "Size of a request in bytes.",
        _count,
        gateway=True,
    ),
    Setting(
        "gateway.max_runs",
        None,
        "a whole number, 1 or more",
        "Runs at once; others wait. Unset: as many as the memory takes, at 250 MB each.",
        _count,
        gateway=True,
    ),
    Setting(
        "gateway.max_queue",
        64,
        "a whole number",
        "Requests that wait for a run to end; more are refused.",
        _whole,
        gateway=True,
    ),
    Setting(
        "gateway.max_retries",
        4,
        "a whole number",
        "How often Claude Code repeats a failed request to the model's API.",
        _whole,
        gateway=True,
    ),
    Setting(
        "gateway.permission_mode",
        None,
        f"one of {', '.join(PERMISSION_MODES)}",
        "What the agent may do unasked. Unset: everything in the container, outside of it what `default` allows.",
        _one_of(*PERMISSION_MODES),
        gateway=True,
    ),
    Setting(
        "gateway.default_workspace",
        None,
        "a workspace's name, or .",
        "Directory below the mounted one for requests that name none; . is the mounted one itself. "
        "Unset: `default` on a Docker volume, else .",
        _workspace,
        gateway=True,
    ),
    Setting(
        "api.require_key",
        False,
        "true or false",
        "Every request needs an API key (ccapi key create), also on this machine.",
        _switch,
        gateway=True,
    ),
    Setting(
        "pool.size",
        2,
        "a whole number",
        "Claude Code processes that are started before anybody asks; 0: none.",
        _whole,
        gateway=True,
    ),
    Setting(
        "pool.sessions",
        4,
        "a whole number",
        "Processes that are kept for their conversation's next turn; 0: none.",
        _whole,
        gateway=True,
    ),
    Setting(
        "pool.session_idle",
        300.0,
        "seconds, more than 0",
        "How long such a process is kept.",
        _seconds,
        gateway=True,
    ),
    Setting(
        "pool.max_age",
        600.0,
        "seconds, more than 0",
        "Age at which a process that nobody needed is replaced.",
        _seconds,
        gateway=True,
    ),
    Setting(
        "pool.memory",
        None,
        "a whole number, 1 or more",
        "Memory in MB that all these processes may take while they wait. Unset: a fifth of what there is.",
        _count,
        gateway=True,
    ),
    Setting(
        "sessions.keep_days",
        30,
        "a whole number, 1 or more",
        "Days after which conversations and responses that nobody continued are forgotten.",
        _count,
        gateway=True,
    ),
    Setting(
        "models.map",
        {},
        "a table of names and Claude models",
        "Other names that clients may ask for, such as gpt-4o = 'sonnet'.",
        _model_map,
        gateway=True,
    ),
    Setting(
        "models.fallback",
        True,
        "true or false",
        "Retry once with the family's current model when the API no longer serves the one asked for.",
        _switch,
        gateway=True,
    ),
    Setting(
        "models.small",
        "haiku",
        "a model's name",
        "Model for the titles, tags and follow-up questions that Open WebUI asks for in the background.",
        _text,
        gateway=True,
    ),
    Setting(
        "log.level",
        "INFO",
        f"one of {', '.join(_LOG_LEVELS)}",
        "What the gateway logs.",
        _one_of(*_LOG_LEVELS),
        gateway=True,
    ),
    Setting("log.format", "text", "one of text, json", "How the gateway logs.", _one_of("text", "json"), gateway=True),
    Setting(
        "stack.project",
        None,
        "a name of a-z, 0-9, - and _, 32 at most",
        "Name of one of several stacks on this machine, each with its own container, volumes, ports, keys and OAuth "
        "proxy; `--project` on each command. Unset: the stack that is called `claude-code-api`.",
        _project,
    ),
    Setting(
        "stack.workspace",
        None,
        "a directory",
        "Host directory the agent works in. Unset: a Docker volume.",
        _path,
    ),
    Setting(
        "stack.ca_file",
        None,
        "a PEM file",
        "Extra CA certificates, for the image's build and for the container at run time.",
        _path,
    ),
    Setting(
        "stack.base_image", "debian:trixie-slim", "an image name", "Debian image that the build starts from.", _text
    ),
    Setting(
        "oauth.port",
        8888,
        "a port, 1 to 65535",
        "Port of the OAuth proxy on this machine's loopback address.",
        _port,
    ),
    Setting(
        "oauth.callback_port",
        None,
        "a port, 1024 to 65535",
        "Port that MCP logins come back to, for servers that know only one. Unset: a free one for each login.",
        _callback_port,
    ),
    Setting(
        "oauth.open_browser",
        "auth",
        "one of never, auth, ask",
        "Who may open the browser of this machine: nobody, `ccapi auth`, or (after asking you) also a login that was "
        "started in the container.",
        _one_of("never", "auth", "ask"),
    ),
)
_BY_KEY = {setting.key: setting for setting in TABLE}
_OWN_PORTS = ("gateway.port", "oauth.port")  # of a named stack: chosen by its first `up`


@dataclass(frozen=True, slots=True)
class Resolved:
    """A value and its origin: `flag`, `environment`, the file's path, or `default`."""

    value: Any
    origin: str


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, resolved. `home` is `CCAPI_HOME` when that is set."""

    resolved: Mapping[str, Resolved]
    home: Home = Home()  # noqa: RUF009 -- a tuple

    def value(self, key: str) -> Any:
        """The value of a row of the table."""
        return self.resolved[key].value

    def with_value(self, key: str, value: Any) -> Settings:
        """The same, but for one of them, as if a flag had said so."""
        return Settings({**self.resolved, key: Resolved(value, "flag")}, self.home)

    @property
    def port(self) -> int:
        """Raises `StackFailed` for a named stack that has none yet."""
        return self._port("gateway.port")

    @property
    def base_url(self) -> str:
        """Where the gateway answers, as seen from this host."""
        address = ipaddress.ip_address(self.host)
        here = "127.0.0.1" if address.is_unspecified else str(address)
        return f"http://{f'[{here}]' if ':' in here else here}:{self.port}"

    @property
    def workspace(self) -> Path | None:
        value: Path | None = self.value("stack.workspace")
        return value

    @property
    def ca_file(self) -> Path | None:
        value: Path | None = self.value("stack.ca_file")
        return value

    @property
    def base_image(self) -> str:
        return str(self.value("stack.base_image"))

    @property
    def oauth_port(self) -> int:
        """Raises `StackFailed` for a named stack that has none yet."""
        return self._port("oauth.port")

    def _port(self, key: str) -> int:
        if (port := self.value(key)) is None:
            name = self.home.project
            raise StackFailed(f"the stack {name} has no port yet", hint=f"Start it: ccapi up --project {name}")
        return int(port)

    @property
    def callback_port(self) -> int | None:
        value: int | None = self.value("oauth.callback_port")
        return value

    @property
    def host(self) -> str:
        return str(self.value("gateway.host"))

    def gateway_environment(self) -> dict[str, str]:
        """What a gateway must be told, by the names of the table's rows. Defaults are its own, too, and left out."""
        return self.as_environment(r.key for r in TABLE if r.gateway and self.resolved[r.key].origin != "default")

    def as_environment(self, keys: Iterable[str]) -> dict[str, str]:
        """These settings, for a process that is told them by its environment; those without a value are left out."""
        return {_BY_KEY[key].env: _written(value) for key in keys if (value := self.value(key)) is not None}


def _written(value: Any) -> str:
    """A value as the environment holds it: each row's `parse` reads it back."""
    if isinstance(value, Mapping):
        return ",".join(f"{name}={model}" for name, model in value.items())
    if isinstance(value, bool):
        return "on" if value else "off"
    return format(value, ".15g") if isinstance(value, float) else str(value)


def load(
    flags: Mapping[str, Any] | None = None,
    *,
    home: Home | None = None,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
    files: bool = True,
) -> Settings:
    """Resolve every setting. `flags` holds keys of the table; `None` values count as not given.

    `home`: None finds it, see `find_home`. `files` False: no file of settings counts. Raises `SettingInvalid`, which
    names the place, what was expected, and what is near it.
    """
    environ = os.environ if environ is None else environ
    home = find_home(environ=environ, directory=directory, files=files) if home is None else home
    layers: list[tuple[str, Mapping[str, Any]]] = [("flag", {k: v for k, v in (flags or {}).items() if v is not None})]
    layers.append(("environment", {s.key: environ[s.env] for s in TABLE if environ.get(s.env)}))
    for file in _places(home, directory) if files else []:
        values = _read(file)
        if home.project and file == paths.config_file(home):  # shared by all stacks, which cannot share a port
            values = {key: value for key, value in values.items() if key not in _OWN_PORTS}
        layers.append((str(file), values))
    resolved = {setting.key: _resolve(setting, layers) for setting in TABLE}
    if home.project:
        resolved |= {key: Resolved(None, "default") for key in _OWN_PORTS if resolved[key].origin == "default"}
    return Settings(resolved, home)


def _places(home: Home, directory: Path | None) -> list[Path]:
    """The files of settings that there are, the one that counts most first."""
    places = [(directory or Path.cwd()) / PROJECT_FILE, paths.project_config_file(home), paths.config_file(home)]
    if home.config and not paths.config_file(home).is_file():
        raise SettingInvalid(f"--config {home.config}: there is no such file")
    return [place for place in places if place and place.is_file()]


def find_home(
    project: str | None = None,
    config: str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
    files: bool = True,
) -> Home:
    """Which stack is meant, and where its files are; also when a file of settings is broken, which is passed over.

    `project` and `config` are what the command line says. Raises `SettingInvalid` for a name that no stack can have.
    """
    environ = os.environ if environ is None else environ
    row = _BY_KEY["stack.project"]
    home = Home(environ.get("CCAPI_HOME") or None, None, config)
    layers: list[tuple[str, Mapping[str, Any]]] = [("flag", {row.key: project} if project else {})]
    layers.append(("environment", {row.key: environ[row.env]} if environ.get(row.env) else {}))
    for file in ((directory or Path.cwd()) / PROJECT_FILE, paths.config_file(home)) if files else ():
        with suppress(OSError, ValueError):
            layers.append((str(file), _flatten(tomllib.loads(file.read_text("utf-8")))))
    return home._replace(project=_resolve(row, layers).value)


def directories_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables that say where ccapi keeps its files, for a service, which does not get this shell's."""
    environ = os.environ if environ is None else environ
    names = ("CCAPI_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
    return {name: environ[name] for name in names if environ.get(name)}


def api_key(environ: Mapping[str, str] | None = None) -> str | None:
    """`CCAPI_API_KEY`: what `ccapi ask` shows the gateway. It is a secret, so no file of settings has it.

    Raises `SettingInvalid`, which does not repeat it.
    """
    environ = os.environ if environ is None else environ
    key = environ.get("CCAPI_API_KEY", "").strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise SettingInvalid("CCAPI_API_KEY: this is no API key; ccapi key create makes one")
    return key or None


def given(names: Iterable[str], environ: Mapping[str, str] | None = None) -> list[str]:
    """Which of these variables are set; not what they are set to."""
    environ = os.environ if environ is None else environ
    return [name for name in names if environ.get(name)]


def docker_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """What `docker` and the Docker SDK get of this process's environment: how to reach the engine, and nothing else.

    In particular no `COMPOSE_*`, which would put other files or another project in the place of ours.
    """
    environ = os.environ if environ is None else environ
    names = {"PATH", "HOME", "USER", "TMPDIR", "SSH_AUTH_SOCK", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"}
    prefixes = ("DOCKER_", "BUILDX_", "BUILDKIT_")
    return {name: value for name, value in environ.items() if name in names or name.startswith(prefixes)}


def in_container(environ: Mapping[str, str] | None = None) -> bool:
    """Whether this is the image. Then no settings file counts: the working directory belongs to the agent."""
    return bool((os.environ if environ is None else environ).get("CCAPI_IN_CONTAINER"))


def rehearsal_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without any account or setting in it: for a gateway with a scripted model."""
    environ = os.environ if environ is None else environ
    ours = ("CCAPI_", "ANTHROPIC_", "CLAUDE_")
    return {name: value for name, value in environ.items() if not name.startswith(ours)}


def network_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """How the model's API is reached from here, for the container: the proxies in both spellings, and a base URL."""
    environ = os.environ if environ is None else environ
    found: dict[str, str] = {}
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        if value := environ.get(name) or environ.get(name.lower()):
            found |= {name: value, name.lower(): value}
    if "HTTP_PROXY" in found or "HTTPS_PROXY" in found:
        own = "localhost,127.0.0.1,::1"  # the container's own loopback must never be asked of a proxy
        bypass = f"{found['NO_PROXY']},{own}" if "NO_PROXY" in found else own
        found |= {"NO_PROXY": bypass, "no_proxy": bypass}
    if url := environ.get("ANTHROPIC_BASE_URL"):
        found["ANTHROPIC_BASE_URL"] = url
    return found


@dataclass(frozen=True, slots=True)
class Seat:
    """Where the person sits. `remote`: the address of this machine, in a session over SSH; None otherwise.

    `display`: a browser's window can appear before them.
    """

    remote: str | None
    display: bool


def seat(environ: Mapping[str, str] | None = None) -> Seat:
    """What the environment tells of that. (The variables are those of sshd, X11, Wayland, and of `webbrowser`.)"""
    environ = os.environ if environ is None else environ
    connection = environ.get("SSH_CONNECTION", "").split()  # client and its port, server and its port
    if connection or environ.get("SSH_TTY"):
        return Seat(connection[2] if len(connection) == 4 else "HOST", display=False)
    windows = sys.platform in {"darwin", "win32"}
    return Seat(None, windows or any(environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")))


def _resolve(setting: Setting, layers: list[tuple[str, Mapping[str, Any]]]) -> Resolved:
    for origin, values in layers:
        if setting.key in values:
            try:
                return Resolved(setting.parse(values[setting.key]), origin)
            except ValueError:
                where = setting.env if origin == "environment" else f"{setting.key} ({origin})"
                message = f"{where}: expected {setting.expected}, not {values[setting.key]!r}"
                raise SettingInvalid(message) from None
    return Resolved(setting.default, "default")


def _read(file: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingInvalid(f"{file}: not valid TOML: {error}") from None
    except OSError as error:
        raise SettingInvalid(f"{file}: cannot be read: {error.strerror}") from None
    values = _flatten(document)
    for key in values:
        if key not in _BY_KEY:
            near = difflib.get_close_matches(key, _BY_KEY, 1)
            hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(sorted(_BY_KEY))}."
            raise SettingInvalid(f"{file}: no setting is called {key!r}", hint=hint)
    return values


def _flatten(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"gateway": {"port": 1}}` to `{"gateway.port": 1}`; tables that are values stay whole."""
    flat: dict[str, Any] = {}
    for name, value in document.items():
        key = prefix + name
        if isinstance(value, dict) and key not in _BY_KEY:
            flat |= _flatten(value, key + ".")
        else:
            flat[key] = value
    return flat
