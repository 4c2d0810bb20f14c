"""The stack's commands where no engine runs: exit codes, streams, and that nothing is asked of nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccapi import settings
from tests.cli.support import Cli
from tests.stack.support import cli_without_engine


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return cli_without_engine(tmp_path)


@pytest.mark.parametrize(
    "command", [["up"], ["up", "--rehearsal"], ["down"], ["logs"], ["logs", "-f"], ["down", "--volumes"]]
)
def test_without_an_engine(cli: Cli, command: list[str]) -> None:
    """Exit 5, what is the matter and what to do; nothing on stdout."""
    done = cli.run(*command)
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) > 1


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--rehearsal", "no-such"], "no rehearsal scenario is called 'no-such'"),
        (["--rehearsal=./own.toml"], "no rehearsal scenario is called './own.toml'"),
        (["--workspace", "none"], "none: does not exist"),
        (["--port", "65536"], "--port"),
        (["--timeout", "0"], "--timeout"),
    ],
)
def test_what_is_refused_before_docker_is_asked(cli: Cli, args: list[str], said: str) -> None:
    """Exit 2, and what is wrong with it."""
    done = cli.run("up", *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_what_docker_gets_of_the_environment() -> None:
    """How to find the engine; no COMPOSE_* and nothing secret."""
    environ = {
        "PATH": "/bin",
        "HOME": "/home/x",
        "DOCKER_HOST": "unix:///x",
        "DOCKER_CONTEXT": "y",
        "BUILDX_BUILDER": "z",
        "COMPOSE_FILE": "other.yml",
        "COMPOSE_PROJECT_NAME": "other",
        "ANTHROPIC_API_KEY": "s3cret",
        "CCAPI_GATEWAY_PORT": "1",
        "HTTP_PROXY": "http://proxy",
    }
    assert settings.docker_environment(environ).keys() == {
        "PATH",
        "HOME",
        "DOCKER_HOST",
        "DOCKER_CONTEXT",
        "BUILDX_BUILDER",
    }


def test_what_the_container_gets_of_the_environment() -> None:
    """Proxies in both spellings, never for its own loopback; a base URL; no key."""
    environ = {
        "https_proxy": "http://p:1",
        "NO_PROXY": "corp",
        "ANTHROPIC_BASE_URL": "https://a",
        "ANTHROPIC_API_KEY": "k",
    }
    assert settings.network_environment(environ) == {
        "HTTPS_PROXY": "http://p:1",
        "https_proxy": "http://p:1",
        "NO_PROXY": "corp,localhost,127.0.0.1,::1",
        "no_proxy": "corp,localhost,127.0.0.1,::1",
        "ANTHROPIC_BASE_URL": "https://a",
    }
    assert settings.network_environment({}) == {}
