"""API keys at rest: what is kept of one, and that a file which is not as it should be opens nothing."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ccapi.errors import SettingInvalid
from ccapi.wire import keys
from ccapi.wire.keys import KeyFile, KeyRecord, Policy, RevokedKey

PLACE = Path("keys.json")
NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
LIMITED = Policy(("sonnet", "gpt-4o"), "final", (), ("docs", "."), 60)


def record(number: int = 1, policy: Policy = LIMITED, name: str | None = "n8n") -> KeyRecord:
    return KeyRecord(f"{number:012x}", name, keys.digest(f"key {number}"), NOW, policy)


def document(**changes: Any) -> dict[str, Any]:
    """A good file with one key as JSON has it; `changes` are to that key."""
    found: dict[str, Any] = json.loads(keys.dump(KeyFile((record(),), (RevokedKey("f" * 12, None, NOW),))))
    found["keys"][0] |= changes
    return found


def load(document: Any) -> KeyFile:
    return keys.load(json.dumps(document).encode(), PLACE)


# --- a key


def test_a_key_has_256_random_bits_and_says_what_it_is() -> None:
    """43 letters of base64url behind the prefix; no two are alike."""
    made = {keys.new_key() for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch(r"ccapi-[A-Za-z0-9_-]{43}", key) for key in made)


def test_an_id_is_never_used_again() -> None:
    """What belongs to a revoked key would pass to the new one."""
    made: list[str] = []
    for _ in range(1000):
        made.append(keys.new_id(made))
    assert len(set(made)) == 1000
    assert all(re.fullmatch("[0-9a-f]{12}", found) for found in made)


def test_what_is_kept_is_the_sha_256() -> None:
    """Of the key's own bytes; also of what is no text at all, as a header may hold it."""
    assert keys.digest("ccapi-x") == hashlib.sha256(b"ccapi-x").hexdigest()
    assert keys.digest(b"\xff\xfe".decode("utf-8", "surrogateescape")) == hashlib.sha256(b"\xff\xfe").hexdigest()


@pytest.mark.parametrize("name", ["n8n", "Open WebUI", "日本", "x" * 64, "a/b", "0123456789ab-", "-x"])
def test_names(name: str) -> None:
    """Any short line."""
    assert keys.valid_name(name)


@pytest.mark.parametrize(
    "name",
    ["", " ", " x", "x ", "a\nb", "a\tb", "\x1b[2J", "x" * 65, "0123456789ab", "ccapi-abc", "\ud800", "a\u202eb"],
)
def test_what_is_no_name(name: str) -> None:
    """What would command a terminal, and what could be taken for an id or a key."""
    assert not keys.valid_name(name)


# --- the file


@pytest.mark.parametrize("policy", [Policy(), LIMITED, Policy(tools=("Read",), rate=1)])
def test_what_was_written_is_read(policy: Policy) -> None:
    """Every field, `no tools` and `any tools` included."""
    file = KeyFile((record(1, policy), record(2, name=None)), (RevokedKey("f" * 12, "old", NOW),))
    assert keys.load(keys.dump(file).encode(), PLACE) == file


def test_an_empty_file_of_keys() -> None:
    """No key at all is something that can be written down."""
    assert keys.load(keys.dump(KeyFile()).encode(), PLACE) == KeyFile()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"version": 1}',
        keys.dump(KeyFile((record(),))).encode()[:-20],
    ],
    ids=["empty", "brace", "list", "null", "no UTF-8", "deep", "bare", "cut"],
)
def test_a_damaged_file_is_refused(data: bytes) -> None:
    """Whatever is wrong with it: the file is named, and what to do."""
    with pytest.raises(SettingInvalid) as raised:
        keys.load(data, PLACE)
    assert raised.value.message.startswith("keys.json: not a file of API keys: ")
    assert raised.value.hint


def test_a_newer_file_is_not_guessed_at() -> None:
    """It may limit keys in ways that this version would not see."""
    with pytest.raises(SettingInvalid, match="version 2 is not one that this version of ccapi knows"):
        load({"version": 2, "accounts": []})


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "local"},
        {"id": 5},
        {"hash": "x" * 64},
        {"hash": "A" * 64},
        {"hash": None},
        {"name": "a\nb"},
        {"name": 5},
        {"created": "yesterday"},
        {"created": "2026-03-01T12:30:00"},
        {"created": 5},
        {"policy": None},
        {"policy": {}},
        {"extra": 1},
    ],
    ids=repr,
)
def test_a_damaged_key_makes_the_file_void(changes: dict[str, Any]) -> None:
    """Not only the one key: nobody knows what else is wrong."""
    load(document())
    with pytest.raises(SettingInvalid):
        load(document(**changes))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("models", "sonnet"),
        ("models", [5]),
        ("models", [""]),
        ("models", {}),
        ("tools", [None]),
        ("tools", False),
        ("workspaces", "."),
        ("transcript", "all"),
        ("transcript", ["full"]),
        ("rate", 0),
        ("rate", -1),
        ("rate", True),
        ("rate", 1.5),
        ("rate", "5"),
        ("rate", 10_001),
        ("budget", 5),
    ],
)
def test_a_damaged_policy_makes_the_file_void(field: str, value: Any) -> None:
    """A limit that is not understood must not become no limit."""
    damaged = document()
    damaged["keys"][0]["policy"][field] = value
    with pytest.raises(SettingInvalid):
        load(damaged)


@pytest.mark.parametrize("field", ["models", "transcript", "tools", "workspaces", "rate"])
def test_a_limit_that_is_missing_is_not_no_limit(field: str) -> None:
    """No limit is written as null; a field that is gone is damage."""
    damaged = document()
    del damaged["keys"][0]["policy"][field]
    with pytest.raises(SettingInvalid, match=f"a policy lacks '{field}'"):
        load(damaged)


def test_a_key_is_in_the_file_once() -> None:
    """Two records of one key could differ in what they allow, and one id would own what is another's."""
    twice = document()
    twice["keys"] *= 2
    with pytest.raises(SettingInvalid, match="twice"):
        load(twice)
    same_hash = document()
    same_hash["keys"].append({**same_hash["keys"][0], "id": "a" * 12})
    with pytest.raises(SettingInvalid, match="twice"):
        load(same_hash)
    revived = document(id="f" * 12)
    with pytest.raises(SettingInvalid, match="twice"):
        load(revived)
