"""What all commands share: the global options, JSON, errors, what is kept of a failure."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator, validate

from ccapi.cli import problem, trail
from ccapi.cli.app import root
from ccapi.cli.frame import PassingOn, first_word, global_options
from ccapi.errors import CcapiError, DockerUnavailable, RateLimited, TooManyRequests
from tests.cli.support import DEADLINE, Cli, FakeGateway, clean_environ, on_terminal

NO_ENGINE = {"DOCKER_HOST": "unix:///nowhere.sock"}
SECRET = "ghp_0123456789abcdefABCDEF0123456789abcd"
NAMES = [set(option.opts) for option in global_options()]


def commands(found: Any = None, *path: str) -> Iterator[tuple[str, Any]]:
    """Every command and group, with how it is called."""
    found = found or root()
    yield " ".join(path), found
    for name, command in getattr(found, "commands", {}).items():
        yield from commands(command, *path, name)


EVERY = [
    pytest.param(command, id=path or "ccapi") for path, command in commands() if not isinstance(command, PassingOn)
]


# --- the options


@pytest.mark.parametrize("command", EVERY)
def test_every_command_has_the_global_options(command: Any) -> None:
    """Each once, whoever wrote the command; one of the command's own by that name stands in its place."""
    found = list(itertools.chain.from_iterable(option.opts for option in command.get_params(None)))
    assert set().union(*NAMES) <= set(found)
    assert len(found) == len(set(found))


def test_they_have_a_section_of_their_own(cli: Cli) -> None:
    """Below what the command itself can do."""
    for args in (["--help"], ["config", "--help"], ["config", "get", "--help"], ["auth", "--help"]):
        own, _, common = cli.run(*args).stdout.partition("\nGlobal options:\n")
        for option in ("--project NAME", "--quiet", "--no-input", "--color auto|always|never", "-h, --help"):
            assert option in common
            assert option not in own


@pytest.mark.parametrize(
    "args",
    [
        ["-p", "web", "config", "get", "stack.project"],
        ["--project=web", "config", "get", "stack.project"],
        ["config", "-p", "web", "get", "stack.project"],
        ["config", "get", "stack.project", "-p", "web"],
        ["-p", "mail", "config", "get", "stack.project", "--project", "web"],
    ],
    ids=" ".join,
)
def test_they_may_stand_anywhere(args: list[str], cli: Cli) -> None:
    """Before the command and behind it; the last one counts."""
    assert cli.run(*args).stdout == "web\n"


def test_another_settings_file(cli: Cli) -> None:
    """`--config` takes the place of the user's own."""
    (cli.directory / "other.toml").write_text("[gateway]\nport = 8123\n")
    assert cli.run("config", "get", "gateway.port", "--config", "other.toml").stdout == "8123\n"
    assert cli.run("config", "get", "gateway.port").stdout == "8000\n"


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["-p", "web", "status"], "status"),
        (["--project=web", "status"], "status"),
        (["--color", "never", "--debug", "notion"], "notion"),
        (["-p", "web"], None),
        ([], None),
    ],
)
def test_what_the_value_of_an_option_is(args: list[str], word: str | None) -> None:
    """`ccapi auth -p web status` is no login to a server called web."""
    assert first_word(args) == word


def test_a_project_before_a_subcommand_of_auth(cli: Cli) -> None:
    """The subcommand is found behind it."""
    done = cli.run("auth", "-p", "web", "list", environ=NO_ENGINE)
    assert done.returncode == 0
    assert "notion" in done.stdout


def test_quiet(cli: Cli) -> None:
    """Data and errors stay, notes go."""
    assert cli.run("key", "list").stderr == "There are no API keys. Make one: ccapi key create\n"
    for args in (["-q", "key", "list"], ["key", "--quiet", "list"], ["key", "list", "-q"]):
        done = cli.run(*args)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert cli.run("-q", "key", "create").stdout.startswith("ccapi-")
    failed = cli.run("-q", "key", "revoke", "nobody")
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: ")


