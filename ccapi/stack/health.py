"""Waits until the container is healthy. `compose up --wait` neither says why it is not, nor ends at a crash loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from ccapi.errors import CcapiError, StackFailed, StackTimeout
from ccapi.stack.engine import Container, Engine
from ccapi.stack.progress import Kind

_POLL = 0.2  # seconds
_LOG_LINES = 20

Say = Callable[[Kind, str], None]


def wait(engine: Engine, *, timeout: float, report: Say, stop: Callable[[], None]) -> None:
    """`stop` ends a container that crashes, which Docker would otherwise start again and again.

    Raises `StackFailed` when the container's process ends, `StackTimeout` after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    said = ""
    while True:
        container = engine.container()
        if container is None or container.state == "removing":
            raise StackFailed("the container was removed while it started")
        if container.ended:
            _crashed(container, engine, report, stop)
        if container.health == "healthy":
            return
        if time.monotonic() >= deadline:
            _timed_out(container, engine, report, timeout)
        if said != (said := container.health or container.state):
            report("step", said)
        time.sleep(_POLL)


def _crashed(container: Container, engine: Engine, report: Say, stop: Callable[[], None]) -> NoReturn:
    _show_logs(engine, report)
    with suppress(CcapiError):
        stop()
    why = "it ran out of memory" if container.oom_killed else f"exit code {container.exit_code}"
    detail = f" ({container.error})" if container.error else ""
    raise StackFailed(f"the container ended while it started: {why}{detail}")


def _timed_out(container: Container, engine: Engine, report: Say, timeout: float) -> NoReturn:
    _show_logs(engine, report)
    last = f"; its last health check said: {container.probe}" if container.probe else ""
    raise StackTimeout(
        f"the container did not become healthy within {timeout:g} s{last}",
        hint="It is left for inspection: ccapi logs, ccapi status, ccapi down",
    )


def _show_logs(engine: Engine, report: Say) -> None:
    with suppress(CcapiError):  # it may be gone by now: what is to be reported is why that happened
        for line in engine.logs(_LOG_LINES).decode("utf-8", "replace").splitlines():
            report("log", line)
