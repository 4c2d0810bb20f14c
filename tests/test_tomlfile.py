"""Reading TOML that a person wrote, and saying where in it something stands."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccapi import tomlfile
from ccapi.tomlfile import Key, Unreadable

PORT = ("gateway", "port")
# What is written, the key that is looked for, and the line on which it stands.
PLACES: dict[str, tuple[str, Key, int | None]] = {
    "table": ("\n[gateway]\n\nport = 1\n", PORT, 4),
    "dotted": ("a = 1\ngateway.port = 1\n", PORT, 2),
    "dotted below a table": ("[a]\nb = 1\nc.d = 1\n", ("a", "c", "d"), 3),
    "spaces around the dot": ("gateway . port = 1\n", PORT, 1),
    "inline table": ("a = 1\ngateway = { host = 'x', port = 1 }\n", PORT, 2),
    "inline tables in each other": ("a = {b = {c = {d = 1}}}\n", ("a", "b", "c", "d"), 1),
    "quoted": ('["gateway"]\n"po\\u0072t" = 1\n', PORT, 2),
    "quoted, with a dot": ("[gateway]\nhost = 1\n['models']\n'map.x' = 1\n", ("models", "map.x"), 4),
    "a dot is no table": ("'gateway.port' = 1\n[gateway]\nport = 1\n", PORT, 3),
    "a comment like a key": ("# [gateway]\n[gateway] # port = 1\n# port = 1\nport = 2 # port = 3\n", PORT, 4),
    "a text like a key": ('[gateway]\nhost = """\nport = 1\n[log]\n"""\nport = 2\n', PORT, 6),
    "a literal text like a key": ("[gateway]\nhost = '''\nport = 1 # \"\"\"\n'''\nport = 2\n", PORT, 5),
    "a text that ends late": ('[gateway]\nhost = """a\\"""" # port\nport = 2\n', PORT, 3),
    "an array over lines": ("[gateway]\nhost = [\n  'port = 1', # ]\n]\nport = 2\n", PORT, 5),
    "the key of an array over lines": ("[gateway]\na = 1\nport = [\n1,\n2,\n]\n", PORT, 3),
    "array of tables": ("[[gateway]]\nhost = 1\n[[gateway]]\nport = 2\n", PORT, 4),
    "the array of tables itself": ("a = 1\n[[gateway]]\nport = 2\n", ("gateway",), 2),
    "below an array of tables": ("[[a.b]]\n[a.b.c]\nd = 1\n", ("a", "b", "c", "d"), 3),
    "array of inline tables": ("a = [\n{b = 1},\n{c = 2}]\n", ("a", "c"), 1),
    "the same name elsewhere": ("[oauth]\nport = 1\n[gateway]\nport = 2\n", PORT, 4),
    "the same name deeper": ("[a.gateway]\nport = 1\n[gateway]\nport = 2\n", PORT, 4),
    "a table": ("[oauth]\n[gateway.x]\ny = 1\n", ("gateway", "x"), 2),
    "windows": ("\r\n[gateway]\r\nport = 1\r\n", PORT, 3),
    "windows, a text over lines": ('[gateway]\r\nhost = """\r\nx\r\n"""\r\nport = 1\r\n', PORT, 5),
    "byte order mark": ("\ufeff[gateway]\nport = 1\n", PORT, 2),
    "byte order mark before the key": ("\ufeffgateway.port = 1\n", PORT, 1),
    "no line end": ("[gateway]\nport = 1", PORT, 2),
    "not there": ("[gateway]\nhost = 1\n", PORT, None),
    "nothing there": ("", PORT, None),
    "below a value": ("gateway = 1\n", PORT, None),
    "no TOML, but the line can be read": ("[gateway]\nport = 1\n[log\n", PORT, 2),
    "no TOML": ("[gateway\nport = 1\n", PORT, None),
    "far below": ("a = [\n" + "1,\n" * 150 + "]\ngateway.port = 1\n", PORT, 153),
}


@pytest.mark.parametrize(("text", "key", "line"), PLACES.values(), ids=PLACES)
def test_the_line_of_a_key(text: str, key: Key, line: int | None) -> None:
    """In whatever way it is written, and whatever looks like it."""
    assert tomlfile.line_of(text, key) == line


def test_a_value_over_too_many_lines() -> None:
    """It costs no more than its lines are worth: what stands below has no line then."""
    text = "a = [\n" + "1,\n" * 100_000 + "]\ngateway.port = 1\n"
    assert tomlfile.loads(text)["gateway"] == {"port": 1}
    assert tomlfile.line_of(text, PORT) is None


VALUES = [
    "1",
    "'x'",
    '"port = 1"',
    "[1, 2]",
    '[\n  "#", # ]\n]',
    '"""\nport = 1\n[gateway]\n"""',
    "{ z = 1 }",
    "1.5",
    "true",
]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("wxyz")), unique=True), st.data())
def test_the_lines_of_any_file(keys: list[tuple[str, str]], data: st.DataObject) -> None:
    """Each key is found where it was put."""
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    lines, places, table = [""], {}, None
    for key in sorted(keys):
        lines += data.draw(st.lists(st.sampled_from(["", "# a.w = 1", "  # [b]"]), max_size=2))
        if key[0] != table:
            lines.append(data.draw(st.sampled_from([f"[{key[0]}]", f"[ '{key[0]}' ] # [x]"])))
            table = key[0]
        places[key] = len(lines)
        name = data.draw(st.sampled_from([key[1], f'"{key[1]}"', f"\t{key[1]} "]))
        lines += f"{name} = {data.draw(st.sampled_from(VALUES))}".split("\n")
    text = end.join(lines[1:])
    tomllib.loads(text)
    assert {key: tomlfile.line_of(text, key) for key in places} == places


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("[gateway\nport = 1\n", 1, 9),
        ("a = 1\n\nb = \n", 3, 5),
        ("\ufeffa = 1\r\nb c\r\n", 2, 3),
        ("a = 1\na = 2\n", 2, 6),
        ('a = """\nx\n\n', 2, None),
        ("a = [", 1, None),
        ("a = " + "[" * 100_000, None, None),
    ],
)
def test_where_it_is_no_toml(text: str, line: int | None, column: int | None) -> None:
    """Line and column, as far as they are known; the message does not repeat them."""
    with pytest.raises(Unreadable) as raised:
        tomlfile.loads(text)
    assert (raised.value.line, raised.value.column) == (line, column)
    assert "line" not in raised.value.message
    assert "document" not in raised.value.message