def test_quiet_where_it_means_more(cli: Cli) -> None:
    """A command with a -q of its own does the same with the global one: not a word, the exit code tells."""
    for args in (["proxy", "status", "-q"], ["-q", "proxy", "status"]):
        done = cli.run(*args)
        assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_nobody_is_asked(cli: Cli) -> None:
    """Exit 3 on a terminal too, where the question would have come."""
    with cli.terminal("auth", "--no-input", environ=NO_ENGINE) as terminal:
        terminal.read_all()
    assert terminal.process.returncode == 3
    assert "Name it: ccapi auth NAME" in terminal.text


def test_verbose_shows_the_requests(cli: Cli, fake: FakeGateway) -> None:
    """On standard error; the answer is what it is without it."""
    with cli.start("ask", "--port", str(fake.port), "hello", "-v") as process:
        fake.answer("The answer.")
        out, err = process.communicate(timeout=DEADLINE)
    assert out == b"The answer.\n"
    assert f'HTTP Request: POST http://127.0.0.1:{fake.port}/v1/responses "HTTP/1.1 200"' in err.decode()


@contextmanager
def engine(directory: Path) -> Iterator[str]:
    """A Docker engine that only ever says 500; its address."""
    answer = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / "docker.sock"))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, suppress(ConnectionError):  # whoever has had enough
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"unix://{directory / 'docker.sock'}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(DEADLINE)


def test_more_of_it(cli: Cli) -> None:
    """Twice: each request to the engine as well. --debug is that and the traceback."""
    with engine(cli.directory) as address:
        once, twice, debug = (
            cli.run("status", option, environ={"DOCKER_HOST": address}).stderr for option in ("-v", "-vv", "--debug")
        )
    assert "urllib3.connectionpool: " not in once
    for said in (twice, debug):
        assert 'urllib3.connectionpool: http://localhost:None "GET /version' in said


# --- colours

RED = "\x1b[1;31merror:\x1b[0m"


