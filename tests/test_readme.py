"""The README: nothing in it is untested.

Each of its commands is run as it stands, here or in tests/cli/test_cli_journey.py, which needs Docker; only a port may
be replaced, where the gateway of the test has another one. What holds for all pages is in tests/test_docs.py.
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
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from ccapi import settings
from tests.cli.readme import ASK, CURLS, README, Page, check_answer, content_of, shell
from tests.cli.support import DEADLINE, ROOT, Cli, Gateway, clean_environ, gateway, read_line
from tools.pictures import svg
from tools.pictures.pictures import PICTURES, file

# Each command of the README, by how it begins, and the test that runs it.
COVERED = {
    "make demo": "test_make_demo",
    "make test": "test_make_targets",
    "make lint test": "test_make_targets",
    "pipx install .": "cli/test_cli_journey.py::test_use_it_for_real",
    "ccapi up": "cli/test_cli_journey.py::test_use_it_for_real",
    "ccapi auth claude": "cli/test_cli_journey.py::test_use_it_for_real",
    "ccapi auth notion": "cli/test_cli_journey.py::test_sign_in_to_mcp_servers",
    "ccapi auth github": "cli/test_cli_journey.py::test_sign_in_to_mcp_servers",
    "ccapi auth status": "cli/test_cli_journey.py::test_sign_in_to_mcp_servers",
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
    "ccapi config show --origin": "test_config",
    "ccapi config set models.map gpt-4o=sonnet": "test_config",
}
OF_ASK = set(Page("docs/ask.md").commands())  # tests/docs/test_docs_ask.py runs them, also where they stand here


def key_of(command: str) -> str:
    """The longest entry of `COVERED` that the command begins with; short commands must be there word for word."""
    exact = [key for key in COVERED if command == key]
    longer = [key for key in COVERED if command.startswith(key) and key in {"ccapi ask", "curl http", "curl -N http"}]
    assert exact or longer, f"no test runs this line of the README: {command}"
    return max(exact or longer, key=len)


# --- nothing without a test


def test_every_command_has_a_test() -> None:
    """No line that a user may copy is untested, and no entry of the table is left over."""
    assert {key_of(command) for command in README.commands() if command not in OF_ASK} == set(COVERED)


def test_the_tests_of_the_table_exist() -> None:
    """A renamed test does not leave its commands uncovered."""
    here = Path(__file__)
    for place in set(COVERED.values()):
        file, _, name = place.rpartition("::")
        tree = ast.parse((here.parent / file if file else here).read_text("utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, place


def test_two_commands_set_it_up() -> None:
    """A new user needs `make demo` and `make test`, each in a block of its own before anything else."""
    consoles = [found.text for found in README.blocks if found.language == "console"]
    assert consoles[:2] == ["$ make demo\n", "$ make test\n"]


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


def test_how_the_demo_ends() -> None:
    """As the picture of the same run has it."""
    (picture,) = (one for one in PICTURES if one.name == "fibonacci")
    assert README.block("text") in svg.text_of(file(picture).read_text("utf-8"))


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
    source = README.block("python").replace(":8000/", f":{running.port}/")
    assert source != README.block("python")
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


@pytest.mark.parametrize("command", README.begins("ccapi gateway"))
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
    (command,) = README.begins("ccapi rehearsal --scenario")
    with cli.start(*shlex.split(command)[1:], "--port=0") as process:
        assert read_line(process.stdout, "the URL").startswith("Rehearsal model on http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=DEADLINE)
    assert process.returncode == 0


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command, in an empty directory."""
    return Cli(tmp_path)


def test_config(cli: Cli) -> None:
    """What is set is in the user's file from then on, and says what the README says of it."""
    shown, change = (shlex.split(command)[1:] for command in README.begins("ccapi config"))
    assert "# default" in cli.run(*shown).stdout
    assert cli.run(*change).returncode == 0
    assert re.search(r"gpt-4o.*sonnet.*# .*config\.toml", cli.run(*shown).stdout)
    found = settings.load(environ=cli.environ, directory=cli.directory)
    assert found.value("models.map") == {"gpt-4o": "sonnet"}
