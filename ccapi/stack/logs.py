"""What the container logs, line by line, with Docker's time of each."""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ccapi.errors import StackFailed
from ccapi.stack.engine import Container, Engine

_GONE_AFTER = 3.0  # seconds without a running container until following its log ends
_POLL = 0.2

Tail = int | Literal["all"]
Stamped = tuple[str, str]  # Docker's time (RFC 3339), and the line


@dataclass(frozen=True, slots=True)
class Span:
    """Which of the lines: the last `tail` of those between two times, which are in seconds of Unix time."""

    tail: Tail = "all"
    since: float | None = None
    until: float | None = None


def last(environ: Mapping[str, str], stack: str, span: Span) -> Iterator[Stamped]:
    """Those that are there. Raises `StackFailed` when there is no container."""
    with _Logbook(environ, stack) as book:
        _present(book)
        yield from _stamped(book.output(span, follow=False))


def follow(environ: Mapping[str, str], stack: str, span: Span, note: Callable[[str], None]) -> Iterator[Stamped]:
    """Those and all that come, across restarts, until the container is stopped or removed; `note` is told of that."""
    with _Logbook(environ, stack) as book:
        _present(book)
        yield from _stamped(book.output(span, follow=True))
        while started := _runs_again(book, note):
            note("The container was started again")
            yield from _stamped(book.output(Span(since=started), follow=True))


class _Logbook(Engine):
    """An `Engine` that reads the log."""

    def output(self, span: Span, *, follow: bool) -> Iterator[bytes]:
        times: dict[str, Any] = {"since": span.since, "until": span.until}
        with self._mapped():
            stream = self._api.logs(self.stack, stream=True, follow=follow, tail=span.tail, timestamps=True, **times)
            try:
                yield from stream
            finally:
                stream.close()


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Whole lines, without their ends; a chunk may end anywhere, within a character too."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    for chunk in chunks:
        *whole, rest = (rest + decoder.decode(chunk)).split("\n")
        yield from (line.removesuffix("\r") for line in whole)
    if rest:
        yield rest


def _stamped(chunks: Iterable[bytes]) -> Iterator[Stamped]:
    for line in lines(chunks):
        stamp, _, text = line.partition(" ")
        yield stamp, text


def _present(engine: Engine) -> Container:
    container = engine.own()
    if container is None:
        raise StackFailed("not created: there is no container, and so no log", hint="Start it: ccapi up")
    return container


def _runs_again(engine: Engine, note: Callable[[str], None]) -> float | None:
    """Wait for the container to come back: when it started. One that Docker is about to restart may take its time."""
    deadline = time.monotonic() + _GONE_AFTER
    while (container := engine.container()) and (container.state == "restarting" or time.monotonic() < deadline):
        if container.state == "running" and container.started:
            return container.started.timestamp()
        time.sleep(_POLL)
    note(f"The container stopped (exit code {container.exit_code})" if container else "The container was removed")
    return None
