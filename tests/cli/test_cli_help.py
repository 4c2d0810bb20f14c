"""Help, versions, mistyped commands: what one meets before anything works."""

from __future__ import annotations

import pytest

from ccapi import __version__
from ccapi.cli.app import TABLE, root
from ccapi.cli.frame import PassingOn
from ccapi.cli.main import main
from tests.cli.support import Cli

COMMANDS = root().commands
PARAMETERS = [
    pytest.param(parameter, id=f"{name} {parameter.name}")
    for name, command in COMMANDS.items()
    for parameter in command.params
]


def test_all_commands_of_this_version_are_registered() -> None:
    """The tests below run over what is registered: here is what that must be at least."""
    assert set(COMMANDS) >= {
        "ask", "auth", "config", "demo", "down", "gateway", "key", "logs", "proxy", "rehearsal", "status", "up"
    }  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_the_table_says_what_the_commands_say(name: str) -> None:
    """The line in the list of commands is the first of the command's own help."""
    assert TABLE[name].help == COMMANDS[name].get_short_help_str(limit=200)


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if not isinstance(command, PassingOn)])
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_of_every_command(name: str, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0, usage and a description on stdout, nothing on stderr, at most 80 columns."""
    assert main([name, option]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"Usage: ccapi {name} ")
    described = out.split("\n\n")[1].strip()
    assert described
    assert not described.startswith(("Options", "Arguments"))
    assert err == ""
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_every_option_is_explained(parameter: object) -> None:
    """No option or argument stands in the help with its name alone."""
    assert getattr(parameter, "help", "")


def test_the_list_of_commands_is_readable(cli: Cli) -> None:
    """Every command has a line, and none is cut off with dots at 80 columns."""
    done = cli.run("--help", environ={"COLUMNS": "80"})
    assert done.returncode == 0
    lines = done.stdout.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert {line.split()[0] for line in lines if not line.startswith("   ")} == set(COMMANDS)
    assert [line for line in lines if line.endswith("...")] == []


@pytest.mark.parametrize("args", [["--version"], ["-V"], ["--debug", "--version"]])
def test_version(cli: Cli, args: list[str]) -> None:
    """One line on stdout, with and without the fast path."""
    done = cli.run(*args)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"ccapi {__version__}\n", "")


def test_the_version_needs_no_dependency(cli: Cli) -> None:
    """`ccapi --version` answers even where the dependencies are broken: it imports none of them."""
    (cli.directory / "typer").mkdir()
    (cli.directory / "typer" / "__init__.py").write_text("raise ImportError('broken')\n")
    broken = {"PYTHONPATH": f"{cli.directory}:{cli.environ['PYTHONPATH']}"}
    assert cli.run("--version", environ=broken).returncode == 0
    assert cli.run("--help", environ=broken).returncode == 1, "the stand-in really was in the way"


def test_without_arguments_there_is_help(cli: Cli) -> None:
    """`ccapi` alone shows the commands."""
    done = cli.run()
    assert "Commands:" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["aks", "hello"], "Did you mean 'ask'?"),
        (["gatway"], "Did you mean 'gateway'?"),
        (["xyzzy"], "No such command 'xyzzy'"),
        (["ask"], "there is no question"),
        (["ask", "--no-such-option", "hello"], "--no-such-option"),
        (["ask", "hello", "--port", "seven"], "'seven'"),
        (["ask", "hello", "--port", "0"], "--port"),
        (["ask", "two", "words"], "words"),
        (["gateway", "--port", "65536"], "--port"),
        (["rehearsal", "--port", "-1"], "--port"),
    ],
)
def test_usage_errors(cli: Cli, args: list[str], said: str) -> None:
    """Exit 2, what is wrong on stderr, nothing on stdout."""
    done = cli.run(*args)
    assert done.returncode == 2
    assert done.stdout == ""
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "args", [["--debug", "ask", "s3cret"], ["ask", "--debug", "s3cret"], ["ask", "s3cret", "--debug"]]
)
def test_debug_shows_the_traceback(cli: Cli, args: list[str]) -> None:
    """Wherever `--debug` stands; without it there is one line. Neither shows values such as the question."""
    port = {"CCAPI_GATEWAY_PORT": "1"}  # nobody listens there
    done = cli.run(*args, environ=port)
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert "GatewayUnreachable" in done.stderr
    assert "s3cret" not in done.stderr
    plain = cli.run(*(arg for arg in args if arg != "--debug"), environ=port)
    assert "Traceback" not in plain.stderr
    assert plain.stderr.startswith("error: No gateway answers at http://127.0.0.1:1\n")


def test_a_question_may_be_called_debug(cli: Cli) -> None:
    """Behind `--` everything is the question, also the name of an option."""
    done = cli.run("ask", "--port", "1", "--", "--debug")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "No gateway answers" in done.stderr


def test_a_bad_setting_ends_a_command_with_2(cli: Cli) -> None:
    """The variable, what was expected and what it was, in one line."""
    done = cli.run("ask", "hello", environ={"CCAPI_GATEWAY_PORT": "eighty"})
    assert done.returncode == 2
    assert done.stderr == "error: CCAPI_GATEWAY_PORT: expected a port, 1 to 65535, not 'eighty'\n"


def test_a_bad_settings_file_ends_a_command_with_2(cli: Cli) -> None:
    """The file in the current directory is read, named, and its mistyped key has a suggestion."""
    (cli.directory / "ccapi.toml").write_text("[gateway]\nprot = 8001\n")
    done = cli.run("ask", "hello")
    assert done.returncode == 2
    assert "ccapi.toml" in done.stderr
    assert "Did you mean gateway.port?" in done.stderr
