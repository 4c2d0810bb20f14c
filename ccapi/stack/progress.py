"""What `up` and `down` tell while they work; how it looks is the business of `cli`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["phase", "step", "done", "note", "warning", "log"]


@dataclass(frozen=True, slots=True)
class Progress:
    """`phase` begins something that takes time, `step` is where it is, `done` ends it; the others stand alone.

    `log` is a line of somebody else's output: the container's log, the end of a failed build.
    """

    kind: Kind
    text: str


Report = Callable[[Progress], None]
