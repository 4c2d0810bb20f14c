"""What `ccapi ask` sends to a terminal, byte by byte: complete, and nothing an answer says can command it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import termios
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ccapi.errors import UpstreamFailed
from tests.cli.support import (
    DEADLINE,
    Cli,
    FakeAnswer,
    FakeGateway,
    Gateway,
    Terminal,
    command,
    ended,
    free_port,
    interrupted,
    plain,
)
from tests.oauth.proxyprocess import until

COMMANDS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def echoes(terminal: Terminal) -> bool:
    """Whether what is typed shows."""
    return bool(terminal.modes[3] & termios.ECHO)


def test_no_control_sequence_of_an_answer_reaches_the_terminal(cli: Cli, scripted: Gateway) -> None:
    """Titles, screen clearing, colours, bells and backspaces, from the model and from a tool, are text or nothing."""
    with cli.terminal("ask", "--port", str(scripted.port), "print controls") as terminal:
        shown = plain(terminal.read_all())
    assert terminal.process.returncode == 0, shown
    assert not COMMANDS.search(shown)
    assert "[31mred" in shown, "what was a colour is text now"
    assert "]0;owned" in shown
    assert "✓ Bash sh controls.sh" in shown
    assert "\n  │ end" in shown


def test_the_tool_that_runs_is_named_while_it_runs(cli: Cli, scripted: Gateway) -> None:
    """A command of a minute is on the screen at its start; Ctrl-C then ends it: exit 130, no `claude` left."""
    with cli.terminal("ask", "--port", str(scripted.port), "slow, please") as terminal:
        terminal.read_until("for second in $(seq 60)")
        descriptors = [os.pidfd_open(pid) for pid in scripted.claude_pids()]
        assert descriptors
        assert not echoes(terminal)
        began = time.monotonic()
        terminal.type(b"\x03")
        shown = plain(terminal.read_all())
        assert terminal.process.returncode == 130
        said = re.search(interrupted(time.monotonic() - began), shown)
        assert said, shown
        assert 0 <= shown.find("○ Bash for second") < said.start()
        assert f"continue with: ccapi ask --port {scripted.port} -c" in shown
        assert "Traceback" not in shown
        assert "^C" not in shown
        assert ended(descriptors)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_the_terminal_is_left_as_it_was_found(cli: Cli, fake: FakeGateway, number: signal.Signals) -> None:
    """However it ends: the cursor is there again, lines wrap, what is typed shows, and what had come stays."""
    answer = FakeAnswer()
    with cli.terminal("ask", "--port", str(fake.port), "hello") as terminal:
        with fake.request() as connection:
            connection.sendall(answer.begin() + answer.text("The first line.\n\nThe sec"))
            terminal.read_until("The sec")
            assert not echoes(terminal)
            terminal.process.send_signal(number)
            fake.cancelled()
        shown = terminal.read_all()
        assert echoes(terminal)
    assert shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l")
    assert shown.rfind("\x1b[?7h") > shown.rfind("\x1b[?7l")
    last = shown.split("\x1b[?2026h")[-1].split("\x1b[?2026l")[0]
    assert plain(last) == "\nThe sec\n"


def test_a_terminal_that_takes_nothing(cli: Cli, fake: FakeGateway) -> None:
    """Ctrl-C is not lost while an answer waits to be written: the run is ended, and so is the command."""
    answer = FakeAnswer()
    with cli.terminal("ask", "--port", str(fake.port), "hello") as terminal:
        with fake.request() as connection:
            connection.sendall(answer.begin() + answer.text("line of text\n\n" * 20_000))
            terminal.read_until("line of text")
            waits_for = Path(f"/proc/{terminal.process.pid}/wchan")
            until(lambda: waits_for.read_text() in {"wait_woken", "n_tty_write"}, "a terminal that is full")
            terminal.process.send_signal(signal.SIGINT)
            fake.cancelled()
        assert terminal.process.wait(DEADLINE) == 130
        assert echoes(terminal)


@pytest.mark.parametrize(("form", "times"), [([], 1), (["--json"], 2), (["--stream-json"], 3)])
def test_a_pipe_that_cannot_wait(cli: Cli, fake: FakeGateway, form: list[str], times: int) -> None:
    """O_NONBLOCK is a property of the open file, which others have, too: nothing is lost, and theirs stays theirs."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    with subprocess.Popen(
        command("ask", "--port", str(fake.port), *form, "hello"),
        env=cli.environ,
        cwd=cli.directory,
        stdin=subprocess.DEVNULL,
        stdout=write,
        stderr=subprocess.PIPE,
    ) as process:
        with ThreadPoolExecutor() as pool, os.fdopen(read, "rb") as pipe:
            arrived = pool.submit(pipe.read)
            fake.answer("word " * 200_000)
            code = process.wait(DEADLINE)
            assert not os.get_blocking(write)
            os.close(write)
            assert arrived.result().count(b"word ") == 200_000 * times
        assert (code, process.stderr.read() if process.stderr else b"") == (0, b"")


def test_json_commands_no_terminal(cli: Cli, fake: FakeGateway) -> None:
    """Nor does it show in another order than it has; it is the same JSON."""
    said = "bad \x9b2J \u202egnorw\u2066"
    with cli.terminal("ask", "--port", str(fake.port), "--json", "hello") as terminal:
        fake.answer(said)
        shown = plain(terminal.read_all())
    assert not re.search("[\x9b\u202e\u2066]", shown)
    document, _ = json.JSONDecoder().raw_decode(shown[shown.index("{") :])
    assert document["data"]["text"] == said


