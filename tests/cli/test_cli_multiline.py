"""`ccapi ask` without a question, at a terminal: a prompt of several lines, its history, and the person's editor."""

from __future__ import annotations

import json
import signal
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from ccapi.cli.asking.history import MOST, MOST_BYTES, Kept
from tests.cli.support import DEADLINE, SGR, Cli, FakeGateway, Terminal, command, on_terminal

EMPTY = "Ask anything"
KEYS = "Enter: ask  Alt-Enter, Ctrl-J, \\ Enter: new line  Ctrl-X Ctrl-E: editor"
ENTER, ALT_ENTER, CTRL_J, CTRL_C, CTRL_D, UP = b"\r", b"\x1b\r", b"\n", b"\x03", b"\x04", b"\x1b[A"
EDIT = b"\x18\x05"


@contextmanager
def prompt(cli: Cli, fake: FakeGateway, *args: str, environ: Mapping[str, str] | None = None) -> Iterator[Terminal]:
    """A terminal at which the prompt waits; it is as it was before when ccapi has ended."""
    with cli.terminal("ask", "--port", str(fake.port), *args, environ=environ) as terminal:
        terminal.read_until(EMPTY)
        yield terminal
        terminal.read_all()
        assert terminal.modes == terminal.before


def drawn_after(terminal: Terminal, said: str) -> None:
    """Wait for the prompt that is drawn again after what was said: before, a key would be the shell's."""
    terminal.read_until(said)
    deadline = time.monotonic() + DEADLINE
    while KEYS not in terminal.text.rpartition(said)[2]:
        assert terminal._read(deadline)


def asked(fake: FakeGateway) -> str:
    """What was asked at last, after it has had its answer."""
    fake.answer("Aha.")
    (message,) = fake.received[-1].document["input"]
    (part,) = message["content"]
    return str(part["text"])


def history(cli: Cli) -> Path:
    return Path(cli.environ["CCAPI_HOME"]) / "state" / "questions.jsonl"


def kept(cli: Cli) -> list[str]:
    return [json.loads(line) for line in history(cli).read_text("utf-8").splitlines()]


def editor(cli: Cli, script: str) -> dict[str, str]:
    """The environment in which that shell script is the editor; `$1` is the file."""
    file = cli.directory / "the editor"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return {"VISUAL": f"'{file}' --wait", "EDITOR": "false", "TMPDIR": str(cli.directory)}


# --- typing


def test_enter_asks(cli: Cli, fake: FakeGateway) -> None:
    """The prompt is drawn on standard error, and what was typed stays on the screen; the keys do not."""
    with prompt(cli, fake) as terminal:
        terminal.read_until(KEYS)
        terminal.type("What is 世界?".encode() + ENTER)
        assert asked(fake) == "What is 世界?"
        terminal.read_all()
        assert terminal.process.returncode == 0
        assert "Aha." in terminal.text


@pytest.mark.parametrize("new_line", [ALT_ENTER, CTRL_J, b"\\" + ENTER], ids=["Alt-Enter", "Ctrl-J", "backslash"])
def test_a_new_line(cli: Cli, fake: FakeGateway, new_line: bytes) -> None:
    """Three ways, as terminals differ in what they send; indented text indents nothing that follows."""
    with prompt(cli, fake) as terminal:
        terminal.type(b"  first" + new_line + new_line + b"second" + ENTER)
        assert asked(fake) == "  first\n\nsecond"


def test_a_backslash_within_a_line(cli: Cli, fake: FakeGateway) -> None:
    """Is one; only before Enter it is a new line."""
    with prompt(cli, fake) as terminal:
        terminal.type(rb"C:\x \a" + ENTER)
        assert asked(fake) == r"C:\x \a"


def test_what_is_pasted_is_not_sent(cli: Cli, fake: FakeGateway) -> None:
    """Lines that are pasted stay lines, as terminals mark what is pasted (bracketed paste)."""
    with prompt(cli, fake) as terminal:
        terminal.type(b"\x1b[200~one\rtwo\r\n\tthree\n\x1b[201~four" + ENTER)
        assert asked(fake) == "one\ntwo\n\tthree\nfour"


