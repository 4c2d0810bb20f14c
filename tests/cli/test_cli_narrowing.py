"""A tmux that is made narrower in mid-answer, with next to nothing above the answer."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable

import pytest

from tests.cli.support import Cli, FakeAnswer, FakeGateway, command
from tests.cli.tmux import Tmux, tmux

SPINNER = re.compile("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]")
STEPS = [[80, 60, 80], [80, 40, 80], [60, 50, 40, 30, 60], [120, 40, 120]]


def quote(words: list[str]) -> str:
    return "> " + " ".join(f"{word} and" for word in words)


def paragraph(words: list[str]) -> str:
    return " ".join(f"**{word}** or" for word in words)


def items(words: list[str]) -> str:
    return "\n".join(f"- Of {word} it is said that all is as good with it as with the one before it" for word in words)


def table(words: list[str]) -> str:
    return "| n | what |\n|---|---|\n" + "\n".join(
        f"| {word} | is as good as the others, as we know |" for word in words
    )


def code(words: list[str]) -> str:
    return "```python\n" + "\n".join(f"def {word}(argument, other): return argument + other  # why" for word in words)


def redrawn(terminal: Tmux) -> None:
    """Two drawings have begun since now, the second one at the size that the terminal has."""
    seen: set[str] = set()

    def twice() -> bool:
        seen.update(SPINNER.findall("\n".join(terminal.screen)))
        return len(seen) > 2

    terminal.await_that(twice)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("form", [quote, paragraph, items, table, code])
def test_made_narrower_in_a_cleared_window(
    cli: Cli, fake: FakeGateway, form: Callable[[list[str]], str], steps: list[int]
) -> None:
    """The last words are seen as they come; of what moves there is no copy in the terminal's memory, nor a gap."""
    words = [f"word{number}" for number in range(10, 60)]
    said = form(words)
    program = ["sh", "-c", 'echo "$ ccapi ask"; exec "$@"', "sh", *command("ask", "--port", str(fake.port), "hello")]
    with tmux(program, cli.environ, cli.directory, columns=steps[0], rows=24) as terminal:
        with fake.request() as connection:
            answer = FakeAnswer()
            connection.sendall(answer.begin())
            redrawn(terminal)
            sent = 0
            for number, columns in enumerate(steps[1:], start=1):
                word = words[10 * number]
                end = said.index(word) + len(word)
                connection.sendall(answer.text(said[sent:end]))
                sent = end
                terminal.await_that(lambda word=word: word in "\n".join(terminal.screen))  # type: ignore[misc]
                terminal.resize(columns, 24)
                redrawn(terminal)
            connection.sendall(answer.text(said[sent:]) + answer.end())
        assert terminal.await_end() == 0
        history = "\n".join(terminal.lines)
    assert Counter(re.findall(r"word\d+", history)) == Counter(words)
    assert not SPINNER.search(history)


INNER = [sys.executable, "-c", "import pty, sys; pty.spawn(sys.argv[1:])"]


@pytest.mark.parametrize(("within", "rows"), [([], 3), (INNER, 6)])
def test_a_terminal_within_tmux(cli: Cli, fake: FakeGateway, within: list[str], rows: int) -> None:
    """One of its own (of an editor, of `script`) does not wrap as tmux does: its live area is as large as elsewhere."""
    program = [*within, *command("ask", "--port", str(fake.port), "hello")]
    program = ["sh", "-c", 'echo; echo; exec "$@"', "sh", *program]
    words = [f"word{number}" for number in range(10, 70)]
    with tmux(program, cli.environ, cli.directory, columns=80, rows=24) as terminal:
        with fake.request() as connection:
            answer = FakeAnswer()
            connection.sendall(answer.begin())
            redrawn(terminal)
            connection.sendall(answer.text(" ".join(words)))
            terminal.await_text(words[-1])
            redrawn(terminal)
            terminal.await_that(lambda: sum("word" in row for row in terminal.screen) == rows)
            connection.sendall(answer.end())
        assert terminal.await_end() == 0
