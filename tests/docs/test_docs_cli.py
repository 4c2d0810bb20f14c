"""docs/cli.md: its documents are what the commands print, and its commands do what it says."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from ccapi import errors
from ccapi.errors import CcapiError
from tests.cli.readme import Page, bash, below
from tests.cli.support import Cli

CLI = Page("docs/cli.md")


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command, in an empty directory."""
    return Cli(tmp_path)


@pytest.fixture
def environ(cli: Cli) -> dict[str, str]:
    """Of a shell that finds this `ccapi`."""
    program = cli.directory / "ccapi"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ccapi "$@"\n')
    program.chmod(0o755)
    (cli.directory / "home").mkdir(exist_ok=True)
    return {**cli.environ, "PATH": f"{cli.directory}:{cli.environ['PATH']}", "SHELL": "/bin/bash"}


def test_the_documents(cli: Cli) -> None:
    """To the letter: one of a command that worked, one of a command that did not."""
    worked, failed = (block.text for block in CLI.blocks if block.heading == "JSON")
    assert cli.run("config", "get", "gateway.port", "--json").stdout == worked
    cli.run("key", "create", "--name", "phone")
    assert cli.run("key", "revoke", "laptop", "--json").stdout == failed
    names = re.findall(r"(?m)^\| `(\w+)` \|", CLI.prose.partition("## JSON")[2].partition("## Errors")[0])
    assert names == list(json.loads(worked))


def test_every_code_is_there() -> None:
    """Each code of the tree, once, with its exit code."""
    tree = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, CcapiError)]
    rows = re.findall(r"(?m)^\| `(\w+)` \| [a-z-]+ \| (\d+) \| (?:yes)? ?\| (.*) \|$", CLI.prose)
    assert sorted((code, int(exit_code)) for code, exit_code, _ in rows) == sorted(
        (kind.code, kind.exit_code) for kind in tree
    )
    assert all(meaning for _, _, meaning in rows)


def test_completion(cli: Cli, environ: dict[str, str]) -> None:
    """Installed for the person's shell; or read by hand, in a shell that then completes."""
    install, by_hand = (command for block in below(CLI, "Completion") for command in block.commands)
    assert bash(install, environ, cli.directory).returncode == 0
    assert (cli.directory / "home" / ".bashrc").read_text().endswith("  # ccapi completion\n")
    done = bash(f"{by_hand}\ncomplete -p ccapi", environ, cli.directory)
    assert done.stdout == "complete -o bashdefault -o default -F _ccapi_completion ccapi\n"


def test_no_news(cli: Cli, environ: dict[str, str]) -> None:
    """The setting is one."""
    (command,) = (command for block in below(CLI, "News of a newer version") for command in block.commands)
    assert bash(command, environ, cli.directory).returncode == 0
    assert cli.run("config", "get", "updates.check").stdout == "false\n"
