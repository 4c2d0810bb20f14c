"""What the container has for MCP logins, with the real CLI, real agents, and everything that an agent may try.

The OAuth proxy does not run here: these tests are in its place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest

from ccapi import paths
from ccapi.commands import secret
from ccapi.paths import Home
from ccapi.wire import internal
from tests.cli.support import Terminal, on_terminal
from tests.gateway.harness import Gateway, await_that
from tests.stack.login import McpServer, listed, mcp_server, redirect_port
from tests.stack.support import NAME, Stack, docker, inspect

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

DEMO = "demo-server"
HELPER = "/usr/local/bin/ccapi-browser"


@dataclass
class Host:
    """The stack as ccapi on the host sees it."""

    stack: Stack
    secret: str

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.secret}"}
        url = f"http://127.0.0.1:{self.stack.port}{path}"
        return httpx.request(method, url, headers=headers, timeout=60, trust_env=False, **options)

    def logins(self, wait: float = 0) -> list[dict[str, Any]]:
        response = self.send("GET", f"{internal.LOGINS}?wait={wait:g}")
        assert response.status_code in {200, 204}, response.text
        found: list[dict[str, Any]] = response.json()["logins"] if response.content else []
        return found


@pytest.fixture
def host(stack: Stack, agent: Gateway) -> Host:
    """The stack with that agent, and without the OAuth proxy."""
    stack.cli("proxy", "stop")
    return Host(stack, secret.path(Home(stack.environ["CCAPI_HOME"])).read_text().strip())


@pytest.fixture
def server(host: Host) -> Iterator[McpServer]:
    """An MCP server that is configured, and that nobody is signed in to."""
    with mcp_server() as server:
        docker("exec", NAME, "claude", "mcp", "add", "-s", "user", "--transport", "http", DEMO, server.url)
        yield server
        docker("exec", NAME, "claude", "mcp", "remove", "-s", "user", DEMO)


@contextmanager
def login(host: Host, *program: str) -> Iterator[tuple[Terminal, str]]:
    """A login that a person starts in the container; the terminal, and the URL that it shows. Given up at the end."""
    command = ["docker", "exec", "-it", NAME, *(program or ("claude", "mcp", "login", DEMO))]
    with on_terminal(command, host.stack.environ, host.stack.directory, columns=120) as terminal:
        terminal.read_until("paste the redirect URL")
        found = re.search(r"http://localhost:\d+/authorize\?[!-~]+?(?=\x1b|\x07|\s)", terminal.text)
        assert found, terminal.text
        yield terminal, found[0]
        if terminal.process.poll() is None:
            terminal.type(b"\x03")
            terminal.read_all()


def forged(url: str, state: str = "forged") -> str:
    """As a login of the agent's making would look that comes back to the port of the real one."""
    return f"https://evil.example/authorize?redirect_uri={quote(redirect_uri(url), safe='')}&state={state}"


def redirect_uri(url: str) -> str:
    return parse_qs(urlsplit(url).query)["redirect_uri"][0]


# --- a person's login


@pytest.mark.parametrize("shell", [(), ("sh", "-c"), ("bash", "-ic")])
def test_the_host_learns_of_a_login(host: Host, server: McpServer, shell: tuple[str, ...]) -> None:
    """With its whole URL, until it is taken; when it is given up it is over, and so is its place."""
    with login(host, *shell, *([f"claude mcp login {DEMO}; true"] if shell else [])) as (_, url):
        (told,) = host.logins(wait=20)
        assert told["url"] == url
        assert 590 < told["expires_in"] <= 600
        assert host.send("DELETE", f"{internal.LOGINS}/{told['id']}").status_code == 204
        assert host.logins() == []
        assert host.send("GET", f"{internal.LOGINS}/{told['id']}").status_code == 200
    over = host.send("GET", f"{internal.LOGINS}/{told['id']}?wait=20")
    assert (over.status_code, over.json()["error"]["code"]) == (404, "login_not_found")
    assert "state=" not in docker("logs", NAME)


