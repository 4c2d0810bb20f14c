"""A login that waits for the browser: where its callback comes in, where it goes, and what became of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ccapi.wire.authorization import Redirect

Origin = Literal["host", "container"]
Status = Literal["pending", "delivering", "delivered", "denied", "refused", "failed", "expired", "cancelled"]
OPEN: frozenset[Status] = frozenset({"pending", "delivering"})


@dataclass(frozen=True, slots=True)
class Entry:
    """A port of this machine, and the path on it, where the callback is taken."""

    port: int
    path: str


@dataclass(eq=False, slots=True)
class Login:
    """`id` is what others call it by: the state, or the gateway's own id for a login started in the container.

    `site` is the host of the page where the person signs in, if it is known. `redirect` is what the browser comes back
    to, `target` the listener in the container. `lifetime` is in seconds.
    """

    id: str = field(repr=False)
    state: str = field(repr=False)
    origin: Origin
    site: str | None
    redirect: Redirect
    target: Redirect
    entries: frozenset[Entry]
    lifetime: float
    status: Status = "pending"
    _ends: float = field(init=False, repr=False)
    _changed: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    def __post_init__(self) -> None:
        self._ends = time.monotonic() + self.lifetime

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def name(self) -> str:
        """For the log."""
        return f"{self.site or 'a login'}, port {self.target.port}"

    def become(self, status: Status) -> None:
        """Tells those who wait for it."""
        self.status = status
        self._changed.set()
        self._changed = asyncio.Event()

    async def other_than(self, known: str, seconds: float) -> None:
        """Return as soon as the status is not `known`, or after so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                while self.status == known:
                    await self._changed.wait()
        except TimeoutError:
            pass

    def document(self) -> Mapping[str, Any]:
        """As the control API shows it; `expires_in` is in seconds."""
        left = max(0.0, self._ends - time.monotonic()) if self.is_open else 0.0
        return {
            "session_id": self.id,
            "status": self.status,
            "origin": self.origin,
            "site": self.site,
            "redirect_uri": str(self.redirect),
            "callback_port": self.target.port,
            "expires_in": round(left, 1),
        }
