"""Files are replaced whole, or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ccapi import files
from ccapi.errors import OutputFailed


def mode(file: Path) -> int:
    return file.stat().st_mode & 0o7777


def test_a_new_file(tmp_path: Path) -> None:
    """Its directories are made, and nothing is left beside it."""
    file = tmp_path / "a" / "b" / "file"
    files.replace(file, "Grüße\r\n")
    assert file.read_bytes() == "Grüße\r\n".encode()
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    ("umask", "wanted", "found"), [(0o077, None, 0o600), (0o022, None, 0o644), (0o077, 0o644, 0o644)]
)
def test_the_mode_of_a_new_file(tmp_path: Path, umask: int, wanted: int | None, found: int) -> None:
    """What the umask leaves, unless one is named."""
    before = os.umask(umask)
    try:
        files.replace(tmp_path / "file", "x", mode=wanted)
    finally:
        os.umask(before)
    assert mode(tmp_path / "file") == found


def test_the_mode_of_an_old_file_stays(tmp_path: Path) -> None:
    """Unless one is named."""
    file = tmp_path / "file"
    file.write_text("old")
    file.chmod(0o640)
    files.replace(file, "new")
    assert (file.read_text(), mode(file)) == ("new", 0o640)
    files.replace(file, "newer", mode=0o604)
    assert (file.read_text(), mode(file)) == ("newer", 0o604)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """Also one whose target is not there yet."""
    target, link = tmp_path / "elsewhere" / "target", tmp_path / "link"
    link.symlink_to(target)
    for text in ("one", "two"):
        files.replace(link, text)
        assert link.is_symlink()
        assert target.read_text() == text


def test_a_reader_never_sees_half(tmp_path: Path) -> None:
    """Whenever it looks, one of the two texts is there, whole."""
    file, texts = tmp_path / "file", {"a" * 100_000, "b" * 50_000}
    files.replace(file, "a" * 100_000)
    over, seen = threading.Event(), set()

    def read() -> None:
        while not over.is_set():
            seen.add(file.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(50):
        for text in texts:
            files.replace(file, text)
    over.set()
    reader.join()
    assert seen <= texts


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    """And leaves nothing behind."""
    file = tmp_path / "here" / "file"
    file.mkdir(parents=True)
    with pytest.raises(OutputFailed, match=f"{file} cannot be written: "):
        files.replace(file, "x")
    assert list(file.parent.iterdir()) == [file]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk: nothing is lost, nothing is left over."""
    file = tmp_path / "here" / "file"
    file.parent.mkdir()
    file.write_text("old")
    code = """
import resource, signal, sys
from pathlib import Path
from ccapi import files
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
files.replace(Path(sys.argv[1]), "x" * 5000)
"""
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=False)
    assert "OutputFailed" in done.stderr
    assert file.read_text() == "old"
    assert list(file.parent.iterdir()) == [file]
