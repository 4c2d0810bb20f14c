"""`ccapi ask` on a terminal: readable, complete, and nothing an answer says can command the terminal."""

from __future__ import annotations

import os
import re

import pytest

from ccapi.errors import UpstreamFailed
from tests.cli.support import SGR, Cli, FakeAnswer, FakeGateway, Gateway, ended


def letters(text: str) -> str:
    return "".join(character for character in text if character.isalnum())


def without_fences(content: str) -> str:
    """The content without the lines that open and close a code block, language included."""
    return re.sub(r"(?m)^`{3,}.*$", "", content)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, scripted: Gateway) -> str:
    """All that a terminal gets of an answer with control sequences in its text and in a tool's output."""
    with Cli(tmp_path_factory.mktemp("shown")).terminal(
        "ask", "--port", str(scripted.port), "print controls"
    ) as terminal:
        text = terminal.read_all()
    assert terminal.process.returncode == 0, text
    return text


def test_an_answer_on_a_terminal(shown: str, scripted: Gateway) -> None:
    """Every letter of the transcript is there, tool output and all, under a bold tool name and a ruled separator."""
    plain = SGR.sub("", shown)
    assert letters(plain) == letters(without_fences(scripted.chat("print controls")))
    assert "● Bash" in plain
    assert re.search(r"(?m)^─+$", plain)
    assert re.search(r"(?m)^  │ end", plain)
    assert plain.endswith("Both are **done**.\n")


def test_no_control_sequence_of_an_answer_reaches_the_terminal(shown: str) -> None:
    """Titles, screen clearing, colours, bells and backspaces, from the model and from a tool, arrive as plain text."""
    plain = SGR.sub("", shown)
    assert "[31mred" in plain, "what was a colour is text now"
    assert "]0;owned" in plain
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", plain)


def test_the_tool_that_runs_is_named_while_it_runs(cli: Cli, scripted: Gateway) -> None:
    """A command of a minute is on the screen at its start; Ctrl-C then ends it: exit 130, no `claude` left."""
    with cli.terminal("ask", "--port", str(scripted.port), "slow, please") as terminal:
        terminal.read_until("for second in $(seq 60)")
        assert "● Bash" in SGR.sub("", terminal.text)
        descriptors = [os.pidfd_open(pid) for pid in scripted.claude_pids()]
        assert descriptors
        terminal.type(b"\x03")
        shown = terminal.read_all()
        assert terminal.process.returncode == 130
        assert "interrupted" in shown
        assert "Traceback" not in shown
        assert ended(descriptors, 5)


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_without_colours(cli: Cli, fake: FakeGateway, environ: dict[str, str]) -> None:
    """NO_COLOR and TERM=dumb: the same look without a single escape sequence."""
    with cli.terminal("ask", "--port", str(fake.port), "hello", environ=environ) as terminal:
        fake.answer("**Bash** `ls`\n\n```\none\n```\n\n---\n\ntwo")
        shown = terminal.read_all()
    assert shown == f"● Bash ls\n\n  │ one\n\n{'─' * 40}\n\ntwo\n"


def test_notices_and_errors_cannot_command_the_terminal_either(cli: Cli, fake: FakeGateway) -> None:
    """What the gateway says beside the answer comes from outside too: an upstream error text, a notice."""
    answer = FakeAnswer()
    began = answer.begin()
    error = answer.fail(UpstreamFailed("bad \x1b]0;owned\x07 \x9b2J thing"))
    with cli.terminal("ask", "--port", str(fake.port), "hello") as terminal:
        with fake.request() as connection:
            connection.sendall(began + b": retry \x1b]0;owned\x07 1 of 4\n\n" + error)
        shown = SGR.sub("", terminal.read_all())
    assert "retry" in shown
    assert "bad" in shown
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown)
    assert terminal.process.returncode == 1


def test_a_notice_does_not_tear_a_line_of_the_answer(cli: Cli, fake: FakeGateway) -> None:
    """A notice in mid-line stands on a line of its own."""
    answer = FakeAnswer()
    with cli.terminal("ask", "--port", str(fake.port), "hello") as terminal:
        with fake.request() as connection:
            connection.sendall(answer.begin() + answer.text("The answer is"))
            terminal.read_until("The answer is")
            connection.sendall(b": retry 1 of 4\n\n" + answer.text(" four.") + answer.end())
        shown = SGR.sub("", terminal.read_all())
    assert "\nretry 1 of 4\n" in shown or shown.startswith("retry 1 of 4\n")
    assert letters("The answer is four") == letters(shown.replace("retry 1 of 4", ""))
