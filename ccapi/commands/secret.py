"""The stack's own secret, which the gateway's internal API wants: made once on this machine, and kept on it.

The container knows its digest only (see `ccapi.wire.internal`). Whoever needs the secret reads it from the file: then
it is in no argument, no environment and no log.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from ccapi import files, paths
from ccapi.errors import OutputFailed, SettingInvalid
from ccapi.paths import Home
from ccapi.wire import internal

_SECRET = re.compile(r"ccapi-stack-[A-Za-z0-9_-]{43}\n?")


def path(home: Home) -> Path:
    """The secret's file; it need not exist."""
    return paths.state_dir(home) / internal.SECRET_FILE


def ensure(home: Home) -> str:
    """The secret, made if there is none yet; its digest is where the gateway looks for it.

    Whoever calls at the same time gets the same one. Raises `OutputFailed` and `SettingInvalid`.
    """
    from ccapi.commands import keys

    directory, file = keys.directory(home), path(home)  # the first also keeps others out of the state directory
    try:
        secret = _read(file) or _create(file)
        _tell(directory / internal.HASH_FILE, internal.digest(secret))
    except OSError as error:
        hint = f"If it is somebody else's: sudo chown -R $USER {file.parent}"
        raise OutputFailed(f"{file}: {error.strerror}", hint=hint) from error
    return secret


def known(home: Home) -> str | None:
    """The secret, None if there is none; nothing is made. Raises `SettingInvalid`."""
    return _read(path(home))


def _read(file: Path) -> str | None:
    try:
        text = file.read_text("ascii", errors="replace")
    except FileNotFoundError:
        return None
    if not _SECRET.fullmatch(text):
        raise SettingInvalid(f"{file}: holds no secret of the stack", hint=f"Have a new one made: rm {file}")
    if file.stat().st_mode & 0o077:
        file.chmod(0o600)
    return text.strip()


def _create(file: Path) -> str:
    """Make one, unless somebody else has just done so: a name is given to a whole file, and only if it is free."""
    import secrets

    secret, beside = internal.new_secret(), file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        with open(beside, "x", encoding="ascii", opener=_for_us_alone) as handle:
            handle.write(f"{secret}\n")
            handle.flush()
            os.fsync(handle.fileno())
        with contextlib.suppress(FileExistsError):
            file.hardlink_to(beside)
    finally:
        beside.unlink(missing_ok=True)
    return _read(file) or secret


def _for_us_alone(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def _tell(file: Path, digest: str) -> None:
    try:
        if file.read_text("ascii", errors="replace").strip() == digest:
            return
    except FileNotFoundError:
        pass
    files.replace(file, f"{digest}\n", mode=0o644)