@pytest.mark.parametrize(
    ("args", "environ", "coloured"),
    [
        ([], {}, False),
        (["--color", "always"], {}, True),
        (["--color=always"], {"NO_COLOR": "1", "TERM": "dumb"}, True),
        (["--color", "auto"], {}, False),
        ([], {"FORCE_COLOR": "1"}, True),
        ([], {"CLICOLOR_FORCE": "1"}, True),
        ([], {"CLICOLOR_FORCE": "0"}, False),
        ([], {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (["--color", "never"], {"FORCE_COLOR": "1"}, False),
    ],
)
def test_colours_in_a_pipe(args: list[str], environ: dict[str, str], coloured: bool, cli: Cli) -> None:
    """The option wins, then NO_COLOR, then what forces them."""
    done = cli.run(*args, "key", "revoke", "nobody", environ=environ)
    assert (RED in done.stderr) is coloured
    assert ("\x1b" in done.stderr) is coloured


@pytest.mark.parametrize(
    ("args", "environ", "coloured"),
    [
        ([], {}, True),
        ([], {"NO_COLOR": ""}, True),
        ([], {"NO_COLOR": "1"}, False),
        ([], {"TERM": "dumb"}, False),
        (["--color", "never"], {}, False),
    ],
)
def test_colours_on_a_terminal(args: list[str], environ: dict[str, str], coloured: bool, cli: Cli) -> None:
    """By themselves, unless somebody does not want them."""
    with cli.terminal(*args, "key", "revoke", "nobody", environ=environ) as terminal:
        terminal.read_all()
    assert (RED in terminal.text) is coloured


def test_a_colour_that_is_none(cli: Cli) -> None:
    """Exit 2 and what there is."""
    done = cli.run("--color", "blue", "status")
    assert done.returncode == 2
    assert "'blue' is not one of auto, always, never" in done.stderr


# --- a command that passes everything on

_PASSES = """
import sys, typer
from typer.main import get_command
from ccapi.cli import app, context, frame, main, output

def passes(ctx: typer.Context) -> None:
    '''Pass it on.'''
    output.write(repr((ctx.args, context.mode.project, context.mode.debug)) + "\\n")

passing = typer.Typer()
passing.command(cls=frame.PassingOn)(passes)
app.root().commands["passes"] = get_command(frame.framed(passing))
sys.exit(main.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("args", "received"),
    [
        ([], ([], None, False)),
        (["--debug", "-p", "x", "--help", "-h"], (["--debug", "-p", "x", "--help", "-h"], None, False)),
        (["mcp", "list", "--", "--json"], (["mcp", "list", "--", "--json"], None, False)),
        (["--", "-p"], (["--", "-p"], None, False)),
        (["--version"], (["--version"], None, False)),
    ],
)
def test_everything_behind_it_is_passed_on(args: list[str], received: object, tmp_path: Path) -> None:
    """Untouched, whatever it looks like; our own options stand before it."""
    for before, mode in (([], (None, False)), (["-p", "web", "--debug"], ("web", True))):
        program = [sys.executable, "-c", _PASSES, *before, "passes", *args]
        with on_terminal(program, clean_environ(tmp_path), tmp_path) as terminal:
            terminal.read_all()
        assert isinstance(received, tuple)
        assert terminal.text == f"{(received[0], *mode)!r}\n"


# --- Ctrl-C

_INTERRUPTED = """
import sys, typer
from typer.main import get_command
from ccapi.cli import app, frame, main

def makes() -> None:
    exec("raise KeyboardInterrupt")

making = typer.Typer()
making.command()(makes)
app.root().commands["makes"] = get_command(frame.framed(making))
main.main(["makes"])  # what is imported then, with classes that are made, would hide it
sys.exit(main.main(["makes"]))
"""


def test_an_interrupt_wherever_it_comes(tmp_path: Path) -> None:
    """Exit 130, also while a class is being made, which Python else takes for a reason to end by the signal."""
    (tmp_path / "makes.py").write_text(_INTERRUPTED)
    program = [sys.executable, "-m", "makes"]  # as `python -m ccapi`
    done = subprocess.run(program, cwd=tmp_path, env=clean_environ(tmp_path), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (130, b"")


_TOO_EARLY = """
import os, signal, sys
from ccapi.cli import main

class Finder:
    def find_spec(self, name, path, target=None):
        if name == "ccapi.cli.boundary":
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Finder())
main.main()
"""


def test_an_interrupt_before_there_is_a_command(tmp_path: Path) -> None:
    """Nothing is there yet that could say it in a line: it ends as programs do that know nothing of signals."""
    done = subprocess.run(
        [sys.executable, "-c", _TOO_EARLY], env=clean_environ(tmp_path), capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")


# --- JSON

ENVELOPE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["schemaVersion", "command", "status", "data", "warnings", "error"],
    "properties": {
        "type": {"const": "result"},
        "schemaVersion": {"const": 1},
        "command": {"type": "string"},
        "status": {"enum": ["ok", "failed"]},
        "data": {"type": ["object", "null"]},
        "warnings": {"type": "array", "items": {"type": "string"}},
        "error": {
            "oneOf": [
                {"type": "null"},
                {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["code", "category", "message", "retryable", "details", "actions"],
                    "properties": {
                        "code": {"type": "string", "pattern": "^[a-z_]+$"},
                        "category": {"type": "string"},
                        "message": {"type": "string", "minLength": 1},
                        "retryable": {"type": "boolean"},
                        "details": {"type": "object"},
                        "actions": {"type": "array", "items": {"type": "string", "minLength": 1}},
                    },
                },
            ]
        },
    },
}


def document(text: str) -> dict[str, Any]:
    """The one document that there is; it follows the schema."""
    found: dict[str, Any] = json.loads(text)
    validate(found, ENVELOPE, cls=OAS31Validator)
    return found


@pytest.mark.parametrize(
    ("args", "code", "command", "status"),
    [
        (["key", "list", "--json"], 0, "key list", "ok"),
        (["key", "create", "--json"], 0, "key create", "ok"),
        (["config", "show", "--json"], 0, "config show", "ok"),
        (["config", "get", "gateway.port", "--json"], 0, "config get", "ok"),
        (["auth", "list", "--json"], 0, "auth list", "ok"),
        (["doctor", "--list", "--json"], 0, "doctor", "ok"),
        (["proxy", "status", "--json"], 1, "proxy status", "failed"),
        (["status", "--json"], 5, "status", "failed"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_envelope(args: list[str], code: int, command: str, status: str, cli: Cli) -> None:
    """One document on standard output, whatever the command, with what it tells in `data`."""
    done = cli.run(*args, environ=NO_ENGINE)
    found = document(done.stdout)
    assert done.returncode == code
    assert (found["command"], found["status"]) == (command, status)
    assert found["data"] or found["error"]


@pytest.mark.parametrize(
    ("args", "code", "command", "slug"),
    [
        (["key", "revoke", "nobody", "--json"], 1, "key revoke", "not_found"),
        (["--json", "nonsense"], 2, "", "usage"),
        (["key", "list", "--json", "--bogus"], 2, "key list", "usage"),
        (["key", "revoke", "--json"], 2, "key revoke", "usage"),
        (["config", "get", "gateway.prot", "--json"], 2, "config get", "usage"),
        (["down", "--json"], 5, "down", "docker_unavailable"),
        (["auth", "status", "--json"], 5, "auth status", "docker_unavailable"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_error_is_a_document_too(args: list[str], code: int, command: str, slug: str, cli: Cli) -> None:
    """The same on standard error for a person."""
    done = cli.run(*args, environ=NO_ENGINE)
    found = document(done.stdout)
    assert done.returncode == code
    assert (found["command"], found["status"], found["data"]) == (command, "failed", None)
    assert found["error"]["code"] == slug
    assert done.stderr.startswith(f"error: {found['error']['message']}\n")


@pytest.mark.parametrize(
    "args", [["up", "--json"], ["auth", "notion", "--json"], ["auth", "--json", "--bogus"]], ids=" ".join
)
def test_an_error_ends_a_stream(args: list[str], cli: Cli) -> None:
    """In a line of its own, of the type `result`; what came before are documents of a line as well."""
    done = cli.run(*args, environ=NO_ENGINE)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert all("type" in line for line in lines)
    validate(lines[-1], ENVELOPE, cls=OAS31Validator)
    assert (lines[-1]["type"], lines[-1]["status"]) == ("result", "failed")
    assert done.returncode == 2 if "--bogus" in args else 5


def test_json_behind_two_dashes_is_none(cli: Cli) -> None:
    """There it is an argument."""
    done = cli.run("key", "revoke", "--", "--json")
    assert done.returncode == 1
    assert done.stdout == ""


def test_a_warning_is_in_the_document(cli: Cli) -> None:
    """And on standard error, as ever."""
    (cli.directory / "home" / "ccapi" / "state").mkdir(parents=True)
    done = cli.run("config", "set", "api.require_key", "true", environ={"CCAPI_GATEWAY_PORT": "none"})
    assert "\nwarning: " in f"\n{done.stderr}"


@pytest.mark.parametrize(
    ("hint", "commands"),
    [
        ("Start it: ccapi up", ["ccapi up"]),
        ("ccapi key create makes one.", ["ccapi key create makes one."]),
        ("Make one first: ccapi key create   (or leave gateway.host at 127.0.0.1)", ["ccapi key create"]),
        ("Look at: ccapi logs\nOr: sudo kill 7", ["ccapi logs", "sudo kill 7"]),
        ("It is left for inspection: ccapi logs, ccapi status, ccapi down", ["ccapi logs"]),
        ("Look at `claude auth status`.", ["claude auth status"]),
        ("Usage: ccapi [OPTIONS]\nHelp: ccapi --help", ["ccapi --help"]),
        ("Wait until it is back.", []),
        ("", []),
    ],
)
def test_commands_in_a_hint(hint: str, commands: list[str]) -> None:
    """What a program could show as a button."""
    assert problem.actions(hint) == commands


def test_an_errors_members() -> None:
    """Details are what is known beside the message; what is for the log alone is not among them."""
    error = RateLimited("Too much", hint="Wait.", param="model", retry_after=2.5, detail="secret")
    assert problem.document(error) == {
        "code": "rate_limited",
        "category": "model",
        "message": "Too much",
        "retryable": True,
        "details": {"hint": "Wait.", "param": "model", "retry_after": 2.5},
        "actions": [],
    }
    assert problem.document(DockerUnavailable("no"))["retryable"] is False
    assert problem.document(TooManyRequests("no"))["retryable"] is True
    assert problem.document(CcapiError("no", retry_after=1))["retryable"] is True


# --- what is kept of a failure


@pytest.fixture
def defect(cli: Cli) -> dict[str, str]:
    """An environment in which `ccapi status` fails as nobody foresaw: the Docker SDK is a broken one."""
    (cli.directory / "docker").mkdir()
    (cli.directory / "docker" / "__init__.py").write_text(f"raise RuntimeError('no way, {SECRET}')\n")
    return {"PYTHONPATH": f"{cli.directory}:{cli.environ['PYTHONPATH']}"}


def log(cli: Cli) -> Path:
    return cli.directory / "home" / "ccapi" / "state" / "log" / "ccapi.log"


def test_an_unexpected_failure(cli: Cli, defect: dict[str, str]) -> None:
    """One line and where the rest is: in a file that only its owner reads, and that holds no secret."""
    done = cli.run("status", environ=defect)
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert first.startswith("error: ccapi failed unexpectedly: RuntimeError: no way, ")
    assert second == f"  The whole of it is in {log(cli)}"
    assert stat.S_IMODE(log(cli).stat().st_mode) == 0o600
    text = log(cli).read_text()
    assert "Traceback (most recent call last)" in text
    assert "RuntimeError: no way, [redacted]" in text
    assert SECRET not in done.stderr + done.stdout + text
    assert " status (Python 3." in text.splitlines()[0]


def test_an_unexpected_failure_for_a_program(cli: Cli, defect: dict[str, str]) -> None:
    """It has a code as well."""
    error = document(cli.run("status", "--json", environ=defect).stdout)["error"]
    assert error["code"] == "unexpected"
    assert SECRET not in json.dumps(error)


def test_debug_shows_and_keeps_it(cli: Cli) -> None:
    """Also of a failure that was foreseen; the exit code stays the same."""
    done = cli.run("down", "--debug", environ=NO_ENGINE)
    assert done.returncode == 5
    assert "Traceback (most recent call last)" in done.stderr
    assert f"The whole of it is in {log(cli)}" in done.stderr
    assert "DockerUnavailable" in log(cli).read_text()
    assert cli.run("down", environ=NO_ENGINE).stderr.count(str(log(cli))) == 0


def test_what_is_kept_has_an_end(cli: Cli, defect: dict[str, str]) -> None:
    """The latest stay, and the file does not grow beyond its size."""
    log(cli).parent.mkdir(parents=True)
    log(cli).write_text("old\n" * trail.MOST)
    for _ in range(2):
        cli.run("status", environ=defect)
    text = log(cli).read_text()
    assert len(text) <= trail.MOST
    assert text.count("RuntimeError: no way") == 2
    assert text.startswith(("old\n", "ld\n", "d\n", "\n"))


def test_a_log_that_cannot_be_written(cli: Cli, defect: dict[str, str]) -> None:
    """Then the failure is told all the same, with what can be done instead."""
    log(cli).parent.mkdir(parents=True)
    log(cli).mkdir()
    done = cli.run("status", environ=defect)
    assert done.returncode == 1
    assert done.stderr.splitlines()[1] == "  Run it again with --debug to see where."


def test_the_question_is_not_kept(cli: Cli) -> None:
    """What was typed is nobody's business."""
    cli.run("ask", "a very private question", "--debug", environ={"CCAPI_GATEWAY_PORT": "1"})
    assert "private" not in log(cli).read_text()
    assert os.access(log(cli), os.R_OK)
