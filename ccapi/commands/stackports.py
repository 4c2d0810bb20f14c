"""The ports of a stack that has none yet, or that shall have another: free ones, which are written down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ccapi import paths
from ccapi.errors import CcapiError, OutputFailed, StackFailed
from ccapi.paths import Home
from ccapi.settings import Settings

GATEWAY, PROXY = "gateway.port", "oauth.port"
_FIRST = {GATEWAY: 8000, PROXY: 8888}  # those of the stack that most people have: others come after them

Waiting = Callable[[str], None]  # told the PID of another ccapi that is choosing ports at this moment


@dataclass(frozen=True, slots=True)
class Chosen:
    """A port, and the file that says so from now on. `overridden`: where another place has the last word there."""

    key: str
    port: int
    file: Path
    overridden: str | None = None


def missing(settings: Settings) -> list[str]:
    """Which of its ports a named stack has not been given yet."""
    return [key for key in (GATEWAY, PROXY) if settings.value(key) is None] if settings.home.project else []


def choose(
    settings: Settings, wanted: list[str], *, docker: Mapping[str, str], waiting: Waiting, keep: bool
) -> tuple[Settings, list[Chosen]]:
    """The settings with free ports for these keys. `keep`: write them down. A container that runs keeps its port.

    No port is taken that another stack's file says is its own, or that its container has, running or not. Two that
    choose at the same time do so one after the other.
    """
    from ccapi.commands import config

    home, chosen = settings.home, []
    with _alone(home, waiting):
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


@contextmanager
def _alone(home: Home, waiting: Waiting) -> Iterator[None]:
    """Among all stacks."""
    from ccapi.stack import lock

    file = paths.state_dir(home._replace(project=None)) / "ports.lock"
    try:
        with lock.exclusive(file, waiting):
            yield
    except OSError as error:
        raise OutputFailed(f"{file}: {error.strerror}") from error


def _of_other_stacks(home: Home) -> Iterator[int]:
    """What the files say; one that cannot be read says nothing."""
    shared = home._replace(project=None, config=None)
    directory = paths.config_file(shared).parent / "projects"
    own = paths.project_config_file(home)
    yield from _FIRST.values() if home.project else ()
    for file in {paths.config_file(home) if home.project else None, *directory.glob("*.toml")} - {own, None}:
        yield from (port for key in (GATEWAY, PROXY) if (port := _of(file, key)))


def _of(file: Path | None, key: str) -> int | None:
    import tomllib

    table, _, name = key.partition(".")
    try:
        value = tomllib.loads(file.read_text("utf-8"))[table][name] if file else None
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return value if isinstance(value, int) else None


def _of_containers(home: Home, docker: Mapping[str, str]) -> tuple[set[int], int | None]:
    """Those that other stacks' containers have, running or not, and our own's; without an engine none."""
    from ccapi.stack.engine import Engine

    with suppress(CcapiError), Engine(docker, home.stack) as engine:
        own = engine.container()
        runs = own is not None and own.ours and own.state == "running"
        others = {port for port, stack in engine.published().items() if stack != home.stack}
        return others, own.port if own and runs else None
    return set(), None
