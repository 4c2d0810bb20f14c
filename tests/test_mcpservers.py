"""The MCP servers of the container's Claude Code: with the real CLI, and a real server with OAuth."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccapi.commands import mcpservers
from ccapi.commands.mcpservers import Configured, Listed
from ccapi.errors import ClaudeFailed, NotFound, UsageError
from ccapi.oauth import catalogue
from tests.oauth.localcontainer import LocalContainer
from tests.oauth.servers import access_token, mcp_server

SECRET = "tok-not-to-be-seen-anywhere"
NOWHERE = "http://127.0.0.1:9/mcp"  # nobody listens there


@pytest.fixture
def container(tmp_path: Path) -> LocalContainer:
    return LocalContainer(tmp_path / "container")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a real MCP server that wants a login."""
    with mcp_server(tmp_path_factory.mktemp("server")) as found:
        yield found


# --- names and addresses


@pytest.mark.parametrize("name", ["github", "a", "My_server-2", "x" * 64])
def test_a_name(name: str) -> None:
    """What the CLI takes."""
    assert mcpservers.check_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "--scope", "-x", "a b", "../x", "workspace", "x" * 65, "x" * 300, "a\n", "é", "a.b", "_x", "list", "claude"],
)
def test_no_name(name: str) -> None:
    """Options, paths, the CLI's reserved names and ours: refused before anything is run."""
    with pytest.raises(UsageError):
        mcpservers.check_name(name)


@pytest.mark.parametrize(
    "url",
    [
        "https://mcp.notion.com/mcp",
        "https://huggingface.co/mcp?login",
        "https://mcp.example.com:8443/mcp",
        "https://140.82.112.3/mcp",
        "https://[2606:4700::1111]/mcp",
        "http://localhost:3000/mcp",
        "http://127.0.0.1:3000/mcp",
        "http://[::1]:3000/mcp",
    ],
)
def test_an_address(url: str) -> None:
    """https to the internet, and anything on the container's own loopback."""
    assert mcpservers.check_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://mcp.example.com/mcp",
        "https://10.0.0.1/mcp",
        "https://192.168.0.1/mcp",
        "https://172.17.0.1:8000/mcp",
        "https://100.100.100.200/",
        "https://[::ffff:10.0.0.1]/mcp",
        "https://[::ffff:140.82.112.3]/mcp",
        "https://[64:ff9b::a00:1]/mcp",
        "https://[2002:a00:1::]/mcp",
        "https://[fd00::1]/mcp",
        "https://127.0.0.2/mcp",
        "https://host.docker.internal/mcp",
        "https://metadata.google.internal/",
        "https://intranet/mcp",
        "https://printer.local./mcp",
    ],
)
def test_an_address_that_must_be_trusted(url: str) -> None:
    """Plain http, and what is in a network of one's own, however it is written: only with --trust-url."""
    with pytest.raises(UsageError) as caught:
        mcpservers.check_url(url)
    assert "--trust-url" in (caught.value.hint or "")
    assert mcpservers.check_url(url, trust=True) == url


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://mcp.example.com/mcp", True),
        ("https://10.0.0.1/mcp", True),
        ("http://localhost:3000/mcp", True),
        ("http://127.0.0.1/mcp", True),
        ("http://[::1]:3000/mcp", True),
        ("http://mcp.example.com/mcp", False),
        ("http://10.0.0.1/mcp", False),
        ("http://127.0.0.2/mcp", False),
        ("http://localhost.example.com/mcp", False),
    ],
)
def test_where_a_token_may_go(url: str, sent: bool) -> None:
    """Not in the clear, but to the container itself; trusting the address changes nothing of that."""
    assert mcpservers.check_url(url, trust=True) == url
    if sent:
        assert mcpservers.check_token_url(url) == url
    else:
        with pytest.raises(UsageError, match="without TLS"):
            mcpservers.check_token_url(url)


@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254/latest/meta-data",
        "http://169.254.169.254/",
        "https://[fe80::1]/mcp",
        "https://[fe80::1%25eth0]/mcp",
        "https://[::ffff:169.254.169.254]/mcp",
        "https://[64:ff9b::a9fe:a9fe]/mcp",
        "https://0.0.0.0/mcp",
        "https://[::]/mcp",
        "https://224.0.0.1/mcp",
        "https://2130706433/mcp",
        "https://127.1/mcp",
        "https://0x7f.1/mcp",
        "https://0x7f000001/mcp",
        "https://user:pass@mcp.example.com/mcp",
        "https://token@mcp.example.com/mcp",
        "https://@mcp.example.com/mcp",
        "https://mcp.zapier.com/api/v1/connect?token=abcdefgh",
        "https://mcp.example.com/mcp#fragment",
        "https://mcp.example.com\\@evil.example/mcp",
        "https://mcp.example.com/a b",
        "https://mcp.example.com/\n",
        "https://mcp.exämple.com/mcp",
        "https://",
        "https://mcp.example.com:99999/mcp",
        "https://[::1/mcp",
        "mcp.notion.com/mcp",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "ws://mcp.example.com/mcp",
        "https://mcp.example.com/" + "x" * 2048,
    ],
)
def test_no_address(url: str, trust: bool) -> None:
    """Refused in every case, and not repeated: there may be a secret in it."""
    with pytest.raises(UsageError) as caught:
        mcpservers.check_url(url, trust=trust)
    assert "token=" not in caught.value.message
    assert "pass" not in caught.value.message


