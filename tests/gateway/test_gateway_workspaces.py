"""Workspaces: from a name that a request gives to the directory in which the agent works (G23)."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ccapi.errors import InvalidRequest, WorkspaceUnusable
from ccapi.gateway.workspaces import Workspaces

NO_NAMES = [
    *(
        "",
        "..",
        "../etc",
        "a/../..",
        "a/b",
        "/etc",
        "/",
        "./a",
        "a/",
        ".git",
        ".claude",
        "-rf",
        "_x",
        "~",
        "~root",
        "a..b",
    ),
    *("a\x00b", "a\nb", "a b", "a\\b", "C:", "a" * 65, "é", "\uff41", "%2e%2e", "$HOME", "a\u202eb", "a\n", " a", "a "),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "around" / "root"
    made.mkdir(parents=True)
    return made


@pytest.mark.parametrize("name", ["a", "A-b_c.d", "0", "project.2", "a" * 64])
def test_a_workspace_is_made_on_its_first_use(root: Path, name: str) -> None:
    """A directory of its own below the root; the second request finds it with what is in it."""
    workspaces = Workspaces(root, ".")
    directory = workspaces.resolve(name)
    assert directory == root / name
    assert stat.S_IMODE(directory.stat().st_mode) & 0o700 == 0o700
    (directory / "file").write_text("kept")
    assert workspaces.resolve(name) == directory
    assert (directory / "file").read_text() == "kept"


@pytest.mark.parametrize(("default", "expected"), [(".", ""), ("default", "default")])
def test_without_a_name_it_is_the_default(root: Path, default: str, expected: str) -> None:
    """Which may be the root itself."""
    workspaces = Workspaces(root, default)
    assert workspaces.default == default
    assert workspaces.resolve(None) == root / expected
    assert workspaces.resolve(default) == root / expected
    assert (root / expected).is_dir()


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_is_no_name_is_refused(root: Path, name: str) -> None:
    """400 that names the field and repeats nothing; nothing is made, inside or outside."""
    with pytest.raises(InvalidRequest) as caught:
        Workspaces(root, ".").resolve(name)
    assert (caught.value.status, caught.value.param) == (400, "workspace")
    assert len(name) < 3 or name not in caught.value.message
    assert list(root.iterdir()) == []
    assert list(root.parent.iterdir()) == [root]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=20) | st.text("./a\\~\x00", max_size=8))
def test_no_name_leads_elsewhere(root: Path, name: str) -> None:
    """Any text is refused, or is a directory directly below the root (or the root, for a single dot)."""
    try:
        directory = Workspaces(root, ".").resolve(name)
    except InvalidRequest:
        return
    assert directory == root if name == "." else directory.parent == root
    assert directory.resolve() == directory


@pytest.mark.parametrize("target", ["outside", "inside", "nowhere", "/etc"])
def test_a_link_is_refused(root: Path, target: str) -> None:
    """Wherever it leads: also one within the root would make two names one workspace."""
    (root.parent / "outside").mkdir()
    (root / "inside").mkdir()
    place = {"outside": "../outside", "inside": "inside", "nowhere": "../made", "/etc": "/etc"}[target]
    (root / "link").symlink_to(place)
    with pytest.raises(InvalidRequest) as caught:
        Workspaces(root, ".").resolve("link")
    assert caught.value.param == "workspace"
    assert not (root.parent / "made").exists()


def test_a_file_in_its_place_is_refused(root: Path) -> None:
    """It stays what it is."""
    (root / "file").write_text("x")
    with pytest.raises(InvalidRequest, match="no directory"):
        Workspaces(root, ".").resolve("file")
    assert (root / "file").read_text() == "x"


def test_a_fifo_in_its_place_does_not_block(root: Path) -> None:
    """Nothing is opened that could wait for somebody."""
    os.mkfifo(root / "pipe")
    with pytest.raises(InvalidRequest):
        Workspaces(root, ".").resolve("pipe")


def test_the_root_itself_may_be_a_link(root: Path) -> None:
    """The mount is the operator's choice; the agent is given the real path."""
    (root.parent / "link").symlink_to(root)
    assert Workspaces(root.parent / "link", ".").resolve("a") == root / "a"


@pytest.mark.parametrize("default", [".", "default"])
def test_a_root_that_is_gone_is_no_fault_of_the_request(root: Path, default: str) -> None:
    """503 with a hint for the operator; the path is for the log only."""
    root.rmdir()
    with pytest.raises(WorkspaceUnusable) as caught:
        Workspaces(root, default).resolve(None)
    assert caught.value.status == 503
    assert str(root) not in caught.value.message + (caught.value.hint or "")
    assert str(root) in (caught.value.detail or "")


def test_a_root_that_cannot_be_written_to_is_no_fault_of_the_request(root: Path) -> None:
    """A read-only mount (here: a directory of the kernel's, as root may write anywhere else)."""
    with pytest.raises(WorkspaceUnusable):
        Workspaces(Path("/proc/self"), ".").resolve("made")
