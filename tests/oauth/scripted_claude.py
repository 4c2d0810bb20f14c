#!/usr/bin/env python3
"""Plays `claude mcp ...` as it was measured, but for the server behind it: what a test puts into `script.json` happens.

{"port": of the redirect URI, "state": …, "end": "signed-in" or the reason of a failure, "noise": printed before the
URL, "silent": true prints no URL, "at_once": true ends without an answer}. An answer is a pasted redirect URL, or the
file `delivered` beside it. What was typed last is in the file `typed`.
"""

from __future__ import annotations

import json
import os
import select
import sys
import termios
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

HERE = Path(os.environ["CLAUDE_CONFIG_DIR"])
STATE = HERE / ".claude.json"
SIGNED_IN = HERE / "signed-in"  # a directory with a file for each


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def servers() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(STATE.read_text("utf-8"))["mcpServers"] if STATE.exists() else {}
    return found


def keep(found: dict[str, Any]) -> None:
    STATE.write_text(json.dumps({"mcpServers": found}), "utf-8")


def url(script: dict[str, Any]) -> str:
    port = os.environ.get("MCP_OAUTH_CALLBACK_PORT") or script["port"]
    query = {"response_type": "code", "redirect_uri": f"http://localhost:{port}/callback", "state": script["state"]}
    return f"https://as.example/authorize?{urlencode(query)}"


def login(name: str) -> int:
    if name not in servers():
        sys.stderr.write(f'No MCP server named "{name}". Configured servers: none\n')
        return 1
    script = json.loads((HERE / "script.json").read_text("utf-8"))
    (SIGNED_IN / name).unlink(missing_ok=True)  # the real one drops the old credential at once, too
    say(f'Starting authentication for "{name}"…')
    say(script.get("noise", ""))
    if script.get("at_once"):
        return end(name, script["end"])
    if not script.get("silent"):
        link = url(script)
        say(f"Visit this URL to authorize:\n  \x1b]8;;{link}\x07\x1b[94m{link}\x1b[39m\x1b]8;;\x07\n")
    say("Waiting for authorization… (^C to cancel)")
    return end(name, script["end"]) if answered() else 130


def answered() -> bool:
    """Whether an answer came, and not ^C. The terminal is raw, as the real one has it."""
    mode = termios.tcgetattr(0)
    mode[0] &= ~termios.ICRNL
    mode[3] &= ~(termios.ICANON | termios.ISIG)
    termios.tcsetattr(0, termios.TCSADRAIN, mode)
    sys.stdout.write("Or paste the redirect URL here: ")
    sys.stdout.flush()
    line = b""
    while not (HERE / "delivered").exists():
        if not select.select([0], [], [], 0.02)[0]:
            continue
        line += os.read(0, 65536)
        if b"\x03" in line:
            return False
        if b"\r" in line:
            (HERE / "typed").write_bytes(line)
            if line.startswith(b"http://localhost:"):
                return True
            say("\nThat doesn't look like a redirect URL. It should start with http://localhost")
            line = b""
    return True


def end(name: str, how: str) -> int:
    if how == "signed-in":
        SIGNED_IN.mkdir(exist_ok=True)
        (SIGNED_IN / name).touch()
        say(f'\nAuthenticated with "{name}". Its tools are now available in Claude Code.')
        return 0
    say(f'\nCouldn\'t complete authentication for "{name}": {how}')
    return 1


def listing() -> int:
    for name, server in servers().items():
        mark = "✔ Connected" if (SIGNED_IN / name).exists() else "! Needs authentication"
        say(f"{name}: {server['url']} (HTTP) - {mark}")
    return 0


def main(command: str, name: str = "", *_: str) -> int:
    found = servers()
    if command == "list":
        return listing()
    if command == "login":
        return login(name)
    if command == "add-json":
        keep({**found, name: json.loads(sys.stdin.read())})
    elif command == "remove":
        del found[name]
        (SIGNED_IN / name).unlink(missing_ok=True)
        keep(found)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[2:]))