@pytest.mark.parametrize(("data", "line", "column"), [(b"\xff", 1, 1), (b"a = 1\nb = '\xe4'\n", 2, 6), (b"\xc3", 1, 1)])
def test_where_it_is_no_utf8(data: bytes, line: int, column: int, tmp_path: Path) -> None:
    """The byte and its place: an editor with another encoding has written it."""
    file = tmp_path / "config.toml"
    file.write_bytes(data)
    with pytest.raises(Unreadable, match="not UTF-8: the byte 0x") as raised:
        tomlfile.read(file)
    assert (raised.value.line, raised.value.column) == (line, column)


def test_reading(tmp_path: Path) -> None:
    """The line ends are those of the file; no file is no failure, a directory is."""
    file = tmp_path / "config.toml"
    assert tomlfile.read(file) is None
    file.write_bytes(b"a = 1\r\n")
    assert tomlfile.read(file) == "a = 1\r\n"
    assert tomlfile.read(file / "below.toml") is None
    with pytest.raises(OSError, match="directory"):
        tomlfile.read(tmp_path)


@pytest.mark.parametrize(
    ("key", "written"),
    [(PORT, "gateway.port"), (("a b", "c"), '"a b".c'), (("a.b",), '"a.b"'), (("",), '""'), (('"',), r'"\""')],
)
def test_a_key_as_it_is_written(key: Key, written: str) -> None:
    """Quoted where TOML wants it so; read back, it is the same."""
    assert tomlfile.dotted(key) == written
    assert next(tomlfile.leaves(tomllib.loads(f"{written} = 1"))) == (key, 1)
