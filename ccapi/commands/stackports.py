"""The ports of a stack that has none yet, or that shall have another: free ones, which are written down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ccapi import paths
from ccapi.errors import CcapiError, StackFailed
from ccapi.paths import Home
from ccapi.settings import Settings
from ccapi.settings.table import BY_KEY, OWN_PORTS
from ccapi.stack import lock
from ccapi.stack.lock import Waiting

GATEWAY, PROXY = "gateway.port", "oauth.port"
# Those of the stack that most people have: others come after them.
_FIRST: Mapping[str, int] = {key: BY_KEY[key].default for key in OWN_PORTS}


@dataclass(frozen=True, slots=True)
class Chosen:
    """A port, and the file that says so from now on. `overridden`: where another place has the last word there."""

    key: str
    port: int
    file: Path
    overridden: str | None = None


def missing(settings: Settings) -> list[str]:
    """Which of its ports a named stack has not been given yet."""
    return [key for key in OWN_PORTS if settings.value(key) is None] if settings.home.project else []


def choose(
    settings: Settings, wanted: list[str], *, docker: Mapping[str, str], waiting: Waiting, keep: bool
) -> tuple[Settings, list[Chosen]]:
    """The settings with free ports for these keys. `keep`: write them down. A container that runs keeps its port.

    No port is taken that another stack's file says is its own, or that its container has, running or not. Two that
    choose at the same time do so one after the other.
    """
    from ccapi.commands import config

    home, chosen = settings.home, []
    with lock.exclusive(paths.state_dir(home._replace(project=None)) / "ports.lock", waiting):  # of all stacks
        containers, own = _of_containers(home, docker)
        taken = {*_of_other_stacks(home), *containers}
        for key in wanted:
            port = own if own and key == GATEWAY else _free(settings, key, taken)
            taken.add(port)
            chosen.append(_written(home, key, port, waiting) if keep else Chosen(key, port, config.file(home)))
            settings = settings.with_value(key, port)
    return settings, chosen


def _free(settings: Settings, key: str, taken: set[int]) -> int:
    from ccapi.stack import ports

    host = settings.host if key == GATEWAY else "127.0.0.1"
    port = ports.free_near(_FIRST[key] if settings.home.project else _FIRST[key] - 1, host, taken=taken)
    if not port:
        raise StackFailed(f"no port near {_FIRST[key]} is free", hint="Say which one: ccapi up --port N")
    return port


def _written(home: Home, key: str, port: int, waiting: Waiting) -> Chosen:
    from ccapi.commands import config

    change = config.set_value(home, key, str(port), local=False, waiting=waiting)
    return Chosen(key, port, change.file, change.value.origin if change.overridden and change.value else None)


def remember(settings: Settings, key: str, *, waiting: Waiting) -> Chosen | None:
    """Write down the port that a named stack is given on the command line, if nothing says one yet."""
    home = settings.home
    written = _of(paths.project_config_file(home), key) if home.project else True
    if written or settings.resolved[key].origin != "flag":
        return None
    return _written(home, key, int(settings.value(key)), waiting)


def _of_other_stacks(home: Home) -> Iterator[int]:
    """What the files say; one that cannot be read says nothing."""
    shared = home._replace(project=None, config=None)
    directory = paths.config_file(shared).parent / "projects"
    own = paths.project_config_file(home)
    yield from _FIRST.values() if home.project else ()
    for file in {paths.config_file(home) if home.project else None, *directory.glob("*.toml")} - {own, None}:
        yield from (port for key in OWN_PORTS if (port := _of(file, key)))


def _of(file: Path | None, key: str) -> int | None:
    from ccapi.settings import layers

    try:
        return int(BY_KEY[key].parse(layers.of_file(file).values[key])) if file else None
    except (CcapiError, LookupError, ValueError):
        return None


def _of_containers(home: Home, docker: Mapping[str, str]) -> tuple[set[int], int | None]:
    """Those that other stacks' containers have, running or not, and our own's; without an engine none."""
    from ccapi.stack.engine import Engine

    with suppress(CcapiError), Engine(docker, home.stack) as engine:
        own = engine.container()
        runs = own is not None and own.ours and own.state == "running"
        others = {port for port, stack in engine.published().items() if stack != home.stack}
        return others, own.port if own and runs else None
    return set(), None
