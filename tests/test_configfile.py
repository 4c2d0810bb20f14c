"""Changing one setting in TOML that a person wrote."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from ccapi import configfile
from ccapi.errors import SettingInvalid

FILE = Path("config.toml")
TEXTS = {
    "empty": "",
    "comment": "# nothing yet",
    "table": "[gateway]\nport = 1 # keep\n",
    "no line end": "[gateway]\nport = 1",
    "dotted": "gateway.port = 1 # keep\noauth.port = 3\n",
    "inline": "gateway = { port = 1 } # keep\n",
    "quoted": '["gateway"]\n"port" = 1\n',
    "after others": "[models.map]\n'a.b' = \"c\"\n\n[gateway]\nport = 1\n\n[stack]\nbase_image = 'x' # keep\n",
    "windows": "# one\r\n[gateway]\r\nport = 1\r\n",
    "other table": "[oauth]\nport = 3 # keep\n",
    "indented": "[gateway]\n    # why\n    port = 1\n\n\n[oauth]\n    port = 3\n",
    "table of its own": "[models]\nfallback = true\n[models.map]\n# names\na = 'b' # keep\nc = 'd'\n",
}


def comments(text: str) -> list[str]:
    return [line.partition("#")[2].strip() for line in text.splitlines() if "#" in line]


def changed(text: str, path: list[str], value: Any) -> dict[str, Any]:
    """What the text must mean when one value is another."""
    document: dict[str, Any] = tomllib.loads(text)
    table = document
    for name in path[:-1]:
        table = table.setdefault(name, {})
    table[path[-1]] = value
    return document


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize(
    ("key", "value"),
    [("gateway.port", 2), ("gateway.timeout", 1.5), ("api.require_key", True), ("stack.workspace", 'a"b\\')],
)
def test_one_value_changes(text: str, key: str, value: Any) -> None:
    """However the file is written; every comment stays, and so does the kind of line ends."""
    result = configfile.with_value(text, key, value, FILE)
    assert tomllib.loads(result) == changed(text, key.split("."), value)
    assert comments(result) == comments(text)
    if "\r\n" in text:
        assert result.count("\n") == result.count("\r\n")
    assert result.endswith("\n")


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_table_is_a_value_too(text: str) -> None:
    """Entries that are no longer wanted go, the others keep their comments."""
    wanted = {"a": "b", "e f": "g"}
    result = configfile.with_value(text, "models.map", wanted, FILE)
    assert tomllib.loads(result)["models"]["map"] == wanted
    assert comments(result) == comments(text)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("key", ["gateway.port", "models.map", "oauth.port", "stack.base_image"])
def test_one_value_goes(text: str, key: str) -> None:
    """The others stay; where there is none to go, nothing changes at all."""
    first, second = key.split(".")
    before = tomllib.loads(text)
    result = configfile.without(text, key, FILE)
    if second not in before.get(first, {}):
        assert result == text
        return
    del before[first][second]
    after = tomllib.loads(result)
    assert {name: table for name, table in after.items() if table} == {n: table for n, table in before.items() if table}


@pytest.mark.parametrize("text", ["[gateway\n", "port = \n", "a = 1\na = 2\n"])
def test_what_is_no_toml_is_refused(text: str) -> None:
    """The file is named, and the place in it."""
    with pytest.raises(SettingInvalid, match=r"config.toml: not valid TOML: .*line"):
        configfile.with_value(text, "a.b", 1, FILE)
    with pytest.raises(SettingInvalid, match=r"config.toml: not valid TOML: .*line"):
        configfile.without(text, "a.b", FILE)


@pytest.mark.parametrize("text", ["gateway = 5\n", "[[gateway]]\nport = 1\n", "gateway = [1]\n"])
def test_where_the_key_has_no_place(text: str) -> None:
    """A value where the table should be: that is for a person to settle."""
    with pytest.raises(SettingInvalid, match="cannot be changed"):
        configfile.with_value(text, "gateway.port", 2, FILE)
