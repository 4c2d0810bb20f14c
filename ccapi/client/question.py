"""A question, and the request of the Responses API that it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Part = Mapping[str, Any]  # of a message's content: `input_text`, `input_image`, `input_file`

# Seconds without anybody who follows the run. More than all pauses between attempts to go on, behind the silence after
# which a connection is given up of which only the gateway has noticed the end.
ABANDON_AFTER = 90
BY_ITSELF = (
    f"if the run has begun, the gateway ends it by itself in {ABANDON_AFTER} s"  # when it is not known which one
)


def text_part(text: str) -> Part:
    return {"type": "input_text", "text": text}


@dataclass(frozen=True, slots=True)
class Question:
    """`parts` are what is asked; everything else is as the API has it, and None where nothing was said of it.

    `allow`: the only tools that the agent may use; `max_cost` in US dollars; `schema`: the JSON Schema of the answer.
    """

    parts: tuple[Part, ...]
    model: str
    session_id: str | None = None
    system: str | None = None
    workspace: str | None = None
    max_turns: int | None = None
    max_cost: float | None = None
    effort: str | None = None
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None

    def body(self) -> dict[str, Any]:
        """A background response, which no connection holds, with a stream."""
        given = {
            "instructions": self.system,
            "metadata": {"session_id": self.session_id} if self.session_id else None,
            "workspace": self.workspace,
            "max_turns": self.max_turns,
            "max_budget_usd": self.max_cost,
            "reasoning": {"effort": self.effort} if self.effort else None,
            "allowed_tools": None if self.allow is None else list(self.allow),
            "disallowed_tools": list(self.deny) or None,
            "text": {"format": _format(self.schema)} if self.schema is not None else None,
        }
        return {
            "model": self.model,
            "input": [{"role": "user", "content": [dict(part) for part in self.parts]}],
            "stream": True,
            "background": True,
            "abandon_after": ABANDON_AFTER,
            **{name: value for name, value in given.items() if value is not None},
        }


def _format(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "name": "answer", "schema": dict(schema)}
