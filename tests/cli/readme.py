"""The README, taken apart: its blocks, its commands, and what the answers to its questions must hold."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cli.support import DEADLINE, ROOT

README = (ROOT / "README.md").read_text("utf-8")
FIBONACCI = "[0, 1, 1, 2, 3, 5, 8, 13, 21, 34]"


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    language: str
    text: str


BLOCKS = [Block(match[1], match[2]) for match in re.finditer(r"(?ms)^```(\w*)\n(.*?)^```$", README)]


def block(language: str) -> str:
    """The one block of that language."""
    (found,) = [block.text for block in BLOCKS if block.language == language]
    return found


def commands() -> list[str]:
    """The commands of all console blocks, with their continuation lines."""
    consoles = "".join(block.text for block in BLOCKS if block.language == "console")
    return [command[2:] for command in re.findall(r"(?m)^\$ (?:.*\\\n)*.*$", consoles)]


def begins(start: str) -> list[str]:
    """The commands that begin like this."""
    return [command for command in commands() if command == start or command.startswith(start + " ")]


CURLS = [command for command in commands() if command.startswith("curl ")]
(ASK,) = begins("ccapi ask")


def content_of(answer: str) -> str:
    """The content of an answer of the API, streamed or not. A streamed one must be complete."""
    if not answer.startswith("data:"):
        return str(json.loads(answer)["choices"][0]["message"]["content"])
    events = [line.removeprefix("data: ") for line in answer.split("\n") if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)


def check_answer(number: int, content: str) -> None:
    """The three questions: steps between separators, tool calls, and what the tools really printed."""
    steps = content.split("\n\n---\n\n")
    assert len(steps) == 3
    if number == 0:
        assert "def fibonacci(" in steps[0]
        assert f"\n{FIBONACCI}\n" in steps[1]
        assert "It works" in steps[2]
    elif number == 1:
        assert "**Bash** `find " in steps[0]
        assert re.search(r"Python files in this directory: [1-9]", steps[2])
    else:
        assert "First I'll list the files." in steps[0]
        assert ".py" in steps[0]
        assert "**" in steps[1]


def bash(
    command: str, environ: Mapping[str, str], directory: Path, timeout: float = DEADLINE
) -> subprocess.CompletedProcess[str]:
    """A line of the README, as it stands, in bash."""
    return subprocess.run(
        ["bash", "-c", command],
        cwd=directory,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=timeout,
        check=False,
    )


def shell(command: str, environ: Mapping[str, str], directory: Path, timeout: float = DEADLINE) -> str:
    """Standard output of a line of the README that must succeed."""
    done = bash(command, environ, directory, timeout)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout
