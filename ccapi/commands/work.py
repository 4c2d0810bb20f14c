"""What would end with the container: answers that are being written, and what people do in it at the moment."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from ccapi.commands import secret
from ccapi.errors import CcapiError
from ccapi.paths import Home
from ccapi.stack.census import Census, Session
from ccapi.stack.progress import Progress, Report
from ccapi.stack.status import base_url
from ccapi.wire.internal import Overview

_PATIENCE = 1.0  # seconds that the gateway has to answer
_POLL = 0.3  # seconds


@dataclass(frozen=True, slots=True)
class Work:
    """`answers` that are being written or wait for it: of a gateway that cannot be asked it is not known, and 0."""

    answers: int = 0
    sessions: list[Session] = field(default_factory=list)

    @property
    def any(self) -> bool:
        return bool(self.answers or self.sessions)

    def __str__(self) -> str:
        return " and ".join(filter(None, [_answers(self.answers), _sessions(self.sessions)])) or "nothing goes on"


def look(home: Home, docker: Mapping[str, str]) -> Work:
    """What goes on now. Nothing of it is known for sure: what cannot be asked is left out. Raises nothing of ours."""
    with suppress(CcapiError), Census(docker, home.stack) as engine:
        container = engine.own()
        if container is None or container.state != "running":
            return Work()
        sessions = engine.sessions()
        found = overview(home, base_url(container), timeout=_PATIENCE)
        return Work(found.runs + found.waiting if found else 0, sessions)
    return Work()


def drain(home: Home, docker: Mapping[str, str], *, seconds: float, report: Report) -> Work:
    """Wait until no answer is being written any more, for so many seconds at most; what goes on then.

    Sessions are not waited for: they end when a person ends them.
    """
    deadline, said = time.monotonic() + seconds, False
    while (work := look(home, docker)).answers and time.monotonic() < deadline:
        if not said:
            report(Progress("phase", "Waiting for answers"))
            said = True
        report(Progress("step", f"{_answers(work.answers)} ({max(0.0, deadline - time.monotonic()):.0f} s left)"))
        time.sleep(_POLL)
    if said and not work.answers:
        report(Progress("done", "All answers are complete"))
    return work


def overview(home: Home, url: str, *, timeout: float) -> Overview | None:
    """What the gateway tells of itself; None when it cannot be asked, or is of a version that does not tell."""
    from ccapi.client.internal import InternalClient

    with suppress(CcapiError, OSError):
        if key := secret.known(home):
            with InternalClient(url, key, timeout=timeout) as gateway:
                return gateway.overview()
    return None


def _answers(number: int) -> str:
    if number == 1:
        return "1 answer is being written"
    return f"{number} answers are being written" if number else ""


def _sessions(sessions: list[Session]) -> str:
    names = ", ".join(session.command for session in sessions)
    if len(sessions) == 1:
        return f"1 session is open ({names})"
    return f"{len(sessions)} sessions are open ({names})" if sessions else ""
