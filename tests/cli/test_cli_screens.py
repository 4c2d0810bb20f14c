"""What a person sees of `ccapi ask`: real runs in a real terminal (tmux), to the last row of its memory.

The screens are in `tests/cli/screens/`; `CCAPI_WRITE_SCREENS=1` writes them anew, to be looked at.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path

import pytest

from ccapi.cli.answer.cells import cell_len
from tests.cli.support import Cli, FakeAnswer, FakeGateway, Gateway, command, gateway
from tests.cli.tmux import Tmux, tmux

SCREENS = Path(__file__).parent / "screens"
WRITE = bool(os.environ.get("CCAPI_WRITE_SCREENS"))
SIZES = [(80, 24), (40, 12), (200, 60)]
SPINNER = re.compile("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]")
_DURATION = re.compile(r"\d+(?:\.\d)? s\b")
_LONG = re.compile(r"(?m).…  \d\d s$")  # takes a cell less than one of less than ten seconds, so that a letter is more
_PATH = re.compile(
    r"\S*/(?=[\w-]+\.(?:py|txt)\b)"
)  # of the workspace, which is another each time; cut where it is long
_FOOTER = re.compile(r"(?m)^sonnet \(claude")


class Gateways:
    """A gateway for each scenario, from when it is asked for to the end of the tests."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory = directory
        self._stack = stack
        self._running: dict[str, Gateway] = {}

    def __call__(self, scenario: str) -> Gateway:
        if scenario not in self._running:
            started = gateway(self._directory / scenario, f"--rehearsal={scenario}")
            self._running[scenario] = self._stack.enter_context(started)
        return self._running[scenario]


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateways]:
    with ExitStack() as stack:
        yield Gateways(tmp_path_factory.mktemp("gateways"), stack)


Asked = partial[AbstractContextManager[Tmux]]


def asked(
    cli: Cli, port: int, *args: str, columns: int = 80, rows: int = 24, **environ: str
) -> AbstractContextManager[Tmux]:
    """`ccapi ask ARGS` in a terminal of that size."""
    program = command("ask", "--port", str(port), *args)
    return tmux(program, {**cli.environ, **environ}, cli.directory, columns=columns, rows=rows)


def steady(rows: list[str]) -> str:
    """What is the same each time: without the footer, durations and the way to the workspace."""
    text = "\n".join(row.rstrip() for row in rows)
    shown = _FOOTER.split(text)[0].rstrip() + "\n"
    return _DURATION.sub("0.0 s", _LONG.sub("…  0.0 s", _PATH.sub("", shown)))


@pytest.mark.parametrize(("columns", "rows"), SIZES)
@pytest.mark.parametrize(
    "scenario", ["fibonacci", "edit", "failing-tool", "markdown", "hostile", "subagent", "parallel"]
)
def test_a_screen(cli: Cli, gateways: Gateways, scenario: str, columns: int, rows: int) -> None:
    """The whole of what stays on the terminal, whatever was drawn on the way."""
    with asked(cli, gateways(scenario).port, scenario, columns=columns, rows=rows) as terminal:
        assert terminal.await_end() == 0
        shown = steady(terminal.history)
    file = SCREENS / f"{scenario}-{columns}x{rows}.txt"
    if WRITE:
        file.write_text(shown, "utf-8")
    assert shown == file.read_text("utf-8")


@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_a_long_answer(cli: Cli, gateways: Gateways, columns: int, rows: int) -> None:
    """100,000 characters: everything is there once and in order, and nothing of the live area is left."""
    running = gateways("long-answer")
    content = running.chat("long")
    with asked(cli, running.port, "long", columns=columns, rows=rows) as terminal:
        assert terminal.await_end() == 0
        history = terminal.history
    assert not SPINNER.search("\n".join(history))
    assert chapters(history) == chapters(content.splitlines())
    assert max(map(cell_len, history)) <= columns


def test_resized_in_mid_answer(cli: Cli, gateways: Gateways) -> None:
    """Made narrower, wider, lower and higher while it is written: nothing is lost, nothing is doubled."""
    running = gateways("long-answer")
    content = running.chat("long")
    sizes = [(40, 12), (100, 30), (30, 5), (200, 60), (20, 3), (80, 24)]
    with asked(cli, running.port, "long") as terminal:
        for number, (columns, rows) in enumerate(sizes):
            terminal.await_text(f"hapter {5 * number + 1}")
            terminal.resize(columns, rows)
        assert terminal.await_end() == 0
        history = terminal.lines
    assert not SPINNER.search("\n".join(history))
    assert chapters(history) == chapters(content.splitlines())


@pytest.mark.parametrize("sizes", [[(200, 24), (40, 24)], [(80, 24), (20, 24)], [(120, 12), (40, 12), (120, 12)]])
def test_made_a_good_deal_narrower(cli: Cli, fake: FakeGateway, sizes: list[tuple[int, int]]) -> None:
    """The live area wraps anew to many more rows, and none of them is pushed out of the screen for good."""
    (columns, rows), *others = sizes
    words = [f"word{number}" for number in range(150)]
    said = "\n\n".join(f"{number}." for number in range(rows))  # with nothing above it, tmux pushes out what it wraps
    before, after = f"{said}\n\n{' '.join(words[:120])}", " ".join(["", *words[120:]])
    program = command("ask", "--port", str(fake.port), "hello")
    with tmux(program, cli.environ, cli.directory, columns=columns, rows=rows) as terminal:
        with fake.request() as connection:
            answer = FakeAnswer()
            connection.sendall(answer.begin() + answer.text(before))
            for size in others:
                terminal.await_text(words[119])
                terminal.resize(*size)
            connection.sendall(answer.text(after) + answer.end())
        assert terminal.await_end() == 0
        history = terminal.lines
    assert re.findall(r"word\d+", " ".join(history)) == words


def test_stopped_and_continued(cli: Cli, fake: FakeGateway) -> None:
    """Ctrl-Z gives the terminal back to the shell, echo and all; continued, the answer goes on where it was."""
    answer = FakeAnswer()
    environ = {**cli.environ, "PS1": "$ "}
    with tmux(["bash", "--norc", "-i"], environ, cli.directory, columns=80, rows=24) as terminal:
        terminal.type(shlex.join(command("ask", "--port", str(fake.port), "hello")), "Enter")
        with fake.request() as connection:
            connection.sendall(answer.begin() + answer.text("The first.\n\nThe sec"))
            terminal.await_text("The sec")
            terminal.type("C-z")
            terminal.await_text("Stopped")
            assert "The sec" not in "\n".join(terminal.history)
            terminal.type("echo seen; stty -a | grep -ow -e -echo -e echo", "Enter")
            terminal.await_that(lambda: terminal.history.count("echo") == 1)
            terminal.type("fg", "Enter")
            terminal.await_text("The sec")
            connection.sendall(answer.text("ond.") + answer.end())
            terminal.await_text("The second.")
        terminal.type("exit", "Enter")
        terminal.await_end()
        history = terminal.history
    assert [row for row in history if row.startswith("The ")] == ["The first.", "The second."]


def chapters(rows: list[str]) -> list[str]:
    """The numbers of the chapters as their headings, lists, tables and ends name them, in order."""
    text = " ".join(rows)
    return re.findall(r"[Cc]hapter\s+(\d+)", re.sub(r"[\s│#*`>_]+", " ", text))
