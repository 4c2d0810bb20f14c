"""API keys as the command line writes and the gateway reads them.

`keys.json` holds the SHA-256 of each key. No salt and no slow hash: those make guessing dear where a person chose the
secret. These are 256 random bits, which nobody guesses at any speed, and every request would pay for the slowness.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from ccapi.errors import SettingInvalid

FILE = "keys.json"
PREFIX = "ccapi-"  # so that secret scanners, and the gateway, know a key of ours when they see one
MAX_RATE = 10_000

TranscriptLimit = Literal["full", "text", "final"]
TRANSCRIPTS: tuple[str, ...] = get_args(TranscriptLimit)

_VERSION = 1
_ID = re.compile(r"[0-9a-f]{12}")
_HASH = re.compile(r"[0-9a-f]{64}")
_MAX_NAME = 64


@dataclass(frozen=True, slots=True)
class Policy:
    """What the holder of a key may do; None means no limit. A request can narrow it, never widen it."""

    models: tuple[str, ...] | None = None  # names that clients ask for
    transcript: TranscriptLimit | None = None  # the most that is shown of the steps
    tools: tuple[str, ...] | None = None  # the only ones the agent may use; (): none
    workspaces: tuple[str, ...] | None = None
    rate: int | None = None  # requests per minute


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key without the key. The `id` is public, is no part of the key, and owns what the key's holder makes."""

    id: str
    name: str | None
    hash: str
    created: datetime
    policy: Policy


@dataclass(frozen=True, slots=True)
class RevokedKey:
    """What is left of a key, so that revoking it once more is no mistake."""

    id: str
    name: str | None
    revoked: datetime


@dataclass(frozen=True, slots=True)
class KeyFile:
    """All that `keys.json` says."""

    keys: tuple[KeyRecord, ...] = ()
    revoked: tuple[RevokedKey, ...] = ()

    @property
    def ids(self) -> list[str]:
        """Of all that it names."""
        return [*(record.id for record in self.keys), *(record.id for record in self.revoked)]


def new_key() -> str:
    """A key's text: 256 bits from the system's random source, in letters that no shell or header minds."""
    import secrets

    return PREFIX + secrets.token_urlsafe(32)


def new_id(taken: Collection[str]) -> str:
    """An id that is none of those `taken`: what belongs to an old key must never pass to a new one."""
    import secrets

    while (found := secrets.token_hex(6)) in taken:
        pass
    return found


def digest(key: str) -> str:
    """What is stored of a key. Takes whatever a header held, undecodable bytes included."""
    import hashlib

    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def valid_name(name: str) -> bool:
    """Whether a key may be called so: a line of at most 64 characters that is neither an id nor a key."""
    printable = name.isprintable() and name == name.strip()
    return printable and 0 < len(name) <= _MAX_NAME and not _ID.fullmatch(name) and not name.startswith(PREFIX)


def dump(file: KeyFile) -> str:
    """The text of `keys.json`."""
    document = {
        "version": _VERSION,
        "keys": [asdict(record) | {"created": record.created.isoformat()} for record in file.keys],
        "revoked": [asdict(record) | {"revoked": record.revoked.isoformat()} for record in file.revoked],
    }
    return json.dumps(document, indent=2) + "\n"


def load(data: bytes, place: Path) -> KeyFile:
    """Read what `dump` wrote. Raises `SettingInvalid`.

    Strict, since a guess could let somebody in or give a key more than it had: a field that is missing, unknown or not
    as it should be makes the whole file void.
    """
    try:
        return _file(json.loads(data.decode("utf-8")))
    except (ValueError, RecursionError) as error:  # JSON's and Unicode's own errors are ValueErrors
        raise SettingInvalid(
            f"{place}: not a file of API keys: {error}",
            hint="Put a copy of it back, or move it away and make new keys: ccapi key create",
        ) from None


def _file(document: Any) -> KeyFile:
    if isinstance(document, Mapping) and document.get("version", _VERSION) != _VERSION:
        raise ValueError(f"version {document['version']!r} is not one that this version of ccapi knows")
    found = _object(document, "the file", ("version", "keys", "revoked"))
    file = KeyFile(
        tuple(_record(value) for value in _list(found["keys"], "keys")),
        tuple(_revoked(value) for value in _list(found["revoked"], "revoked")),
    )
    hashes = [record.hash for record in file.keys]
    if len(set(file.ids)) < len(file.ids) or len(set(hashes)) < len(hashes):
        raise ValueError("a key is in it twice")
    return file


def _record(value: Any) -> KeyRecord:
    found = _object(value, "a key", [field.name for field in fields(KeyRecord)])
    if not isinstance(found["hash"], str) or not _HASH.fullmatch(found["hash"]):
        raise ValueError("the hash of a key is none")
    return KeyRecord(
        _id(found["id"]), _name(found["name"]), found["hash"], _time(found["created"]), _policy(found["policy"])
    )


def _revoked(value: Any) -> RevokedKey:
    found = _object(value, "a revoked key", [field.name for field in fields(RevokedKey)])
    return RevokedKey(_id(found["id"]), _name(found["name"]), _time(found["revoked"]))


def _policy(value: Any) -> Policy:
    found = _object(value, "a policy", [field.name for field in fields(Policy)])
    transcript, rate = found["transcript"], found["rate"]
    if transcript is not None and transcript not in TRANSCRIPTS:
        raise ValueError(f"'transcript' of a policy is none of {', '.join(TRANSCRIPTS)}")
    if rate is not None and (type(rate) is not int or not 1 <= rate <= MAX_RATE):
        raise ValueError(f"'rate' of a policy is no number from 1 to {MAX_RATE}")
    names = {name: _names(found[name], name) for name in ("models", "tools", "workspaces")}
    return Policy(transcript=transcript, rate=rate, **names)


def _names(value: Any, what: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    names = _list(value, what)
    if not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"{what!r} of a policy holds something that is no name")
    return tuple(names)


def _object(value: Any, what: str, names: Collection[str]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{what} is no JSON object")  # noqa: TRY004 -- one exception means "not a file of ours"
    for name in names:
        if name not in value:
            raise ValueError(f"{what} lacks {name!r}")
    for name in value:
        if name not in names:
            raise ValueError(f"{what} has an unknown field {name!r}")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{what!r} is no list")  # noqa: TRY004 -- as above
    return value


def _id(value: Any) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise ValueError("the id of a key is none")
    return value


def _name(value: Any) -> str | None:
    if value is not None and not (isinstance(value, str) and valid_name(value)):
        raise ValueError("the name of a key is none")
    return value


def _time(value: Any) -> datetime:
    time = datetime.fromisoformat(value) if isinstance(value, str) else None
    if time is None or time.tzinfo is None:
        raise ValueError("a time is none, or lacks its zone")
    return time
