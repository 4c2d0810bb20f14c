"""`ccapi auth` as a command: every word that is no subcommand is a server's name, and what can go wrong at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ccapi.cli.app import root
from tests.cli.support import Cli
from tests.stack.support import cli_without_engine

AUTH: Any = root().commands["auth"]
COMMANDS = {name: command for name, command in AUTH.commands.items() if not command.hidden}
PARAMETERS = [
    pytest.param(parameter, id=f"{name} {parameter.name}")
    for name, command in AUTH.commands.items()
    for parameter in command.params
]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Where no engine runs."""
    return cli_without_engine(tmp_path)


def test_the_subcommands() -> None:
    """Everything else is a name."""
    assert set(COMMANDS) == {"claude", "list", "logout", "status"}


@pytest.mark.parametrize(
    "args", [["-h"], ["--help"], ["notion", "-h"], ["--url", "https://mcp.example", "x", "--help"]]
)
def test_help(cli: Cli, args: list[str]) -> None:
    """How a name is given, and all options; with the subcommands, unless there is a name."""
    done = cli.run("auth", *args, environ={"COLUMNS": "80"})
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: ccapi auth [NAME] [OPTIONS]" if len(args) == 1 else "Usage: ccapi auth NAME")
    for option in ("--url", "--no-browser", "--paste", "--qr", "--timeout", "--force", "--client-id", "--with-token"):
        assert option in done.stdout
    assert ("Commands:" in done.stdout) == (len(args) == 1)
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_the_subcommands(cli: Cli, name: str) -> None:
    """Each has its own."""
    done = cli.run("auth", name, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"Usage: ccapi auth {name} ")


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_every_option_is_explained(parameter: object) -> None:
    """No option or argument stands in the help with its name alone."""
    assert getattr(parameter, "help", "")


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        ([], 3, "Name it: ccapi auth NAME"),
        (["--no-browser"], 3, "Name it: ccapi auth NAME"),
        (["notion"], 4, "On a terminal: ccapi auth notion"),
        (["my-server", "--url", "https://mcp.example/mcp"], 4, "--url https://mcp.example/mcp --no-browser"),
        (["github"], 4, "ccapi auth github --with-token"),
        (["asana"], 4, "ccapi auth asana --client-id ID"),
        (["a b", "--no-browser"], 2, "no name for an MCP server"),
        (["../x", "--no-browser"], 2, "no name for an MCP server"),
        (["workspace", "--no-browser"], 2, "reserved"),
        (["x", "--url", "http://10.0.0.1/mcp", "--no-browser"], 2, "private network"),
        (["x", "--url", "https://user:secret@mcp.example", "--no-browser"], 2, "credential"),
        (["x", "--url", "http://10.0.0.1/mcp", "--trust-url", "--with-token"], 2, "not sent to 10.0.0.1 without TLS"),
        (["x", "--with-token", "--client-id", "y"], 2, "exclude each other"),
        (["x", "--with-token", "--paste"], 2, "exclude each other"),
        (["x", "--from-gh"], 2, "for github only"),
        (["x", "--callback-port", "80"], 2, "--callback-port"),
        (["x", "--timeout", "0"], 2, "--timeout"),
        (["x", "y"], 2, "y"),
        (["x", "--no-such-option"], 2, "--no-such-option"),
    ],
)
def test_what_is_wrong_at_once(cli: Cli, args: list[str], code: int, said: str) -> None:
    """The exit code says who must do something, and the text what; Docker is not needed for it."""
    done = cli.run("auth", *args)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "secret" not in done.stderr


def test_only_ways_that_there_are(cli: Cli) -> None:
    """Asana takes no token, so none is told to be tried."""
    assert "--with-token" not in cli.run("auth", "asana").stderr


@pytest.mark.parametrize(
    "args",
    [
        ["notion", "--no-browser"],
        ["--no-browser", "notion"],
        ["notion", "--paste", "-"],
        ["--paste", "-", "notion"],
        ["notion", "--paste=-"],
        ["--timeout", "5", "notion", "--no-browser"],
        ["x", "--url", "http://10.0.0.1/mcp", "--trust-url", "--no-browser"],
    ],
)
def test_without_docker(cli: Cli, args: list[str]) -> None:
    """Options may stand before the name; then it is the container that is looked for."""
    done = cli.run("auth", *args)
    assert done.returncode == 5
    assert "Docker" in done.stderr


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["github"],
        ["github", "--with-token"],
        ["github", "--from-gh"],
        ["asana"],
        ["notion"],
        ["x", "--url", "https://mcp.example/mcp", "--client-id", "mine"],
    ],
)
def test_questions_need_the_container(cli: Cli, args: list[str]) -> None:
    """A person at a terminal is asked nothing, not even for a choice, when there is no use in it."""
    with cli.terminal("auth", *args) as terminal:
        shown = terminal.read_all()
    assert terminal.process.returncode == 5
    assert "error" in shown
    for question in ("How do you want", "What do you want", "does not show", "Client ", "Redirect URI", "[y/N]"):
        assert question not in shown