def test_what_is_typed_meanwhile_harms_nothing(cli: Cli, fake: FakeGateway) -> None:
    """Enter does not move the live area: it is not echoed, and is there for whoever reads the terminal next."""
    answer = FakeAnswer()
    with cli.terminal("ask", "--port", str(fake.port), "hello") as terminal:
        with fake.request() as connection:
            connection.sendall(answer.begin() + answer.text("One.\n\nTwo"))
            terminal.read_until("Two")
            terminal.type(b"ls -l\n")
            until(lambda: terminal.typed_ahead == len(b"ls -l\n"), "it is typed")
            connection.sendall(answer.text(".") + answer.end())
        shown = plain(terminal.read_all())
    assert terminal.process.returncode == 0
    assert "ls" not in shown


@pytest.mark.parametrize("environ", [{"TERM": "dumb"}, {"TERM": "dumb", "FORCE_COLOR": ""}, {"TERM": ""}])
def test_a_terminal_that_knows_no_sequences(cli: Cli, scripted: Gateway, environ: dict[str, str]) -> None:
    """TERM=dumb: the same look, in finished lines only, and not a single escape sequence."""
    with cli.terminal("ask", "--port", str(scripted.port), "print controls", environ=environ) as terminal:
        shown = terminal.read_all()
    assert not COMMANDS.search(shown)
    assert "✓ Bash sh controls.sh" in shown
    assert "Sending  0 s" in shown, "a sign of life"


def test_no_colour(cli: Cli, scripted: Gateway) -> None:
    """NO_COLOR: the live area is there, and nothing has a colour, or is bold."""
    with cli.terminal("ask", "--port", str(scripted.port), "print controls", environ={"NO_COLOR": "1"}) as terminal:
        shown = terminal.read_all()
    assert not re.search(r"\x1b\[[0-9;]*m", shown)
    assert "\x1b[?2026h" in shown


def test_a_terminal_without_utf8(cli: Cli, scripted: Gateway) -> None:
    """Signs that it has no letters for are replaced; nothing is lost of what it can show, and nothing crashes."""
    environ = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    with cli.terminal("ask", "--port", str(scripted.port), "print controls", environ=environ) as terminal:
        shown = plain(terminal.read_all())
    assert terminal.process.returncode == 0
    assert shown.isascii()
    assert "+ Bash sh controls.sh" in shown
    assert "\n  | end" in shown
    assert " out . scripted model\n" in shown


@pytest.mark.parametrize("more", [[], ["--debug"]])
def test_notices_and_errors_cannot_command_the_terminal_either(cli: Cli, fake: FakeGateway, more: list[str]) -> None:
    """What the gateway says beside the answer comes from outside too: an upstream error text, a notice."""
    answer = FakeAnswer()
    began = answer.begin()
    error = answer.fail(UpstreamFailed("bad \x1b]0;owned\x07 \x9b2J thing"))
    with cli.terminal("ask", *more, "--port", str(fake.port), "hello") as terminal:
        with fake.request() as connection:
            connection.sendall(began + b": retry \x1b]0;owned\x07 1 of 4\n\n" + error)
        shown = plain(terminal.read_all())
    assert "retry" in shown
    assert "bad" in shown
    assert not COMMANDS.search(shown)
    assert terminal.process.returncode == 1


@pytest.mark.parametrize(("typed", "code", "said"), [(b"n\n", 1, "Start it with: ccapi up"), (b"\n", 5, "Docker")])
def test_no_gateway_is_offered_to_be_started(cli: Cli, tmp_path: Path, typed: bytes, code: int, said: str) -> None:
    """A person who says yes gets `ccapi up` (which here finds no engine), and one who says no the command."""
    environ = {"CCAPI_GATEWAY_PORT": str(free_port()), "DOCKER_HOST": f"unix://{tmp_path}/no.sock"}
    with cli.terminal("ask", "hello", environ=environ) as terminal:
        terminal.read_until("Start it now (ccapi up)?")
        terminal.type(typed)
        shown = plain(terminal.read_all())
    assert terminal.process.returncode == code
    assert said in shown.partition("Start it now (ccapi up)?")[2]
    assert "Traceback" not in shown


def test_a_gateway_that_is_gone_in_mid_answer_is_not_started(cli: Cli, fake: FakeGateway) -> None:
    """Its run may have done things: nobody is asked whether to ask it all again."""
    answer = FakeAnswer()
    with cli.terminal("ask", "hello", environ={"CCAPI_GATEWAY_PORT": str(fake.port)}) as terminal:
        with fake.request() as connection:
            fake.close()
            connection.sendall(answer.begin() + answer.text("The first line.\n\n"))
        shown = plain(terminal.read_until("Go on: ccapi ask"))
    assert "The answer cannot be resumed: No gateway answers" in shown
    assert "Start it now" not in shown


def test_a_script_is_asked_nothing(cli: Cli) -> None:
    """Without a gateway it has the exit code and the command at once; so has a person with --no-input."""
    environ = {"CCAPI_GATEWAY_PORT": str(free_port())}
    done = cli.run("ask", "hello", environ=environ)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Start it with: ccapi up" in done.stderr
    with cli.terminal("ask", "hello", "--no-input", environ=environ) as terminal:
        assert "Start it now" not in terminal.read_all()
    assert terminal.process.returncode == 1
