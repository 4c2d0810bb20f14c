"""Shows what `up` and `down` are doing, on stderr: a live line on a terminal, else a line per change."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ccapi.cli import output
from ccapi.cli.context import mode

if TYPE_CHECKING:
    from rich.progress import Progress as LiveLine

    from ccapi.stack.progress import Progress


class ProgressView:
    """Called with each `Progress`. A context manager, so that the cursor is back whatever happens."""

    def __init__(self) -> None:
        self._live: LiveLine | None = None
        self._phase = ""
        self._said: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def __call__(self, progress: Progress) -> None:
        text = progress.text
        if progress.kind == "warning":
            mode.warnings.append(text)
        elif mode.quiet:
            return
        match progress.kind:
            case "phase":
                self._begin(text)
            case "step":
                self._step(text)
            case "done":
                text = f"{output.styled('✓', '32')} {text}" if self._live else text
                self._end()
                self._line(text)
            case "note":
                self._line(text)
            case "warning":
                self._line(f"{output.styled('warning:', '33')} {text}")
            case "log":
                self._line(output.styled(f"  | {output.printable(text)}", "2"))

    def pause(self) -> None:
        """Take the live line away, until the next phase."""
        self._end()

    def _begin(self, phase: str) -> None:
        self._end()
        self._phase, self._said = phase, set()
        self._live = _live_line() if output.terminal(sys.stderr) else None
        if self._live is None:
            output.note(f"{phase} ...")
            return
        self._live.add_task(phase, total=None)
        self._live.start()

    def _step(self, text: str) -> None:
        if self._live:
            self._live.update(self._live.task_ids[0], description=f"{self._phase}: {text}")
        elif (stage := text.partition(" (")[0]) not in self._said:
            self._said.add(stage)  # a build's steps are many: without a terminal one line for each of its stages
            output.note(f"  {stage}")

    def _line(self, text: str) -> None:
        if not self._live:
            output.say(text)
            return
        from rich.text import Text

        self._live.console.print(Text.from_ansi(text), soft_wrap=True)

    def _end(self) -> None:
        if self._live:
            self._live.stop()
            self._live = None


def _live_line() -> LiveLine | None:
    """None on a terminal that cannot move its cursor."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = output.console()
    if console.is_dumb_terminal:
        return None
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True)
