"""One run of `up` on an engine that answers: what is built, started and waited for."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from ccapi import paths
from ccapi.errors import CcapiError, ComposeFailed, DockerUnavailable, StackFailed
from ccapi.stack import build, compose, health, imagebuild, ownership, preflight, signin, templates
from ccapi.stack.differences import differences
from ccapi.stack.engine import Container
from ccapi.stack.imagebuild import Builder
from ccapi.stack.inspection import Document, Inspector
from ccapi.stack.progress import Kind, Progress
from ccapi.stack.spec import Difference
from ccapi.stack.task import Action, Decide, Plan, Secrets, Task, Up
from ccapi.stack.templates import BuildInput

_PATIENCE = 10.0  # seconds that a container which has just been started may be left to itself
_ENGINE_BACK = 60.0  # seconds that an engine may take to come back
_POLL = 0.2


@dataclass(frozen=True, slots=True)
class Look:
    """How the stack is, and what has to be done about it."""

    found: Container | None
    changed: list[Difference] = field(default_factory=list)
    estranged: bool = False
    build: bool = False
    action: Action = "create"
    leftovers: list[str] = field(default_factory=list)


class Starter:
    """One run of `up`: what its steps share."""

    interrupted = "Interrupted; the container is left as it is: ccapi status, ccapi logs, ccapi down"

    def __init__(self, task: Task, engine: Inspector, inputs: BuildInput) -> None:
        self._info: Document | None = None
        self.engine = engine
        self.wanted = ownership.settled(task.wanted, self.info)
        self.host = task.host
        self.options = task.options
        self.inputs = replace(inputs, user=self.wanted.user)
        self.image = self.inputs.image
        self.text = templates.compose_text(start_interval=engine.knows_start_interval)
        self.compose_id = templates.compose_id(self.text)
        self._report = task.report
        self._proxy_port = task.proxy_port

    def info(self) -> Document:
        """`docker info`; only for what is not as it mostly is, since it takes a moment."""
        if self._info is None:
            self._info = self.engine.info()
        return self._info

    def up(self, secrets: Secrets, decide: Decide | None) -> Up:
        """Raises like `lifecycle.up`."""
        look = self._look(secrets)
        if look.action == "nothing" and not look.build:
            self._tidy()
            return self._result(already=True, changed=[])
        for warning in self._preflight(look):
            self.report("warning", warning)
        if look.estranged:
            self.report("note", "The container reads a directory of keys that is no longer there; it is made anew")
        for change in look.changed:
            self.report("note", f"{change.what}: {change.running} → {change.wanted}")
        secrets.make()
        if look.build:
            self._build()
            if look.action == "nothing" and look.found and self.engine.image_id(self.image) == look.found.image_id:
                self._tidy()
                return self._result(already=True, changed=[])
        self._start(look, decide or health.leave)
        with suppress(CcapiError):  # tidying up: no reason to fail
            self.engine.remove_old_images(keep=self.image)
        return self._result(already=False, changed=look.changed)

    def plan(self, secrets: Secrets) -> Plan:
        """Raises like `lifecycle.plan`."""
        look = self._look(secrets)
        warnings = self._preflight(look) if look.action != "nothing" or look.build else []
        return Plan(self.wanted.url, look.action, look.build, self.image, look.changed, warnings)

    def report(self, kind: Kind, text: str) -> None:
        self._report(Progress(kind, text))

    # --- how it is

    def _look(self, secrets: Secrets) -> Look:
        found, leftovers = self._found(), self.engine.leftovers()
        build_it = imagebuild.needed(self.engine, self.image, self.options)
        if found is None:
            return Look(None, build=build_it, leftovers=leftovers)
        changed = differences(found, self.wanted, self.image, self.compose_id)
        healthy = found.state == "running" and found.health == "healthy"
        estranged = healthy and not secrets.known()
        if changed or estranged or self.options.recreate or self._is_stuck(found):
            action: Action = "recreate"
        elif healthy or (found.state == "running" and not self.options.wait):
            action = "nothing"
        else:
            action = "start"
        return Look(found, changed, estranged, build_it, action, leftovers)

    def _found(self) -> Container | None:
        found = self.engine.container()
        if found and not found.ours:
            raise StackFailed(
                f"a container named {found.name} is there that ccapi did not make",
                hint=f"Rename it (docker rename {found.name} other) or remove it (docker rm -f {found.name}).",
            )
        return found

    def _is_stuck(self, container: Container) -> bool:
        """Whether it would not become healthy by being left alone, as compose does with what runs as wanted.

        One that has just begun, after a reboot or by another `up --no-wait`, gets a moment.
        """
        if container.state in {"paused", "restarting", "dead"}:
            return True
        if container.state != "running" or container.health == "healthy" or not self.options.wait:
            return False
        deadline = time.monotonic() + _PATIENCE - container.age
        while container.health == "starting" and time.monotonic() < deadline:
            time.sleep(_POLL)
            now = self.engine.container()
            if now is None or now.id != container.id or now.state != "running":
                break
            container = now
        return container.health != "healthy"

    def _preflight(self, look: Look) -> list[str]:
        """The warnings. Raises what is in the way, all of it."""
        problems = [
            *preflight.of_docker(self.host.environ, self.host.cache),
            *preflight.of_engine(self.info(), self.host.environ, build=look.build),
        ]
        if not self._has_port(look):
            problems += preflight.of_ports(self.wanted, self.engine)
        if problems:  # alone it is no reason not to start
            problems += preflight.of_proxy(self._proxy_port(), self.engine)
            raise preflight.joined(problems)
        return list(preflight.warnings(self.wanted, self.info(), self.host.environ))

    def _has_port(self, look: Look) -> bool:
        """Whether the port that is wanted is this stack's already."""
        found = look.found
        if found and found.port == self.wanted.port and found.state in {"running", "paused"}:
            return True
        return bool(look.leftovers) and self.engine.publisher(self.wanted.port) in look.leftovers

    # --- what is done

    def _build(self) -> None:
        log, cache = self.host.state / "build.log", self.host.cache
        builder = Builder(self.inputs, self.engine, self._compose, self.options, cache, log, self.report)
        try:
            self.image = builder.make()
        except StackFailed as error:
            if not build.engine_went(error.detail or ""):
                raise
            self._await_engine()
            self.image = builder.make()

    def _start(self, look: Look, decide: Decide) -> None:
        began = time.monotonic()
        anew = ["--force-recreate"] if look.action == "recreate" else []
        try:
            self.report("phase", "Starting the container")
            if self._may_be_foreign(look.found):
                self._across_restarts("create", "--no-build", "--pull=never", *anew)
                anew = []
                self._hand_over()
            self._across_restarts("up", "--detach", "--no-build", "--pull=never", *anew)
            if self.options.wait:
                health.wait(
                    self.engine,
                    timeout=self.options.timeout,
                    report=self.report,
                    stop=lambda: self._compose("stop"),
                    decide=decide,
                )
        except ComposeFailed as error:
            raise self._start_failed(error) from error
        except (KeyboardInterrupt, SystemExit):
            self.report("note", self.interrupted)
            raise
        took = f"{time.monotonic() - began:.1f} s"
        self.report("done", f"Healthy after {took}" if self.options.wait else f"Started in {took}; not waited for")

    def _may_be_foreign(self, found: Container | None) -> bool:
        """Whether a volume may be there that belongs to another user than the container shall have."""
        same = found is not None and found.user == str(self.wanted.user)
        if same and found is not None and bool(found.workspace) == bool(self.wanted.workspace):
            return False
        return bool(self.engine.volumes())

    def _hand_over(self) -> None:
        """The new container is there and does not run; the one before, if there was one, is gone."""
        if volumes := ownership.foreign(self.engine, self.wanted):
            user = self.wanted.user
            ownership.hand_over(self.engine, self.image, volumes, user)
            self.report("note", f"The volumes belong to user {user.uid} now: {', '.join(volumes)}")

    def _start_failed(self, error: ComposeFailed) -> CcapiError:
        """Between our check and Docker's bind, another process may have taken the port."""
        if any("already allocated" in line or "address already in use" in line for line in error.lines):
            return preflight.port_busy(self.wanted.port, self.engine, host=self.wanted.host)
        return error

    def _across_restarts(self, *command: str) -> None:
        """Once more, if the engine went away in the middle of it. Each of them can be given again."""
        try:
            self._tidied(*command)
        except (ComposeFailed, DockerUnavailable) as error:
            if isinstance(error, ComposeFailed) and not build.engine_went("\n".join(error.lines)):
                raise
            self._await_engine()
            self._tidied(*command)

    def _tidied(self, *command: str) -> None:
        """Compose would start what it has left, under a wrong name, or fail at a name that is taken already."""
        self._tidy()
        self._compose(*command)

    def _tidy(self) -> None:
        """Remove what compose has left when it was stopped in the middle: nothing is in it that is not on the volumes.

        It may run: whoever gives compose a command by hand has it started.
        """
        for name in self.engine.leftovers():
            self.report("note", f"Removing {name}, which an interrupted replacement of the container has left")
            self.engine.take_away(name)

    def _await_engine(self) -> None:
        self.report("warning", "the Docker engine went away; waiting for it to come back")
        deadline = time.monotonic() + _ENGINE_BACK
        while True:
            try:
                self.engine.container()
            except DockerUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL)
            else:
                return

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
        found = self.engine.container() if not already and not self.options.wait else None
        healthy = found is None or found.health == "healthy"
        return Up(self.wanted.url, self.image, already, healthy, changed, signin.look(self.engine.file))
