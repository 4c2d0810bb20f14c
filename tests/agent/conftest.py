"""What the tests of the agent share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from ccapi.agent.launch import Launch
from ccapi.agent.run import Agent
from tests.agent.stub import ENVIRONMENT, STUB, Stub
from tests.gateway.harness import processes_in


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace of the test's own: every process in it is the test's child."""
    directory = tmp_path / "workspace"
    directory.mkdir()
    return directory


@pytest.fixture
def stub(workspace: Path) -> Stub:
    """The stub CLI, to be given its plan."""
    return Stub(workspace)


@pytest.fixture
async def agent(workspace: Path) -> AsyncIterator[Callable[..., Agent]]:
    """Makes agents that start the stub; at the end no process of theirs may be left."""
    made: list[Agent] = []

    def make(**settings: object) -> Agent:
        launch = Launch(STUB, workspace, ENVIRONMENT)
        made.append(Agent(launch, **settings))  # type: ignore[arg-type] # a test names them right
        return made[-1]

    yield make
    for one in made:
        await one.close()
    deadline = time.monotonic() + 15
    while left := processes_in(workspace):
        assert time.monotonic() < deadline, f"processes left: {left}"
        await asyncio.sleep(0.01)
