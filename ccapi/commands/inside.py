"""The stack's container, for what is done in it: found, and known to run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, Self

from ccapi.redact import redact
from ccapi.stack.container import Container, Ran
from ccapi.stack.engine import Engine

__all__ = ["CLAUDE", "Inside", "Ran", "Terminal", "opened", "words"]

# Not in the workspace, which is the agent's: what its files say of settings and servers must not count here.
CLAUDE = ("env", "--chdir=/", "claude")


class Terminal(Protocol):
    """A program on a terminal in the container; see `ccapi.stack.container.Terminal`."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def read(self, timeout: float) -> bytes | None: ...

    def write(self, data: bytes) -> None: ...

    def exit_code(self) -> int | None: ...

    def close(self) -> None: ...


class Inside(Protocol):
    """What is asked of the container; see `ccapi.stack.container.Container`."""

    def run(self, *argv: str, stdin: bytes = b"", timeout: float = 60) -> Ran: ...

    def terminal(self, *argv: str, columns: int = 4000, timeout: float = 3600) -> Terminal: ...

    def signal_gateway(self, name: str) -> None: ...


@contextmanager
def opened(docker: Mapping[str, str], stack: str) -> Iterator[Inside]:
    """The stack's running container. `docker` is `settings.docker_environment`, `stack` `paths.Home.stack`.

    Raises `DockerUnavailable`, `StackFailed`.
    """
    with Engine(docker, stack) as engine:
        engine.running()
        yield Container(engine)


def words(ran: Ran) -> str:
    """The last thing a program said, to be shown to a person: what looks like a credential is taken out."""
    lines = [line.strip() for line in f"{ran.stdout}\n{ran.stderr}".splitlines() if line.strip()]
    return redact(lines[-1])[:300] if lines else f"exit code {ran.code}"
