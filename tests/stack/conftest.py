"""What the tests of the stack share: the command against the real engine, on a stack of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.support import FakeDocker, Stack, refuse_to_harm


@pytest.fixture(scope="session")
def stack(docker_engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack's commands; one image for all tests. Nothing of it is left at the end."""
    refuse_to_harm()
    stack = Stack(tmp_path_factory.mktemp("stack"))
    try:
        yield stack
    finally:
        stack.remove_everything()


@pytest.fixture
def running(stack: Stack) -> Stack:
    """The stack, healthy, with the default rehearsal scenario."""
    stack.up()
    return stack


@pytest.fixture
def absent(stack: Stack) -> Stack:
    """The stack, with neither container nor volumes."""
    stack.cli("down", "--volumes", "--yes")
    return stack


@pytest.fixture
def fake_docker(tmp_path: Path) -> FakeDocker:
    return FakeDocker(tmp_path / "bin")
