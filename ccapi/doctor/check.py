"""What a check is, and what it finds.

A check is a function of `Facts` that looks at one thing, changes nothing, and returns a `Finding`. It need not catch
errors of ours: the runner turns them into findings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ccapi.doctor.facts import Facts

Status = Literal["ok", "warn", "fail", "skip", "info"]

# In the order in which they are shown; the first part of a check's id is one of these.
CATEGORIES = {
    "cli": "Command line",
    "docker": "Docker",
    "network": "Network",
    "ports": "Ports",
    "stack": "Stack",
    "claude": "Claude sign-in",
    "mcp": "MCP servers",
    "proxy": "OAuth proxy",
    "security": "Security",
    "storage": "Storage",
    "deep": "A real question, from end to end",
}


@dataclass(frozen=True, slots=True)
class Fix:
    """What to do about it. `command` is to be copied as it stands, one line for each step.

    `apply` does it; only for what is safe and can be undone, and never with more rights than the person has. It raises
    `CcapiError` when it cannot.
    """

    text: str
    command: str | None = None
    apply: Callable[[], None] | None = None

    @property
    def safe(self) -> bool:
        """Whether `ccapi doctor --fix` may do it, once the person agreed."""
        return self.apply is not None


@dataclass(frozen=True, slots=True)
class Finding:
    """`summary` is one line without a full stop; `detail` is for what is not ok: one or few lines more."""

    status: Status
    summary: str
    detail: str = ""
    fix: Fix | None = None


def ok(summary: str, detail: str = "") -> Finding:
    """It is as it should be."""
    return Finding("ok", summary, detail)


def info(summary: str, detail: str = "") -> Finding:
    """Nothing is wrong with it, and yet worth knowing."""
    return Finding("info", summary, detail)


def skip(summary: str, detail: str = "") -> Finding:
    """It cannot be looked at, or makes no sense here; the summary says why. Whoever needs this check is skipped too."""
    return Finding("skip", summary, detail)


def warn(summary: str, detail: str = "", fix: Fix | None = None) -> Finding:
    """It works, but perhaps not as hoped, or not for long."""
    return Finding("warn", summary, detail, fix)


def fail(summary: str, detail: str = "", fix: Fix | None = None) -> Finding:
    """It does not work."""
    return Finding("fail", summary, detail, fix)


@dataclass(frozen=True, slots=True)
class Trouble:
    """For docs/troubleshooting.md: how a person meets the broken condition, and what to do about it."""

    condition: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Check:
    """`needs`: ids of checks without whose success this one makes no sense; it is skipped, and says so.

    `online`: it asks machines on the internet, so `--offline` skips it. `deep`: only with `--deep`, after all others
    and alone. `limit`: seconds it may take, where the usual limit is not enough.
    """

    id: str
    title: str
    run: Callable[[Facts], Finding]
    needs: tuple[str, ...] = ()
    online: bool = False
    deep: bool = False
    limit: float | None = None
    trouble: tuple[Trouble, ...] = ()

    @property
    def category(self) -> str:
        """One of `CATEGORIES`."""
        return self.id.partition(".")[0]
