"""The only module that writes to the terminal: data to stdout, everything else to stderr."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

from ccapi.cli.context import mode
from ccapi.errors import CcapiError, OutputFailed

if TYPE_CHECKING:
    from rich.console import Console

SCHEMA_VERSION = 1  # of the JSON documents' envelope; what `data` holds may get more members at any time

_TO_STACK = (  # the commands that are given to one stack
    r"\bccapi (?=(?:up|down|status|logs|restart|shell|claude|upgrade|uninstall|doctor|ask|sessions|models"
    r"|auth|proxy|key|config)\b)"
)
_TO_PORT = r"\bccapi (?:ask|models|sessions \w+)\b"  # those that ask a gateway, which may be another than the settings'
# Separators of lines and paragraphs become spaces; what commands a terminal, and what shows the text around it in
# another order than it has (Trojan Source), goes.
_HARMFUL: dict[int, str | None] = {
    **dict.fromkeys({*range(0x20), *range(0x7F, 0xA0)} - {ord("\n"), ord("\t")}),
    **dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A))),
    **dict.fromkeys((0x85, 0x2028, 0x2029), " "),
}
# json.dumps escapes those below a space by itself.
_ESCAPED = {code: f"\\u{code:04x}" for code in _HARMFUL if code > ord(" ")}


def prepare() -> None:
    """Make the streams able to take any answer: UTF-8 in a pipe, a replacement where a terminal has no such letter."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            _wait_for_reader(stream)
            if stream.isatty():
                stream.reconfigure(errors="replace")
            else:
                stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _wait_for_reader(stream: TextIO) -> None:
    """Make a write wait if its other end is slow. O_NONBLOCK is left behind by others who have the same open file."""
    if sys.platform == "win32":
        return
    with suppress(OSError, ValueError):
        descriptor = stream.fileno()
        if os.get_blocking(descriptor) or stat.S_ISREG(os.fstat(descriptor).st_mode):
            return
        with suppress(OSError):  # an open file of our own, where that can be had: for the others theirs stays as it is
            own = os.open(f"/dev/fd/{descriptor}", os.O_WRONLY | os.O_NOCTTY)
            os.dup2(own, descriptor)
            os.close(own)
        os.set_blocking(descriptor, True)


def leave_terminals() -> None:
    """Write nothing to a terminal any more: one that takes nothing would be waited for at the exit, too."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and terminal(stream):
            _to_nowhere(stream)


def _to_nowhere(stream: TextIO) -> None:
    """What could not be written stays in the stream's buffer: the flush at the exit would fail as well."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def write(text: str, stream: TextIO | None = None) -> None:
    """Data, untouched, to stdout (or `stream`), at once: a pipe must see an answer as it streams.

    Raises `OutputFailed`.
    """
    stream = stream or open_stdout()
    try:
        stream.flush()
        if stream is sys.stdout and (descriptor := _read_by_program(stream)) is not None:
            mode.pipe.write(descriptor, text.encode(stream.encoding, stream.errors or "strict"))
        else:
            stream.write(text)
            stream.flush()
    except BrokenPipeError:
        _to_nowhere(stream)
        raise  # the reader left: no failure of ours
    except OSError as error:
        _to_nowhere(stream)
        name = "error" if stream is sys.stderr else "output"
        raise OutputFailed(f"Standard {name} cannot be written: {error.strerror}") from None


def _read_by_program(stream: TextIO) -> int | None:
    """The descriptor of a stream that is no terminal; None where Python's own way is the only one."""
    if sys.platform == "win32" or stream.isatty():
        return None
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return None


def hurry() -> None:
    """Standard output's reader is no longer waited for as long as it takes: see `Pipe`."""
    mode.pipe.hurry()


def open_stdout() -> TextIO:
    """Raises `OutputFailed` if there is none. (Python has no stream at all for a descriptor that was closed.)"""
    if sys.stdout is None:
        raise OutputFailed("Standard output is closed")
    return sys.stdout


