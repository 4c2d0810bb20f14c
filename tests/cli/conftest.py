"""What the tests of the command line share: the command, and one gateway whose script knows all their prompts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.support import Cli, FakeGateway, Gateway, gateway

# By prompt: `slow` takes a minute, `controls` runs the script below, the others are small.
SCRIPT = r"""
description = "What the tests of the command line ask."

[[turn]]
when.prompt = 'slow'
when.results = 0
[[turn.step]]
text = "This command takes a minute."
[[turn.step]]
tool = "Bash"
input.command = "for second in $(seq 60); do sleep 1; done; echo over"
input.description = "Take a minute"

[[turn]]
when.prompt = 'controls'
when.results = 0
[[turn.step]]
text = "Before \u001b[31mred\u001b[0m \u001b]0;owned\u0007 after."
[[turn.step]]
tool = "Bash"
input.command = "sh controls.sh"
input.description = "Print control sequences"
[[turn]]
when.prompt = 'controls'
[[turn.step]]
text = "Both are **done**."

[[turn]]
when.prompt = 'sign in'
[[turn.step]]
error = 401

[[turn]]
when.prompt = 'limit'
[[turn.step]]
error = 429
retry_after = 1

[[turn]]
[[turn.step]]
text = "You said: @{prompt}"
"""


# What the tool of `controls` runs: everything that could command a terminal, C1 characters included.
CONTROLS = r"""
printf '\033[2J\033]0;owned\007bell\a back\b\b form\f \033[31mred\033[0m one\rtwo\r\n'
printf 'end \302\233 31m \360\237\216\211\n'
"""


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command, in an empty directory."""
    directory = tmp_path / "here"
    directory.mkdir()
    return Cli(directory)


@pytest.fixture(scope="session")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with the scripted model and the real Claude Code, which does not retry."""
    directory = tmp_path_factory.mktemp("scripted")
    script = directory / "script.toml"
    script.write_text(SCRIPT, "utf-8")
    with gateway(directory, f"--rehearsal={script}", CCAPI_GATEWAY_MAX_RETRIES="0") as running:
        (running.workspace / "controls.sh").write_text(CONTROLS, "utf-8")
        yield running


@pytest.fixture
def fake() -> Iterator[FakeGateway]:
    """Something at a port that says what the test lets it say."""
    gateway = FakeGateway()
    yield gateway
    gateway.close()
