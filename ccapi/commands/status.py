"""How the stack is, and what its gateway does. Nothing is started, and the answer is there within two seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from ccapi.commands import proxy, stacks, work
from ccapi.commands.claudeauth import BILLING, SCRIPTED
from ccapi.errors import CcapiError, DockerUnavailable
from ccapi.paths import Home
from ccapi.settings import Settings
from ccapi.stack import signin, templates
from ccapi.stack import status as stack_status
from ccapi.stack.engine import Container, Engine
from ccapi.stack.signin import Details
from ccapi.stack.spec import User
from ccapi.stack.status import Status, base_url, claude_version
from ccapi.wire.internal import Overview

__all__ = ["Container", "Facts", "Report", "Status", "base_url", "every", "look", "status"]

_BUDGET = 1.7  # seconds for everything
_CALL = 0.8  # seconds for one question to the engine or the gateway


@dataclass(slots=True)
class Facts:
    """What is known beside the container's state; None: not known, or not in time."""

    overview: Overview | None = None
    sign_in: Details | None = None
    claude: str | None = None
    wanted_image: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """`proxy_url`: the redirect URI of the OAuth proxy, if it runs."""

    stack: str
    status: Status
    facts: Facts
    proxy_url: str | None

    @property
    def rehearsal(self) -> str | None:
        """The scenario that plays the model, if one does: then no sign-in is used."""
        container = self.status.container
        return (container.environment.get("CCAPI_REHEARSAL") or None) if container else None

    @property
    def billing(self) -> str | None:
        """Who pays for an answer."""
        if self.rehearsal:
            return SCRIPTED
        return BILLING[self.facts.sign_in.method] if self.facts.sign_in else None

    @property
    def outdated(self) -> bool:
        """Whether `ccapi up` would put another image in the place of the one that runs."""
        container, wanted = self.status.container, self.facts.wanted_image
        return container is not None and wanted is not None and container.image != wanted


def status(home: Home, docker: Mapping[str, str]) -> Status:
    """Only how the container is. Raises `DockerUnavailable`."""
    return stack_status.status(docker, home.stack)


def look(home: Home, docker: Mapping[str, str], settings: Callable[[], Settings]) -> Report:
    """Everything. `settings` may raise, as the files may be broken. Raises `DockerUnavailable`."""
    deadline = time.monotonic() + _BUDGET
    found, facts = status(home, docker), Facts()
    questions: list[Callable[[], None]] = []
    if container := found.container:
        questions.append(lambda: _stored(home, docker, facts))
        questions.append(lambda: _wanted(container, settings, facts))
        if container.state == "running":
            questions.append(lambda: _gateway(home, container, facts))
    _together(questions, deadline)
    return Report(home.stack, found, replace(facts), proxy.running(home))


def every(home: Home, docker: Mapping[str, str]) -> list[tuple[Home, Status]]:
    """Each stack of this machine. Raises `DockerUnavailable`."""
    return [(one, status(one, docker)) for one in stacks.homes(home, docker, timeout=_CALL)]


def _together(questions: list[Callable[[], None]], deadline: float) -> None:
    """All at once; who has not answered by the deadline is not waited for."""
    threads = [threading.Thread(target=_quietly, args=(question,), daemon=True) for question in questions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


def _quietly(question: Callable[[], None]) -> None:
    with suppress(CcapiError, OSError):
        question()


def _gateway(home: Home, container: Container, facts: Facts) -> None:
    facts.overview = work.overview(home, base_url(container), timeout=_CALL)


def _stored(home: Home, docker: Mapping[str, str], facts: Facts) -> None:
    """By what lies in the container and on its volume, also when it does not run."""
    with suppress(DockerUnavailable), Engine(docker, home.stack, timeout=_CALL) as engine:
        facts.claude = claude_version(engine)
        facts.sign_in = signin.details(engine.file)


def _wanted(container: Container, settings: Callable[[], Settings], facts: Facts) -> None:
    found = settings()
    uid, _, gid = container.user.partition(":")
    user = User(int(uid), int(gid or uid)) if uid.isdecimal() and (gid or uid).isdecimal() else User()
    claude = found.value("stack.claude_version")
    facts.wanted_image = templates.build_input(found.base_image, found.ca_file, user, claude).image
