"""An answer in a pipe: the transcript, byte for byte as the Chat Completions API has it, and a newline."""

from __future__ import annotations

from ccapi.cli.answer.dataview import DataView, Write
from ccapi.errors import Interrupted
from ccapi.wire.events import RunEvent, RunFailed
from ccapi.wire.transcript import Mode, Transcript


class PlainView(DataView):
    """Everything is written as soon as the transcript has it. Of an answer that broke off that is all there was."""

    def __init__(self, transcript: Mode, write: Write) -> None:
        super().__init__(write)
        self._transcript = Transcript(transcript)
        self._ended: bool | None = None  # the last line that was written is a whole one

    def feed(self, event: RunEvent) -> None:
        if text := self._transcript.feed(event):
            self._ended = text.endswith("\n")
            self._put(text)

    def close(self, *, patient: bool = True) -> None:
        """What the transcript still holds back: the last text, the result of a tool that waits for its turn."""
        super().close(patient=patient)
        self.feed(RunFailed(Interrupted("interrupted")))

    def _finished(self) -> None:
        # Always one, and always that one, so that what stands before it is the API's content.
        self._put("" if self._ended is None else "\n")

    def _failed(self, error: BaseException) -> None:
        """What is said of it then, maybe on the same terminal, begins a line."""
        del error
        if self._ended is False:
            self._put("\n")
