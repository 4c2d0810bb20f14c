"""What the tests of the stack share: the command against the real engine, on a stack of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ccapi.gateway.settings import GatewaySettings
from tests.gateway.harness import Gateway, Model, in_thread, scripted
from tests.stack.secondengine import Frozen, SecondEngine, copied, possible
from tests.stack.support import NAME, FakeDocker, Stack, docker, inspect, refuse_to_harm

COMMANDS = """
[[turn]]
when.results = 0
step = [{ tool = "Bash", input.command = "@{prompt}" }]

[[turn]]
step = [{ text = "Done." }]
"""


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


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """Has every prompt run as a command; on the machine, where the container reaches it."""
    file = tmp_path_factory.mktemp("model") / "scenario.toml"
    file.write_text(COMMANDS, "utf-8")
    with in_thread(lambda: scripted(str(file), host="0.0.0.0")) as model:
        yield model


@pytest.fixture
def agent(stack: Stack, model: Model) -> Gateway:
    """The stack with an agent that runs commands: `agent.content(command)` is a transcript with its output."""
    if not docker("ps", "--quiet", f"--filter=name=^{NAME}$"):
        stack.up()
    stack.inside("umask 077; echo ANTHROPIC_API_KEY=x >$CLAUDE_CONFIG_DIR/credentials.env")
    (network,) = inspect()["NetworkSettings"]["Networks"].values()
    done = stack.cli("up", environ={"ANTHROPIC_BASE_URL": f"http://{network['Gateway']}:{urlsplit(model.url).port}"})
    assert done.returncode == 0, done.stderr
    return Gateway(f"http://127.0.0.1:{stack.port}", Path("/nowhere"), GatewaySettings(), model)


@pytest.fixture
def absent(stack: Stack) -> Stack:
    """The stack, with neither container nor volumes."""
    stack.cli("down", "--volumes", "--yes")
    return stack


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of ccapi's sources, which nobody edits meanwhile."""
    return copied(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="session")
def second_engine(
    docker_engine: None, package: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SecondEngine]:
    """An engine that may be stopped, with the image of `package`, and with no network for whatever runs there."""
    if reason := possible():
        pytest.skip(reason)
    directory = tmp_path_factory.mktemp("e")  # short: a socket's path may have 107 characters
    builder = Frozen(directory / "builder", package, project="second")
    engine = SecondEngine(directory / "engine")
    engine.directory.mkdir()
    try:
        builder.up("--no-wait")
        image = builder.inspect()["Config"]["Image"]
        engine.start()
        engine.load(image, "debian:trixie-slim")
        builder.remove()
        yield engine
    finally:
        builder.remove()
        engine.remove()


@pytest.fixture
def elsewhere(second_engine: SecondEngine, package: Path, tmp_path: Path) -> Iterator[Frozen]:
    """`ccapi` with that engine, on which there is nothing of it yet."""
    cli = Frozen(tmp_path / "elsewhere", package, engine=second_engine)
    try:
        yield cli
    finally:
        cli.remove()


@pytest.fixture
def fake_docker(tmp_path: Path) -> FakeDocker:
    return FakeDocker(tmp_path / "bin")