def test_a_login_from_the_browser_to_the_end(host: Host, server: McpServer) -> None:
    """As the OAuth proxy does it: the callback is delivered, byte for byte, and the CLI is signed in."""
    with login(host) as (terminal, url):
        callback = urlsplit(server_allows(url))
        target = {"host": "localhost", "port": redirect_port(url), "path": "/callback"}
        wrong = host.send("POST", internal.CALLBACKS, json={**target, "query": "code=x&state=wrong"})
        assert wrong.json() == {"outcome": "refused"}
        done = host.send("POST", internal.CALLBACKS, json={**target, "query": callback.query})
        assert done.json() == {"outcome": "accepted"}
        assert "Authenticated" in terminal.read_all()
    assert "✔ Connected" in listed(DEMO)
    (found,) = host.send("GET", internal.MCP).json()["servers"]
    assert (found["name"], found["status"], found["tools"]) == (DEMO, "connected", ["secret_word"])
    again = host.send("POST", internal.CALLBACKS, json={**target, "query": callback.query})
    assert again.json() == {"outcome": "unreachable"}


def server_allows(url: str) -> str:
    """Where the browser is sent to once Allow was clicked."""
    with httpx.Client(trust_env=False, timeout=20) as client:
        consent = client.get(url).headers["Location"]
        ticket = parse_qs(urlsplit(consent).query)["ticket"][0]
        return str(client.post(consent, data={"ticket": ticket, "answer": "allow"}).headers["Location"])


def test_a_fixed_port(host: Host, server: McpServer) -> None:
    """`oauth.callback_port` is the port of every login; `up` names the change and makes the container anew."""
    done = host.stack.cli("up", "--rehearsal", environ={"CCAPI_OAUTH_CALLBACK_PORT": "3118"})
    assert "oauth.callback_port: none → 3118" in done.stderr
    host.stack.cli("proxy", "stop")
    server.relay()
    with login(host) as (_, url):
        assert redirect_port(url) == 3118
        assert len(host.logins(wait=20)) == 1


def test_after_a_restart_nothing_of_a_login_is_left(host: Host, server: McpServer) -> None:
    """Neither in memory nor on a volume (C27)."""
    with login(host) as (_, url):
        assert len(host.logins(wait=20)) == 1
    state = parse_qs(urlsplit(url).query)["state"][0]
    docker("restart", NAME)
    host.stack.cli("up", "--rehearsal")
    host.stack.cli("proxy", "stop")
    server.relay()
    assert host.logins() == []
    assert host.stack.inside(f"grep -rlF -e {state} /home/claude /tmp /workspace 2>/dev/null; true") == ""


# --- what an agent may try


def test_the_agents_browser_is_no_way_out(host: Host, server: McpServer, agent: Gateway) -> None:
    """P74, P75: its tools have no $BROWSER; the program itself refuses them, though the port is a login's own."""
    with login(host) as (_, url):
        host.logins(wait=20)
        said = agent.content(f"echo \"<$BROWSER>\"; {HELPER} '{forged(url)}'; echo ended with $?")
        assert "<>" in said
        assert "ended with 1" in said
        assert [one["url"] for one in host.logins()] == [url]
        for what in (
            "file:///etc/passwd",
            "javascript:alert(1)",
            "--flag",
            "ssh://x",
            "http://192.168.0.1/",
            "x" * 9000,
        ):
            assert "ended with 1" in agent.content(f"{HELPER} '{what}'; echo ended with $?")
        assert "called" in docker("logs", NAME)
        assert "evil.example" not in docker("logs", NAME)


def test_a_login_that_an_agent_starts(host: Host, server: McpServer, agent: Gateway) -> None:
    """`claude mcp login` on a terminal of the agent's own making: nobody learns of it."""
    login_of_its_own = f"BROWSER={HELPER} timeout 20 script -qc 'claude mcp login {DEMO}' /dev/null"
    said = agent.content(f"{login_of_its_own} | tr -d '\\r' | head -c 300; echo")
    assert "Starting authentication" in said
    assert host.logins() == []
    assert "refused" in docker("logs", NAME)


def test_what_has_lost_its_parent(host: Host, server: McpServer) -> None:
    """What a shell of `docker exec` leaves behind belongs to PID 1, and so to nobody."""
    with login(host) as (_, url):
        host.logins(wait=20)
        script = f"(sleep 0.5; {HELPER} '{forged(url)}' >/tmp/said 2>&1; echo $? >>/tmp/said) & exit"
        docker("exec", NAME, "setsid", "bash", "-c", script)
        await_that(lambda: host.stack.inside("cat /tmp/said 2>/dev/null | tail -1; true") == "1", "the refusal")
        assert len(host.logins()) == 1


