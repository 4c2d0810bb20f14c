"""`ccapi ask -o FILE`: what a pipe would have got, in a file that is only touched once there is something for it."""

from __future__ import annotations

import json
import os
import re
import stat
import time
from pathlib import Path

import pytest

from ccapi.cli.answer import filewriter
from ccapi.errors import ClaudeFailed, OutputFailed, UsageError
from ccapi.wire.events import RunFailed
from tests.cli.answers import ask, called, run, said
from tests.cli.support import DEADLINE, Cli, FakeAnswer, FakeGateway

STEPS = [*called("ls", "a\r\n\x1b[31m.txt\n"), *said("It is 世界 \ud83d.", "msg_2")]


@pytest.mark.parametrize("args", [[], ["--final"], ["--json"], ["--stream-json"], ["-x"]], ids=" ".join)
def test_it_gets_what_a_pipe_would(cli: Cli, fake: FakeGateway, args: list[str]) -> None:
    """Byte for byte but for the time that it took; standard output gets nothing."""
    events = run(*STEPS, *said("```sh\nls\n```", "msg_3"))
    piped = ask(cli, fake, events, *args, "hello?!").stdout
    done = ask(cli, fake, events, *args, "-o", "out", "hello?!")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    written = (cli.directory / "out").read_bytes()
    if "json" in str(args):
        assert [timeless(one) for one in documents(written)] == [timeless(one) for one in documents(piped)]
    else:
        assert written == piped


def documents(data: bytes) -> list[dict[str, object]]:
    text = data.decode()
    return [json.loads(text)] if text.startswith("{\n") else [json.loads(line) for line in text.split("\n")[:-1]]


def timeless(value: object) -> object:
    if isinstance(value, dict):
        return {name: timeless(member) for name, member in value.items() if not name.endswith("_ms")}
    return [timeless(member) for member in value] if isinstance(value, list) else value


def test_it_can_be_followed(cli: Cli, fake: FakeGateway) -> None:
    """What was in the file stays until the first text comes, and each text is there at once."""
    file = cli.directory / "out"
    file.write_text("old\n")
    answer = FakeAnswer()
    with cli.start("ask", "--port", str(fake.port), "--output", "out", "hello") as process:
        with fake.request() as connection:
            connection.sendall(answer.begin())
            assert file.read_text() == "old\n"
            connection.sendall(answer.text("one\n"))
            deadline = time.monotonic() + DEADLINE
            while file.read_text() != "one\n":
                assert time.monotonic() < deadline, file.read_text()
                time.sleep(0.01)
            connection.sendall(answer.end())
        assert process.wait(DEADLINE) == 0
    assert file.read_text() == "one\n\n"


def test_a_failure_leaves_the_old_file(cli: Cli, fake: FakeGateway) -> None:
    """Unless there was an answer: then that is in it, as far as it came."""
    file = cli.directory / "out"
    file.write_text("old\n")
    failed = RunFailed(ClaudeFailed("it died"))
    assert ask(cli, fake, run(end=failed), "-o", "out", "hello").returncode == 1
    assert file.read_text() == "old\n"
    assert ask(cli, fake, run(*said("Half a")[:-1], end=failed), "-o", "out", "hello").returncode == 1
    assert file.read_text() == "Half a\n"


@pytest.mark.parametrize("form", ["--json", "--stream-json"])
def test_a_failure_in_json_is_in_the_file(cli: Cli, fake: FakeGateway, form: str) -> None:
    """There a program looks for it, behind what has come."""
    done = ask(cli, fake, run(*STEPS, end=RunFailed(ClaudeFailed("it died"))), form, "-o", "out", "hello")
    assert (done.returncode, done.stdout) == (1, b"")
    last = documents((cli.directory / "out").read_bytes())[-1]
    assert (last["status"], last["error"]["code"]) == ("failed", "claude_failed")  # type: ignore[index] # it is an object


def test_an_answer_without_a_word(cli: Cli, fake: FakeGateway) -> None:
    """Is an empty file, as in a shell."""
    (cli.directory / "out").write_text("old\n")
    assert ask(cli, fake, run(), "-o", "out", "hello").returncode == 0
    assert (cli.directory / "out").read_bytes() == b""