def test_enter_on_nothing_asks_nothing(cli: Cli, fake: FakeGateway) -> None:
    """Neither does it on blanks."""
    with prompt(cli, fake) as terminal:
        terminal.type(ENTER + b"  " + ENTER + b"now" + ENTER)
        assert asked(fake) == "  now"


@pytest.mark.parametrize("keys", [CTRL_C, b"some" + CTRL_C, CTRL_D], ids=["Ctrl-C", "text, Ctrl-C", "Ctrl-D"])
def test_leaving(cli: Cli, fake: FakeGateway, keys: bytes) -> None:
    """Exit 130: there is no answer. Nothing is asked, nothing kept."""
    with prompt(cli, fake) as terminal:
        terminal.type(keys)
        terminal.read_all()
        assert terminal.process.returncode == 130
    assert "Traceback" not in terminal.text
    assert fake.received == []
    assert not history(cli).exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_signal_at_the_prompt(cli: Cli, fake: FakeGateway, number: signal.Signals, code: int) -> None:
    """The terminal is given back as it was."""
    with prompt(cli, fake) as terminal:
        terminal.process.send_signal(number)
        terminal.read_all()
        assert terminal.process.returncode == code
    assert "Traceback" not in terminal.text


def test_a_file_and_a_typed_question(cli: Cli, fake: FakeGateway) -> None:
    """Files are looked at before anybody types."""
    (cli.directory / "a").write_text("x")
    with prompt(cli, fake, "-f", "a") as terminal:
        terminal.type(b"look" + ENTER)
        fake.answer("Aha.")
    (message,) = fake.received[-1].document["input"]
    assert [part["text"] for part in message["content"]] == ["look", "`a`:\n\n```\nx\n```"]
    with cli.terminal("ask", "-f", "missing") as terminal:
        assert EMPTY not in terminal.read_all()
        assert "there is no file missing" in terminal.text


def test_the_answer_can_go_to_a_file(cli: Cli, fake: FakeGateway) -> None:
    """The prompt needs standard input and standard error only: `ccapi ask > answer`."""
    line = ["sh", "-c", 'exec "$@" > answer', "sh", *command("ask", "--port", str(fake.port))]
    with on_terminal(line, cli.environ, cli.directory) as terminal:
        terminal.read_until(EMPTY)
        terminal.type(b"hello" + ENTER)
        assert asked(fake) == "hello"
        terminal.read_all()
    assert (cli.directory / "answer").read_text() == "Aha.\n"


# --- how it looks


@pytest.mark.parametrize(
    ("args", "environ"), [([], {"NO_COLOR": "1"}), (["--color", "never"], {}), ([], {"TERM": "dumb"})]
)
def test_without_colours(cli: Cli, fake: FakeGateway, args: list[str], environ: dict[str, str]) -> None:
    """No style but the terminal's own, in the prompt and in what is typed."""
    with cli.terminal("ask", "--port", str(fake.port), *args, environ=environ) as terminal:
        terminal.read_until("> ")
        terminal.type(b"hello" + ENTER)
        assert asked(fake) == "hello"
        terminal.read_all()
    plain = {"\x1b[0m", "\x1b[39m", "\x1b[49m"}  # they end a style
    assert set(SGR.findall(terminal.text.partition("Aha")[0])) <= plain


def test_the_prompt_is_dim_where_there_are_colours(cli: Cli, fake: FakeGateway) -> None:
    """What is not the person's own is, in no colour that a light or a dark screen could swallow."""
    with prompt(cli, fake) as terminal:
        terminal.read_until(KEYS)
        assert f"\x1b[0;2m{EMPTY}\x1b[0m" in terminal.text
        assert f"\x1b[0;2m{KEYS}" in terminal.text
        terminal.type(CTRL_C)


