"""A stdio MCP server with one tool, `repeat`, that answers with `count` characters. Standard library only."""

from __future__ import annotations

import json
import sys
from typing import Any

TOOL = {
    "name": "repeat",
    "description": "Answers with so many characters.",
    "inputSchema": {"type": "object", "properties": {"count": {"type": "integer"}}},
    "_meta": {"anthropic/alwaysLoad": True},  # Claude Code would else search for it first
}


def main() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            answer = {"jsonrpc": "2.0", "id": message["id"], "result": result(message["method"], message.get("params"))}
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()


def result(method: str, params: Any) -> dict[str, Any]:
    match method:
        case "initialize":
            server = {"name": "repeater", "version": "1"}
            return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": server}
        case "tools/list":
            return {"tools": [TOOL]}
        case "tools/call":
            count = params["arguments"]["count"]
            return {"content": [{"type": "text", "text": "y" * count}, {"type": "text", "text": "the end"}]}
        case _:
            return {}


if __name__ == "__main__":
    main()
