"""The README and the pages in docs/, taken apart: blocks, commands, tables; and what the README's answers must hold."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cli.support import DEADLINE, ROOT

FIBONACCI = "[0, 1, 1, 2, 3, 5, 8, 13, 21, 34]"
_FENCE = re.compile(r"(?ms)^(```+)(\w*)\n(.*?)^\1$")
_HEADING = re.compile(r"#+ (.+)")


@dataclass(frozen=True)
class Block:
    """A fenced block, and the heading that it stands below."""

    language: str
    text: str
    heading: str

    @property
    def commands(self) -> list[str]:
        """Of a console block: its commands, with their continuation lines."""
        found = re.findall(r"(?m)^\$ (?:.*\\\n)*.*$", self.text) if self.language == "console" else []
        return [command[2:] for command in found]


class Page:
    """A Markdown file of the repository. `path` is relative to its root."""

    def __init__(self, path: str) -> None:
        self.path = ROOT / path
        self.text = self.path.read_text("utf-8")
        self.blocks = list(self._blocks())

    @property
    def prose(self) -> str:
        """All but the blocks."""
        return _FENCE.sub("", self.text)

    @property
    def headings(self) -> list[str]:
        return [match[1] for line in self.prose.split("\n") if (match := _HEADING.fullmatch(line))]

    @property
    def anchors(self) -> set[str]:
        """What a link can name after `#`, as GitHub makes it of the headings."""
        return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in self.headings}

    @property
    def links(self) -> list[str]:
        """All that are not to other sites."""
        return [link for link in re.findall(r"\]\(([^)]+)\)", self.prose) if "://" not in link]

    def commands(self) -> list[str]:
        """The commands of all console blocks."""
        return [command for block in self.blocks for command in block.commands]

    def block(self, language: str, heading: str | None = None) -> str:
        """The one block of that language, below that heading if one is given."""
        (found,) = [one for one in self.blocks if one.language == language and heading in {None, one.heading}]
        return found.text

    def begins(self, start: str) -> list[str]:
        """The commands that begin like this."""
        return [command for command in self.commands() if command == start or command.startswith(start + " ")]

    def table(self, heading: str, number: int = 0) -> list[list[str]]:
        """The cells of the table below a heading, head and rule left out."""
        section = re.split(rf"(?m)^#+ {re.escape(heading)}$", self.prose)[1]
        section = re.split(r"(?m)^#+ ", section)[0]
        tables = re.findall(r"(?m)(?:^\|.*\n)+", section)
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in tables[number].splitlines()]
        return rows[2:]

    def _blocks(self) -> Iterator[Block]:
        for match in _FENCE.finditer(self.text):
            before = _FENCE.sub("", self.text[: match.start()]).split("\n")
            heading = next((found[1] for line in reversed(before) if (found := _HEADING.fullmatch(line))), "")
            yield Block(match[2], match[3], heading)


def below(page: Page, heading: str) -> list[Block]:
    """The blocks of a section."""
    return [block for block in page.blocks if block.heading == heading]


README = Page("README.md")
CURLS = [command for command in README.commands() if command.startswith("curl ")]
ASK = README.begins("ccapi ask")[0]


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
