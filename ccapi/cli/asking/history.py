"""The questions that were typed, for Up and Down: a bounded file that only its owner can read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from prompt_toolkit.history import History

from ccapi import files
from ccapi.cli import output
from ccapi.errors import OutputFailed

MOST = 500  # questions
MOST_BYTES = 500_000  # of the file


class Kept(History):
    """One JSON string a line, the newest last. Of two that are kept in the same moment, one may be lost."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file

    def load_history_strings(self) -> Iterable[str]:
        """The newest first, as the base class wants them."""
        return reversed(self._read())

    def store_string(self, string: str) -> None:
        """A file that cannot be written is warned of, and keeps nobody from asking."""
        lines: list[str] = []
        left = MOST_BYTES
        for question in [string, *reversed(self._read())][:MOST]:
            line = f"{json.dumps(question)}\n"
            left -= len(line)
            if left < 0:
                break
            lines.append(line)
        if not lines:  # larger than all that may be kept
            return
        try:
            files.replace(self._file, "".join(reversed(lines)), mode=0o600)
        except OutputFailed as error:
            output.warn(f"this question is not kept: {error.message}")

    def _read(self) -> list[str]:
        """What is damaged is passed over."""
        try:
            lines = self._file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return []
        found = (_string(line) for line in lines)
        return [question for question in found if question]


def _string(line: str) -> str | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, str) else None
