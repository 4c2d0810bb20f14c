"""Requests that Claude Code makes on its own account, beside the conversation.

They are answered without the scenario, so that they neither need a turn nor count as an attempt:

- the title of a session: no tools, and a JSON schema for the answer
- the probe of the quota: no tools, one token
- the page that the WebFetch tool has fetched and wants an answer about: no tools
- the summary that takes the place of a history that has grown too long
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ccapi.rehearsal.turns import Text, Turn, When

if TYPE_CHECKING:
    from ccapi.rehearsal.conversation import Conversation


_WEB_PAGE = "Web page content:"
_COMPACTION = "CRITICAL: Respond with TEXT ONLY."


def side_turn(conversation: Conversation) -> Turn | None:
    """The answer to a side request; None for a request of the conversation itself."""
    if conversation.prompt.startswith(_COMPACTION):
        return _says("<analysis>Rehearsal.</analysis>\n<summary>A rehearsed conversation.</summary>")
    if conversation.tools:
        return None
    schema = _schema(conversation.body)
    if schema is not None:
        return _says(json.dumps(_example(schema)))
    if conversation.body.get("max_tokens") == 1:
        return _says("OK")
    if conversation.prompt.startswith(_WEB_PAGE):
        return _says("A web page of a rehearsal.")
    return None


def _says(text: str) -> Turn:
    return Turn(When(), (Text(text),))


def _schema(body: dict[str, Any]) -> dict[str, Any] | None:
    """The JSON schema that the answer must follow."""
    config = body.get("output_config")
    wanted = config.get("format") if isinstance(config, dict) else None
    schema = wanted.get("schema") if isinstance(wanted, dict) else None
    return schema if isinstance(schema, dict) else None


def _example(schema: dict[str, Any]) -> Any:
    """The plainest value that follows the schema."""
    if choices := schema.get("enum"):
        return choices[0]
    match schema.get("type"):
        case "object":
            return {name: _example(inner) for name, inner in schema.get("properties", {}).items()}
        case "array":
            return []
        case "integer" | "number":
            return 0
        case "boolean":
            return False
        case _:
            return "Rehearsal"
