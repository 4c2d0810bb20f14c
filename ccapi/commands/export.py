"""`ccapi compose export`: the folder for a server without ccapi."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ccapi import __version__, paths
from ccapi.commands import keys, stack
from ccapi.errors import OutputFailed, SettingInvalid, UsageError
from ccapi.settings import Settings
from ccapi.stack import compose, envfile, export, overlays, templates
from ccapi.stack.overlays import Overlay
from ccapi.wire import keys as wire

__all__ = ["Exported", "export_to", "show"]

_MANIFEST = ".ccapi-export.json"
_ENV, _KEYS = ".env", f"keys/{wire.FILE}"
_YOURS = (_ENV, _KEYS)  # never replaced by what was in them before


@dataclass(frozen=True, slots=True)
class Exported:
    """A folder that was written. `keys`: names of the API keys that were made for it. `renewed`: it was one before.

    `to_set`: variables of `.env` that have no value yet and want one that only a person knows.
    """

    directory: Path
    image: str
    overlays: tuple[str, ...]
    keys: tuple[str, ...]
    to_set: tuple[str, ...]
    workspace: Path | None
    renewed: bool


@dataclass(frozen=True, slots=True)
class _Before:
    """A folder that an earlier export made."""

    overlays: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = None
    keys: wire.KeyFile = wire.KeyFile()  # noqa: RUF009 -- it cannot be changed


def export_to(settings: Settings, directory: Path, names: Sequence[str], *, force: bool) -> Exported:
    """Write the folder: all of it or nothing where there was none.

    `force`: a folder of an earlier export is renewed; its `.env` and keys stay, and its overlays, beside those named.
    Any other directory with something in it is left alone. Raises `UsageError`, `SettingInvalid`, `OutputFailed`.
    """
    overlays.chosen(names)  # a name that none has is said before anything else
    try:
        before = _look(directory, force=force)
        chosen = overlays.chosen([*names, *(before.overlays if before else ())])
        spec = stack.wanted(settings, {}, None)
        inputs = templates.build_input(spec.base_image, spec.ca_file, spec.user, spec.claude)
        content = export.files(spec, inputs, chosen)
        given, keyring, made = _secrets(chosen, before or _Before())
        kept = (before.environment if before else None) or {}
        content[_ENV] = envfile.text(spec, chosen, given, kept).encode()
        content[_KEYS] = wire.dump(keyring).encode()
        content[_MANIFEST] = _manifest(chosen, content)
        _write(directory, content, before)
    except OSError as error:
        raise OutputFailed(f"{error.filename or directory}: {error.strerror or error}") from error
    return Exported(
        directory=directory.absolute(),
        image=export.exported(inputs.image),
        overlays=tuple(one.name for one in chosen if one.name in overlays.NAMES),
        keys=made,
        to_set=tuple(name for one in chosen for name in one.yours if name not in kept),
        workspace=spec.workspace,
        renewed=before is not None,
    )


def show(settings: Settings, docker: Mapping[str, str], network: Mapping[str, str]) -> str:
    """What `ccapi up` has `docker compose` run, with every variable in its place. Needs no engine.

    `docker` and `network` are `settings.docker_environment` and `network_environment`. Raises `DockerUnavailable`.
    """
    spec, text, lines = stack.wanted(settings, network, None), templates.compose_text(), list[str]()
    image = templates.build_input(spec.base_image, spec.ca_file, spec.user, spec.claude).image
    compose.run(
        "config",
        stack=spec.stack,
        text=text,
        environ=docker,
        variables=spec.interpolation(image, templates.compose_id(text)),
        directory=paths.templates_dir() / "compose",
        on_line=lines.append,
    )
    return "\n".join(lines) + "\n"


# --- what is there already


def _look(directory: Path, *, force: bool) -> _Before | None:
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{directory} is no directory")
    if not directory.exists() or not any(directory.iterdir()):
        return None
    if not (directory / _MANIFEST).is_file():
        raise UsageError(f"{directory} has other files in it", hint="Name a directory that is new, or empty.")
    if not force:
        hint = "Renew it, and keep its .env and keys, with: --force"
        raise UsageError(f"{directory} is an exported folder already", hint=hint)
    return _read(directory)


def _read(directory: Path) -> _Before:
    place = directory / _MANIFEST
    try:
        document = json.loads(place.read_bytes())
        found, listed = (_names(document[name]) for name in ("overlays", "files"))
    except (ValueError, KeyError, TypeError):
        raise SettingInvalid(f"{place}: not what an export writes", hint="Export into a new directory.") from None
    file = directory / _ENV
    environment = envfile.read(file.read_bytes(), file) if file.exists() else None
    ring = directory / _KEYS
    known = wire.load(ring.read_bytes(), ring) if ring.exists() else wire.KeyFile()
    return _Before(tuple(name for name in found if name in overlays.NAMES), listed, environment, known)


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError
    if any(PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts for name in value):
        raise ValueError  # they are going to be removed: nothing outside of the folder
    return tuple(value)


# --- what is written


def _secrets(chosen: Sequence[Overlay], before: _Before) -> tuple[dict[str, str], wire.KeyFile, tuple[str, ...]]:
    """Values for `.env`, the keys' hashes, and the names of the keys that are new. What is there already stays."""
    there = before.environment or {}
    given = {"CCAPI_API_REQUIRE_KEY": "on"} if chosen else {}  # the overlays say so as well, whatever is in `.env`
    ring, made = before.keys, []
    for overlay in chosen:
        for name in overlay.secrets:
            if not there.get(name):
                given[name] = secrets.token_urlsafe(32)
        if overlay.key and not there.get(overlay.key):
            created, ring = keys.added(ring, overlay.name, keys.Policy())
            given[overlay.key] = created.key
            made.append(overlay.name)
    return given, ring, tuple(made)


def _manifest(chosen: Sequence[Overlay], content: Mapping[str, bytes]) -> bytes:
    files = sorted({*content, _MANIFEST} - set(_YOURS))
    names = [overlay.name for overlay in chosen if overlay.name in overlays.NAMES]
    return (json.dumps({"version": __version__, "overlays": names, "files": files}, indent=1) + "\n").encode()


def _write(directory: Path, content: Mapping[str, bytes], before: _Before | None) -> None:
    """All is written beside the folder first, on the same disk; then it takes its place at once, or file by file."""
    directory = directory.absolute()
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{directory.name}-", dir=directory.parent) as beside:
        staged = Path(beside, "folder")
        staged.mkdir(0o755)
        for name, data in content.items():
            _put(staged / name, data, 0o600 if name == _ENV else 0o644)
        for folder in (staged, *staged.rglob("*/")):
            folder.chmod(0o755)  # whatever the umask is: the modes enter the image
        if not directory.exists():
            staged.rename(directory)
            return
        for name in sorted(content):
            target = directory / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (staged / name).replace(target)
    for name in set(before.files if before else ()) - set(content):
        _remove(directory, name)


def _put(file: Path, data: bytes, mode: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as handle:
        handle.write(data)
    file.chmod(mode)


def _remove(directory: Path, name: str) -> None:
    """A file of the earlier version, and the directories that it leaves empty: they would get into the image."""
    file = directory / name
    file.unlink(missing_ok=True)
    for folder in file.relative_to(directory).parents[:-1]:
        shutil.rmtree(directory / folder / "__pycache__", ignore_errors=True)
        with suppress(OSError):
            (directory / folder).rmdir()