def test_the_mode_is_the_umasks(cli: Cli, fake: FakeGateway) -> None:
    """As with `> FILE`; that of a file that was there stays."""
    umask = os.umask(0o027)
    try:
        ask(cli, fake, run(*said("a")), "-o", "new", "hello")
        (cli.directory / "old").touch(0o600)
        ask(cli, fake, run(*said("a")), "-o", "old", "hello")
    finally:
        os.umask(umask)
    modes = [stat.S_IMODE((cli.directory / name).stat().st_mode) for name in ("new", "old")]
    assert modes == [0o640, 0o600]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("missing/out", "no directory"),
        ("missing/", "names a directory"),
        ("leads/nowhere", "no directory"),
        (".", "directory"),
        ("file/out", ""),
        ("a" * 300, "name"),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is_asked(cli: Cli, name: str, why: str) -> None:
    """Nobody waits for an answer that goes nowhere. (There is no gateway at all here.)"""
    (cli.directory / "file").touch()
    (cli.directory / "leads").mkdir()
    (cli.directory / "leads" / "nowhere").symlink_to("missing/out")
    done = cli.run("ask", "-o", name, "hello")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"-o {name}" in done.stderr
    assert why in done.stderr.lower()


def test_a_wrong_name_that_is_no_text(cli: Cli) -> None:
    """Its bytes that are no UTF-8 are told as a letter that says so, as everywhere."""
    done = cli.run("ask", "-o", os.fsdecode(b"missing\xff/out"), "hello")
    assert done.returncode == 2
    assert done.stderr == "error: -o missing\ufffd/out: there is no directory missing\ufffd\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_right_to_write(tmp_path: Path) -> None:
    """To the file, or into its directory."""
    file = tmp_path / "file"
    file.touch(0o400)
    with pytest.raises(UsageError, match="cannot be written to"):
        filewriter.opened(file)
    (tmp_path / "shut").mkdir(0o500)
    with pytest.raises(UsageError, match="nothing can be written into"):
        filewriter.opened(tmp_path / "shut" / "file")


def test_nothing_is_touched_by_the_check(tmp_path: Path) -> None:
    """Neither is a file made, nor one emptied."""
    filewriter.opened(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_full_disk_ends_the_run(cli: Cli, fake: FakeGateway) -> None:
    """On the server as well; a program that asked for JSON is told on standard output."""
    answer = FakeAnswer()
    with cli.start("ask", "--port", str(fake.port), "--stream-json", "-o", "/dev/full", "hello") as process:
        with fake.request() as connection:
            connection.sendall(answer.begin() + answer.text("one\n"))
            fake.cancelled()
        stdout, stderr = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1
    assert "/dev/full cannot be written: No space left on device" in stderr.decode()
    (found,) = documents(stdout)
    assert found["error"]["code"] == "output_failed"  # type: ignore[index] # it is an object


def test_it_goes_on_after_it_was_closed(tmp_path: Path) -> None:
    """As the document of a failure does, which comes last. A failed file is closed like any other."""
    writer = filewriter.opened(tmp_path / "out")
    writer("one")
    writer.close()
    writer("two")
    writer.close()
    assert (tmp_path / "out").read_text() == "onetwo"
    full = filewriter.opened(Path("/dev/full"))
    with pytest.raises(OutputFailed, match="No space left"):
        full("one")
    full.close()


@pytest.mark.parametrize("form", [[], ["--stream-json"], ["--json"]])
@pytest.mark.parametrize("where", ["/dev/tty", "/dev/stdout"])
def test_a_terminal_as_the_file(cli: Cli, fake: FakeGateway, form: list[str], where: str) -> None:
    """Nothing of an answer commands it, or shows it in another order, in whatever form."""
    with cli.terminal("ask", "--port", str(fake.port), "-o", where, *form, "hello") as terminal:
        fake.answer("bad\x1b]0;owned\x07 \x9b2J \u202egnorw")
        text = terminal.read_all()
    assert terminal.process.returncode == 0
    assert "bad" in text
    assert not re.search("\x1b]0|[\x07\x9b\u202e]", text)


def test_json_for_a_full_disk(cli: Cli, fake: FakeGateway) -> None:
    """Standard output is told of it, as a document."""
    done = ask(cli, fake, run(*said("An answer")), "--json", "-o", "/dev/full", "hello")
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    (document,) = documents(done.stdout)
    assert document["error"]["code"] == "output_failed"  # type: ignore[index] # it is an object
    assert document["data"]["text"] == "An answer"  # type: ignore[index]
