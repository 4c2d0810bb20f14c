"""What `up` is told, and what it tells in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from ccapi.stack.progress import Report
from ccapi.stack.signin import SignIn
from ccapi.stack.spec import Difference, Options, StackSpec

Action = Literal["nothing", "create", "start", "recreate"]
Decision = Literal["wait", "stop", "leave"]  # what becomes of a container that is not healthy in time
Decide = Callable[[str], Decision]  # told what is the matter


@dataclass(frozen=True, slots=True)
class Host:
    """This machine's side: what `docker` gets as environment, and where locks, logs and staged builds go.

    `stack` is the name of the one that is meant.
    """

    stack: str
    environ: Mapping[str, str]
    state: Path
    cache: Path


@dataclass(frozen=True, slots=True)
class Up:
    """What `up` found or did. `changed` is empty for a new stack and for one that was left as it was."""

    url: str
    image: str
    already: bool
    healthy: bool
    changed: list[Difference]
    sign_in: SignIn


@dataclass(frozen=True, slots=True)
class Plan:
    """What `up` would do."""

    url: str
    action: Action
    build: bool
    image: str
    changed: list[Difference]
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class Secrets:
    """The stack's secret and the directory of the keys.

    `known`: whether a gateway that runs reads the directory that is wanted. It does not if that was removed and made
    anew: a container keeps the directory that was there when it started. `make`: have them, if they are not there.
    """

    known: Callable[[], bool]
    make: Callable[[], object]


class Task(NamedTuple):
    """What is to be done, where, how, and who is told of it.

    `proxy_port`: the port that the OAuth proxy is about to take; None when it runs already.
    """

    wanted: StackSpec
    host: Host
    options: Options
    report: Report
    proxy_port: Callable[[], int | None] = lambda: None