# --- the CLI's list

LIST = """\
Checking MCP server health…

notion: https://mcp.notion.com/mcp (HTTP) - ✔ Connected
linear: https://mcp.linear.app/mcp (HTTP) - ! Needs authentication
older: https://mcp.example.com/mcp (HTTP) - ✓ Connected
files: npx -y @some/server --a - b - ✔ Connected
sse: https://mcp.example.com/sse (SSE) - ✘ Failed to connect — ENOTFOUND: getaddrinfo ENOTFOUND mcp.example.com
broken: https://mcp.example.com/mcp (HTTP) - ✗ Failed to connect
odd: https://mcp.example.com/mcp (HTTP) - ! Connected · tools fetch failed
late: https://mcp.example.com/mcp (HTTP) - ⏸ Pending approval (run `claude` to approve)
off: https://mcp.example.com/mcp (HTTP) - ⏸ Disabled for this project
claude.ai Gmail: https://gmail.mcp.claude.com/mcp - ! Needs authentication
empty: https://mcp.example.com/mcp (HTTP) - - Not configured
gh: https://api.githubcopilot.com/mcp/ (HTTP) - ✘ Failed to connect — Server rejected the configured Authorization \
header (HTTP 401). Error detail: {"error": "bad ghp_0123456789abcdefghij"}
[mcp-sdk] SEP-2352: something else - that is no server
"""


def test_every_form_of_a_line() -> None:
    """Marks of all releases, targets with dashes in them, reasons; noise is no server; no token comes through."""
    assert list(mcpservers.parse_list(LIST)) == [
        Listed("notion", "https://mcp.notion.com/mcp", "connected"),
        Listed("linear", "https://mcp.linear.app/mcp", "needs-auth"),
        Listed("older", "https://mcp.example.com/mcp", "connected"),
        Listed("files", "npx -y @some/server --a - b", "connected"),
        Listed("sse", "https://mcp.example.com/sse", "failed", "ENOTFOUND: getaddrinfo ENOTFOUND mcp.example.com"),
        Listed("broken", "https://mcp.example.com/mcp", "failed", "Failed to connect"),
        Listed("odd", "https://mcp.example.com/mcp", "failed", "Connected · tools fetch failed"),
        Listed("late", "https://mcp.example.com/mcp", "pending", "Pending approval (run `claude` to approve)"),
        Listed("off", "https://mcp.example.com/mcp", "disabled", "Disabled for this project"),
        Listed("claude.ai Gmail", "https://gmail.mcp.claude.com/mcp", "needs-auth"),
        Listed("empty", "https://mcp.example.com/mcp", "failed", "Not configured"),
        Listed(
            "gh",
            "https://api.githubcopilot.com/mcp/",
            "failed",
            "Server rejected the configured Authorization header (HTTP 401).",
        ),
    ]


@pytest.mark.parametrize(
    "text", ["", "No MCP servers configured. Use `claude mcp add` to add a server.\n", "\x00: - \n"]
)
def test_a_list_without_servers(text: str) -> None:
    """Is empty, and no failure."""
    assert list(mcpservers.parse_list(text)) == []


# --- with the real CLI


def test_nothing_configured(container: LocalContainer) -> None:
    """A new volume has no server."""
    assert mcpservers.listed(container) == ()
    assert mcpservers.configured(container) == ()
    assert mcpservers.get(container, "x") is None
    assert mcpservers.entry(container, "x") is None


def test_a_server_that_wants_a_login(container: LocalContainer, url: str) -> None:
    """Is added to the user scope, and found to need one."""
    mcpservers.add(container, "demo", mcpservers.document(url))
    assert mcpservers.configured(container) == (Configured("demo", url, "browser"),)
    assert mcpservers.listed(container) == (Listed("demo", url, "needs-auth"),)


def test_a_token_that_works(container: LocalContainer, url: str) -> None:
    """Connected, with nothing but the token's kind to be seen of it."""
    token = access_token(url)
    mcpservers.add(container, "demo", mcpservers.document(url, token=token))
    assert mcpservers.listed(container) == (Listed("demo", url, "connected"),)
    assert mcpservers.configured(container) == (Configured("demo", url, "token", "…"),)


def test_a_token_that_does_not_work(container: LocalContainer, url: str) -> None:
    """Failed, which is what a rejected token looks like, and why."""
    mcpservers.add(container, "demo", mcpservers.document(url, token=SECRET))
    (found,) = mcpservers.listed(container)
    assert found.status == "failed"
    assert "401" in (found.reason or "")
    assert SECRET not in repr(found)