# --- nobody there


@pytest.mark.parametrize(("args", "environ"), [(["--no-input"], {}), ([], {"CI": "true"})])
def test_nobody_who_could_type(cli: Cli, args: list[str], environ: dict[str, str]) -> None:
    """At a terminal, but nobody is to be asked: exit 3."""
    with cli.terminal("ask", *args, environ=environ) as terminal:
        assert terminal.read_all().splitlines()[1:] == ['  ccapi ask "QUESTION"']
    assert "somebody would have to type the question" in terminal.text
    assert terminal.process.returncode == 3


def test_a_question_of_standard_input_at_a_terminal(cli: Cli, fake: FakeGateway) -> None:
    """`-` reads the terminal to Ctrl-D, after it has said so."""
    with cli.terminal("ask", "--port", str(fake.port), "-") as terminal:
        terminal.read_until("Type the question, and Ctrl-D at the beginning of a line when it is done")
        terminal.type(b"one\ntwo\n" + CTRL_D)
        assert asked(fake) == "one\ntwo\n"
        terminal.read_all()


# --- history


def test_earlier_questions(cli: Cli, fake: FakeGateway) -> None:
    """Up and Down go through those of earlier runs, whole; only their owner can read the file."""
    for question in (b"first" + ALT_ENTER + b"of two lines", b"second", b"second"):
        with prompt(cli, fake) as terminal:
            terminal.type(question + ENTER)
            asked(fake)
    assert kept(cli) == ["first\nof two lines", "second"]
    assert stat.S_IMODE(history(cli).stat().st_mode) == 0o600
    with prompt(cli, fake) as terminal:
        terminal.type(UP)
        terminal.read_until("second")
        terminal.type(UP)
        terminal.read_until("of two lines")
        terminal.type(b"!" + ENTER)
        assert asked(fake) == "first\nof two lines!"
    with prompt(cli, fake) as terminal:
        terminal.type(UP)
        terminal.read_until("of two lines!")
        terminal.type(UP + UP)  # within the text, and beyond it
        terminal.read_until("second")
        terminal.type(ENTER)
        assert asked(fake) == "second"
    assert kept(cli) == ["first\nof two lines", "second", "first\nof two lines!", "second"]


def test_a_question_on_the_command_line_is_not_kept(cli: Cli, fake: FakeGateway) -> None:
    """The shell has a history of its own."""
    with cli.terminal("ask", "--port", str(fake.port), "hello") as terminal:
        assert asked(fake) == "hello"
        terminal.read_all()
    assert not history(cli).exists()


def test_a_history_that_cannot_be_written(cli: Cli, fake: FakeGateway) -> None:
    """It is said, and the question is asked all the same."""
    history(cli).mkdir(parents=True)
    with prompt(cli, fake) as terminal:
        terminal.type(b"hello" + ENTER)
        assert asked(fake) == "hello"
        assert "this question is not kept" in terminal.read_all()
        assert terminal.process.returncode == 0


