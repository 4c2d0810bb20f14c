"""API keys: made, listed and revoked on this machine; the gateway only reads them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from ccapi import files, paths
from ccapi.errors import NotFound, OutputFailed, SettingInvalid, UsageError
from ccapi.paths import Home
from ccapi.settings import WORKSPACE_NAME
from ccapi.stack import lock
from ccapi.stack.lock import Waiting
from ccapi.wire import keys
from ccapi.wire.keys import KeyFile, KeyRecord, Policy, RevokedKey, TranscriptLimit

__all__ = ["Created", "KeyRecord", "Policy", "Revoked", "added", "create", "directory", "listed", "policy", "revoke"]

_REMEMBERED = 100  # revoked keys that the file still names
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,126}(?:\[1m\])?")
_TOOL = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,127}")


@dataclass(frozen=True, slots=True)
class Created:
    """A new key: what is stored, and the text that exists nowhere else."""

    record: KeyRecord
    key: str


@dataclass(frozen=True, slots=True)
class Revoked:
    """`already`: it was revoked before."""

    id: str
    name: str | None
    already: bool


def policy(
    *,
    models: Sequence[str] = (),
    transcript: TranscriptLimit | None = None,
    tools: Sequence[str] = (),
    no_tools: bool = False,
    workspaces: Sequence[str] = (),
    rate: int | None = None,
) -> Policy:
    """What a person asked for. Nothing given: no limit. Raises `UsageError` for what could never match anything."""
    if no_tools and tools:
        raise UsageError("--tool and --no-tools exclude each other")
    for model in models:
        _check_model(model)
    for tool in tools:
        if not _TOOL.fullmatch(tool):  # Bash(git *) least of all: Claude Code runs `cat` and others besides
            raise UsageError(f"--tool: {tool!r} is not a tool's name", hint="Such as: Read, Bash, mcp__github__get_me")
    for workspace in workspaces:
        if workspace != "." and not WORKSPACE_NAME.fullmatch(workspace):
            raise UsageError(f"--workspace: {workspace!r} is not a workspace's name")
    allowed = () if no_tools else _names(tools)
    return Policy(_names(models), transcript, allowed, _names(workspaces), rate)


def create(home: Home, name: str | None, allowed: Policy, waiting: Waiting) -> Created:
    """Make a key. Raises `UsageError`, `SettingInvalid`, `OutputFailed`."""
    if name is not None and not keys.valid_name(name):
        raise UsageError(
            f"--name: {keys.PREFIX}… is not a name" if name.startswith(keys.PREFIX) else f"--name: {name!r} is no name",
            hint="A line of up to 64 characters that looks neither like a key nor like a key's id.",
        )
    file = directory(home) / keys.FILE
    with _locked(home, waiting):
        created, content = added(_read(file), name, allowed)
        _write(file, content)
    return created


def added(known: KeyFile, name: str | None, allowed: Policy) -> tuple[Created, KeyFile]:
    """A new key beside those that are known; nothing is written."""
    key = keys.new_key()
    record = KeyRecord(keys.new_id(known.ids), name, keys.digest(key), _now(), allowed)
    return Created(record, key), replace(known, keys=(*known.keys, record))


def listed(home: Home) -> tuple[KeyRecord, ...]:
    """All keys that are good, oldest first. Raises `SettingInvalid`."""
    return _read(paths.keys_dir(home) / keys.FILE).keys


def revoke(home: Home, wanted: str, waiting: Waiting) -> Revoked:
    """End the key that has this id or name, or is this very key. Once more changes nothing.

    Raises `NotFound`, `UsageError` when several have the name, `SettingInvalid`, `OutputFailed`.
    """
    if not (file := paths.keys_dir(home) / keys.FILE).exists():
        raise NotFound("there are no API keys", hint="ccapi key create makes one.")
    with _locked(home, waiting):
        known = _read(file)
        if not (found := _matching(known, wanted)):
            return _revoked_before(known, wanted)
        ended = RevokedKey(found.id, found.name, _now())
        left = tuple(record for record in known.keys if record is not found)
        _write(file, KeyFile(left, (*known.revoked, ended)[-_REMEMBERED:]))
    return Revoked(found.id, found.name, already=False)


def directory(home: Home) -> Path:
    """The directory of the keys' file, made if need be. Raises `OutputFailed`.

    The container gets it mounted, read-only, and reads the file as another user: so it and the file (0644) are for
    everybody to read. They hold no secret. All the same the directory above keeps this machine's other users out; it
    does not take part in the mount. `ccapi up` must make it before Docker does, whose directory would be root's.
    """
    found = paths.keys_dir(home)
    try:
        found.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _allow(found.parent, _mode(found.parent) & ~0o007)
        found.mkdir(exist_ok=True)
        _allow(found, 0o755)
    except OSError as error:
        raise OutputFailed(
            f"{found}: {error.strerror}", hint=f"If it is somebody else's: sudo chown -R $USER {found}"
        ) from error
    return found


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def _allow(path: Path, mode: int) -> None:
    if _mode(path) != mode:
        path.chmod(mode)


def _check_model(name: str) -> None:
    if not _MODEL.fullmatch(name):
        raise UsageError(f"--model: {name!r} is not a model's name")
    base, _, suffix = name.rpartition(":")
    if suffix in keys.TRANSCRIPTS:
        raise UsageError(
            f"--model: {name!r} names a transcript as well", hint=f"Give: --model {base} --transcript {suffix}"
        )


def _names(given: Sequence[str]) -> tuple[str, ...] | None:
    return tuple(dict.fromkeys(given)) or None


def _matching(known: KeyFile, wanted: str) -> KeyRecord | None:
    wanted_hash = keys.digest(wanted)
    for record in known.keys:
        if record.id == wanted or record.hash == wanted_hash:
            return record
    named = [record for record in known.keys if record.name == wanted]
    if len(named) > 1:
        ids = "\n".join(f"ccapi key revoke {record.id}" for record in named)
        raise UsageError(f"{len(named)} keys are called {wanted!r}", hint=f"Say which one:\n{ids}")
    return named[0] if named else None


def _revoked_before(known: KeyFile, wanted: str) -> Revoked:
    for record in reversed(known.revoked):
        if wanted in {record.id, record.name}:
            return Revoked(record.id, record.name, already=True)
    if keys.PREFIX in wanted:  # it may be a key, with something around it: not to be repeated anywhere
        raise NotFound("no API key is that one", hint="See which there are: ccapi key list")
    names = [name for record in known.keys for name in (record.id, record.name) if name]
    near = difflib.get_close_matches(wanted, names, 3)
    hint = f"Did you mean {' or '.join(near)}?" if near else "See which there are: ccapi key list"
    raise NotFound(f"no API key has the id or name {wanted!r}", hint=hint)


def _read(file: Path) -> KeyFile:
    try:
        return keys.load(file.read_bytes(), file)
    except FileNotFoundError:
        return KeyFile()
    except OSError as error:
        raise SettingInvalid(f"{file}: cannot be read: {error.strerror}") from None


def _write(file: Path, content: KeyFile) -> None:
    files.replace(file, keys.dump(content), mode=0o644)


def _locked(home: Home, waiting: Waiting) -> AbstractContextManager[None]:
    """One change at a time. The lock is beside the directory of the keys, which is the container's to read."""
    return lock.exclusive(paths.state_dir(home) / "keys.lock", waiting)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
