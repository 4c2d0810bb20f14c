"""The stub CLI from a test's point of view: give it a plan, read what it was given."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STUB = Path(__file__).parent.parent / "stub_claude.py"
# Its shebang line takes the first python3 on the path: the one that runs the tests.
ENVIRONMENT = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

_GO_ON = "go-on"
# A step of a plan: wait until the test says `go_on`. For what has to happen while a run lasts, however long that takes.
GO_ON: dict[str, Any] = {"await_file": _GO_ON}


@dataclass(frozen=True)
class Stub:
    """The plan and the notes of the stub that runs in `workspace`."""

    workspace: Path

    def plan(self, *steps: dict[str, Any]) -> None:
        (self.workspace / "stub-plan.json").write_text(json.dumps(steps), "utf-8")

    def go_on(self) -> None:
        """Release every stub that waits by `GO_ON`, and those that are started from now on."""
        (self.workspace / _GO_ON).touch()

    @property
    def seen(self) -> dict[str, Any]:
        """What it was given so far; empty before it has started."""
        try:
            noted: dict[str, Any] = json.loads((self.workspace / "stub-seen.json").read_text("utf-8"))
        except FileNotFoundError:
            return {}
        return noted

    @property
    def stdin(self) -> list[Any]:
        """The documents that were sent to its stdin."""
        return [json.loads(line) for line in self.seen.get("stdin", [])]
