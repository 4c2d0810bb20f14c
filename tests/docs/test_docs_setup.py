"""docs/setup.md, as far as it takes no Docker; the rest is in test_docs_docker.py, and in the tests of the commands."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ccapi.stack import compose
from tests.cli.readme import Page, shell
from tests.cli.support import DEADLINE, ROOT, clean_environ

PAGE = Page("docs/setup.md")


@pytest.mark.timeout(300)
def test_install_with_uv(tmp_path: Path) -> None:
    """`uv tool install .` makes the same command as pipx does; tests/cli/test_cli_journey.py has that one."""
    (command,) = PAGE.begins("uv tool install")
    kept = {name: value for name, value in os.environ.items() if name.startswith(("UV_", "PIP_", "SSL_CERT"))}
    environ = {
        **{name: value for name, value in clean_environ(tmp_path / "home").items() if name != "PYTHONPATH"},
        "PATH": f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "UV_TOOL_DIR": str(tmp_path / "tools"),
        "UV_TOOL_BIN_DIR": str(tmp_path / "bin"),
        "UV_CACHE_DIR": str(tmp_path / "cache"),
        "UV_PYTHON": sys.executable,
        **kept,
    }
    shell(command, environ, ROOT, timeout=240)
    assert shell("command -v ccapi", environ, tmp_path).strip() == str(tmp_path / "bin" / "ccapi")
    assert shell("ccapi --version", environ, tmp_path).startswith("ccapi ")


@pytest.mark.timeout(400)
def test_pipx_again_and_never_more(tmp_path: Path) -> None:
    """Installed over itself, as an update or a step back does it, and taken out."""
    update, remove = PAGE.begins("pipx install --force")[0], PAGE.begins("pipx uninstall")[0]
    assert Page("docs/production.md").begins("pipx install") == [update]
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_CERT"))}
    environ = {
        **{name: value for name, value in clean_environ(tmp_path / "home").items() if name != "PYTHONPATH"},
        "PATH": f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PIPX_HOME": str(tmp_path / "pipx"),
        "PIPX_BIN_DIR": str(tmp_path / "bin"),
        "PIP_CACHE_DIR": str(Path(pwd.getpwuid(os.getuid()).pw_dir) / ".cache" / "pip"),
        **kept,
    }
    for command in ("pipx install .", update):
        shell(command, environ, ROOT, timeout=180)
        assert shell("command -v ccapi", environ, tmp_path).strip() == str(tmp_path / "bin" / "ccapi")
    shell(remove, environ, ROOT, timeout=60)
    assert not (tmp_path / "bin" / "ccapi").exists()


def test_completion(tmp_path: Path) -> None:
    """The line makes a file that the next shell reads, and the shell then knows the commands."""
    (command,) = PAGE.begins("ccapi completion")
    environ = clean_environ(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(command)], env=environ, capture_output=True, timeout=DEADLINE, check=True
    )
    assert done.stdout == b""
    assert any("ccapi" in file.read_text("utf-8") for file in tmp_path.rglob("*") if file.is_file())


def test_what_it_takes() -> None:
    """The versions are those that are asked for."""
    rows = dict(row[:2] for row in PAGE.table("What it takes"))
    assert ".".join(map(str, compose.MINIMUM)) in rows["Docker"]
    (wanted,) = re.findall(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert rows["Python"].startswith(wanted)
    limits = (ROOT / "templates" / "compose" / "docker-compose.yml").read_text("utf-8")
    assert "mem_limit: 4g" in limits
    assert rows["memory, disk"].startswith("4 GiB")
