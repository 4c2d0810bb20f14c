"""How a command ends, and who is told: nothing that cannot be told, and nobody who ends it, changes that."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ccapi.errors import NotSignedIn
from tests.cli.support import DEADLINE, Cli, FakeGateway, clean_environ, command

SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
FORMS = pytest.mark.parametrize("form", ["--json", "--stream-json"])


def documents(stdout: bytes) -> list[dict[str, Any]]:
    """All JSON documents in it; there is nothing else."""
    text, found = stdout.decode(), []
    while text.strip():
        one, end = json.JSONDecoder().raw_decode(text)
        found.append(one)
        text = text[end:].lstrip()
    return found


def redirected(cli: Cli, redirection: str, *args: str) -> subprocess.Popen[bytes]:
    """`ccapi ARGS` as a shell starts it with this redirection."""
    return subprocess.Popen(
        ["/bin/sh", "-c", f'exec "$@" {redirection}', "sh", *command(*args)],
        cwd=cli.directory,
        env=cli.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


# --- what cannot be written to


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["ask", "--json", "hello"], 1, b"error: Standard output is closed\n"),
        (["ask", "--stream-json", "hello"], 1, b"error: Standard output is closed\n"),
        (["config", "show", "--json"], 1, b"error: Standard output is closed\n"),
        (["ask", "--json", "--max-turns=0", "hello"], 2, b"error: Invalid value for '--max-turns'"),
    ],
)
def test_a_standard_output_that_is_closed(cli: Cli, args: list[str], code: int, said: bytes) -> None:
    """A program that asked for JSON cannot be told of the failure; it is the same failure all the same."""
    with redirected(cli, ">&-", *args) as process:
        _, stderr = process.communicate(timeout=DEADLINE)
    assert process.returncode == code
    assert stderr.startswith(said)
    assert (stderr.count(b"error:"), b"Traceback" in stderr) == (1, False)


UNWRITABLE = pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", "2</dev/null"])


@UNWRITABLE
def test_a_failure_that_nobody_can_be_told(cli: Cli, fake: FakeGateway, redirection: str) -> None:
    """The exit code is that of the failure, and a program gets its document."""
    for json_wanted in (True, False):
        args = ["ask", "--port", str(fake.port), *(["--json"] if json_wanted else []), "hello"]
        with redirected(cli, redirection, *args) as process:
            with fake.request() as connection:
                connection.sendall(fake.refusal(NotSignedIn("Claude is not signed in")))
            stdout, _ = process.communicate(timeout=DEADLINE)
        assert process.returncode == NotSignedIn.exit_code
        assert [one["error"]["code"] for one in documents(stdout)] == [NotSignedIn.code] * json_wanted


@UNWRITABLE
@pytest.mark.parametrize("form", ["--transcript=full", "--json"])
def test_notes_that_nobody_can_be_told(cli: Cli, fake: FakeGateway, redirection: str, form: str) -> None:
    """An answer is complete without what is said beside it: exit 0, and one document."""
    with redirected(cli, redirection, "ask", "--port", str(fake.port), "-v", form, "hello") as process:
        fake.answer("At once.")
        stdout, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    if form == "--json":
        assert [(one["status"], one["data"]["text"]) for one in documents(stdout)] == [("ok", "At once.")]
    else:
        assert stdout == b"At once.\n"


def test_a_reader_of_standard_error_that_left(cli: Cli) -> None:
    """As if nobody could be told."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        command("ask", "--json", "--bogus"),
        cwd=cli.directory,
        env=cli.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=writing,
        timeout=DEADLINE,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, [one["error"]["code"] for one in documents(done.stdout)]) == (2, ["usage"])


# --- who ends it


@FORMS
@SIGNALS
def test_a_question_that_never_went_out(cli: Cli, fake: FakeGateway, form: str, number: signal.Signals) -> None:
    """A program is told that the command was ended, in the form that it asked for."""
    asking = cli.start("ask", "--port", str(fake.port), form, "--session", "abc", "hello")
    with asking as process, fake.request():  # for the session
        process.send_signal(number)
        stdout, _ = process.communicate(timeout=DEADLINE)
    (found,) = documents(stdout)
    assert (process.returncode, found["status"], found["data"]) == (128 + number, "failed", None)
    assert (found["error"]["code"], found.get("type")) == ("interrupted", None if form == "--json" else "result")


