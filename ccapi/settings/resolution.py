"""Which value of a setting counts, and where it came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ccapi.errors import SettingInvalid, StackFailed
from ccapi.paths import Home
from ccapi.settings import layers, problems, values
from ccapi.settings.layers import Layer
from ccapi.settings.problems import Problem
from ccapi.settings.table import BY_KEY, LOOPBACK, OWN_PORTS, TABLE, Setting


class Resolved(NamedTuple):
    """A value and its origin: `flag`, `environment`, the file's path, or `default`."""

    value: Any
    origin: str


class Settings(NamedTuple):
    """All settings, resolved. `home`: which stack they are for."""

    resolved: Mapping[str, Resolved]
    home: Home = Home()

    def value(self, key: str) -> Any:
        """The value of a row of the table."""
        return self.resolved[key].value

    @property
    def key_required(self) -> bool:
        """Whether everybody needs an API key: that is wanted, or other machines can reach the API."""
        return bool(self.value("api.require_key")) or self.host not in LOOPBACK

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
        import ipaddress

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
        return {BY_KEY[key].env: values.environment(value) for key in keys if (value := self.value(key)) is not None}


def load(
    flags: Mapping[str, Any] | None = None,
    *,
    home: Home | None = None,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
    files: bool = True,
) -> Settings:
    """Resolve every setting. `flags` holds keys of the table; `None` values count as not given.

    `home`: None finds it, see `find_home`. `files` False: no file of settings counts. A wrong value that another one
    covers does not matter. Raises `SettingInvalid`, which names the place, what was expected, and what is near it.
    """
    if home is None:
        home = find_home((flags or {}).get("stack.project"), environ=environ, directory=directory, files=files)
    found = [
        layers.of_flags(flags),
        layers.of_environment(environ),
        *(layers.of_files(home, directory) if files else []),
    ]
    results = {row.key: _resolve(row, found) for row in TABLE}
    wrong = [problem for layer in found for problem in layer.problems]
    problems.first([*wrong, *(one for one in results.values() if isinstance(one, Problem))])
    resolved = {key: one for key, one in results.items() if isinstance(one, Resolved)}
    if home.project:
        resolved |= {key: Resolved(None, "default") for key in OWN_PORTS if resolved[key].origin == "default"}
    return Settings(resolved, home)


def find_home(
    project: str | None = None,
    config: str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
    files: bool = True,
) -> Home:
    """Which stack is meant, and where its files are; also when a file of settings cannot be read: it is passed over.

    `project` and `config` are what the command line says. Raises `SettingInvalid` for a name that no stack can have.

    Passing a file over is right for what looks at a stack or mends it. What ends a stack or destroys what is its must
    ask `passed_over` as well: where that names a file and there is more than one stack, nobody can know which of them
    was meant, and the command refuses. `down` works with broken files where there is only one stack.
    """
    return _search(project, config, environ, directory, files=files)[0]


def passed_over(
    project: str | None = None,
    config: str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> list[SettingInvalid]:
    """The files that `find_home` could not read, each of which may name another stack than the one it found.

    Empty where that was settled before they would have been asked: by the command line, by the environment, or by a
    file that counts before them.
    """
    return [problem.error() for problem in _search(project, config, environ, directory, files=True)[1]]


def _search(
    project: str | None,
    config: str | None,
    environ: Mapping[str, str] | None,
    directory: Path | None,
    *,
    files: bool,
) -> tuple[Home, list[Problem]]:
    row = BY_KEY["stack.project"]
    home = Home(layers.directory_of(environ), None, config)
    unread: list[Problem] = []
    found = [layers.of_flags({row.key: project or None}), layers.of_environment(environ)]
    for file in layers.shared(home, directory) if files else ():
        if any(row.key in layer.values for layer in found):
            break
        layer = layers.of_file(file)
        found.append(layer)
        if layer.unreadable:
            unread.extend(layer.problems)
    chosen = _resolve(row, found)
    if isinstance(chosen, Problem):
        raise chosen.error()
    named = chosen.value if chosen.value != values.DEFAULT_PROJECT else None
    return home._replace(project=named), unread


def _resolve(row: Setting, found: Sequence[Layer]) -> Resolved | Problem:
    for layer in found:
        if row.key in layer.values:
            try:
                return Resolved(row.parse(layer.values[row.key]), layer.place.origin)
            except ValueError:
                return layer.place.value(row, layer.values[row.key])
    return Resolved(row.default, "default")
