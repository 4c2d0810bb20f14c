"""Builds the image: with the base image that is here, or a newer one; and without a network what can be had so."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ccapi.errors import ComposeFailed, StackFailed
from ccapi.stack import build, compose
from ccapi.stack.engine import Engine
from ccapi.stack.progress import Kind
from ccapi.stack.spec import Options
from ccapi.stack.templates import BuildInput

Say = Callable[[Kind, str], None]


class Compose(Protocol):
    """Runs a command of `docker compose`."""

    def __call__(self, *command: str, directory: Path | None = None, on_line: compose.OnLine = ...) -> None: ...


def needed(engine: Engine, image: str, options: Options) -> bool:
    """Whether there is something to build. Raises `StackFailed` when there is, and `--no-build`."""
    there = engine.has_image(image)
    if options.build is False:
        if not there:
            hint = "Have it built: ccapi up"
            raise StackFailed(f"the image {image} is not there, and --no-build was given", hint=hint)
        return False
    return not there or options.build is True or options.pull == "always"


@dataclass(frozen=True, slots=True)
class Builder:
    """What a build needs. `cache`: where it is staged; `log`: the file that gets the output of one that failed."""

    inputs: BuildInput
    engine: Engine
    run: Compose
    options: Options
    cache: Path
    log: Path
    say: Say

    def make(self) -> str:
        """Build, and return the image's name: another one when that could not be built for want of a network.

        Raises `StackFailed`, `DockerUnavailable`.
        """
        base, pull = self.inputs.base_image, self.options.pull
        base_is_here = self.engine.has_image(base)
        if pull == "never" and not base_is_here:
            hint = f"Get it: docker pull {base}"
            raise StackFailed(f"the base image {base} is not here, and --pull never was given", hint=hint)
        try:
            try:
                self._build(pull=pull == "always")
            except _Failed as failed:
                if pull != "always" or not base_is_here or not failed.unreachable:
                    raise
                self.say("warning", f"{base} could not be pulled; going on with the one that is here")
                self._build(pull=False)
        except _Failed as failed:
            return self._instead(failed)
        return self.inputs.image

    def _build(self, *, pull: bool) -> None:
        began = time.monotonic()
        self.say("phase", "Building the image")
        lines: list[str] = []

        def on_line(line: str) -> None:
            lines.append(line)
            if step := build.step(line):
                self.say("step", step)

        try:
            with self.inputs.staged(self.cache) as directory:
                self.run("build", *(["--pull"] if pull else []), directory=directory, on_line=on_line)
        except ComposeFailed as error:
            raise _Failed(lines, error) from error
        except (KeyboardInterrupt, SystemExit):
            self.say("note", "Interrupted; nothing but the builder's cache has changed")
            raise
        self.say("done", f"Image built in {time.monotonic() - began:.0f} s")

    def _instead(self, failed: _Failed) -> str:
        """An older image of ours, if it was only for the network, and nobody insisted on a build.

        Raises `StackFailed` where there is none.
        """
        for line in build.failed_output(failed.lines):
            self.say("log", line)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.touch(0o600)
        self.log.write_text("\n".join(failed.lines) + "\n", "utf-8")
        if failed.unreachable and self.options.build is None:
            older = self.engine.newest_image(str(self.inputs.user))
            if older:
                self.say("warning", f"without a network no image can be built; going on with an older one, {older}")
                return older
        hint = "\n".join(filter(None, [build.hint(failed.lines), f"All of the build's output: {self.log}"]))
        raise StackFailed("the image could not be built", hint=hint, detail=failed.error.detail) from failed


class _Failed(Exception):
    """A build that did not come to its end, with all that it printed."""

    def __init__(self, lines: list[str], error: ComposeFailed) -> None:
        super().__init__(error.message)
        self.lines = lines
        self.error = error

    @property
    def unreachable(self) -> bool:
        """Whether something on the network could not be reached."""
        return build.is_offline(self.lines)
