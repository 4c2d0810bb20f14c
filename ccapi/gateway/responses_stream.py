"""The SSE of the Responses API: named events, and no `[DONE]`, as the last event says itself that it is."""

from __future__ import annotations

from collections.abc import Iterable

from ccapi.gateway.sse import EventStream
from ccapi.wire.responseitems import Object
from ccapi.wire.responses import sse


class ResponseStream(EventStream):
    """See `EventStream`."""

    async def events(self, events: Iterable[Object]) -> None:
        """In one write. Waits while the client does not read, which holds the run back."""
        await self.frames(sse(events))

    async def frames(self, frames: str) -> None:
        """Events that are text already, in ASCII. Nothing if there are none."""
        if frames:
            await self._write(frames)