def test_the_history_is_bounded(tmp_path: Path) -> None:
    """In questions and in bytes; the newest stay."""
    file = tmp_path / "state" / "questions"
    for number in range(MOST + 5):
        Kept(file).store_string(f"question {number}")
    questions = list(Kept(file).load_history_strings())
    assert (len(questions), questions[0], questions[-1]) == (MOST, f"question {MOST + 4}", "question 5")
    for letter in "abc":
        Kept(file).store_string(letter * (MOST_BYTES // 2 - 10))
    assert [question[0] for question in Kept(file).load_history_strings()] == ["c", "b"]
    assert file.stat().st_size <= MOST_BYTES


def test_a_question_that_is_larger_than_the_history(tmp_path: Path) -> None:
    """Is not kept, and the others are."""
    file = tmp_path / "questions"
    Kept(file).store_string("small")
    Kept(file).store_string("a" * MOST_BYTES)
    assert list(Kept(file).load_history_strings()) == ["small"]


def test_a_damaged_history(tmp_path: Path) -> None:
    """What can be read of it is; the next question mends it."""
    file = tmp_path / "questions"
    file.write_text('"one"\n{"no": "string"}\n"broken\n\n"two\\u2028lines"\n')
    assert list(Kept(file).load_history_strings()) == ["two\u2028lines", "one"]
    Kept(file).store_string("three\x85")
    assert list(Kept(file).load_history_strings()) == ["three\x85", "two\u2028lines", "one"]
    file.write_bytes(b"\xff\xfe")
    assert list(Kept(file).load_history_strings()) == []


# --- the editor


def test_the_editor(cli: Cli, fake: FakeGateway) -> None:
    """$VISUAL with its own arguments, before $EDITOR; what it leaves can still be changed. Then no file is left."""
    script = """
test "$1" = --wait || exit 9
stat -c '%a %n' "$(dirname "$2")" "$2" > seen; cat "$2" >> seen
printf 'and more\\r\\n世界\\n' >> "$2"; touch "$2~"
"""
    with prompt(cli, fake, environ=editor(cli, script)) as terminal:
        terminal.type(b"typed" + EDIT)
        terminal.read_until("世界")
        terminal.type(b"!" + ENTER)
        assert asked(fake) == "typed\nand more\n世界!"
    directory, file, *text = (cli.directory / "seen").read_text().splitlines()
    assert (directory[:4], file[:4], text) == ("700 ", "600 ", ["typed"])
    assert directory[4:].startswith(str(cli.directory)), directory
    assert not list(cli.directory.glob("ccapi-*"))


def test_ctrl_c_is_the_editors_while_it_runs(cli: Cli, fake: FakeGateway) -> None:
    """The prompt is there again afterwards."""
    script = "trap 'echo caught > \"$2\"' INT; kill -INT 0; sleep 0"
    with prompt(cli, fake, environ=editor(cli, script)) as terminal:
        terminal.type(EDIT)
        terminal.read_until("caught")
        terminal.type(ENTER)
        assert asked(fake) == "caught"


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"VISUAL": "", "EDITOR": ""}, "no editor is known: neither VISUAL nor EDITOR is set"),
        ({"EDITOR": "false"}, "the editor ended with exit code 1; nothing was changed"),
        ({"EDITOR": "./missing"}, "the editor ./missing cannot be started: No such file or directory"),
        ({"EDITOR": "'"}, "EDITOR: this is no command"),
        ({"EDITOR": "sh -c 'printf \"\\377\" > \"$0\"'"}, "what the editor left is not valid UTF-8"),
        ({"EDITOR": "sh -c 'rm \"$0\"'"}, "the question cannot be edited: No such file or directory"),
    ],
)  # fmt: skip
def test_an_editor_that_does_not_work(cli: Cli, fake: FakeGateway, environ: dict[str, str], says: str) -> None:
    """It is said, and what was typed is still there. Nothing of it is taken for an answer."""
    with prompt(cli, fake, environ=environ) as terminal:
        terminal.type(b"typed" + EDIT)
        drawn_after(terminal, says)
        terminal.type(ENTER)
        assert asked(fake) == "typed"


def test_stopped_and_taken_up_again(cli: Cli, fake: FakeGateway) -> None:
    """Ctrl-Z gives the shell its terminal back; what was typed is there when ccapi goes on."""
    script = 'set -m; "$@"; echo "stopped: $?"; stty -a > stopped; fg %1 > /dev/null'
    line = ["bash", "-c", script, "bash", *command("ask", "--port", str(fake.port))]
    with on_terminal(line, cli.environ, cli.directory) as terminal:
        terminal.read_until(EMPTY)
        terminal.type(b"typed\x1a")
        drawn_after(terminal, "stopped: 148")
        terminal.type(b" on" + ENTER)
        assert asked(fake) == "typed on"
        terminal.read_all()
    assert " icanon " in (cli.directory / "stopped").read_text()
