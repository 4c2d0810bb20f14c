"""A stack with a name of its own, beside whatever else is on the machine: nobody is in the way of anybody."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.cli.support import Cli, Terminal
from tests.stack.support import NAME, Stack, docker


class Project(Stack):
    """`ccapi` for the stack `claude-code-api-PROJECT`; `name` is what Docker calls it."""

    def __init__(self, directory: Path, project: str) -> None:
        super().__init__(directory)
        self.project = project
        self.name = f"{NAME}-{project}"
        self.config_volume = f"{self.name}_claude-config"
        self.workspace_volume = f"{self.name}_workspace"
        self.environ["CCAPI_STACK_PROJECT"] = project

    def image(self) -> str:
        """That of its container."""
        return docker("inspect", "--format", "{{.Config.Image}}", self.name)

    def things(self) -> dict[str, list[str]]:
        """What Docker has of it, by its label."""
        ours = f"label=ccapi.stack={self.name}"
        return {
            "containers": docker("ps", "--all", "--filter", ours, "--format", "{{.Names}}").split(),
            "networks": docker("network", "ls", "--filter", ours, "--format", "{{.Name}}").split(),
            "volumes": docker("volume", "ls", "--filter", ours, "--format", "{{.Name}}").split(),
        }

    def terminal(self, *args: str, columns: int = 80, **environ: str) -> AbstractContextManager[Terminal]:
        """The command on a pseudo-terminal."""
        return self.as_cli().terminal(*args, environ=environ, columns=columns)

    def start(self, *args: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
        """The command in the background."""
        return self.as_cli().start(*args)

    def as_cli(self) -> Cli:
        cli = Cli(self.directory)
        cli.environ = self.environ
        return cli

    def remove_everything(self) -> None:
        """Images stay where others have them: they are all stacks' own."""
        self.cli("down", "--volumes", "--yes", "--remove-orphans")


@contextmanager
def project(directory: Path, name: str) -> Iterator[Project]:
    """Nothing of it is left at the end."""
    stack = Project(directory, name)
    try:
        yield stack
    finally:
        stack.remove_everything()