def write_json(data: Any, *, ok: bool = True, warnings: Sequence[str] = ()) -> None:
    """The one JSON document of a command; never through rich, which would wrap it. `ok` False: what it tells is bad."""
    _end_with(json_line(_envelope(data, ok=ok, warnings=warnings), indent=2))


def write_line_json(event: Mapping[str, Any]) -> None:
    """One line of a stream, at once; `event` has a `type`."""
    _put(json_line(event))


def write_result(data: Any, *, ok: bool = True, warnings: Sequence[str] = ()) -> None:
    """The last line of a stream: what a command without a stream has as its one document."""
    _end_with(json_line({"type": "result", **_envelope(data, ok=ok, warnings=warnings)}))


def _envelope(
    data: Any, *, ok: bool, warnings: Sequence[str] = (), error: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "schemaVersion": SCHEMA_VERSION,
        "command": mode.command,
        "status": "ok" if ok else "failed",
        "data": data,
        "warnings": [*mode.warnings, *warnings],
        "error": error,
    }


def json_line(document: Any, indent: int | None = None) -> str:
    """JSON and a newline: one line unless it is indented. No character of it commands a terminal."""
    import json

    return json.dumps(document, indent=indent, ensure_ascii=False).translate(_ESCAPED) + "\n"


def _put(text: str) -> None:
    (mode.sink or write)(text)


def _end_with(text: str) -> None:
    """The document, or the last line of a stream: whatever happens from now on, nothing comes after it."""
    put, mode.sink = mode.sink or write, _drop
    put(text)


def _drop(text: str) -> None:
    """A program has got its document."""


def note(text: str) -> None:
    """A line for the person, on stderr; none with --quiet."""
    if not mode.quiet:
        say(text)


def warn(text: str) -> None:
    """What a person should know of, although it went on. In a JSON document it stands among the warnings."""
    mode.warnings.append(text)
    say(f"{styled('warning:', '33')} {printable(text)}")


def say(text: str) -> None:
    """A line that must be seen, on stderr: errors, and what a question or a sign-in cannot do without.

    What nobody can be told is dropped: the command goes on, and ends, as it would have.
    """
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(addressed(text) + "\n")
        sys.stderr.flush()
    except OSError:  # it is full, or its reader has gone
        _to_nowhere(sys.stderr)


def addressed(text: str) -> str:
    """`text` with the commands in it meant for the stack that `--project` has named, and for the port of `--port`."""
    if mode.project is None and mode.port is None:
        return text
    import re

    lines = text.split("\n")
    if mode.port is not None:
        lines = [line if "--port" in line else re.sub(_TO_PORT, rf"\g<0> --port {mode.port}", line) for line in lines]
    if mode.project is not None:
        own = f"ccapi --project {mode.project} "
        lines = [line if "--project" in line else re.sub(_TO_STACK, own, line) for line in lines]
    return "\n".join(lines)


def write_raw(data: bytes) -> None:
    """What a program prints that has the terminal to itself, on stderr: it may command the terminal."""
    if sys.stderr is not None:
        sys.stderr.buffer.write(data)
        sys.stderr.flush()


def terminal(stream: TextIO | None) -> bool:
    """Whether a person reads it. (Python has no stream at all for a descriptor that was closed.)"""
    return stream is not None and stream.isatty()


def on_screen() -> bool:
    """Whether a person reads the data as it is written."""
    return terminal(sys.stdout)


def whole_terminal() -> bool:
    """Whether a program that reads and writes would have a person at both ends."""
    return terminal(sys.stdin) and terminal(sys.stdout)


def waiting(holder: str) -> None:
    """For a lock that another process has; `holder` is its PID."""
    note(f"Waiting for another ccapi to finish (PID {holder})")


