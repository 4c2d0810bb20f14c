"""Writing a file so that nobody ever reads half of it."""

from __future__ import annotations

import os
from pathlib import Path

from ccapi.errors import OutputFailed


def replace(file: Path, text: str, *, mode: int | None = None) -> None:
    """Put `text` (UTF-8) in the place of `file`: all of it or nothing, and on the disk when this returns.

    `mode` holds whatever the umask is; None: the mode that the file has, or what the umask leaves a new one. Where
    `file` is a symbolic link, as dotfile managers make them, what it points to is replaced. Directories that are
    missing are made. Raises `OutputFailed`.
    """
    target = file.resolve()
    beside = target.with_name(f".{target.name}.{os.urandom(8).hex()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write(beside, text.encode("utf-8"))
            if wanted := _mode_of(target) if mode is None else mode:
                beside.chmod(wanted)
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
        _keep(target.parent)
    except OSError as error:
        raise OutputFailed(f"{file} cannot be written: {error.strerror or error}") from error


def _write(file: Path, data: bytes) -> None:
    with file.open("xb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())


def _mode_of(file: Path) -> int | None:
    try:
        return file.stat().st_mode & 0o7777
    except FileNotFoundError:
        return None


def _keep(directory: Path) -> None:
    """Have the new name on the disk as well. Windows cannot open a directory, and needs no such thing."""
    if os.name != "posix":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
