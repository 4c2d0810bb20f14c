"""API keys as the command line writes and the gateway reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Policy:
    """What the holder of a key may do; None means no limit. A request can narrow it, never widen it."""

    models: tuple[str, ...] | None = None  # names that clients ask for
    transcript: Literal["full", "text", "final"] | None = None  # the most that is shown of the steps
    tools: tuple[str, ...] | None = None  # the only ones the agent may use; (): none
    workspaces: tuple[str, ...] | None = None
    rate: int | None = None  # requests per minute
