"""One `up` or `down` at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from ccapi.stack import lock

HOLD = """
import sys
from pathlib import Path
from ccapi.stack import lock
with lock.exclusive(Path(sys.argv[1]), print):
    print("held", flush=True)
    sys.stdin.read()
"""


HOLD_WITH_A_CHILD = """
import subprocess, sys
from pathlib import Path
from ccapi.stack import lock
with lock.exclusive(Path(sys.argv[1]), print):
    child = subprocess.Popen(["cat"], pass_fds=lock.held(), stdout=subprocess.DEVNULL)
    print("held", flush=True)
    child.wait()
"""


def held_elsewhere(file: Path, hold: str = HOLD) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", hold, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_waits_and_is_told_for_whom(tmp_path: Path) -> None:
    """It goes on as soon as the first is done."""
    file = tmp_path / "state" / "lock"
    said: list[str] = []
    with held_elsewhere(file) as other:

        def waiting(pid: str) -> None:
            said.append(pid)
            threading.Timer(0.3, lambda: other.stdin and other.stdin.close()).start()

        with lock.exclusive(file, waiting):
            assert file.read_text() == str(os.getpid())
    assert said == [str(other.pid)]


def test_a_killed_holder_leaves_no_lock(tmp_path: Path) -> None:
    """The kernel takes it back."""
    with held_elsewhere(tmp_path / "lock") as other:
        other.kill()
        other.wait()
        said: list[str] = []
        with lock.exclusive(tmp_path / "lock", said.append):
            assert said == []


def test_a_child_that_survives_has_it(tmp_path: Path) -> None:
    """What it does is what the lock is for; with its end the lock is free."""
    with held_elsewhere(tmp_path / "lock", HOLD_WITH_A_CHILD) as other:
        other.kill()
        other.wait()
        said: list[str] = []

        def waiting(pid: str) -> None:
            said.append(pid)
            assert other.stdin is not None
            other.stdin.close()  # the child's as well, which ends then

        with lock.exclusive(tmp_path / "lock", waiting):
            assert said == [str(other.pid)]
        assert lock.held() == ()


def test_it_can_be_taken_again(tmp_path: Path) -> None:
    """One after the other, nobody waits."""
    said: list[str] = []
    for _ in range(2):
        with lock.exclusive(tmp_path / "lock", said.append):
            pass
    assert said == []
