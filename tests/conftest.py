"""What all tests share: a clean environment, the real parts, and no process left behind."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from ccapi.agent.launch import find_claude

# How long an example takes says something about this machine only.
hypothesis.settings.register_profile("ccapi", deadline=None)
hypothesis.settings.load_profile("ccapi")


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees, or writes to, what belongs to the person who runs it."""
    for name in list(os.environ):
        if name.startswith(("CCAPI_", "ANTHROPIC_", "CLAUDE_", "XDG_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("CLAUDECODE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CCAPI_HOME", str(tmp_path / "ccapi"))
    (tmp_path / "home").mkdir()


@pytest.fixture(scope="session")
def claude() -> Path:
    """The real Claude Code CLI; the dev extra brings it, so that a missing one is a failure."""
    return find_claude(path="")


@pytest.fixture(scope="session")
def docker_engine() -> None:
    """A Docker engine with compose. In CI a missing one fails; on a user's machine the test is skipped."""
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        try:
            found = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
            reason = found.stderr.strip().splitlines()[-1:] if found.returncode else []
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = [str(error)]
        if reason:
            message = f"`{' '.join(command)}` does not work here: {reason[0]}"
            if os.environ.get("CI"):
                pytest.fail(message)
            pytest.skip(message)


def pytest_configure() -> None:
    """Ctrl-C works in every child, also when the tests themselves run in the background of a shell.

    Such a shell starts its children with SIGINT ignored, and a shell script cannot trap what was ignored at its start.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test marked `docker` asks for the engine without naming the fixture, and runs after the quick ones."""
    for item in items:
        if item.get_closest_marker("docker") and isinstance(item, pytest.Function):
            item.fixturenames.insert(0, "docker_engine")
    items.sort(key=lambda item: item.get_closest_marker("docker") is not None)


@pytest.fixture
def no_process_left() -> Iterator[None]:
    """Fails a test that leaves a `claude` process of its own behind."""
    before = set(claude_processes())
    yield
    left = set(claude_processes()) - before
    assert not left, f"processes left: {left}"


def claude_processes() -> list[tuple[int, str]]:
    """Pid and command line of every running process whose program is called claude."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            argv = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if argv and Path(os.fsdecode(argv[0])).name == "claude":
            found.append((int(entry.name), b" ".join(argv).decode("utf-8", "replace")))
    return found
