"""`ccapi upgrade` where there is nothing to upgrade: what is said, and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.support import Cli


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """On a machine where no engine runs."""
    cli = Cli(tmp_path)
    cli.environ["DOCKER_HOST"] = f"unix://{tmp_path}/no.sock"
    return cli


@pytest.mark.parametrize("release", ["latest", ">=0.2", "", "0.2 "])
def test_no_release(cli: Cli, release: str) -> None:
    """A release has numbers and dots; what is given is repeated, with an example."""
    done = cli.run("upgrade", f"--version={release}")
    assert done.returncode == 2
    assert f"--version {release}: that is no release of claude-agent-sdk" in done.stderr
    assert "Such as 0.2.187" in done.stderr


def test_forth_or_back(cli: Cli) -> None:
    """Not both."""
    done = cli.run("upgrade", "--rollback", "--version=0.2.187")
    assert done.returncode == 2
    assert "--rollback and --version exclude each other" in done.stderr


def test_a_setting_that_is_somebody_elses(cli: Cli) -> None:
    """The next `ccapi up` would go back to what the environment or ./ccapi.toml says, so it is not begun."""
    done = cli.run("upgrade", environ={"CCAPI_STACK_CLAUDE_VERSION": "0.2.186"})
    assert done.returncode == 2
    assert "environment CCAPI_STACK_CLAUDE_VERSION" in done.stderr
    (cli.directory / "ccapi.toml").write_text('[stack]\nclaude_version = "0.2.186"\n', "utf-8")
    done = cli.run("upgrade", "--json")
    assert done.returncode == 2
    assert "ccapi.toml:2" in done.stderr
    assert json.loads(done.stdout)["error"]["code"] == "usage"


def test_no_engine(cli: Cli) -> None:
    """Exit 5, as everywhere."""
    done = cli.run("upgrade", "--dry-run")
    assert done.returncode == 5
