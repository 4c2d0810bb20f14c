"""Whose port it is: by /proc where there is one, by `lsof` elsewhere."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ccapi import portowner
from ccapi.portowner import Process
from tests.oauth.proxyprocess import until


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::"])
def test_a_listener_is_named(address: str) -> None:
    """On whatever address it listens; its command line, shortened, and its PID are told."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family, dualstack_ipv6=address == "::") as listener:
        found = portowner.owner(listener.getsockname()[1])
    assert found is not None
    assert found.pid == os.getpid()
    assert len(found.command) <= 60
    assert str(found) == f"{found.command} (PID {os.getpid()})"


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_a_script_is_told_by_its_name(tmp_path: Path) -> None:
    """Wherever it lies: the directories would take the room of what matters."""
    script = tmp_path / "jupyter-lab"
    listen = "import socket; listener = socket.create_server(('127.0.0.1', 0)); print(listener.getsockname()[1])"
    script.write_text(f"{listen}\nimport sys; sys.stdout.flush(); input()")
    with subprocess.Popen([sys.executable, script, "/", "x"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        found = portowner.owner(int(process.stdout.readline()))
        process.kill()
    assert found == Process(process.pid, f"{Path(sys.executable).name} jupyter-lab / x")


def test_nobody_owns_a_free_port() -> None:
    """Also not the one who has just bound it without listening."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert portowner.owner(bound.getsockname()[1]) is None


@pytest.mark.skipif(shutil.which("lsof") is None, reason="there is no lsof")
def test_where_there_is_no_proc() -> None:
    """The real `lsof` tells the same PID, and that nobody is there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        found = until(lambda: portowner._by_lsof(port), "lsof is waited for long enough")  # not on a very busy machine
    assert found
    assert found.pid == os.getpid()
    assert portowner._by_lsof(port) is None


@pytest.mark.parametrize(
    ("script", "owner"),
    [
        ("printf 'p41\\ncjupyter-lab\\nf7\\np42\\ncother\\n'", Process(41, "jupyter-lab")),
        ("printf 'p41\\n'", Process(41, "a process")),
        ("exit 1", None),
        (None, None),
    ],
)
def test_what_lsof_says(
    script: str | None, owner: Process | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first process counts; no answer, or no such program, means that nobody knows."""
    if script:
        (tmp_path / "lsof").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "lsof").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert portowner._by_lsof(8888) == owner
