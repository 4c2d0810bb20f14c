"""The container and the OAuth proxy stop and start again; nothing is made anew, and nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from ccapi.commands import proxy, stack
from ccapi.errors import CcapiError
from ccapi.settings import Settings
from ccapi.stack import health
from ccapi.stack.engine import Engine
from ccapi.stack.lifecycle import locked
from ccapi.stack.progress import Kind, Progress, Report
from ccapi.stack.spec import Options
from ccapi.stack.state import Container
from ccapi.stack.status import base_url

_GRACE = 40  # seconds; docker-compose.yml's stop_grace_period


@dataclass(frozen=True, slots=True)
class Restarted:
    """`seconds` until it was healthy. `changed`: settings that the container does not have, which takes `ccapi up`."""

    url: str | None
    seconds: float
    changed: list[str]
    callback_url: str | None


def restart(
    settings: Settings, *, docker: Mapping[str, str], network: Mapping[str, str], timeout: float, report: Report
) -> Restarted:
    """Answers that are being written get the gateway's shutdown_grace. `timeout`: seconds until it must be healthy.

    Raises `DockerUnavailable`, `StackTimeout`, and `StackFailed`, also when there is no container.
    """
    here, began = stack.host(settings.home, docker), time.monotonic()
    with Engine(docker, settings.home.stack) as engine, locked(here, report):
        found = engine.present()
        report(Progress("phase", "Restarting the container"))
        if found.state == "paused":
            engine.unpause()
        engine.restart(grace=_GRACE)

        def say(kind: Kind, text: str) -> None:
            report(Progress(kind, text))

        health.wait(engine, timeout=timeout, report=say, stop=engine.stop)
        report(Progress("done", f"Healthy after {time.monotonic() - began:.1f} s"))
    with suppress(CcapiError):  # then that is what `ensure` says, too
        proxy.stop(settings.home)
    callback_url = proxy.ensure(settings, report)
    url = base_url(found) if found.published else None
    return Restarted(url, time.monotonic() - began, _changed(settings, found, docker, network), callback_url)


def _changed(settings: Settings, found: Container, docker: Mapping[str, str], network: Mapping[str, str]) -> list[str]:
    """By name; nothing when that cannot be told."""
    with suppress(CcapiError):
        plan = stack.plan(
            settings,
            docker=docker,
            network=network,
            rehearsal=found.environment.get("CCAPI_REHEARSAL"),
            report=lambda _: None,
            options=Options(),
        )
        return [difference.what for difference in plan.changed]
    return []
