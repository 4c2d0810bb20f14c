"""A person who reads a page of docs/ and does what it says: one gateway with the scripted model, one shell."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from ccapi import settings
from ccapi.settings import Settings
from tests.cli.readme import Block, Page, bash, below
from tests.cli.support import Gateway, clean_environ, gateway


class Reader:
    """Runs what stands in a page, with the port of this gateway in the place of 8000."""

    def __init__(self, running: Gateway, directory: Path) -> None:
        self.running = running
        self.home = running.log.parent / "home"
        self.directory = directory
        bin_ = directory / "bin"
        bin_.mkdir()
        for name, words in (("ccapi", "-m ccapi "), ("python", "")):
            (bin_ / name).write_text(f'#!/bin/sh\nexec {sys.executable} {words}"$@"\n')
            (bin_ / name).chmod(0o755)

    @property
    def environ(self) -> dict[str, str]:
        """Of a shell in which `ccapi` and `python` are commands, on a machine without Docker."""
        clean = clean_environ(self.home)
        return {
            **clean,
            "PATH": f"{self.directory / 'bin'}:{clean['PATH']}",
            "CCAPI_GATEWAY_PORT": str(self.running.port),
            "DOCKER_HOST": f"unix://{self.directory}/no.sock",
        }

    def shell(self, blocks: list[Block], **environ: str) -> list[str]:
        """What each command of the blocks prints. One shell runs them all, and all must succeed."""
        commands = [command for block in blocks for command in block.commands]
        script = "".join(f"{self.here(command)}\nprintf '\\0%s\\0' $?\n" for command in commands)
        done = bash(script, {**self.environ, **environ}, self.directory)
        *parts, rest = done.stdout.split("\0")
        assert set(parts[1::2]) == {"0"}, f"{done.stdout}\n{done.stderr}"
        assert rest == ""
        return parts[::2]

    def python(self, page: Page, heading: str) -> list[str]:
        """What each Python example below the heading prints."""
        printed, names = [], dict[str, Any](__name__="__main__")
        for block in below(page, heading):
            if block.language == "python":
                with redirect_stdout(io.StringIO()) as out:
                    exec(compile(self.here(block.text), str(page.path), "exec"), names)  # noqa: S102 -- it is ours
                printed.append(out.getvalue())
        return printed

    def settings(self) -> Settings:
        """What the person's settings files say by now."""
        return settings.load(environ=clean_environ(self.home), directory=self.home)

    def here(self, text: str) -> str:
        """With the port of this gateway."""
        return re.sub(r"\b(localhost|127\.0\.0\.1):8000\b", rf"\1:{self.running.port}", text)


@contextmanager
def reader(directory: Path) -> Iterator[Reader]:
    """A gateway in a workspace with one Python file."""
    with gateway(directory / "gateway", "--rehearsal") as running:
        (running.workspace / "one.py").write_text("print(1)\n")
        yield Reader(running, directory)
