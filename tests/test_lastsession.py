"""Which session was last where: kept for this person alone, and never in the way of anything."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ccapi import paths
from ccapi.commands import lastsession, ownfiles
from ccapi.errors import OutputFailed
from ccapi.paths import Home

HERE = "http://127.0.0.1:8000"
THERE = "http://127.0.0.1:8001"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(str(tmp_path / "home-of-the-stack"))


def file_of(home: Home) -> Path:
    return paths.state_dir(home) / lastsession.FILE


def test_the_last_session_of_a_directory(home: Home, tmp_path: Path) -> None:
    """Of each directory and each gateway its own; none where there was none."""
    one, two = tmp_path / "one", tmp_path / "two"
    assert lastsession.last(home, HERE, one) is None
    lastsession.remember(home, HERE, one, "first")
    lastsession.remember(home, HERE, two, "second")
    lastsession.remember(home, THERE, one, "third")
    lastsession.remember(home, HERE, one, "fourth")
    assert [lastsession.last(home, *place) for place in ((HERE, one), (HERE, two), (THERE, one), (THERE, two))] == [
        "fourth", "second", "third", None,
    ]  # fmt: skip


def test_a_directory_is_what_a_path_leads_to(home: Home, tmp_path: Path) -> None:
    """Also through a link; a base URL is the same with a slash at its end."""
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    lastsession.remember(home, f"{HERE}/", link, "one")
    assert lastsession.last(home, HERE, real / ".." / "real") == "one"


def test_stacks_have_sessions_of_their_own(home: Home, tmp_path: Path) -> None:
    """The file is in the stack's state directory, and goes with it."""
    other = home._replace(project="other")
    lastsession.remember(home, HERE, tmp_path, "one")
    assert lastsession.last(other, HERE, tmp_path) is None
    lastsession.remember(other, HERE, tmp_path, "two")
    assert lastsession.last(home, HERE, tmp_path) == "one"
    found = ownfiles.look(home, every=True)
    assert not found.kept
    assert {file_of(home), file_of(other)} <= set(found.own)


def test_nobody_else_can_read_it(home: Home, tmp_path: Path) -> None:
    """Titles are what somebody asked, whatever the umask is."""
    known = os.umask(0)
    try:
        lastsession.remember(home, HERE, tmp_path, "one", title="my secret plans")
    finally:
        os.umask(known)
    assert stat.S_IMODE(file_of(home).stat().st_mode) == 0o600


def test_a_name_that_is_no_text(home: Home, tmp_path: Path) -> None:
    """A directory may be called anything, and a title may be half a character."""
    directory = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n"))
    lastsession.remember(home, HERE, directory, "one", title="half \ud83d")
    assert lastsession.last(home, HERE, directory) == "one"
    assert lastsession.known(home, HERE) == {"one": "half \ud83d"}


def test_titles(home: Home, tmp_path: Path) -> None:
    """The last used first, each on one line; the question is one until the gateway has told what it calls it."""
    lastsession.remember(home, HERE, tmp_path, "one", title="a  long\nquestion " * 100)
    lastsession.remember(home, HERE, tmp_path, "one", title="And then?")
    lastsession.remember(home, THERE, tmp_path, "elsewhere", title="not here")
    lastsession.learn(home, HERE, {"three": "3", "two": "2"})
    found = lastsession.known(home, HERE)
    assert list(found) == ["three", "two", "one"]
    assert (len(found["one"]), found["one"][:20]) == (80, "a long question a lo")
    lastsession.learn(home, HERE, {"one": "The first"})
    assert next(iter(lastsession.known(home, HERE).items())) == ("one", "The first")
    lastsession.learn(home, HERE, {})
    assert lastsession.last(home, HERE, tmp_path) == "one"


def test_what_is_forgotten(home: Home, tmp_path: Path) -> None:
    """A session that was deleted is nowhere the last one; another gateway's of that name is."""
    for url in (HERE, THERE):
        lastsession.remember(home, url, tmp_path, "one", title="1")
    lastsession.remember(home, HERE, tmp_path / "other", "two", title="2")
    lastsession.forget(home, HERE, ["one", "unknown"])
    assert lastsession.last(home, HERE, tmp_path) is None
    assert lastsession.known(home, HERE) == {"two": "2"}
    assert (lastsession.last(home, THERE, tmp_path), lastsession.known(home, THERE)) == ("one", {"one": "1"})


def test_it_does_not_grow_for_ever(home: Home, tmp_path: Path) -> None:
    """A thousand directories, a thousand sessions: those that were used last."""
    rows = [[HERE, f"/{number}", f"s{number}"] for number in range(1500)]
    lastsession.remember(home, HERE, tmp_path, "first")
    file_of(home).write_text(json.dumps({"last": rows, "titles": rows}))
    lastsession.remember(home, HERE, Path("/500"), "s0")
    document = json.loads(file_of(home).read_text())
    assert (len(document["last"]), len(document["titles"])) == (1000, 1000)
    assert lastsession.last(home, HERE, Path("/500")) == "s0"
    assert [lastsession.last(home, HERE, Path(f"/{number}")) for number in (499, 501)] == [None, "s501"]


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"\xff\xfe", b"\0" * 100, b"[]", b"null", b"5", b"{}", b'{"last": 5, "titles": []}'),
        *(b'{"last": [["a", "b"]], "titles": []}', b'{"last": [["a", "b", 5]], "titles": []}', b"[" * 100_000),
        *(b'{"last": [], "titles": [[["a"], "b", "c"]]}', b'{"last": [5], "titles": []}'),
    ],
)
def test_a_damaged_file_is_none(home: Home, tmp_path: Path, content: bytes) -> None:
    """And the next one is whole."""
    file_of(home).parent.mkdir(parents=True)
    file_of(home).write_bytes(content)
    assert lastsession.last(home, HERE, tmp_path) is None
    assert lastsession.known(home, HERE) == {}
    lastsession.remember(home, HERE, tmp_path, "one")
    assert lastsession.last(home, HERE, tmp_path) == "one"


def test_a_place_where_nothing_can_be_written(home: Home, tmp_path: Path) -> None:
    """One kind of failure for the caller, who can go on without."""
    file_of(home).mkdir(parents=True)
    with pytest.raises(OutputFailed, match=r"sessions\.json cannot be read"):
        lastsession.last(home, HERE, tmp_path)
    no_directory = tmp_path / "file"
    no_directory.write_text("")
    with pytest.raises(OutputFailed):
        lastsession.remember(Home(str(no_directory)), HERE, tmp_path, "one")


def test_many_at_once(home: Home, tmp_path: Path) -> None:
    """Of questions that end in the same moment none is forgotten."""
    program = (
        "import sys; from pathlib import Path; from ccapi.commands import lastsession; from ccapi.paths import Home\n"
        f"for turn in range(10): lastsession.remember(Home({home.directory!r}), {HERE!r}, "
        "Path(f'/{sys.argv[1]}/{turn}'), f'{sys.argv[1]}-{turn}')"
    )
    running: list[Any] = [subprocess.Popen([sys.executable, "-c", program, str(number)]) for number in range(4)]
    assert [process.wait(60) for process in running] == [0] * 4
    assert len(lastsession.known(home, HERE)) == 40
