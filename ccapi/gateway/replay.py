"""Telling Claude what was said before, where there is no session that knows it.

Each turn is a line of JSON, and `<` never stands in it: no text of a turn, whoever wrote it, can end its own turn or
the conversation. Images and documents stay what they are, right after the turn that they belong to.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from ccapi.gateway.question import Block, Turn

_OPEN, _CLOSE = "<conversation_so_far>", "</conversation_so_far>"
_EXPLAINED = "What was said before the message below, oldest first, one JSON object per line:"
# Besides what JSON escapes itself: what could end the element, and what some readers take for the end of a line.
_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<\x7f\x85\u2028\u2029"}


def replay(history: Sequence[Turn], turn: str | Sequence[Block]) -> str | list[Block]:
    """The user message to send: the question, after what was said before it. Empty turns are left out.

    The question is untouched, and a text if everything is text. User messages that nobody answered are no conversation:
    they stand before the question as they are.
    """
    told = [one for one in history if one.text.strip() or one.attachments]
    if not told:
        return turn if isinstance(turn, str) else list(turn)
    before = list(_unanswered(told) if all(one.role == "user" for one in told) else _conversation(told))
    blocks = before + ([_text(turn)] if isinstance(turn, str) else list(turn))
    if all(block["type"] == "text" for block in blocks):
        return "\n\n".join(block["text"] for block in blocks)
    return blocks


def _unanswered(turns: Sequence[Turn]) -> Iterator[Block]:
    for turn in turns:
        if turn.text.strip():
            yield _text(turn.text)
        yield from turn.attachments


def _conversation(turns: Sequence[Turn]) -> Iterator[Block]:
    lines = [_OPEN, _EXPLAINED]
    for turn in turns:
        lines.append(_line(turn))
        if turn.attachments:
            yield _text("\n".join(lines))
            yield from turn.attachments
            lines.clear()
    yield _text("\n".join([*lines, _CLOSE]))


def _line(turn: Turn) -> str:
    said: dict[str, object] = {"role": turn.role, "text": turn.text}
    if turn.attachments:
        said["attachments"] = len(turn.attachments)  # they follow
    return json.dumps(said, ensure_ascii=False).translate(_ESCAPES)


def _text(text: str) -> Block:
    return {"type": "text", "text": text}
