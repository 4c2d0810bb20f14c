"""Puts a container with another release of Claude Code in the place of one that works, and that one back if need be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from ccapi.errors import CcapiError, StackFailed
from ccapi.stack import health, lifecycle, spec, templates
from ccapi.stack.differences import differences
from ccapi.stack.inspection import Inspector
from ccapi.stack.starter import Look, Starter
from ccapi.stack.state import Container
from ccapi.stack.task import Task

Settle = Callable[[Inspector], None]

_OTHER_IMAGE = {"image", "docker-compose.yml"}  # what differs when ccapi itself is another one: that may come along


class Keeper(Inspector):
    """An `Engine` that also gives images names. Raises like it."""

    def name_image(self, image: str, name: str) -> None:
        """One that had this name loses it."""
        repository, _, tag = name.partition(":")
        with self._mapped():
            self._api.tag(image, repository, tag)


def present(task: Task) -> Container:
    """The container, which must be healthy and as the settings want it, but for its image.

    Raises `DockerUnavailable`, `SettingInvalid`, `StackFailed`.
    """
    with _upgrader(task) as upgrader:
        return upgrader.present()


def upgrade(task: Task, old: Container, *, settle: Settle, unsettle: Callable[[], None]) -> None:
    """Build the image that is wanted while `old` goes on, start it in its place, and wait until it is healthy.

    `settle` then tries it and writes down what must be; it raises if the container is no good. Whatever fails or
    interrupts any of it: `unsettle` takes back what was written, the image of `old` runs again, and the failure is
    raised, as `StackFailed`. Neither volumes nor `old`'s image are touched, which `kept` names from now on.
    Raises `DockerUnavailable` and `StackFailed`.
    """
    with lifecycle.locked(task.host, task.report), _upgrader(task) as upgrader:
        found = upgrader.present()
        if found.id != old.id:
            raise StackFailed("the container was replaced by somebody else meanwhile", hint="Once more: ccapi upgrade")
        upgrader.put(found, settle, unsettle)


@contextmanager
def _upgrader(task: Task) -> Iterator[_Upgrader]:
    wanted = task.wanted
    inputs = templates.build_input(wanted.base_image, wanted.ca_file, claude=wanted.claude)
    with Keeper(task.host.environ, task.host.stack) as engine:
        yield _Upgrader(task, engine, inputs)


class _Upgrader(Starter):
    """Like `up`, of a container that works; nothing is tidied away."""

    interrupted = "Interrupted"

    def __init__(self, task: Task, engine: Keeper, inputs: templates.BuildInput) -> None:
        super().__init__(task, engine, inputs)
        self._keeper = engine

    def present(self) -> Container:
        """See the function."""
        found = self._found()
        if found is None:
            raise StackFailed("there is no container", hint="Start it: ccapi up")
        if found.state != "running" or found.health != "healthy":
            hint = "Start it, or see what is wrong with it: ccapi up, ccapi doctor"
            raise StackFailed("the container is not healthy, so there would be nothing to go back to", hint=hint)
        changed = differences(found, self.wanted, self.image, self.compose_id)
        if names := [one.what for one in changed if one.what not in _OTHER_IMAGE]:
            hint = "Take that over first: ccapi up"
            raise StackFailed(f"the container is not as in the settings: {', '.join(names)}", hint=hint)
        return found

    def put(self, old: Container, settle: Settle, unsettle: Callable[[], None]) -> None:
        """In the place of `old`; see `upgrade`."""
        build = not self.engine.has_image(self.image)
        self.options = replace(self.options, build=build)  # True: no older image will do, if there is no network
        look = Look(old, build=build, action="recreate")
        for warning in self._preflight(look):
            self.report("warning", warning)
        if build:
            self._build_beside()
        name = spec.kept(self.host.stack)
        before = self.engine.image_id(name)
        self._keeper.name_image(old.image_id, name)
        settling = False
        try:
            self._start(look, health.leave)
            settling = True
            settle(self.engine)
        except BaseException as error:
            try:
                if settling:
                    unsettle()
            finally:
                self._go_back(old)
                self._restore_name(name, before)
            if isinstance(error, CcapiError):
                raise _as_before(error) from error
            raise

    def _build_beside(self) -> None:
        try:
            self._build()
        except StackFailed as error:
            raise _as_before(error, error.hint) from error

    def _go_back(self, old: Container) -> None:
        """Raises `StackFailed` when that fails as well.

        Also where `old` itself still runs: it may be about to stop, and Docker would not start it again.
        """
        self.report("warning", "going back to the image before")
        self.image = old.image
        try:
            if not self.engine.has_image(old.image):
                self._keeper.name_image(old.image_id, old.image)
            self._start(Look(self.engine.container(), action="recreate"), health.leave)
        except CcapiError as worse:
            hint = "The settings are as before. Once that is mended: ccapi up"
            raise StackFailed(f"going back failed: {worse.message}", hint=hint) from worse
        except (KeyboardInterrupt, SystemExit):
            self.report("warning", "going back was interrupted; the settings are as before: ccapi up")
            raise

    def _restore_name(self, name: str, before: str | None) -> None:
        if before:
            self._keeper.name_image(before, name)
        else:
            self._keeper.remove_image(name)


def _as_before(error: CcapiError, hint: str | None = None) -> StackFailed:
    """Not with the hint of `error` itself, if that is about a container that is no longer there."""
    message = f"{error.message}; the container runs as before"
    return StackFailed(message, hint=hint, detail=error.detail)
