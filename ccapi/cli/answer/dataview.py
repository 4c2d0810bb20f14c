"""What all views have in common that write data: for a pipe, a file, another program."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from ccapi.cli import output
from ccapi.cli.answer.filewriter import FileWriter
from ccapi.errors import OutputFailed
from ccapi.wire.events import RunEvent

Write = Callable[[str], None]


class DataView:
    """Once nothing more can be written, nothing more is tried: how that ended was said by then."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._broken = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finished()
            else:
                self._wait_for_reader(patient=isinstance(error, Exception))
                self._failed(error)
        finally:
            if isinstance(self._write, FileWriter):
                self._write.close()

    def feed(self, event: RunEvent) -> None:
        """The next event of the run."""

    def tick(self) -> None:
        """A program is not told how time goes by."""

    def close(self, *, patient: bool = True) -> None:
        """Nothing will come any more."""
        self._wait_for_reader(patient=patient)

    def _wait_for_reader(self, *, patient: bool) -> None:
        if not patient:
            hurry = self._write.hurry if isinstance(self._write, FileWriter) else output.hurry
            hurry()

    def _finished(self) -> None:
        """The run came to its end."""

    def _failed(self, error: BaseException) -> None:
        """It did not, or what it gave is of no use."""

    def _put(self, text: str) -> None:
        """On a terminal without what would command it."""
        if self._broken:
            return
        try:
            self._write(output.printable(text) if self._on_screen else text)
        except (OutputFailed, OSError):  # an interrupt leaves the rest in the stream's buffer
            self._broken = True
            raise

    @property
    def _on_screen(self) -> bool:
        if isinstance(self._write, FileWriter):
            return self._write.on_screen
        return self._write is output.write and output.on_screen()