@SIGNALS
def test_any_command_that_was_ended(cli: Cli, fake: FakeGateway, number: signal.Signals) -> None:
    """Its one document tells of that."""
    with cli.start("models", "--port", str(fake.port), "--json") as process, fake.request():
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=DEADLINE)
    (found,) = documents(stdout)
    assert (process.returncode, found["command"], found["error"]["code"]) == (128 + number, "models", "interrupted")
    assert stderr == b""


@contextmanager
def full_pipe() -> Iterator[int]:
    """The end for writing of a pipe that takes nothing more, and from which nobody reads."""
    reading, writing = os.pipe()
    try:
        os.set_blocking(writing, False)
        while True:
            try:
                os.write(writing, b"x" * 4096)
            except BlockingIOError:
                break
        os.set_blocking(writing, True)
        yield writing
    finally:
        os.close(reading)
        os.close(writing)


@SIGNALS
def test_nobody_waits_to_tell_that_it_was_ended(cli: Cli, fake: FakeGateway, number: signal.Signals) -> None:
    """A reader who does not read keeps nobody from ending the command with one signal."""
    with (
        full_pipe() as pipe,
        subprocess.Popen(
            command("models", "--port", str(fake.port), "--json"),
            cwd=cli.directory,
            env=cli.environ,
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=subprocess.PIPE,
        ) as process,
        fake.request(),
    ):
        process.send_signal(number)
        _, stderr = process.communicate(timeout=DEADLINE)
    assert (process.returncode, stderr) == (128 + number, b"")


# --- a command that ends in some way or other

_ENDS = """
import math, signal, sys, typer
from typer.main import get_command
from ccapi.cli import app, frame, main, output
from ccapi.cli.options import Json
from ccapi.errors import RateLimited

def ends(as_json: Json = False) -> None:
    {body}

ending = typer.Typer()
ending.command()(ends)
app.root().commands["ends"] = get_command(frame.framed(ending))
sys.exit(main.main(["ends", *sys.argv[1:]]))
"""


def ends(directory: Path, body: str, *args: str) -> subprocess.CompletedProcess[bytes]:
    """`ccapi ends ARGS`, a command that does just that."""
    program = [sys.executable, "-c", _ENDS.format(body=body), *args]
    return subprocess.run(
        program, env=clean_environ(directory), cwd=directory, capture_output=True, timeout=DEADLINE, check=False
    )


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("raise KeyboardInterrupt", 130),
        ("signal.raise_signal(signal.SIGTERM)", 143),
        ("raise RateLimited('slow down')", 1),
        ("raise RuntimeError('no way')", 1),
    ],
)
def test_one_document_is_enough(tmp_path: Path, what: str, code: int) -> None:
    """Whatever happens once a program has its document, there is not another one."""
    done = ends(tmp_path, f"output.write_json({{'all': 'well'}}); {what}", "--json")
    assert done.returncode == code
    assert [(one["status"], one["data"]) for one in documents(done.stdout)] == [("ok", {"all": "well"})]


@pytest.mark.parametrize("code", [0, 1, 3])
def test_an_exit_is_no_interruption(tmp_path: Path, code: int) -> None:
    """Commands end by `SystemExit` in all order as well: only a signal's code tells of a signal."""
    done = ends(tmp_path, f"sys.exit({code})", "--json")
    assert (done.returncode, done.stdout, done.stderr) == (code, b"", b"")


def test_without_json_nothing_is_told(tmp_path: Path) -> None:
    """Who pressed Ctrl-C knows."""
    done = ends(tmp_path, "raise KeyboardInterrupt")
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


@pytest.mark.parametrize("number", ["math.inf", "math.nan"])
def test_a_failure_with_a_number_that_is_none(tmp_path: Path, number: str) -> None:
    """What cannot be said of it is left out; the rest is told, and the exit code is its own."""
    done = ends(tmp_path, f"raise RateLimited('slow down', retry_after={number})", "--json")
    assert (done.returncode, done.stderr) == (1, b"error: slow down\n")
    assert [one["error"]["code"] for one in documents(done.stdout)] == ["rate_limited"]