def test_secrets_are_on_no_command_line(container: LocalContainer) -> None:
    """Neither a token nor a client's secret: others can read those. What is kept is for one user alone."""
    mcpservers.add(container, "token", mcpservers.document(NOWHERE, token=SECRET))
    app = mcpservers.document(NOWHERE, client_id="the-client", callback_port=3118)
    mcpservers.add(container, "app", app, client_secret=SECRET)
    assert SECRET not in repr(container.commands)
    kept = [path for path in container.config.rglob("*") if path.is_file() and SECRET in path.read_text("utf-8")]
    assert {path.name for path in kept} == {".claude.json", ".credentials.json"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
    assert stat.S_IMODE((container.config / "backups").stat().st_mode) & 0o077 == 0


def test_an_app_of_ones_own(container: LocalContainer) -> None:
    """Its client id and its fixed port are in the configuration, where the login finds them."""
    mcpservers.add(container, "app", mcpservers.document(NOWHERE, client_id="the-client", callback_port=3118))
    assert mcpservers.get(container, "app") == Configured("app", NOWHERE, "client-id")
    stored = json.loads(mcpservers.entry(container, "app") or "")
    assert stored["oauth"] == {"clientId": "the-client", "callbackPort": 3118}


def test_a_name_that_is_taken(container: LocalContainer) -> None:
    """`add` says so; `put` takes its place, and can be undone."""
    first, second = mcpservers.document(NOWHERE, token="first-token"), mcpservers.document(NOWHERE, token="second-one")
    mcpservers.add(container, "demo", first)
    with pytest.raises(ClaudeFailed, match="already exists"):
        mcpservers.add(container, "demo", second)
    before = mcpservers.put(container, "demo", second)
    assert json.loads(mcpservers.entry(container, "demo") or "") == json.loads(second)
    mcpservers.restore(container, "demo", before)
    assert json.loads(mcpservers.entry(container, "demo") or "") == json.loads(first)


def test_a_failed_change_leaves_things_as_they_were(container: LocalContainer) -> None:
    """The old entry is back when the CLI does not take the new one."""
    first = mcpservers.document(NOWHERE, token="first-token")
    mcpservers.add(container, "demo", first)
    with pytest.raises(ClaudeFailed):
        mcpservers.put(container, "demo", '{"type": "nonsense"}')
    assert json.loads(mcpservers.entry(container, "demo") or "") == json.loads(first)
    with pytest.raises(ClaudeFailed):
        mcpservers.put(container, "other", '{"type": "nonsense"}')
    assert mcpservers.entry(container, "other") is None


def test_undoing_what_added_a_server(container: LocalContainer) -> None:
    """Takes it out again."""
    before = mcpservers.put(container, "demo", mcpservers.document(NOWHERE))
    assert before is None
    mcpservers.restore(container, "demo", before)
    assert mcpservers.configured(container) == ()


def test_remove_and_logout(container: LocalContainer) -> None:
    """A server that is not there is not found; signing out leaves the server."""
    mcpservers.add(container, "demo", mcpservers.document(NOWHERE))
    mcpservers.logout(container, "demo")
    assert [server.name for server in mcpservers.configured(container)] == ["demo"]
    mcpservers.remove(container, "demo")
    assert mcpservers.configured(container) == ()
    for change in (mcpservers.remove, mcpservers.logout):
        with pytest.raises(NotFound):
            change(container, "demo")


def test_servers_of_the_workspace_do_not_count(container: LocalContainer) -> None:
    """What an agent writes into its workspace is not listed: no run gets it either."""
    server = {"mcpServers": {"planted": {"type": "http", "url": NOWHERE}}}
    (container.directory / ".mcp.json").write_text(json.dumps(server))
    assert mcpservers.listed(container) == ()


def test_a_damaged_configuration(container: LocalContainer) -> None:
    """Is said, without what is in it."""
    (container.config / ".claude.json").write_text(f'{{"mcpServers": {SECRET}')
    with pytest.raises(ClaudeFailed) as caught:
        mcpservers.configured(container)
    assert SECRET not in caught.value.message


def test_overview(container: LocalContainer, url: str) -> None:
    """What is configured comes first, with its state; then what else the catalogue has."""
    mcpservers.add(container, "mine", mcpservers.document(url))
    mcpservers.add(container, "linear", mcpservers.document(NOWHERE))
    found = mcpservers.overview(container, catalogue.load())
    assert [(known.name, known.status) for known in found[:3]] == [
        ("mine", "needs-auth"),
        ("linear", "failed"),
        ("github", None),
    ]
    mine, linear, github = found[:3]
    assert (mine.entry, mine.url) == (None, url)
    assert linear.entry is not None
    assert linear.url == NOWHERE
    assert linear.reason
    assert (github.configured, github.url) == (None, "https://api.githubcopilot.com/mcp/")
    assert len(found) == len(catalogue.load().entries) + 1
