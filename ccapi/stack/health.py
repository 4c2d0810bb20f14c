"""Waits until the container is healthy. `compose up --wait` neither says why it is not, nor ends at a crash loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from ccapi.errors import CcapiError, DockerUnavailable, StackFailed, StackTimeout
from ccapi.stack.engine import Container, Engine
from ccapi.stack.progress import Kind
from ccapi.stack.task import Decide, Decision

_POLL = 0.2  # seconds
_LOG_LINES = 20
_STOPPING = 5.0  # seconds that an engine may need to go, after it has stopped a container

Say = Callable[[Kind, str], None]


def leave(_: str) -> Decision:
    """What is decided where nobody can be asked."""
    return "leave"


def wait(engine: Engine, *, timeout: float, report: Say, stop: Callable[[], None], decide: Decide = leave) -> None:
    """`stop` ends a container that crashes, which Docker would otherwise start again and again.

    An engine that is being restarted meanwhile is waited for. Raises `StackFailed` when the container's process ends,
    `StackTimeout` after `timeout` seconds, unless `decide` is to wait for as long once more.
    """
    began = time.monotonic()
    deadline, seen = began + timeout, began
    while True:
        container = _container(engine, deadline, report)
        if container is None or container.state == "removing":
            raise StackFailed("the container was removed while it started", hint="Once more: ccapi up")
        if container.ended:
            if _was_stopped(container) and time.monotonic() - seen < _STOPPING:
                time.sleep(_POLL)
                continue
            _crashed(container, engine, report, stop)
        seen = time.monotonic()
        if container.health == "healthy":
            return
        if time.monotonic() >= deadline:
            _show_logs(engine, report)
            _decided(container, timeout, decide, stop)
            report("phase", "Waiting for the container")
            deadline = time.monotonic() + timeout
        report("step", f"{_state(container)} ({time.monotonic() - began:.0f}/{deadline - began:.0f} s)")
        time.sleep(_POLL)


def _container(engine: Engine, deadline: float, report: Say) -> Container | None:
    """As it is now. Raises `DockerUnavailable` when the engine does not come back before the deadline."""
    said = False
    while True:
        try:
            return engine.container()
        except DockerUnavailable:
            if time.monotonic() >= deadline:
                raise
            if not said:
                report("warning", "the Docker engine does not answer; waiting for it to come back")
                said = True
            time.sleep(_POLL)


def _state(container: Container) -> str:
    if container.state == "running":
        return f"health: {container.health or 'starting'}"
    return container.state


def _was_stopped(container: Container) -> bool:
    """By somebody, or by an engine that is about to end: one that ends by itself would be restarted."""
    return container.state == "exited" and container.exit_code in {0, 137, 143} and not container.oom_killed


def _crashed(container: Container, engine: Engine, report: Say, stop: Callable[[], None]) -> NoReturn:
    _show_logs(engine, report)
    with suppress(CcapiError):
        stop()
    why = "it ran out of memory" if container.oom_killed else f"exit code {container.exit_code}"
    if _was_stopped(container):
        why = "somebody stopped it"
    detail = f" ({container.error})" if container.error else ""
    hint = "Its log: ccapi logs\nOnce that is mended: ccapi up"
    raise StackFailed(f"the container ended while it started: {why}{detail}", hint=hint)


def _decided(container: Container, timeout: float, decide: Decide, stop: Callable[[], None]) -> None:
    """Returns when it is to be waited for once more."""
    last = f"; its last health check said: {container.probe}" if container.probe else ""
    message = f"the container did not become healthy within {timeout:g} s{last}"
    decision = decide(message)
    if decision == "leave":
        raise StackTimeout(message, hint="It is left for inspection: ccapi logs, ccapi status, ccapi down")
    if decision == "stop":
        stop()
        raise StackTimeout(message, hint="It was stopped, and not removed: ccapi logs, ccapi up, ccapi down")


def _show_logs(engine: Engine, report: Say) -> None:
    with suppress(CcapiError):  # it may be gone by now: what is to be reported is why that happened
        for line in engine.logs(_LOG_LINES).decode("utf-8", "replace").splitlines():
            report("log", line)
