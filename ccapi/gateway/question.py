"""What a request asks, whichever API it came by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Block = dict[str, Any]  # a content block of Anthropic's Messages API: text, image, document
TranscriptMode = Literal["full", "text", "final"]


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier message of the conversation, as the client tells it."""

    role: Literal["user", "assistant", "tool"]
    text: str
    attachments: tuple[Block, ...] = ()  # images and documents


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Parsed and well-formed; whether the caller may ask it is another matter (`ccapi.gateway.policy`)."""

    model: str  # the client's name for it, without a transcript suffix
    turn: str | Sequence[Block]  # the new user message
    history: tuple[Turn, ...] = ()  # what the client says was said before it
    system: str | None = None
    session_id: str | None = None  # named by the client: wins over the history
    workspace: str | None = None
    transcript: TranscriptMode | None = None
    tools: tuple[str, ...] | None = None  # the only ones to be used; None: all that the policy allows
    denied_tools: tuple[str, ...] = ()
    permission_mode: str | None = None
    effort: str | None = None
    max_turns: int | None = None
    max_budget_usd: float | None = None
    max_output_tokens: int | None = None
    json_schema: str | None = None  # JSON text
    persist: bool = True
    user: str | None = None  # the client's own name for its user: keeps conversations of equal wording apart
    ignored: tuple[str, ...] = ()  # parameters that mean nothing here, for the header X-CCAPI-Ignored
