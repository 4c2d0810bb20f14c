"""Brings the stack up, and stops it. What is as wanted is seen at a glance; the rest is `starter`'s."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ccapi import paths
from ccapi.errors import CcapiError, DockerUnavailable, SettingInvalid
from ccapi.stack import admissible, glance, lock, ownership, signin, templates
from ccapi.stack.differences import differences
from ccapi.stack.glance import Glance
from ccapi.stack.progress import Progress, Report
from ccapi.stack.spec import StackSpec
from ccapi.stack.task import Decide, Host, Plan, Secrets, Task, Up
from ccapi.stack.templates import BuildInput

if TYPE_CHECKING:
    from ccapi.stack.starter import Starter

__all__ = ["Host", "Plan", "Secrets", "Task", "Up", "locked", "plan", "stop", "up"]


def up(task: Task, *, secrets: Secrets, decide: Decide | None = None) -> Up:
    """Make the stack what is wanted, and wait until it is healthy. Does nothing when it is already.

    `decide`: what becomes of a container that is not healthy in time; None: it stays, for a look at it.
    Raises `DockerUnavailable`, `PortBusy`, `StackTimeout`, `SettingInvalid`, `StackFailed`; for several problems that
    are known before, one error that tells of all.
    """
    with locked(task.host, task.report):
        inputs, problems = _inputs(task.wanted)
        if inputs and (done := _already(task, inputs, secrets)):
            return done
        with _ready(task, inputs, problems) as starter:
            return starter.up(secrets, decide)


def plan(task: Task, *, secrets: Secrets) -> Plan:
    """What `up` would do; nothing is changed. Raises what `up` would raise before it changes anything."""
    with _ready(task, *_inputs(task.wanted)) as starter:
        return starter.plan(secrets)


def stop(host: Host, *, report: Report) -> None:
    """Stop the container, which stays. Raises `DockerUnavailable`, `StackFailed`."""
    from ccapi.stack import compose

    with locked(host, report):
        report(Progress("phase", "Stopping the container"))
        compose.run(
            "stop",
            stack=host.stack,
            text=templates.compose_text(start_interval=False),
            environ=host.environ,
            variables={"CCAPI_STACK": host.stack},
            directory=paths.templates_dir() / "compose",
        )
        report(Progress("done", "Stopped"))


def _inputs(wanted: StackSpec) -> tuple[BuildInput | None, list[CcapiError]]:
    """What an image would be made of, unless something is wrong with what is wanted: then all that is."""
    problems = list(admissible.problems(wanted))
    try:
        inputs = templates.build_input(wanted.base_image, wanted.ca_file, claude=wanted.claude)
    except SettingInvalid as error:
        problems.append(error)
    return (None, problems) if problems else (inputs, [])


def _already(task: Task, inputs: BuildInput, secrets: Secrets) -> Up | None:
    """What `up` found, if there is nothing for it to do; None when there may be."""
    options = task.options
    if options.build or options.recreate or options.pull == "always":
        return None
    try:
        seen = Glance(task.host.environ, task.host.stack)
        wanted = ownership.settled(task.wanted, seen.info)
        found, image = seen.container(), replace(inputs, user=wanted.user).image
        made_from = templates.compose_id(templates.compose_text(start_interval=seen.knows_start_interval))
        fine = found.ours and found.state == "running" and found.health == "healthy"
        if not fine or differences(found, wanted, image, made_from) or not secrets.known() or seen.leftovers():
            return None
        return Up(
            wanted.url, image, already=True, healthy=True, changed=[], sign_in=signin.look(seen.files(signin.FILES).get)
        )
    except glance.NothingSeen:
        return None


@contextmanager
def _ready(task: Task, inputs: BuildInput | None, problems: list[CcapiError]) -> Iterator[Starter]:
    """The engine answers, and what is wanted makes sense; what else is in the way is told as well if not."""
    from ccapi.stack import preflight
    from ccapi.stack.inspection import Inspector
    from ccapi.stack.starter import Starter

    host = task.host
    try:
        engine = Inspector(host.environ, host.stack)
    except DockerUnavailable as error:
        more = [one for one in preflight.of_docker(host.environ, host.cache) if one.message != error.message]
        raise preflight.joined([*problems, error, *more, *preflight.of_ports(task.wanted, None)]) from error
    with engine:
        if inputs is None:
            raise preflight.joined(problems)
        yield Starter(task, engine, inputs)


def locked(host: Host, report: Report) -> AbstractContextManager[None]:
    """One that changes the stack at a time; another one waits, and says so."""

    def waiting(holder: str) -> None:
        report(Progress("note", f"Waiting for another ccapi to finish (PID {holder})"))

    return lock.exclusive(host.state / "stack.lock", waiting)
