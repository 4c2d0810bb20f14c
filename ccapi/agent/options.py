"""What a `claude` process is started with, besides what all processes have in common (`Launch`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Hashable, as processes that were started with equal options can stand in for each other."""

    model: str | None = None  # None: the CLI's default
    workspace: Path | None = None  # None: the launch's
    system: str | None = None  # appended to Claude Code's own system prompt
    permission_mode: str | None = None  # None: the launch's
    tools: tuple[str, ...] | None = None  # the only ones that may be used; None: all; (): none
    denied_tools: tuple[str, ...] = ()
    effort: str | None = None
    max_turns: int | None = None
    max_budget_usd: float | None = None
    max_output_tokens: int | None = None  # of one message
    json_schema: str | None = None  # as JSON text
    persist: bool = True  # whether the CLI writes a session that can be resumed


@dataclass(frozen=True, slots=True)
class Resume:
    """A session to go on with.

    `at` is the checkpoint (`RunFinished.checkpoint`) after which it goes on, whatever came later; None is its end. With
    `fork` the session stays as it is, and a copy with an id of its own goes on.
    """

    session_id: str
    at: str | None = None
    fork: bool = False
