"""The file that an answer goes to instead of standard output."""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path

from ccapi.cli import output
from ccapi.cli.pipe import Pipe
from ccapi.errors import OutputFailed, UsageError

_NEW = 0o666  # what the umask leaves of it, as with `> FILE`
_POLL = 0.1  # seconds


def opened(path: Path) -> FileWriter:
    """A file that can be written to, as far as can be told without touching it. Raises `UsageError`.

    A named pipe is opened: as in a shell, nothing begins before it has a reader.
    """
    problem = _problem(path)
    if problem:
        raise UsageError(_legible(f"-o {path}: {problem}"))
    return FileWriter(path, _with_reader(path) if path.is_fifo() else None)


def _with_reader(path: Path) -> int:
    """The named pipe, once it is being read. Waits in sleep, as a signal does not end `open`."""
    waited = False
    while True:
        try:
            file = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise UsageError(_legible(f"-o {path}: {error.strerror}")) from None
        else:
            os.set_blocking(file, True)
            return file
        if not waited:
            output.note(_legible(f"Waiting for a program that reads {path}"))
            waited = True
        time.sleep(_POLL)


def _problem(path: Path) -> str | None:
    try:
        kind = path.stat().st_mode
    except FileNotFoundError:
        directory = (Path(os.path.realpath(path)) if path.is_symlink() else path).parent
        if not directory.is_dir():
            return f"there is no directory {directory}"
        return None if os.access(directory, os.W_OK | os.X_OK) else f"nothing can be written into {directory}"
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    if stat.S_ISDIR(kind):
        return "that is a directory"
    return None if os.access(path, os.W_OK) else "it cannot be written to"


def _legible(text: str) -> str:
    from ccapi.commands import attachments

    return attachments.legible(text)


class FileWriter:
    """Writes at once, so that the file can be followed. What was in it stays until there is something to write."""

    def __init__(self, path: Path, file: int | None = None) -> None:
        """`file`: the path's descriptor, if it is open already."""
        self._path = path
        self._file = file
        self._began = self._kept = file is not None  # the reader of a named pipe would take a gap for the end
        self._pipe = Pipe()

    def __call__(self, text: str) -> None:
        """As UTF-8, as in a pipe. Raises `OutputFailed`."""
        data = text.encode("utf-8", "backslashreplace")
        try:
            self._pipe.write(self._open(), data)
        except BrokenPipeError:
            raise  # a named pipe whose reader left, as with standard output
        except OSError as error:
            raise self._failure(error) from None

    def hurry(self) -> None:
        """See `Pipe`."""
        self._pipe.hurry()

    @property
    def on_screen(self) -> bool:
        """Whether it is a terminal, such as /dev/tty. Raises `OutputFailed`."""
        try:
            return os.isatty(self._open())
        except OSError as error:
            raise self._failure(error) from None

    def close(self) -> None:
        """It may be written to again all the same, and then goes on. Raises `OutputFailed`."""
        if self._file is None or self._kept:
            return
        file, self._file = self._file, None
        try:
            os.close(file)
        except OSError as error:  # a file system that only now finds that it is full
            raise self._failure(error) from None

    def _open(self) -> int:
        if self._file is None:
            begin = os.O_APPEND if self._began else os.O_TRUNC
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | begin, _NEW)
            self._began = True
        return self._file

    def _failure(self, error: OSError) -> OutputFailed:
        return OutputFailed(_legible(f"{self._path} cannot be written: {error.strerror}"))
