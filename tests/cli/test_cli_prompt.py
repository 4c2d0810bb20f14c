"""Questions at the terminal that are not answered: Ctrl-C and Ctrl-D."""

from __future__ import annotations

import http.server
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.support import Cli, Terminal, clean_environ, on_terminal
from tests.oauth.proxyprocess import until

# A command that asks, as the real ones do: behind typer, and behind `main`.
_PROGRAM = """
import sys, typer
from typer.main import get_command
from ccapi.cli import app, frame, main, output, prompt

def asks():
    output.write(repr({question}) + "\\n")

asking = typer.Typer()
asking.command()(asks)
app.root().commands["asks"] = get_command(frame.framed(asking))
sys.exit(main.main(["asks"]))
"""
QUESTIONS = {
    "confirm": "prompt.confirm('Really?', default=True)",
    "text": "prompt.text('Really')",
    "hidden": "prompt.hidden('Really')",
    "select": "prompt.select('Really', [prompt.Option('a', 'A'), prompt.Option('b', 'B')])",
}


def type_to_who_waits(terminal: Terminal, keys: bytes) -> None:
    """As a person does, who needs a moment: Python does not see a signal that comes just before it begins to read."""
    stat = Path(f"/proc/{terminal.process.pid}/stat")
    until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "S", "it waits for a key")
    terminal.type(keys)


def asked(tmp_path: Path, question: str, keys: bytes) -> Terminal:
    """The terminal after the keys; it is as it was before."""
    program = [sys.executable, "-c", _PROGRAM.format(question=QUESTIONS[question])]
    with on_terminal(program, clean_environ(tmp_path), tmp_path) as terminal:
        terminal.read_until("Really")
        terminal.read_until({"select": "B", "confirm": "[Y/n]:"}.get(question, "Really:"))
        type_to_who_waits(terminal, keys)
        terminal.read_all()
        assert terminal.modes == terminal.before
    return terminal


@pytest.mark.parametrize("question", QUESTIONS)
def test_ctrl_c(tmp_path: Path, question: str) -> None:
    """Exit 130 and not a word; the shell's prompt begins on a line of its own, with a cursor."""
    terminal = asked(tmp_path, question, b"\x03")
    assert terminal.process.returncode == 130, terminal.text
    assert "Abort" not in terminal.text
    assert "Traceback" not in terminal.text
    assert terminal.text.rfind("\x1b[?25l") <= terminal.text.rfind("\x1b[?25h")
    assert "\n" in terminal.text.rpartition("Really")[2]


@pytest.mark.parametrize(("question", "answer"), [("confirm", "False"), ("text", "''"), ("hidden", "''")])
def test_ctrl_d(tmp_path: Path, question: str, answer: str) -> None:
    """Nothing was said, which is no yes, whatever Enter would mean."""
    terminal = asked(tmp_path, question, b"\x04")
    assert terminal.process.returncode == 0, terminal.text
    assert terminal.text.endswith(f"\n{answer}\n")


class Engine(http.server.BaseHTTPRequestHandler):
    """Docker's API, as far as there is one volume and nothing else."""

    def do_GET(self) -> None:
        answer: Any = {"ApiVersion": "1.47"}
        if "/volumes" in self.path:
            answer = {"Volumes": [{"Name": "claude-code-api_workspace", "Labels": {}}]}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def docker_host() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Engine) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"tcp://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("keys", "code", "said"), [(b"\x03", 130, "\n"), (b"\x04", 1, "Nothing was removed\n")])
def test_down_and_its_volumes(cli: Cli, docker_host: str, keys: bytes, code: int, said: str) -> None:
    """The question before everything is gone: Ctrl-C is exit 130, Ctrl-D is a no; neither is `Aborted!`."""
    with cli.terminal("down", "--volumes", environ={"DOCKER_HOST": docker_host}) as terminal:
        terminal.read_until("Remove them? [y/N]:")
        type_to_who_waits(terminal, keys)
        shown = terminal.read_all()
    assert terminal.process.returncode == code
    assert shown.endswith(said)
    assert "Abort" not in shown
