"""What is wanted of an answer, and the view that gives it."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, TextIO

from ccapi.cli import output
from ccapi.cli.context import mode

if TYPE_CHECKING:
    from ccapi.cli.answer.screen import Show
    from ccapi.commands.ask import Summary, View
    from ccapi.wire.events import RunEvent
    from ccapi.wire.transcript import Mode

Form = Literal["answer", "json", "events", "code", "structured"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """`form`: the answer itself, or what of it a program is to have. `language`: of the code blocks, None for all.

    `file`: where it goes instead of standard output. `past`: the run is long over, so that nobody waits for it, and
    nothing in it takes time.
    """

    transcript: Mode
    form: Form
    language: str | None = None
    file: Path | None = None
    full: bool = False
    thinking: bool = False
    past: bool = False

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
            import markdown_it  # noqa: F401 # most of it, which `markdown` imports at the first text

            from ccapi.cli.answer import markdown  # noqa: F401

    def view(self, summary: Summary) -> View:
        """Raises `UsageError` for a file that cannot be written, `OutputFailed` where there is no standard output."""
        if self.rendered:
            timed = not self.past
            return screen(sys.stdout, show=self.transcript, full=self.full, thinking=self.thinking, timed=timed)
        data = self._data(summary)
        # Whoever reads a pipe may write to the same terminal: there is something to be seen only until data comes.
        alone = self._at_the_end or not (self.piped or (self.file is None and output.on_screen()))
        watched = alone and not self.past and output.terminal(sys.stderr) and not mode.quiet
        return Together(screen(sys.stderr, show="nothing"), data) if watched else data

    @property
    def _at_the_end(self) -> bool:
        """Nothing is written before the run is over."""
        return self.form in {"json", "code", "structured"} or self.transcript == "final"

    def _data(self, summary: Summary) -> View:
        from ccapi.cli.answer import filewriter

        if not self.file:
            output.open_stdout()
        write = filewriter.opened(self.file) if self.file else output.write
        if self.form == "answer":
            from ccapi.cli.answer.plain import PlainView

            return PlainView(self.transcript, write)
        if self.form == "code":
            from ccapi.cli.answer.extract import ExtractView

            return ExtractView(self.transcript, self.language, write)
        from ccapi.cli.answer import programs

        if self.form == "structured":
            return programs.StructuredView(summary, write)
        kind = programs.JsonView if self.form == "json" else programs.EventsView
        return kind(self.transcript, summary, write)


def screen(stream: TextIO, *, show: Show, full: bool = False, thinking: bool = False, timed: bool = True) -> View:
    """An answer, or nothing but that there will be one, on the terminal that `stream` is."""
    from ccapi.cli.answer.live import Lines, LiveArea
    from ccapi.cli.answer.paint import Paint
    from ccapi.cli.answer.screen import ScreenView

    movable = not output.dumb()
    paint = Paint(colour=output.colour(stream), links=movable)
    area = LiveArea(stream) if movable else Lines(stream)
    return ScreenView(area, paint, show=show, full=full, thinking=thinking, timed=timed)


class Together:
    """Two views of one answer: what a person sees meanwhile, and the data."""

    def __init__(self, seen: View, data: View) -> None:
        self._seen = seen
        self._data = data
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self._data)
        self._stack.enter_context(self._seen)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, at)

    def feed(self, event: RunEvent) -> None:
        self._seen.feed(event)
        self._data.feed(event)

    def tick(self) -> None:
        self._seen.tick()
        self._data.tick()

    def close(self, *, patient: bool = True) -> None:
        self._seen.close(patient=patient)
        self._data.close(patient=patient)


def _is_file(stream: TextIO | None) -> bool:
    """Nobody reads it at the same time: a regular file, or /dev/null."""
    try:
        kind = os.fstat(stream.fileno()).st_mode if stream else 0
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(kind) or (stat.S_ISCHR(kind) and not output.terminal(stream))
