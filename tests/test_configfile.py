"""Changing one setting in TOML that a person wrote."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    "byte order mark": "\ufeff# one\r\n[gateway]\r\nport = 1\r\n",
    "other table": "[oauth]\nport = 3 # keep\n",
    "indented": "[gateway]\n    # why\n    port = 1\n\n\n[oauth]\n    port = 3\n",
    "table of its own": "[models]\nfallback = true\n[models.map]\n# names\na = 'b' # keep\nc = 'd'\n",
}


def comments(text: str) -> list[str]:
    return [line.partition("#")[2].strip() for line in text.splitlines() if "#" in line]


def meaning(text: str) -> dict[str, Any]:
    return tomllib.loads(text.removeprefix("\ufeff"))


def changed(text: str, path: list[str], value: Any) -> dict[str, Any]:
    """What the text must mean when one value is another."""
    document = meaning(text)
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
    assert meaning(result) == changed(text, key.split("."), value)
    assert comments(result) == comments(text)
    if "\r\n" in text:
        assert result.count("\n") == result.count("\r\n")
    assert result.endswith("\n")
    assert result.startswith("\ufeff") == text.startswith("\ufeff")


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_table_is_a_value_too(text: str) -> None:
    """Entries that are no longer wanted go, the others keep their comments."""
    wanted = {"a": "b", "e f": "g"}
    result = configfile.with_value(text, "models.map", wanted, FILE)
    assert meaning(result)["models"]["map"] == wanted
    assert comments(result) == comments(text)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("key", ["gateway.port", "models.map", "oauth.port", "stack.base_image"])
def test_one_value_goes(text: str, key: str) -> None:
    """The others stay; where there is none to go, nothing changes at all."""
    first, second = key.split(".")
    before = meaning(text)
    result = configfile.without(text, key, FILE)
    if second not in before.get(first, {}):
        assert result == text
        return
    del before[first][second]
    after = meaning(result)
    assert {name: table for name, table in after.items() if table} == {n: table for n, table in before.items() if table}


@pytest.mark.parametrize("text", ["[gateway\n", "port = \n", "a = 1\na = 2\n"])
def test_what_is_no_toml_is_refused(text: str) -> None:
    """The file is named, and the place in it."""
    with pytest.raises(SettingInvalid, match=r"config.toml:\d+:\d+: not valid TOML: "):
        configfile.with_value(text, "a.b", 1, FILE)
    with pytest.raises(SettingInvalid, match=r"config.toml:\d+:\d+: not valid TOML: "):
        configfile.without(text, "a.b", FILE)


@pytest.mark.parametrize("text", ["gateway = 5\n", "[[gateway]]\nport = 1\n", "gateway = [1]\n"])
def test_where_the_key_has_no_place(text: str) -> None:
    """A value where the table should be: that is for a person to settle."""
    with pytest.raises(SettingInvalid, match="cannot be changed"):
        configfile.with_value(text, "gateway.port", 2, FILE)


# --- any file at all


KEYS = [("gateway", "port"), ("gateway", "host"), ("log", "level"), ("models", "small")]
REMARKS = ("# why", "# port = 5", '# [log] level = "x"', "# keep")
SIMPLE = st.one_of(st.integers(-9, 9), st.booleans(), st.text("a'\"\\#é\t", max_size=4))


def toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


@st.composite
def files(draw: st.DrawFn) -> str:
    """Files as people write them: tables or dotted keys, quoted names, comments that look like settings."""
    chosen = draw(st.lists(st.sampled_from(KEYS), unique=True))
    dotted = draw(st.booleans())
    lines, begun = [], None
    for table, name in sorted(chosen):
        lines += draw(st.lists(st.sampled_from(["", "# why", "  # port = 5", '# [log] level = "x"']), max_size=2))
        if not dotted and table != begun:
            lines.append(draw(st.sampled_from([f"[{table}]", f'["{table}"] # keep', f"  [ {table} ]"])))
        begun = table
        key = f"{table}.{name}" if dotted else draw(st.sampled_from([name, f'"{name}"', f"  {name}"]))
        lines.append(f"{key} = {toml(draw(SIMPLE))}{draw(st.sampled_from(['', ' # keep', '  ']))}")
    end = draw(st.sampled_from(["\n", "\r\n"]))
    return draw(st.sampled_from(["", "\ufeff"])) + end.join(lines) + draw(st.sampled_from([end, ""]))


@given(files(), st.sampled_from(KEYS), SIMPLE)
def test_whatever_the_file_looks_like(text: str, key: tuple[str, str], value: Any) -> None:
    """One value is another, nothing else changed its meaning, and no comment is lost; then it is taken out again."""
    there = configfile.with_value(text, ".".join(key), value, FILE)
    assert meaning(there) == changed(text, list(key), value)
    assert [there.count(comment) for comment in REMARKS] == [text.count(comment) for comment in REMARKS]
    gone = configfile.without(there, ".".join(key), FILE)
    assert key[1] not in meaning(gone).get(key[0], {})