def printable(text: str) -> str:
    """`text` of others without what would command the terminal, or reorder it: of all that, newlines and tabs stay."""
    return text if text.isprintable() else text.translate(_HARMFUL)


def table(rows: Mapping[str, str]) -> str:
    """Names and values, one below the other."""
    width = max(map(len, rows), default=0)
    return "".join(f"  {name:<{width}}  {value}\n" for name, value in rows.items())


def columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Cells below each other, as wide as the widest of their column."""
    widths = [max(map(_cell_len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(_padded, row, widths)) for row in rows)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _padded(cell: str, width: int) -> str:
    return cell + " " * (width - _cell_len(cell))


def _cell_len(text: str) -> int:
    """`cell_len`; the widths of letters are imported late, as most commands write none that is wide."""
    if text.isascii():
        return len(text)
    from ccapi.cli.answer.cells import cell_len

    return cell_len(text)


def failure(error: CcapiError) -> None:
    """One line that says what happened, and what to do next; for a program that asked for JSON that, too.

    Raises nothing: what cannot be told does not become another failure.
    """
    with suppress(Exception):
        _say_failure(error)
    if mode.json:
        with suppress(Exception):
            write_failure(error)


def _say_failure(error: CcapiError) -> None:
    message = " ".join(printable(error.message).splitlines())
    say(f"{styled('error:', '1;31')} {message}")
    for line in printable(error.hint or "").splitlines():
        say(f"  {line}")
    if error.retry_after is not None:
        from ccapi.cli.answer.figures import duration

        say(f"  Try again in {duration(error.retry_after, whole=True)}.")


def write_failure(error: CcapiError) -> None:
    """The JSON document of a command that failed, or the last line of its stream: with all that it has found."""
    from ccapi.cli import problem

    error.hint = addressed(error.hint or "") or None
    document = _envelope(mode.data, ok=False, error=problem.document(error))
    _end_with(json_line({"type": "result", **document}) if mode.stream else json_line(document, indent=2))


def styled(text: str, sgr: str, stream: TextIO | None = None) -> str:
    """`text` in the given SGR style when the stream is a terminal that shows colours."""
    return f"\x1b[{sgr}m{text}\x1b[0m" if colour(stream or sys.stderr) else text


def tinted(text: str, sgr: str) -> str:
    """`styled`, for the data."""
    return styled(text, sgr, sys.stdout)


def link(url: str) -> str:
    """An address on one line of stderr; on a terminal all of it is one link (OSC 8), however it is wrapped."""
    url = printable(url)
    shown = terminal(sys.stderr) and not dumb()
    return f"\x1b]8;;{url}\x1b\\{url}\x1b]8;;\x1b\\" if shown else url


def colour(stream: TextIO | None) -> bool:
    """Whether to colour: --color, then https://no-color.org, FORCE_COLOR and CLICOLOR_FORCE, TERM=dumb, a terminal."""
    if mode.color != "auto":
        return mode.color == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if any(os.environ.get(name, "0") not in {"", "0"} for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    return terminal(stream) and not dumb()


def dumb() -> bool:
    """Whether the terminal knows no control sequences at all; one of which nothing is said is not trusted."""
    return os.environ.get("TERM", "") in {"dumb", *([] if sys.platform == "win32" else [""])}


def console() -> Console:
    """A rich console on stderr; imported late, as it costs half of a command's start-up time."""
    from rich.console import Console

    shown = colour(sys.stderr)
    # Said outright: by itself rich takes FORCE_COLOR for a terminal, and keeps bold type under NO_COLOR.
    return Console(
        stderr=True,
        highlight=False,
        no_color=not shown,
        color_system="auto" if shown else None,
        force_terminal=terminal(sys.stderr),
    )


def interactive() -> bool:
    """Whether a person can be asked: stdin and stderr are terminals, this is no CI, and there was no --no-input."""
    return not mode.no_input and terminal(sys.stdin) and terminal(sys.stderr) and not os.environ.get("CI")
