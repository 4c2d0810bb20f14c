"""Broken conditions, really made, and what doctor finds in them.

A test makes the condition, lets doctor look, mends what is broken as doctor says, and lets doctor look again. `Table`
holds each of them against the table in docs/troubleshooting.md; with CCAPI_WRITE_DOCS=1 it writes the row instead.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ccapi import settings
from ccapi.doctor import document, registry, runner
from ccapi.doctor.facts import Facts
from ccapi.doctor.runner import Result
from tests.cli.support import DEADLINE, clean_environ, command
from tests.doctor import troubleshooting
from tests.doctor.troubleshooting import Row

# For tests without an engine: the SDK leaves the sockets of a failed start to the garbage collector.
NO_ENGINE = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"),
    pytest.mark.usefixtures("collected"),
]
WRITE = bool(os.environ.get("CCAPI_WRITE_DOCS"))
_ANY = (
    (re.compile(r"\bPID \d+"), "PID 4242"),
    (re.compile(r"\bkill \d+"), "kill 4242"),
    (re.compile(r"sudo (?:dnf|zypper) install"), "sudo apt-get install"),
    (re.compile(r"(?<![\d.])\d+\.\d+\.\d+(?!\.?\d)(?:[-+~][\w.+~-]+)?"), "1.2.3"),
    (re.compile(r"\b\d+(?:\.\d+)? ([KMGT]B)\b"), r"10 \1"),
)


class Doctor:
    """Looks at things as `ccapi doctor` does, with an environment of its own: a home in `directory`, and nothing else.

    `timeout`: seconds for each check; a busy machine takes its time.
    """

    def __init__(self, directory: Path, *, timeout: float = DEADLINE) -> None:
        self.directory = directory
        self.environ = clean_environ(directory / "home")
        self.timeout = timeout

    def look(self, check: str, environ: Mapping[str, str] | None = None, *, project: str | None = None) -> Result:
        """What one check finds, once what it needs was looked at. `environ` is added to the doctor's own."""
        (result,) = self.look_at(check, environ=environ, project=project)
        return result

    def look_at(
        self, *checks: str, environ: Mapping[str, str] | None = None, project: str | None = None
    ) -> list[Result]:
        """What checks, or all checks of a category, find."""
        facts = self.facts(environ, project=project)
        known = registry.every()
        return runner.run(registry.select(checks, known), known, facts, timeout=self.timeout)

    def do(self, result: Result, *, only: str = "") -> None:
        """What doctor says to do: the commands of its fix (those that begin like this), as a person would paste them.

        Root, as which tests may run, needs no sudo.
        """
        fix = result.finding.fix
        assert fix is not None
        commands = [line for line in (fix.command or "").splitlines() if line.startswith(only)]
        assert commands, f"no command to copy: {fix}"
        self.do_commands("\n".join(commands))

    def do_commands(self, commands: str) -> None:
        """Lines for a shell."""
        ccapi = " ".join(command())
        script = f'sudo() {{ "$@"; }}\nccapi() {{ {ccapi} "$@"; }}\n{commands}'
        done = subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=self.directory,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def exported(self, result: Result) -> dict[str, str]:
        """The variables of a shell that was told what doctor says to do."""
        fix = result.finding.fix
        assert fix is not None
        done = subprocess.run(
            ["bash", "-e", "-c", f"{fix.command}\nenv -0"],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=True,
        )
        return dict(pair.partition("=")[::2] for pair in done.stdout.split("\0") if "=" in pair)

    def run(self, check: str, environ: Mapping[str, str] | None = None, *prefix: str) -> dict[str, Any]:
        """What the command finds, in a process of its own: its entry in the document."""
        done = subprocess.run(
            [*prefix, *command("doctor", check, "--json", "--timeout", str(DEADLINE))],
            cwd="/",
            env={**self.environ, **(environ or {})},
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert done.stdout, done.stderr
        (found,) = json.loads(done.stdout)["data"]["checks"]
        return dict(found)

    def look_as(self, user: int, check: str, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
        """What it finds for another user, who owns nothing. Needs root."""
        who = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        # Python itself may lie where that user cannot read.
        may = [f"--{kind}=-all,+dac_read_search" for kind in ("inh-caps", "ambient-caps")]
        return self.run(check, environ, *who, *may)

    def facts(self, environ: Mapping[str, str] | None = None, *, project: str | None = None) -> Facts:
        """What the checks look at."""
        seen = {**self.environ, **(environ or {})}
        home = settings.find_home(project, environ=seen, directory=self.directory)
        return Facts(home, environ=seen, directory=self.directory, timeout=self.timeout)


class Table:
    """The table of broken conditions. `directory` is written as `~`: what a test made lies below it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def add(
        self,
        condition: str,
        broken: Result,
        mended: Result,
        *,
        replace: Mapping[str, str] | None = None,
        exact: bool = False,
    ) -> None:
        """A row: `condition` in a person's words, what doctor found in it, and after it was mended as doctor says.

        `replace`: what differs from run to run (ports, names), and what stands for it in the document. `exact`:
        versions and sizes are the test's own, and stay. Fails when doctor did not find it, when it does not say what
        to do, when that did not help, and when the document does not have exactly this row.
        """
        self.add_document(condition, document.entry(broken), document.entry(mended), replace=replace, exact=exact)

    def add_document(
        self,
        condition: str,
        broken: Mapping[str, Any],
        mended: Mapping[str, Any],
        *,
        replace: Mapping[str, str] | None = None,
        exact: bool = False,
    ) -> None:
        """The same, with entries of `checks` in what `ccapi doctor --json` printed."""
        assert broken["id"] == mended["id"]
        assert broken["status"] in {"fail", "warn"}, broken
        assert broken["fix"] is not None, "doctor does not say what to do"
        assert mended["status"] in {"ok", "info"}, mended
        fix = broken["fix"]
        advice = [fix["text"], *(f"`{line}`" for line in (fix["command"] or "").splitlines())]
        row = Row(
            check=broken["id"],
            condition=condition,
            says=self._normal(f"{broken['status']}: {broken['summary']}", replace, exact=exact),
            fix=self._normal("<br>".join(filter(None, advice)).replace("\n", "<br>"), replace, exact=exact),
            then=self._normal(f"{mended['status']}: {mended['summary']}", replace, exact=exact),
        )
        if WRITE:
            troubleshooting.write(row)
        assert row in troubleshooting.rows(), f"not in {troubleshooting.FILE.name}; CCAPI_WRITE_DOCS=1 writes it: {row}"

    def _normal(self, text: str, replace: Mapping[str, str] | None, *, exact: bool) -> str:
        for found, shown in (replace or {}).items():
            text = text.replace(found, shown)
        for part in (self._directory / "home", self._directory):
            text = text.replace(str(part), "~")
        for pattern, shown in () if exact else _ANY:
            text = pattern.sub(shown, text)
        return text
