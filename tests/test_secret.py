"""The stack's secret: one, whoever asks for it first, and for nobody else to read."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ccapi import paths
from ccapi.commands import secret
from ccapi.errors import OutputFailed, SettingInvalid
from ccapi.paths import Home
from ccapi.redact import redact


def digest_file(home: Home) -> Path:
    return paths.keys_dir(home) / "stack.sha256"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(str(tmp_path / "home-of-the-stack"))


def test_it_is_made_once(home: Home) -> None:
    """The second time it is the same; of the two files only the digest is for others to read."""
    made = secret.ensure(home)
    assert re.fullmatch(r"ccapi-stack-[A-Za-z0-9_-]{43}", made)
    assert secret.ensure(home) == made
    assert secret.path(home).read_text() == f"{made}\n"
    assert digest_file(home).read_text().strip() == hashlib.sha256(made.encode()).hexdigest()
    assert [oct(file.stat().st_mode & 0o777) for file in (secret.path(home), digest_file(home))] == ["0o600", "0o644"]
    assert secret.path(home).parent.stat().st_mode & 0o007 == 0
    assert not [file for file in secret.path(home).parent.iterdir() if file.name.startswith(".")]


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_the_umask_changes_nothing(home: Home, umask: int) -> None:
    """The container's user must be able to read the digest, and nobody the secret."""
    before = os.umask(umask)
    try:
        secret.ensure(home)
    finally:
        os.umask(before)
    assert [oct(file.stat().st_mode & 0o777) for file in (secret.path(home), digest_file(home))] == ["0o600", "0o644"]
    assert digest_file(home).parent.stat().st_mode & 0o777 == 0o755


def test_several_at_once_get_the_same(home: Home) -> None:
    """`ccapi up` and `ccapi auth` may begin at the same moment."""
    code = f"from ccapi.commands import secret; from ccapi.paths import Home; print(secret.ensure({home!r}))"
    running = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(6)]
    said = {process.communicate(timeout=60)[0].strip() for process in running}
    assert said == {secret.ensure(home)}


def test_the_digest_follows_the_secret(home: Home) -> None:
    """One that was restored, edited or lost is written anew; also after the secret was replaced."""
    first = secret.ensure(home)
    for content in ("", "0" * 64, "junk \xff"):
        digest_file(home).write_text(content)
        secret.ensure(home)
        assert digest_file(home).read_text().strip() == hashlib.sha256(first.encode()).hexdigest()
    secret.path(home).unlink()
    second = secret.ensure(home)
    assert second != first
    assert digest_file(home).read_text().strip() == hashlib.sha256(second.encode()).hexdigest()


def test_a_mode_that_lets_others_read_is_mended(home: Home) -> None:
    """As a copy made by hand has it."""
    made = secret.ensure(home)
    secret.path(home).chmod(0o644)
    assert secret.ensure(home) == made
    assert secret.path(home).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"hunter2\n", b"ccapi-stack-short\n"])
def test_what_is_no_secret_is_not_used(home: Home, content: bytes) -> None:
    """And not repeated: it may be somebody's password. The hint says how to get a good one."""
    secret.ensure(home)
    secret.path(home).write_bytes(content)
    with pytest.raises(SettingInvalid, match="no secret") as refused:
        secret.ensure(home)
    assert f"rm {secret.path(home)}" in (refused.value.hint or "")
    assert "hunter2" not in refused.value.message


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    """An error with a way out, no traceback."""
    (tmp_path / "file").write_text("in the place of the directory")
    with pytest.raises(OutputFailed):
        secret.ensure(Home(str(tmp_path / "file")))


def test_no_log_shows_it(home: Home) -> None:
    """What is redacted from logs knows its form."""
    made = secret.ensure(home)
    assert made not in redact(f"with {made} in the middle")
