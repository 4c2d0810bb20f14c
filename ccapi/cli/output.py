"""The only module that writes to the terminal: data to stdout, everything else to stderr."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

from ccapi.errors import CcapiError, OutputFailed

if TYPE_CHECKING:
    from rich.console import Console


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def prepare() -> None:
    """Make the streams able to take any answer: UTF-8 in a pipe, a replacement where a terminal has no such letter."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            if stream.isatty():
                stream.reconfigure(errors="replace")
            else:
                stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def write(text: str) -> None:
    """Data, untouched, to stdout, at once (a pipe must see an answer as it streams). Raises `OutputFailed`."""
    if sys.stdout is None:
        raise OutputFailed("Standard output is closed")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # the reader left: no failure of ours
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the flush at exit fails as well
        raise OutputFailed(f"Standard output cannot be written: {error.strerror}") from None


def write_json(value: Any) -> None:
    """One JSON document on stdout; never through rich, which would wrap it."""
    write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def note(text: str) -> None:
    """A line for the person, on stderr."""
    if sys.stderr is None:
        return
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def write_raw(data: bytes) -> None:
    """What a program prints that has the terminal to itself, on stderr: it may command the terminal."""
    if sys.stderr is not None:
        sys.stderr.buffer.write(data)
        sys.stderr.flush()


def terminal(stream: TextIO | None) -> bool:
    """Whether a person reads it. (Python has no stream at all for a descriptor that was closed.)"""
    return stream is not None and stream.isatty()


def printable(text: str) -> str:
    """`text` of others without what would command the terminal: only newlines and tabs stay."""
    return _CONTROL.sub("", text.replace("\r\n", "\n"))


def table(rows: Mapping[str, str]) -> str:
    """Names and values, one below the other."""
    width = max(map(len, rows), default=0)
    return "".join(f"  {name:<{width}}  {value}\n" for name, value in rows.items())


def failure(error: CcapiError) -> None:
    """One line that says what happened, and what to do next."""
    note(f"{styled('error:', '1;31')} {printable(error.message)}")
    if error.hint:
        for line in printable(error.hint).splitlines():
            note(f"  {line}")


def styled(text: str, sgr: str, stream: TextIO | None = None) -> str:
    """`text` in the given SGR style when the stream is a terminal that shows colours."""
    return f"\x1b[{sgr}m{text}\x1b[0m" if colour(stream or sys.stderr) else text


def link(url: str) -> str:
    """An address on one line of stderr; on a terminal all of it is one link (OSC 8), however it is wrapped."""
    url = printable(url)
    shown = terminal(sys.stderr) and os.environ.get("TERM") != "dumb"
    return f"\x1b]8;;{url}\x1b\\{url}\x1b]8;;\x1b\\" if shown else url


def colour(stream: TextIO) -> bool:
    """Whether to colour: https://no-color.org, FORCE_COLOR, TERM=dumb, and only on a terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return terminal(stream) and os.environ.get("TERM") != "dumb"


def console(*, stderr: bool = True) -> Console:
    """A rich console; imported late, as it costs half of a command's start-up time."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def interactive() -> bool:
    """Whether a person can be asked: stdin and stderr are terminals, and this is no CI."""
    return terminal(sys.stdin) and terminal(sys.stderr) and not os.environ.get("CI")
