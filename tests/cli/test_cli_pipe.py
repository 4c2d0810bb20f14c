"""A program that reads what the command writes, and takes its time: it is waited for, and a signal is heeded."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ccapi.cli import pipe
from ccapi.cli.pipe import Pipe
from ccapi.errors import ClaudeFailed
from tests.cli.support import DEADLINE, Cli, FakeAnswer, FakeGateway, command, read_line
from tests.oauth.proxyprocess import until

MUCH = "line of text\n\n" * 20_000  # more than a pipe holds


@contextmanager
def asking(cli: Cli, *args: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`ccapi ask` into a pipe from which nobody reads, and the end of it that is written to."""
    read, write = os.pipe()
    with subprocess.Popen(
        command("ask", *args),
        env=cli.environ,
        cwd=cli.directory,
        stdin=subprocess.DEVNULL,
        stdout=write,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process, write
        finally:
            process.kill()
            os.close(read)
            os.close(write)


def full(write: int) -> bool:
    """Whether a pipe takes nothing any more."""
    return not select.select([], [write], [], 0)[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("form", ["--transcript=full", "--stream-json"])
def test_a_reader_that_does_not_read(cli: Cli, fake: FakeGateway, form: str, number: signal.Signals) -> None:
    """The run is ended on the server, what became of it is said, and the reader is not waited for."""
    answer = FakeAnswer()
    with asking(cli, "--port", str(fake.port), form, "hello") as (process, write):
        with fake.request() as connection:
            connection.sendall(answer.begin() + answer.text(MUCH))
            until(lambda: full(write), "a pipe that is full")
            process.send_signal(number)
            fake.cancelled()
        _, stderr = process.communicate(timeout=DEADLINE)
    assert process.returncode == 128 + number
    what = "interrupted" if number == signal.SIGINT else "terminated"
    assert stderr.decode().splitlines()[0] == f"{what}; the run was ended"
    assert b"Traceback" not in stderr
    assert b"Exception" not in stderr


def test_a_reader_that_does_not_read_and_a_second_signal(cli: Cli, fake: FakeGateway) -> None:
    """Then the server is not waited for either, and nothing is left that would be written at the exit."""
    answer = FakeAnswer()
    with asking(cli, "--port", str(fake.port), "hello") as (process, write), fake.request() as connection:
        connection.sendall(answer.begin() + answer.text(MUCH))
        until(lambda: full(write), "a pipe that is full")
        process.send_signal(signal.SIGTERM)
        with fake.request():  # it is asked to cancel, and says nothing
            process.send_signal(signal.SIGTERM)
            _, stderr = process.communicate(timeout=DEADLINE)
    assert process.returncode == 128 + signal.SIGTERM
    assert b"Exception" not in stderr


def test_what_a_signal_cut_off_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that goes on in time has all of it, in order."""
    monkeypatch.setattr(pipe, "PATIENCE", float(DEADLINE))
    read, write = os.pipe()
    out, data = Pipe(), MUCH.encode()
    came: list[bytes] = []
    with os.fdopen(read, "rb") as reader:

        def interrupt() -> None:
            until(lambda: full(write), "a pipe that is full")
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            out.write(write, data)
        out.hurry()
        thread = threading.Thread(target=lambda: came.append(reader.read()))
        thread.start()
        out.write(write, b"and the end")
        os.close(write)
        thread.join(DEADLINE)
    assert came == [data + b"and the end"]


def test_patience_that_has_come_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits, and a reader that goes on later finds no gap."""
    monkeypatch.setattr(pipe, "PATIENCE", 0.01)
    read, write = os.pipe()
    out, data = Pipe(), MUCH.encode()
    out.hurry()
    out.write(write, data)
    with os.fdopen(read, "rb") as reader:
        came = os.read(read, len(data))
        out.write(write, b"and the end")
        os.close(write)
        assert data.startswith(came + reader.read())


def test_a_named_pipe_waits_for_its_reader(cli: Cli, fake: FakeGateway) -> None:
    """Before anything is asked, as a shell does."""
    os.mkfifo(cli.directory / "out")
    with cli.start("ask", "--port", str(fake.port), "-o", "out", "hello") as process:
        assert read_line(process.stderr, "the note") == "Waiting for a program that reads out"
        with (cli.directory / "out").open() as reader:
            fake.answer("It is.")
            assert reader.read() == "It is.\n"
        assert process.wait(DEADLINE) == 0


def test_a_failure_goes_into_a_named_pipe(cli: Cli, fake: FakeGateway) -> None:
    """As the one document there is."""
    os.mkfifo(cli.directory / "out")
    with cli.start("ask", "--port", str(fake.port), "--json", "-o", "out", "hello") as process:
        with (cli.directory / "out").open() as reader:
            with fake.request() as connection:
                connection.sendall(fake.refusal(ClaudeFailed("no such thing")))
            assert json.load(reader)["error"]["message"] == "no such thing"
        assert process.wait(DEADLINE) == ClaudeFailed.exit_code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_named_pipe_that_nobody_reads(cli: Cli, fake: FakeGateway, number: signal.Signals) -> None:
    """One signal is enough."""
    os.mkfifo(cli.directory / "out")
    with cli.start("ask", "--port", str(fake.port), "-o", "out", "hello") as process:
        read_line(process.stderr, "the note")
        process.send_signal(number)
        assert process.wait(DEADLINE) == 128 + number
    assert not select.select([fake._listener], [], [], 0)[0], "nothing was asked"


def test_a_reader_that_left(cli: Cli) -> None:
    """Of any command: no word of it, and exit code 1."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        command("config", "show"), env=cli.environ, stdout=write, stderr=subprocess.PIPE, timeout=DEADLINE, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")
