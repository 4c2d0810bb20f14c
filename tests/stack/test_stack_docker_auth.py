"""Tokens and keys in the real container: kept on its volume, used at once, and nowhere to be seen."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.gateway.harness import await_that
from tests.oauth.servers import access_token
from tests.stack.login import listed, mcp_server
from tests.stack.support import NAME, Stack, docker

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

KEY, TOKEN = "sk-ant-api03-never-to-be-shown-1", "sk-ant-oat01-never-to-be-shown-2"


def status(stack: Stack) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(stack.cli("auth", "status", "--json").stdout)["data"]
    return document


def test_claude_by_key_then_token_then_not_at_all(running: Stack) -> None:
    """The gateway reads each at once; the file is its owner's alone; neither inspect, process list nor log has it."""
    done = running.cli("auth", "claude", "--with-token", stdin=KEY)
    assert done.returncode == 0, done.stderr
    assert "Billing: API usage billing (by an API key)." in done.stderr
    assert running.inside("stat -c '%a %u' $CLAUDE_CONFIG_DIR/credentials.env") == "600 1000"
    await_that(lambda: "credentials were read again" in docker("logs", NAME), "the reload")

    refused = running.cli("auth", "claude", "--token", "--with-token", stdin=TOKEN)
    assert refused.returncode == 3
    assert "--force" in refused.stderr
    done = running.cli("auth", "claude", "--token", "--with-token", "--force", stdin=TOKEN)
    assert done.returncode == 0, done.stderr
    assert running.inside("cat $CLAUDE_CONFIG_DIR/credentials.env") == f"CLAUDE_CODE_OAUTH_TOKEN={TOKEN}"
    assert status(running)["claude"]["method"] == "token"

    for text in (docker("inspect", NAME), docker("logs", NAME), docker("top", NAME, "-eo", "pid,args"), done.stderr):
        assert "never-to-be-shown" not in text
    assert running.cli("auth", "logout", "claude").returncode == 0
    assert running.inside("cat $CLAUDE_CONFIG_DIR/credentials.env") == ""
    assert status(running)["claude"]["method"] == "none"


def test_a_server_by_token(running: Stack) -> None:
    """Tried by the gateway, kept, connected; its tools are told; it lasts through `down` and `up`; and logout."""
    with mcp_server() as server:
        address = ["auth", "noted", "--url", server.url, "--with-token"]
        refused = running.cli(*address, stdin="not-the-token")
        assert refused.returncode == 1
        assert "does not accept this token; nothing was kept" in refused.stderr
        assert listed("noted") == ""
        token = access_token(server.url)
        done = running.cli(*address, stdin=token)
        assert done.returncode == 0, done.stderr
        assert "secret_word" in done.stderr
        assert listed("noted").endswith("✔ Connected")
        running.up()
        assert running.cli("down").returncode == 0
        running.up()
        server.relay()
        (found,) = (one for one in status(running)["servers"] if one["name"] == "noted")
        assert (found["status"], found["kind"], found["tools"]) == ("connected", "token", ["secret_word"])
        for text in (docker("inspect", NAME), docker("logs", NAME), done.stdout, done.stderr):
            assert token not in text
        done = running.cli("auth", "logout", "noted")
        assert done.returncode == 0, done.stderr
        assert listed("noted") == ""
        assert token not in running.inside("cat $CLAUDE_CONFIG_DIR/.claude.json")


def test_status_of_a_stopped_stack(running: Stack) -> None:
    """Exit 1, and how to start it; the list of what is known is there all the same."""
    running.cli("down")
    done = running.cli("auth", "status")
    assert (done.returncode, done.stdout) == (1, "")
    assert "ccapi up" in done.stderr
    done = running.cli("auth", "list")
    assert done.returncode == 0
    assert "github" in done.stdout