@pytest.mark.parametrize("how", ["helper", "listener", "login"])
def test_an_agent_that_a_person_runs_by_hand(host: Host, server: McpServer, how: str) -> None:
    """Its tools are no person either: not for a login that waits, not for a port or a login of their own."""
    with login(host) as (_, url):
        (mine,) = host.logins(wait=20)
        commands = {
            "helper": f"{HELPER} '{forged(url)}'",
            "listener": (
                "python3 -c \"import socket, subprocess, sys; s = socket.create_server(('127.0.0.1', 5678));"
                f" sys.exit(subprocess.call(['{HELPER}', '{forged(url.replace(str(redirect_port(url)), '5678'))}']))\""
            ),
            "login": f"timeout 20 script -qc 'claude mcp login {DEMO}' /dev/null | head -c 99",
        }
        run = ["claude", "-p", "--output-format=json", "--dangerously-skip-permissions", commands[how]]
        environ = ["-e", "ANTHROPIC_API_KEY=x", "-e", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1"]
        said = json.loads(docker("exec", *environ, NAME, *run).splitlines()[-1])
        assert said["result"] == "Done."
        assert said["num_turns"] == 2
        assert [one["id"] for one in host.logins()] == [mine["id"]]
        assert "refused" in docker("logs", NAME)


def test_the_agent_cannot_call_the_internal_api(host: Host, agent: Gateway) -> None:
    """G28: it has no secret, and finds none in a file, an environment or a command line."""
    url = f"http://127.0.0.1:8000{internal.LOGINS}"
    status = "curl -s -o /dev/null -w '%{http_code}'"
    assert "401 401" in agent.content(
        f"{status} {url}; echo -n ' '; {status} -H \"Authorization: Bearer $(cat /run/ccapi/keys/stack.sha256)\" {url}"
    )
    places = "/proc/[0-9]*/environ /proc/[0-9]*/cmdline /run /home /tmp /etc /workspace /opt/ccapi/app"
    secrets = "ccapi-stack-[A-Za-z0-9_-]{43}"
    assert "found 0" in agent.content(f"echo found $(grep -rlaE -e '{secrets}' {places} 2>/dev/null | wc -l)")
    assert "Read-only" in agent.content("echo x >/run/ccapi/keys/stack.sha256; rm /run/ccapi/keys/stack.sha256")


# --- what others see


def test_the_secret_is_on_the_host_only(host: Host) -> None:
    """G33, C20, C32: not in `docker inspect`, `docker history`, the log; of the container it has the digest alone."""
    everything = docker("inspect", NAME) + docker("history", "--no-trunc", host.stack.image()) + docker("logs", NAME)
    assert host.secret not in everything
    assert internal.digest(host.secret) not in everything
    home = host.stack.environ["CCAPI_HOME"]
    assert host.stack.inside("ls /run/ccapi/keys").split() == ["stack.sha256"]
    assert host.stack.inside("cat /run/ccapi/keys/stack.sha256") == internal.digest(host.secret)
    assert oct(secret.path(Home(home)).stat().st_mode & 0o777) == "0o600"
    assert oct((paths.keys_dir(Home(home)) / internal.HASH_FILE).stat().st_mode & 0o777) == "0o644"


def test_other_machines_do_not_reach_it(host: Host) -> None:
    """By the container's own address the Host header is not loopback's, and with another one the secret is missing."""
    (network,) = inspect()["NetworkSettings"]["Networks"].values()
    url = f"http://{network['IPAddress']}:8000{internal.LOGINS}"
    good = {"Authorization": f"Bearer {host.secret}"}
    assert httpx.get(url, headers=good, trust_env=False).status_code == 421
    assert httpx.get(url, headers={"Host": "localhost"}, trust_env=False).status_code == 401


def test_the_image(host: Host) -> None:
    """The helper belongs to root and can be executed; the variables say where it is, and what it talks to."""
    assert host.stack.inside(f"stat -c '%U %a' {HELPER}") == "root 755"
    assert host.stack.inside("printenv BROWSER CCAPI_BROWSER_SOCKET").split() == [HELPER, "@ccapi-browser"]
    assert "usage" in docker("exec", NAME, HELPER, check=False)
    assert "no authorization URL" in docker("exec", NAME, HELPER, "https://as example/", check=False)
