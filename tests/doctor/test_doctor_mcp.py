"""What doctor says of the MCP servers of the real Claude Code: one with a real OAuth login, and some that are gone."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.cli.support import DEADLINE
from tests.doctor.stage import Stage
from tests.doctor.support import Table
from tests.stack.login import auth, mcp_server, redirected

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

CHECK = "mcp.servers"
NAME = "notes"


@pytest.fixture
def running(stage: Stage) -> Iterator[Stage]:
    """The stack, with no server set up."""
    stage.healthy()
    yield stage
    for name in (NAME, "gone", "broken"):
        stage.inside(f"cd / && claude mcp remove {name} -s user >/dev/null 2>&1 || :")


def add(stage: Stage, name: str, url: str, *, token: str = "") -> None:
    """A server, as `ccapi auth` leaves it when nobody signs in."""
    entry = {"type": "http", "url": url} | ({"headers": {"Authorization": f"Bearer {token}"}} if token else {})
    stage.inside(f"cd / && claude mcp add-json {name} '{json.dumps(entry)}' -s user")


def test_no_server(running: Stage) -> None:
    """Is nothing to mend."""
    found = running.finding(CHECK)
    assert found.status == "info"
    assert found.summary == "no MCP server is set up; `ccapi auth` sets one up"


def test_a_server_that_wants_a_sign_in(running: Stage, table: Table) -> None:
    """The command that signs in, by the way of the proxy; afterwards it is connected."""
    with mcp_server(container=running.name) as server:
        add(running, NAME, server.url)
        broken = running.look(CHECK)
        assert broken.finding.fix is not None
        assert broken.finding.fix.command == "ccapi auth notes --project doctor"
        with auth(running, NAME) as login, httpx.Client(trust_env=False, timeout=DEADLINE) as browser:
            browser.get(redirected(login.url())).raise_for_status()
            login.end(0)
        mended = running.look(CHECK)
    assert mended.finding.detail.endswith(": connected, 1 tool"), mended.finding
    running.add(table, "An MCP server wants a sign-in", broken, mended)


def test_a_server_that_is_gone(running: Stage, table: Table) -> None:
    """Which one, and why; it can be taken out."""
    add(running, "gone", "http://127.0.0.1:9/mcp")
    broken = running.look(CHECK)
    assert broken.finding.detail.startswith("gone (http://127.0.0.1:9/mcp): failed")
    running.do(broken)
    running.add(table, "An MCP server is gone", broken, running.look(CHECK))


def test_a_token_that_is_not_taken(running: Stage) -> None:
    """Another one is what it takes; the token is not shown."""
    add(running, "gone", "http://127.0.0.1:9/mcp", token="never-to-be-shown")
    found = running.finding(CHECK)
    assert found.fix is not None
    assert found.fix.text == "If the server is up, it no longer takes its token: give another one"
    assert found.fix.command == "ccapi auth gone --project doctor"
    assert "never-to-be-shown" not in repr(found)


def test_several_servers(running: Stage) -> None:
    """Each with its own state, and none with a name that is a command."""
    add(running, "gone", "http://127.0.0.1:9/mcp")
    entry = json.dumps({"command": "no-such-program", "args": []})
    running.inside(f"cd / && claude mcp add-json broken '{entry}' -s user")
    odd = "import json; p='/home/claude/.claude/.claude.json'; d=json.load(open(p)); s=d['mcpServers']"
    running.inside(f"python3 -c \"{odd}; s['x; rm -rf ~']=s['gone']; json.dump(d, open(p, 'w'))\"")
    try:
        found = running.finding(CHECK)
    finally:
        running.inside(f"python3 -c \"{odd}; s.pop('x; rm -rf ~'); json.dump(d, open(p, 'w'))\"")
    assert found.summary.startswith("3 of 3 MCP servers are not connected: ")
    assert "broken does not start" in found.summary
    assert found.fix is not None
    assert "rm -rf" not in (found.fix.command or "")
    assert "ccapi auth logout broken --remove --project doctor" in (found.fix.command or "")


def test_without_the_secret(running: Stage) -> None:
    """As in another shell, with another home: the CLI itself is asked."""
    add(running, "gone", "http://127.0.0.1:9/mcp")
    found = running.finding(CHECK, {"CCAPI_HOME": str(running.directory / "another")})
    assert found.status == "fail"
    assert "gone cannot be reached" in found.summary
