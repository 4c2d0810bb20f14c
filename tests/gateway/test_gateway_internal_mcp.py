"""The MCP servers as Claude Code itself sees them, with the real CLI and real servers; and what a stub makes of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ccapi.agent.launch import Launch
from ccapi.agent.mcpstatus import mcp_servers
from ccapi.errors import ClaudeFailed
from ccapi.wire import internal as wire
from ccapi.wire.internal import Server
from tests.agent.pooling import responds
from tests.agent.stub import ENVIRONMENT, STUB, Stub
from tests.gateway.harness import assert_gone
from tests.gateway.internalapi import Internal, internal
from tests.oauth.servers import access_token, mcp_server

STDIO = {"command": sys.executable, "args": [str(Path(__file__).with_name("mcp_server.py"))]}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Internal]:
    """With the real CLI."""
    with internal(tmp_path_factory.mktemp("mcp"), "default") as running:
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mcp_server(tmp_path_factory.mktemp("server")) as url:
        yield url


def configure(running: Internal, claude: Path, **servers: Any) -> None:
    """These are the user's servers, as `claude mcp add-json` leaves them."""
    environ = dict(running.gateway.settings.environ)
    state = Path(environ["CLAUDE_CONFIG_DIR"]) / ".claude.json"
    if state.exists():
        state.write_text(json.dumps({**json.loads(state.read_text()), "mcpServers": {}}))
    for name, entry in servers.items():
        command, text = [str(claude), "mcp", "add-json", name, "-", "-s", "user"], json.dumps(entry)
        subprocess.run(
            command, input=text, env=environ, cwd="/", encoding="utf-8", capture_output=True, check=True, timeout=60
        )


def asked(running: Internal, query: str = "") -> dict[str, dict[str, Any]]:
    response = running.send("GET", f"{wire.MCP}{query}")
    assert response.status_code == 200, response.text
    return {server["name"]: server for server in response.json()["servers"]}


def test_servers_as_they_are(running: Internal, claude: Path, server: str) -> None:
    """Connected with its tools, waiting for a login, out of reach with the reason; nothing is pending any more."""
    token = {"headers": {"Authorization": f"Bearer {access_token(server)}"}}
    configure(
        running,
        claude,
        login={"type": "http", "url": server},
        token={"type": "http", "url": server, **token},
        local=STDIO,
        dead={"type": "http", "url": "http://127.0.0.1:9/mcp"},
    )
    found = asked(running)
    assert {name: one["status"] for name, one in found.items()} == {
        "login": "needs-auth",
        "token": "connected",
        "local": "connected",
        "dead": "failed",
    }
    assert (found["token"]["tools"], found["local"]["tools"]) == (["secret_word"], ["repeat"])
    assert found["dead"]["error"]
    assert_gone(running.gateway.workspace, within=5.0)


def test_a_token_that_is_not_accepted_has_failed(running: Internal, claude: Path, server: str) -> None:
    """The token is in no answer."""
    headers = {"Authorization": "Bearer token-MARKER"}
    configure(running, claude, token={"type": "http", "url": server, "headers": headers})
    found = asked(running)
    assert found["token"]["status"] in {"failed", "needs-auth"}
    assert "MARKER" not in str(found)


def test_one_of_them_is_waited_for(running: Internal, claude: Path) -> None:
    """Another one may take as long as it likes."""
    slow = {"command": sys.executable, "args": ["-c", "import time; time.sleep(60)"]}
    configure(running, claude, local=STDIO, slow=slow)
    began = time.monotonic()
    found = asked(running, "?name=local")
    assert time.monotonic() - began < 40  # the slow one sleeps for a minute
    assert (found["local"]["status"], found["slow"]["status"]) == ("connected", "pending")
    assert_gone(running.gateway.workspace, within=5.0)


def test_without_servers_there_are_none(running: Internal, claude: Path) -> None:
    """Also one that is asked for by name; the model is asked nothing, and no session is left behind."""
    configure(running, claude)
    assert asked(running) == asked(running, "?name=unknown") == {}
    assert running.gateway.model
    assert running.gateway.model.bodies == []
    assert running.send("GET", "/v1/sessions", headers={"Authorization": ""}).json()["data"] == []


def test_a_name_has_a_length(running: Internal) -> None:
    assert running.send("GET", f"{wire.MCP}?name={'x' * 201}").status_code == 400


# --- a CLI that does something else


def status(*servers: Any) -> dict[str, Any]:
    """The plan's step that answers with these servers."""
    line = responds("mcp_status")
    line["response"]["response"] = {"mcpServers": list(servers)}
    return {"lines": [line]}


BEGIN: list[dict[str, Any]] = [{"await_input": 1}, {"lines": [responds("initialize")]}]
END: dict[str, Any] = {"await_end_of_input": None}


async def look(workspace: Path, **options: Any) -> list[Server]:
    return await mcp_servers(Launch(STUB, workspace, ENVIRONMENT), workspace, **options)


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[Stub]:
    yield Stub(tmp_path)
    assert_gone(tmp_path, within=5.0)


async def test_what_is_pending_for_ever_is_told_as_it_is(tmp_path: Path, stub: Stub) -> None:
    """There is an end to waiting."""
    pending = status({"name": "a", "status": "pending"})
    stub.plan(*BEGIN, *(step for number in range(2, 60) for step in ({"await_input": number}, pending)))
    began = time.monotonic()
    assert await look(tmp_path, seconds=0.5) == [Server("a", "pending")]
    assert time.monotonic() - began < 30


async def test_what_is_not_understood_is_no_success(tmp_path: Path, stub: Stub) -> None:
    """Later versions may know more words, and say less."""
    tools = [{}, {"name": "t"}, 1]
    entries = [{"name": "a", "status": "resting"}, {"name": "b", "status": "connected", "tools": tools}]
    stub.plan(*BEGIN, {"await_input": 2}, status(*entries, "x", {"status": "disabled"}), END)
    assert await look(tmp_path) == [
        Server("a", "failed", (), "Claude Code says 'resting'"),
        Server("b", "connected", ("t",)),
        Server("None", "disabled"),
    ]


async def test_a_reason_holds_no_credential(tmp_path: Path, stub: Stub) -> None:
    """And is no novel."""
    entry = {"name": "a", "status": "failed", "error": "bad Bearer abcdefghijklmnop " + "x" * 1000}
    stub.plan(*BEGIN, {"await_input": 2}, status(entry), END)
    (found,) = await look(tmp_path)
    assert found.error
    assert len(found.error) <= 300
    assert "abcdefghijklmnop" not in found.error


async def test_a_cli_that_ends(tmp_path: Path, stub: Stub) -> None:
    """What it said is for the log."""
    stub.plan({"stderr": "no such flag"}, {"exit": 1})
    with pytest.raises(ClaudeFailed) as failed:
        await look(tmp_path)
    assert "no such flag" in str(failed.value.detail)
