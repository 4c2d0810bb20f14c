"""Brings the stack up: what must hold before, what is built, started and waited for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from ccapi import paths
from ccapi.errors import CcapiError, StackFailed
from ccapi.stack import build, compose, health, lock, preflight, signin, templates
from ccapi.stack.compose import ComposeFailed
from ccapi.stack.differences import differences
from ccapi.stack.engine import Container, Engine
from ccapi.stack.progress import Kind, Progress, Report
from ccapi.stack.spec import Difference, StackSpec


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
    changed: list[Difference]
    signed_in: bool


def up(wanted: StackSpec, host: Host, *, timeout: float, report: Report, knows_us: Callable[[], bool]) -> Up:
    """Make the stack what is wanted, and wait until it is healthy. Does nothing when it is already.

    `knows_us`: whether a gateway that runs reads the keys directory that is wanted. It does not if that was removed
    and made anew: a container keeps the directory that was there when it started.
    `timeout` is in seconds; its clock starts when the image is there. Raises `DockerUnavailable`, `PortBusy`,
    `StackTimeout`, `SettingInvalid`, `StackFailed`. When the wait fails the container stays, for a look at it.
    """
    preflight.check_workspace(wanted.workspace)
    preflight.check_keys(wanted)
    with Engine(host.environ, host.stack) as engine, locked(host, report):
        return _Starter(wanted, host, engine, report, knows_us).up(timeout)


class _Starter:
    """One run of `up`: what its steps share."""

    def __init__(
        self, wanted: StackSpec, host: Host, engine: Engine, report: Report, knows_us: Callable[[], bool]
    ) -> None:
        self.wanted = wanted
        self.host = host
        self.engine = engine
        self._report = report
        self._knows_us = knows_us
        self.inputs = templates.build_input(wanted.base_image, wanted.ca_file)
        self.image = self.inputs.image
        self.text = templates.compose_text(start_interval=engine.knows_start_interval)
        self.compose_id = templates.compose_id(self.text)

    def up(self, timeout: float) -> Up:
        found = self._found()
        changed = differences(found, self.wanted, self.image, self.compose_id) if found else []
        runs = found is not None and found.state == "running" and found.health == "healthy"
        estranged = runs and not self._knows_us()
        if runs and not changed and not estranged:
            return self._result(already=True, changed=[])
        if estranged:
            self.report("note", "The container reads a directory of keys that is no longer there; it is made anew")
        self._check(found, changed)
        if not self.engine.has_image(self.image):
            self._build()
        self._start(timeout, recreate=estranged or (found is not None and _is_stuck(found)))
        with suppress(CcapiError):  # tidying up: no reason to fail
            self.engine.remove_old_images(keep=self.image)
        return self._result(already=False, changed=changed)

    def report(self, kind: Kind, text: str) -> None:
        self._report(Progress(kind, text))

    def _found(self) -> Container | None:
        found = self.engine.container()
        if found and not found.ours:
            raise StackFailed(
                f"a container named {found.name} is there that ccapi did not make",
                hint=f"Rename it (docker rename {found.name} other) or remove it (docker rm -f {found.name}).",
            )
        return found

    def _check(self, found: Container | None, changed: list[Difference]) -> None:
        for difference in changed:
            self.report("note", f"{difference.what}: {difference.running} → {difference.wanted}")
        for warning in preflight.warnings(self.wanted):
            self.report("warning", warning)
        ours = found is not None and found.state in {"running", "paused"} and found.port == self.wanted.port
        if not ours:
            preflight.check_port(self.wanted.port, self.engine)

    def _build(self) -> None:
        began = time.monotonic()
        preflight.check_snap(self.host.environ, self.host.cache)
        self.report("phase", "Building the image")
        lines: list[str] = []

        def on_line(line: str) -> None:
            lines.append(line)
            if step := build.step(line):
                self.report("step", step)

        try:
            with self.inputs.staged(self.host.cache) as directory:
                self._compose("build", directory=directory, on_line=on_line)
        except ComposeFailed as error:
            raise self._build_failed(lines, error) from error
        except KeyboardInterrupt:
            self.report("note", "Interrupted; nothing but the builder's cache has changed")
            raise
        self.report("done", f"Image built in {time.monotonic() - began:.0f} s")

    def _build_failed(self, lines: list[str], error: ComposeFailed) -> StackFailed:
        for line in build.failed_output(lines):
            self.report("log", line)
        log = self.host.state / "build.log"
        log.touch(0o600)
        log.write_text("\n".join(lines) + "\n", "utf-8")
        advice = build.hint(lines)
        hint = "\n".join(filter(None, [advice, f"All of the build's output: {log}"]))
        return StackFailed("the image could not be built", hint=hint, detail=error.detail)

    def _start(self, timeout: float, *, recreate: bool) -> None:
        began = time.monotonic()
        self.report("phase", "Starting the container")
        try:
            self._compose("up", "--detach", "--no-build", "--pull=never", *(["--force-recreate"] if recreate else []))
            health.wait(self.engine, timeout=timeout, report=self.report, stop=lambda: self._compose("stop"))
        except ComposeFailed as error:
            raise self._start_failed(error) from error
        except KeyboardInterrupt:
            self.report("note", "Interrupted; the container is left as it is: ccapi status, ccapi logs, ccapi down")
            raise
        self.report("done", f"Healthy after {time.monotonic() - began:.1f} s")

    def _start_failed(self, error: ComposeFailed) -> CcapiError:
        """Between our check and Docker's bind, another process may have taken the port."""
        if any("already allocated" in line or "address already in use" in line for line in error.lines):
            return preflight.port_busy(self.wanted.port, self.engine)
        return error

    def _compose(self, *command: str, directory: Path | None = None, on_line: compose.OnLine = lambda _: None) -> None:
        compose.run(
            *command,
            stack=self.host.stack,
            text=self.text,
            environ=self.host.environ,
            variables=self.wanted.interpolation(self.image, self.compose_id),
            directory=directory or paths.templates_dir() / "compose",
            on_line=on_line,
        )

    def _result(self, *, already: bool, changed: list[Difference]) -> Up:
        return Up(self.wanted.url, self.image, already, changed, signin.signed_in(self.engine.file))


def locked(host: Host, report: Report) -> AbstractContextManager[None]:
    """One that changes the stack at a time; another one waits, and says so."""

    def waiting(holder: str) -> None:
        report(Progress("note", f"Waiting for another ccapi to finish (PID {holder})"))

    return lock.exclusive(host.state / "stack.lock", waiting)


def _is_stuck(container: Container) -> bool:
    """Whether it would not become healthy by being left alone, as compose does with what runs as wanted."""
    unhealthy = container.state == "running" and container.health != "healthy"
    return unhealthy or container.state in {"paused", "restarting", "dead"}
