"""The README: every command in it is run as it stands, and what it lists is what there is.

`COVERED` names the test behind each command. The tests take the commands out of the README itself; only a port may be
replaced, where the gateway of the test has another one.
"""

from __future__ import annotations

import ast
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from ccapi import settings
from tests.cli.readme import ASK, BLOCKS, CURLS, README, begins, block, check_answer, commands, content_of, shell
from tests.cli.support import DEADLINE, ROOT, Cli, Gateway, clean_environ, gateway, read_line

# Each command of the README, by how it begins, and the test that runs it.
COVERED = {
    "make demo": "test_make_demo",
    "make test": "test_make_targets",
    "make lint test": "test_make_targets",
    "pipx install .": "cli/test_cli_journey.py::test_use_it_for_real",
    "ccapi up": "cli/test_cli_journey.py::test_use_it_for_real",
    "docker exec -it claude-code-api claude auth login": "cli/test_cli_journey.py::test_use_it_for_real",
    "ccapi ask": "test_ask",
    "ccapi up --rehearsal": "cli/test_cli_journey.py::test_use_it_for_real",
    "curl http": "test_curl",
    "curl -N http": "test_curl",
    "ccapi status": "cli/test_cli_journey.py::test_use_it_for_real",
    "ccapi logs": "cli/test_cli_journey.py::test_use_it_for_real",
    "ccapi down": "cli/test_cli_journey.py::test_use_it_for_real",
    "pipx install '.[local]'": "cli/test_cli_journey.py::test_install_with_claude",
    "ccapi gateway": "test_gateway",
    "ccapi gateway --rehearsal": "test_gateway",
    "ccapi rehearsal --list": "test_rehearsal_list",
    "ccapi rehearsal --scenario rate-limited": "test_rehearsal_model",
}


def key_of(command: str) -> str:
    """The longest entry of `COVERED` that the command begins with; short commands must be there word for word."""
    exact = [key for key in COVERED if command == key]
    longer = [key for key in COVERED if command.startswith(key) and key in {"ccapi ask", "curl http", "curl -N http"}]
    assert exact or longer, f"no test runs this line of the README: {command}"
    return max(exact or longer, key=len)


# --- nothing without a test


def test_every_command_has_a_test() -> None:
    """No line that a user may copy is untested, and no entry of the table is left over."""
    assert {key_of(command) for command in commands()} == set(COVERED)


