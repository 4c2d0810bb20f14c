"""What the server was asked, for tests to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from aiohttp import web

    from ccapi.rehearsal.conversation import Conversation

_SECRET = frozenset({"authorization", "x-api-key", "proxy-authorization", "cookie"})


@dataclass(frozen=True, slots=True)
class Received:
    """One request. `headers` has lower-case names; the value of one that carries a secret is replaced by `***`."""

    path: str
    model: str
    prompt: str
    results: int
    tools: int
    stream: bool
    side: bool
    headers: dict[str, str]

    @classmethod
    def of(cls, request: web.Request, conversation: Conversation, *, side: bool) -> Self:
        headers = {name.lower(): value for name, value in request.headers.items()}
        return cls(
            path=request.path,
            model=conversation.model,
            prompt=conversation.prompt,
            results=len(conversation.results),
            tools=len(conversation.tools),
            stream=conversation.body.get("stream") is True,
            side=side,
            headers={name: "***" if name in _SECRET else value for name, value in headers.items()},
        )
