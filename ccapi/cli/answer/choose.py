"""What is wanted of an answer, and the view that gives it."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from ccapi.cli import output
from ccapi.cli.context import mode

if TYPE_CHECKING:
    from ccapi.commands.ask import Summary, View
    from ccapi.wire.events import RunEvent
    from ccapi.wire.transcript import Mode

Form = Literal["answer", "json", "events", "code", "structured"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """`form`: the answer itself, or what of it a program is to have. `language`: of the code blocks, None for all.

    `schema`: that a structured answer has to fit. `file`: where it goes instead of standard output.
    """

    transcript: Mode
    form: Form
    language: str | None = None
    schema: Mapping[str, Any] | None = None
    file: Path | None = None
    full: bool = False
    thinking: bool = False

    @property
    def rendered(self) -> bool:
        """For a person who reads it as it comes."""
        return self.form == "answer" and self.file is None and output.on_screen()

    @property
    def piped(self) -> bool:
        """What is written to standard output goes to another program, which may have the terminal as well."""
        return self.file is None and not output.on_screen() and not _is_file(sys.stdout)

    def prepare(self) -> None:
        """Import what takes a while, now that the question is on its way."""
        if self.rendered:
            from ccapi.cli.answer import markdown  # noqa: F401

    def view(self, summary: Summary) -> View:
        """Raises `UsageError` for a file that cannot be written."""
        if self.rendered:
            return self._screen()
        data = self._data(summary)
        # On the same terminal, the one that reads the pipe would be overwritten by it while it writes.
        shown = output.terminal(sys.stderr) and not mode.quiet and not mode.no_progress
        return Together(self._status(), data) if shown and (self.at_the_end or not self.piped) else data
