"""Token numbers: derived from lengths, so the same conversation always costs the same."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ccapi.rehearsal.conversation import Conversation

_TOKEN = re.compile(r"\s*[^\s]{1,8}|\s+")
_CHARACTERS_PER_TOKEN = 4


def tokens(text: str) -> list[str]:
    """`text` in pieces as a model would stream it: a word with the space before it. Their concatenation is `text`."""
    return _TOKEN.findall(text)


def input_usage(conversation: Conversation) -> dict[str, Any]:
    """The usage of a request: the last message is new, what stands before it is written to or read from the cache."""
    body = conversation.body
    before = _size([body.get("system"), body.get("tools"), body["messages"][:-1]])
    answered = any(message.get("role") == "assistant" for message in conversation.messages)
    return {
        "input_tokens": _size(body["messages"][-1]),
        "cache_creation_input_tokens": 0 if answered else before,
        "cache_read_input_tokens": before if answered else 0,
        "service_tier": "standard",
    }


def total_input(conversation: Conversation) -> int:
    usage = input_usage(conversation)
    return sum(count for key, count in usage.items() if key.endswith("input_tokens"))


def _size(value: Any) -> int:
    return max(1, len(json.dumps(value, ensure_ascii=False)) // _CHARACTERS_PER_TOKEN)
