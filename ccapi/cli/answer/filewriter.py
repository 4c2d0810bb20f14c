"""The file that an answer goes to instead of standard output."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ccapi.errors import OutputFailed, UsageError

_NEW = 0o666  # what the umask leaves of it, as with `> FILE`


def opened(path: Path) -> FileWriter:
    """A file that can be written to, as far as can be told without touching it. Raises `UsageError`."""
    problem = _problem(path)
    if problem:
        raise UsageError(f"-o {path}: {problem}")
    return FileWriter(path)


def _problem(path: Path) -> str | None:
    try:
        kind = path.stat().st_mode
    except FileNotFoundError:
        directory = path.parent
        if not directory.is_dir():
            return f"there is no directory {directory}"
        return None if os.access(directory, os.W_OK | os.X_OK) else f"nothing can be written into {directory}"
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    if stat.S_ISDIR(kind):
        return "that is a directory"
    return None if os.access(path, os.W_OK) else "it cannot be written to"


class FileWriter:
    """Writes at once, so that the file can be followed. What was in it stays until there is something to write."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._began = False

    def __call__(self, text: str) -> None:
        """As UTF-8, as in a pipe. Raises `OutputFailed`."""
        data = text.encode("utf-8", "backslashreplace")
        try:
            file = self._open()
            while data:
                data = data[os.write(file, data) :]
        except BrokenPipeError:
            raise  # a named pipe whose reader left, as with standard output
        except OSError as error:
            raise self._failure(error) from None

    @property
    def on_screen(self) -> bool:
        """Whether it is a terminal, such as /dev/tty. Raises `OutputFailed`."""
        try:
            return os.isatty(self._open())
        except OSError as error:
            raise self._failure(error) from None

    def close(self) -> None:
        """It may be written to again all the same, and then goes on. Raises `OutputFailed`."""
        file, self._file = self._file, None
        if file is not None:
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
        return OutputFailed(f"{self._path} cannot be written: {error.strerror}")
