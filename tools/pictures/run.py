"""A run of `ccapi ask` for a picture: the gateway, the question, and the screen after it."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

COLUMNS = 80
_ROWS = 100  # more than any of them has
_DEADLINE = 60  # seconds, for the answer
_ENDED = "ended-with"
_HERE = Path(__file__).parent
_ROOT = _HERE.parent.parent
_SETTLED = (
    (re.compile(r"(?m)^(.*[✓✗].*?)\d+(?:\.\d)? s\b"), r"\g<1>0.2 s"),  # of a tool call
    (re.compile(r"\d+(?:\.\d)? s, first text \d+(?:\.\d)? s"), "4.2 s, first text 0.6 s"),
    (re.compile(r"[\d.]+k in\b"), "35.6k in"),
    (re.compile(r"[\d.]+k cached\b"), "23.8k cached"),
    (re.compile(r", \d+ out\b"), ", 134 out"),
    (re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "6f1c7a52-3c1b-4e0e-9a53-0c8f4f0f9d11"),
)


@dataclass(frozen=True)
class Picture:
    """`scenario`: a shipped one, or a file of this directory. `files`: those in the workspace before the question."""

    name: str
    question: str
    scenario: str
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def command(self) -> str:
        """As it would be typed."""
        return f'ccapi ask "{self.question}"'


def screen(picture: Picture) -> str:
    """What is to be seen after the run, settled; its SGR sequences are in it. Raises `RuntimeError` if it failed."""
    with tempfile.TemporaryDirectory(prefix="ccapi-") as directory:
        workspace = Path(directory).resolve() / "workspace"
        workspace.mkdir()
        for name, text in picture.files.items():
            (workspace / name).write_text(text, "utf-8")
        environ = _environment(Path(directory))
        with _gateway(picture, workspace, environ) as port:
            found = _asked(picture, Path(directory), {**environ, "CCAPI_GATEWAY_PORT": port})
    return _settled(found.replace(f"{workspace}/", ""))


def _settled(found: str) -> str:
    for pattern, fixed in _SETTLED:
        found = pattern.sub(fixed, found)
    return found


def _environment(home: Path) -> dict[str, str]:
    """In which nothing of the person who makes the pictures is seen."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "CCAPI_HOME": str(home / "ccapi"),
        "CCAPI_NO_UPDATE_CHECK": "1",
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(_ROOT),
    }


@contextmanager
def _gateway(picture: Picture, workspace: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """Its port, while it runs."""
    own = _HERE / f"{picture.scenario}.toml"
    scenario = str(own) if own.exists() else picture.scenario
    process = subprocess.Popen(
        [sys.executable, "-m", "ccapi", "gateway", "--port=0", f"--rehearsal={scenario}", f"--workspace={workspace}"],
        cwd=workspace.parent,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    with process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip().rpartition(":")[2]
        finally:
            process.send_signal(signal.SIGTERM)


def _asked(picture: Picture, directory: Path, environ: Mapping[str, str]) -> str:
    """The rows of a terminal of its own in which the question was asked."""
    config = directory / "tmux.conf"
    config.write_text("set -g status off\nset -g default-terminal tmux-256color\n", "ascii")

    def tmux(*args: str) -> str:
        command = ["tmux", "-u", "-S", str(directory / "tmux"), "-f", str(config), *args]
        return subprocess.run(
            command, cwd=directory, env=environ, capture_output=True, text=True, timeout=_DEADLINE, check=True
        ).stdout

    asked = shlex.join([sys.executable, "-m", "ccapi", "ask", picture.question])
    # The exit code is the terminal's title, of which it learns behind all that was written. The screen stays then.
    script = f'{asked}; printf "\\033]2;{_ENDED} $?\\007"; exec sleep {2 * _DEADLINE}'
    tmux("new-session", "-d", "-x", str(COLUMNS), "-y", str(_ROWS), script)
    try:
        code = _code(lambda: tmux("display-message", "-p", "#{pane_title}"))
        found = tmux("capture-pane", "-p", "-e").rstrip()
    finally:
        tmux("kill-server")
    if code != "0":
        raise RuntimeError(f"{picture.command} ended with {code or 'nothing, in time'}:\n{found}")
    return found


def _code(title: Callable[[], str]) -> str:
    """As soon as the title tells it; empty after the deadline."""
    deadline = time.monotonic() + _DEADLINE
    while not (found := title().strip()).startswith(_ENDED):
        if time.monotonic() > deadline:
            return ""
        time.sleep(0.05)
    return found.removeprefix(_ENDED).strip()
