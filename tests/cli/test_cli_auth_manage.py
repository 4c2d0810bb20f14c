"""`ccapi auth list`, `status` and `logout`: with the real CLI, a real server, and a gateway that does not answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ccapi.cli import authmenu
from ccapi.cli.app import root
from ccapi.commands import authstatus, claudeauth, mcpservers
from ccapi.oauth import catalogue
from ccapi.paths import Home
from ccapi.wire.internal import Server
from tests.cli.support import Cli
from tests.oauth.driven import Driven
from tests.oauth.servers import access_token, mcp_server
from tests.test_claudeauth import KEY, SUBSCRIPTION, TOKEN

NOWHERE = "http://127.0.0.1:9/mcp"
AUTH: Any = root().commands["auth"]
COMMANDS: dict[str, Any] = AUTH.commands
MINE = ("claude", "list", "logout", "status")


@pytest.fixture
def driven(tmp_path: Path) -> Driven:
    return Driven(tmp_path)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mcp_server(tmp_path_factory.mktemp("server")) as found:
        yield found


def add(driven: Driven, name: str, url: str, token: str | None = None) -> None:
    mcpservers.add(driven.container, name, mcpservers.document(url, token=token))


def with_subscription(driven: Driven) -> None:
    (driven.container.config / ".credentials.json").write_text(json.dumps(SUBSCRIPTION))


# --- help


@pytest.mark.parametrize("name", MINE)
def test_help(cli: Cli, name: str) -> None:
    """Usage, a description and every option explained, within 80 columns."""
    done = cli.run("auth", name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: ccapi auth {name} ")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert [parameter.name for parameter in COMMANDS[name].params if not getattr(parameter, "help", "")] == []


def test_the_group_lists_them(cli: Cli) -> None:
    """None cut off."""
    done = cli.run("auth", "--help", environ={"COLUMNS": "80"})
    lines = done.stdout.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert {line.split()[0] for line in lines} >= set(MINE)
    assert not [line for line in lines if line.endswith("...")]


# --- list


def test_list(driven: Driven, url: str) -> None:
    """What is set up comes first, with its state; then all that is known, with the ways in; and its date."""
    add(driven, "mine", url)
    add(driven, "notion", NOWHERE)
    done = driven.run("list")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["NAME", "STATE", "SIGN", "IN", "WITH", "WHAT", "IT", "IS"]
    assert lines[1].split() == ["mine", "Needs", "authentication", url]
    assert lines[2].split()[:3] == ["notion", "Failed", "browser"]
    assert lines[3].split()[:5] == ["github", "-", "token,", "own", "OAuth"]
    assert len(lines) == 1 + 1 + len(catalogue.load().entries)
    assert catalogue.load().checked in done.stderr


def test_list_as_json(driven: Driven, url: str) -> None:
    """The same, for programs."""
    add(driven, "mine", url)
    found = json.loads(driven.run("list", as_json=True).stdout)["data"]
    assert found["checked"] == catalogue.load().checked
    mine, github = found["servers"][:2]
    assert mine == {
        "name": "mine",
        "title": None,
        "about": None,
        "url": url,
        "ways": [],
        "configured": True,
        "status": "needs-auth",
        "reason": None,
    }
    assert (github["name"], github["configured"], github["status"]) == ("github", False, None)


@pytest.mark.parametrize("args", [[], ["--json"]])
def test_list_without_docker(cli: Cli, args: list[str]) -> None:
    """What is known is worth knowing all the same; that the rest cannot be seen goes to stderr."""
    done = cli.run("auth", "list", *args, environ={"DOCKER_HOST": "unix:///nowhere.sock"})
    assert done.returncode == 0
    assert "github" in done.stdout
    assert "What is set up cannot be seen" in done.stderr


# --- the menu


@pytest.mark.parametrize(("keys", "chosen"), [(b"\r", authmenu.CLAUDE), (b"\x1b[B\r", "mine"), (b"asana\r", "asana")])
def test_the_menu(driven: Driven, keys: bytes, chosen: str) -> None:
    """Claude itself is at the top, with its state; then what is set up, then what is known."""
    add(driven, "mine", NOWHERE)
    with driven.terminal("menu") as terminal:
        terminal.read_until("Known servers")
        terminal.read_until("github")
        assert terminal.text.index("claude") < terminal.text.index("mine") < terminal.text.index("github")
        assert "! needs a login" in terminal.text
        terminal.type(keys)
        terminal.read_until(f"chosen: {chosen!r}")
        terminal.read_all()
    assert terminal.process.returncode == 0


# --- status


def test_nothing_is_signed_in(driven: Driven) -> None:
    """Exit 1, and what to do."""
    done = driven.run("status")
    assert done.returncode == 1
    assert done.stdout.splitlines()[0].split() == ["claude", "Not", "signed", "in"]
    assert "Sign Claude in: ccapi auth claude" in done.stderr


def test_all_is_well(driven: Driven, url: str) -> None:
    """Exit 0: who pays, and each server; of tokens no more than their kind. A proxy that does not run is no problem."""
    with_subscription(driven)
    add(driven, "demo", url, access_token(url))
    done = driven.run("status")
    assert done.returncode == 0, done.stdout
    claude, demo, proxy = done.stdout.splitlines()
    assert claude.split()[1:] == ["Signed", "in", "subscription;", "max"]
    assert demo.split() == ["demo", "Connected", "token", "…"]
    assert proxy.split()[:3] == ["oauth", "proxy", "stopped"]


def test_servers_that_need_somebody(driven: Driven, url: str) -> None:
    """Exit 1: one that wants a login, one whose token is refused, one that is not there; and the command for each."""
    with_subscription(driven)
    add(driven, "wants", url)
    add(driven, "refuses", url, "lin_api_0123456789")
    add(driven, "gone", NOWHERE)
    done = driven.run("status")
    assert done.returncode == 1
    rows = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "Needs authentication" in rows["wants"]
    assert "Failed" in rows["refuses"]
    assert "401" in rows["refuses"]
    assert "token lin_api_…" in rows["refuses"]
    assert "ECONNREFUSED" in rows["gone"]
    assert "Sign in: ccapi auth wants" in done.stderr
    assert "ccapi auth refuses --with-token" in done.stderr
    assert "0123456789" not in done.stdout + done.stderr


def test_what_wins_is_told(driven: Driven) -> None:
    """A key beside a subscription: who really pays, and why."""
    with_subscription(driven)
    claudeauth.keep(driven.container, "ANTHROPIC_API_KEY", KEY)
    done = driven.run("status")
    assert done.returncode == 0
    assert "API usage billing (by an API key); ANTHROPIC_API_KEY (sk-ant-api03-…) in credentials.env" in done.stdout
    assert "ANTHROPIC_API_KEY in credentials.env wins over Claude's own login (subscription)." in done.stderr


def test_what_the_agent_wrote(driven: Driven) -> None:
    """It can write the configuration: nothing there commands the terminal, and no command to copy has such a name."""
    hostile = {
        "\x1b]0;owned\x07a\nb; rm -rf ~": {"type": "http", "url": NOWHERE, "headers": {"Authorization": "Bearer x"}},
        "lists": {"type": "http", "url": NOWHERE, "headers": [1], "oauth": "x"},
        "number": 1,
        "odd": {"url": 1},
    }
    (driven.container.config / ".claude.json").write_text(json.dumps({"mcpServers": hostile}))
    for what in ("status", "list"):
        done = driven.run(what)
        assert done.returncode in {0, 1}, done.stderr
        assert "\x1b" not in done.stdout + done.stderr
        assert "\x07" not in done.stdout + done.stderr
        assert "ccapi auth a" not in done.stderr
        assert len([line for line in done.stdout.splitlines() if "rm -rf" in line]) == 1
    (driven.container.config / ".claude.json").write_text('{"mcpServers": []}')
    assert driven.run("list").returncode == 0


def test_a_rehearsal_needs_no_sign_in(driven: Driven) -> None:
    """The scripted model answers: exit 0."""
    driven.container_environ |= {"CCAPI_REHEARSAL": "default"}
    done = driven.run("status")
    assert done.returncode == 0
    assert "not used: the scenario default plays the model" in done.stdout


def test_status_as_json(driven: Driven, url: str) -> None:
    """Everything of it, and no secret."""
    with_subscription(driven)
    claudeauth.keep(driven.container, "CLAUDE_CODE_OAUTH_TOKEN", TOKEN)
    add(driven, "demo", url)
    done = driven.run("status", as_json=True)
    assert done.returncode == 1
    found = json.loads(done.stdout)["data"]
    assert found["ok"] is False
    assert found["proxy"] == {"state": "stopped", "port": 1}
    assert found["servers"] == [
        {
            "name": "demo",
            "url": url,
            "kind": "browser",
            "status": "needs-auth",
            "reason": None,
            "tools": None,
            "token": None,
        }
    ]
    claude = found["claude"]
    assert (claude["signed_in"], claude["method"], claude["login"]) == (True, "token", "subscription")
    assert claude["billing"] == "subscription (by a long-lived token)"
    assert claude["credentials"] == [
        {"name": "CLAUDE_CODE_OAUTH_TOKEN", "place": "credentials.env", "kind": "sk-ant-oat01-"}
    ]
    assert "never-to-be-shown" not in done.stdout


def test_the_gateway_knows_the_tools(driven: Driven) -> None:
    """What it tells comes first; a server that it does not know of yet is no success."""
    add(driven, "one", NOWHERE)
    add(driven, "two", NOWHERE)
    seen = [Server("one", "connected", ("search", "fetch")), Server("another", "failed", error="x")]
    report = authstatus.look(driven.container, lambda: seen, home=Home(str(driven.directory)), port=1)
    one, two = report.servers
    assert (one.status, one.tools, one.url) == ("connected", ("search", "fetch"), NOWHERE)
    assert (two.status, two.reason) == ("failed", "not loaded")
    assert not report.fine


def test_status_without_docker(cli: Cli) -> None:
    """Exit 5."""
    done = cli.run("auth", "status", environ={"DOCKER_HOST": "unix:///nowhere.sock"})
    assert (done.returncode, done.stdout) == (5, "")


# --- logout


def test_logout_of_a_login(driven: Driven, url: str) -> None:
    """The server stays; how to sign in again, and where to revoke."""
    add(driven, "notion", url)
    done = driven.run("logout", name="notion")
    assert (done.returncode, done.stdout) == (0, "")
    assert "Signed out of Notion; it is still set up" in done.stderr
    assert "ccapi auth notion" in done.stderr
    assert "Revoke it: in your settings there, under connected apps" in done.stderr
    assert mcpservers.get(driven.container, "notion") is not None


def test_logout_and_remove(driven: Driven, url: str) -> None:
    """With --remove the server goes as well."""
    add(driven, "notion", url)
    assert driven.run("logout", name="notion", remove=True).returncode == 0
    assert mcpservers.configured(driven.container) == ()


def test_logout_of_a_token(driven: Driven) -> None:
    """The server goes with its token, of which nothing is left in the configuration; where to revoke it is said."""
    add(driven, "github", NOWHERE, "github_pat_0123456789")
    done = driven.run("logout", name="github")
    assert done.returncode == 0, done.stderr
    assert "The token github_pat_… itself still counts at GitHub." in done.stderr
    assert "https://github.com/settings/personal-access-tokens" in done.stderr
    assert "0123456789" not in done.stderr
    assert "0123456789" not in (driven.container.config / ".claude.json").read_text()


@pytest.mark.parametrize(("name", "code"), [("nothing", 1), ("--scope", 2), ("a b", 2)])
def test_logout_of_nothing(driven: Driven, name: str, code: int) -> None:
    """Exit 1 for one that is not there, 2 for what is no name."""
    assert driven.run("logout", name=name).returncode == code


def test_logout_of_claude(driven: Driven) -> None:
    """The login and what is in credentials.env; where to revoke it."""
    with_subscription(driven)
    claudeauth.keep(driven.container, "ANTHROPIC_API_KEY", KEY)
    done = driven.run("logout", name="claude")
    assert done.returncode == 0, done.stderr
    assert "Claude is signed out" in done.stderr
    assert "https://platform.claude.com/settings/keys" in done.stderr
    assert not claudeauth.state(driven.container).signed_in
    assert "Claude was not signed in" in driven.run("logout", name="claude").stderr


def test_logout_of_claude_says_what_it_cannot_end(driven: Driven) -> None:
    """A key of the container's environment, and a helper, are used as before."""
    driven.container_environ |= {"ANTHROPIC_API_KEY": KEY}
    (driven.container.config / "settings.json").write_text('{"apiKeyHelper": "echo sk-ant-helper"}')
    done = driven.run("logout", name="claude")
    assert "warning: ANTHROPIC_API_KEY is still in the container's environment" in done.stderr
    assert "warning: the apiKeyHelper" in done.stderr
    assert "signed out" not in done.stderr