def test_the_tests_of_the_table_exist() -> None:
    """A renamed test does not leave its commands uncovered."""
    here = Path(__file__)
    for place in set(COVERED.values()):
        file, _, name = place.rpartition("::")
        tree = ast.parse((here.parent / file if file else here).read_text("utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, place


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    """Commands stand in console blocks after `$ `, and nowhere else; the other kinds have a test each."""
    assert {found.language for found in BLOCKS} == {"console", "text", "python", "toml"}
    for text in (found.text for found in BLOCKS if found.language == "console"):
        continued = False
        for line in text.splitlines():
            assert continued or line.startswith("$ "), f"neither a command nor its continuation: {line}"
            continued = line.endswith("\\")
        assert not continued


def test_two_commands_set_it_up() -> None:
    """A new user needs `make demo` and `make test`, each in a block of its own before anything else."""
    assert [found.text for found in BLOCKS if found.language == "console"][:2] == ["$ make demo\n", "$ make test\n"]


def test_commands_in_the_text_exist() -> None:
    """`ccapi something` in a sentence is a command of this version, with options that it has."""
    from typer.main import get_command

    from ccapi.cli.app import app

    known = get_command(app).commands  # type: ignore[attr-defined] # it is a group
    prose = re.sub(r"(?ms)^```.*?^```$", "", README)
    mentioned = [found.split() for found in re.findall(r"`ccapi ([^`]+)`", prose) if "COMMAND" not in found]
    assert mentioned
    for name, *options in mentioned:
        assert name in known
        flags = {flag for parameter in known[name].params for flag in parameter.opts}
        assert {option for option in options if option.startswith("-")} <= flags


def test_links_lead_somewhere() -> None:
    """Every relative link is a file of the repository."""
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert {"LICENSE", "docs/rehearsal.md", "templates/compose/README.md"} <= set(links)
    assert [link for link in links if "://" not in link and not (ROOT / link).is_file()] == []


# --- make


def make(*targets: str) -> list[str]:
    """What `make` would do, in a checkout in which nothing is installed yet."""
    dry = ["make", "--dry-run", "--always-make", "--no-print-directory", "--directory", str(ROOT), *targets]
    return subprocess.run(dry, capture_output=True, text=True, timeout=DEADLINE, check=True).stdout.splitlines()


def test_make_demo() -> None:
    """`make demo` installs into .venv and ends with `ccapi demo`; tests/cli/test_cli_demo.py runs that."""
    steps = make("demo")
    assert steps[0] == "python3 -m venv .venv"
    assert steps[-1] == ".venv/bin/ccapi demo"


def test_make_targets() -> None:
    """`make test` installs and runs all tests, as do `make lint test` and CI, which calls the same."""
    assert make("test")[0] == "python3 -m venv .venv"
    assert make("test")[-1] == ".venv/bin/pytest"
    steps = make("lint", "test")
    tools = [step.split()[0] for step in steps if step.startswith(".venv/bin/") and "/pip " not in step]
    assert tools == [f".venv/bin/{tool}" for tool in ("ruff", "ruff", "mypy", "lint-imports", "pytest")]
    ci = (ROOT / ".ci" / "run").read_text("utf-8")
    assert re.search(r"(?m)^make lint test$", ci)
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


# --- the API, on a gateway of this machine


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """`ccapi gateway --rehearsal` in a workspace with one Python file."""
    with gateway(tmp_path_factory.mktemp("readme") / "gateway", "--rehearsal") as running:
        (running.workspace / "one.py").write_text("print(1)\n")
        yield running


@pytest.mark.parametrize("number", range(len(CURLS)))
def test_curl(number: int, running: Gateway, tmp_path: Path) -> None:
    """The three curl lines: no key, an old model id, complete answers; the last one is streamed."""
    assert len(CURLS) == 3
    assert [json.loads(shlex.split(line)[-1]).get("stream") for line in CURLS] == [None, None, True]
    assert all(json.loads(shlex.split(line)[-1])["model"] == "claude-3-5-haiku-20241022" for line in CURLS)
    line = CURLS[number].replace("http://localhost:8000/", f"http://localhost:{running.port}/")
    assert line != CURLS[number]
    check_answer(number, content_of(shell(line, clean_environ(tmp_path), tmp_path)))


def test_openai_snippet(running: Gateway) -> None:
    """The Python example, with the real openai package, prints the whole answer as it comes."""
    source = block("python").replace(":8000/", f":{running.port}/")
    assert source != block("python")
    with redirect_stdout(io.StringIO()) as printed:
        exec(compile(source, "README.md", "exec"), {"__name__": "__main__"})  # noqa: S102 -- it is ours
    check_answer(1, printed.getvalue())


def test_ask(running: Gateway, tmp_path: Path) -> None:
    """`ccapi ask` gives the complete answer; only where the gateway is comes from the test."""
    (tmp_path / "ccapi").write_text(f'#!/bin/sh\nexec {sys.executable} -m ccapi "$@"\n')
    (tmp_path / "ccapi").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    environ = clean_environ(tmp_path, PATH=path, CCAPI_GATEWAY_PORT=str(running.port))
    check_answer(0, shell(ASK, environ, tmp_path).removesuffix("\n"))


@pytest.mark.parametrize("command", begins("ccapi gateway"))
def test_gateway(command: str, cli: Cli) -> None:
    """Both ways to start the gateway: it says where it is, and ends with Ctrl-C."""
    with cli.start(*shlex.split(command)[1:], "--port=0") as process:
        assert read_line(process.stdout, "the URL").startswith("Gateway on http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=DEADLINE)
    assert process.returncode == 0


def test_rehearsal_list(cli: Cli) -> None:
    """It names the scenario that the next line of the README plays."""
    done = cli.run(*shlex.split("ccapi rehearsal --list")[1:])
    assert "rate-limited" in [line.split()[0] for line in done.stdout.splitlines()]


def test_rehearsal_model(cli: Cli) -> None:
    """The model alone says where it is, and ends with Ctrl-C."""
    (command,) = begins("ccapi rehearsal --scenario")
    with cli.start(*shlex.split(command)[1:], "--port=0") as process:
        assert read_line(process.stdout, "the URL").startswith("Rehearsal model on http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=DEADLINE)
    assert process.returncode == 0


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command, in an empty directory."""
    return Cli(tmp_path)


# --- lists


def table(heading: str, number: int = 0) -> list[list[str]]:
    """The cells of the tables below a heading, head and rule left out."""
    section = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    tables = re.findall(r"(?m)(?:^\|.*\n)+", section)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in tables[number].splitlines()]
    return rows[2:]


def test_every_setting_is_listed() -> None:
    """Name, variable, default and meaning of each setting are those of the program, in its order."""

    def default(value: object) -> str:
        if value is None or value == {}:
            return "none"
        return f"`{value:g}`" if isinstance(value, float) else f"`{str(value).lower()}`"

    listed = table("Settings")
    assert listed == [[f"`{s.key}`", f"`{s.env}`", default(s.default), s.help] for s in settings.TABLE]


def test_every_variable_of_the_gateway_is_listed() -> None:
    """What `ccapi.gateway.settings` reads of the environment, with its defaults."""
    from ccapi.gateway.settings import GatewaySettings, from_environment

    source = (ROOT / "ccapi" / "gateway" / "settings.py").read_text("utf-8")
    listed = {row[0].strip("`"): row[1].strip("`") for row in table("Settings", 1)}
    assert set(listed) == set(re.findall(r"CCAPI_[A-Z_]+", source))
    as_read = {name: value for name, value in listed.items() if value not in {"none", "default"}}
    read = from_environment(as_read)
    assert read == GatewaySettings(environ=as_read, workspace=read.workspace), (
        "a default in the README is not the real one"
    )


def test_the_example_of_a_settings_file(tmp_path: Path) -> None:
    """It is read, and says what it seems to say."""
    (tmp_path / "ccapi.toml").write_text(block("toml"), "utf-8")
    assert tomllib.loads(block("toml"))
    found = settings.load(environ={"CCAPI_HOME": str(tmp_path / "home")}, directory=tmp_path)
    assert found.port == 8001
    assert found.resolved["models.map"].value == {"gpt-4o": "sonnet"}


def test_every_exit_code_is_listed() -> None:
    """Those of the error tree, and the ones that need no error."""
    from ccapi import errors

    tree = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.CcapiError)]
    listed = {int(code) for row in table("Exit codes") for code in row[0].split(",")}
    assert listed == {kind.exit_code for kind in tree} | {0, 130, 143}
