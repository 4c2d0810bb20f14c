"""MCP logins, all real: image, CLI, an MCP server with OAuth, the command in a terminal, a browser that clicks."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from playwright.sync_api import Browser

from tests.cli.support import DEADLINE, Cli, Terminal, on_terminal
from tests.gateway.harness import await_that
from tests.stack.login import (
    McpServer,
    auth,
    chromium,
    decide,
    gateway_of,
    listed,
    listeners,
    logins_inside,
    mcp_server,
    redirect_port,
    redirected,
)
from tests.stack.support import NAME, Stack, docker, inspect

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

DEMO = "demo-server"
OTHER_BASE = "ccapi-test-base:other"  # the same base image by another name, which makes another image of it


# Their names, from Claude Code's own file: `claude mcp list` would first wait for each that is no longer there.
_SERVERS = """
import json, os, pathlib
file = pathlib.Path(os.environ["CLAUDE_CONFIG_DIR"], ".claude.json")
print(*json.loads(file.read_text()).get("mcpServers", {}) if file.exists() else ())
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def ready(stack: Stack) -> Iterator[Stack]:
    """The stack with the scenario that calls the demo server's tool, and no MCP server configured."""
    done = stack.cli("up", "--rehearsal", "mcp")
    assert done.returncode == 0, done.stderr
    forget_servers()
    yield stack
    forget_servers()
    assert logins_inside() == []


@pytest.fixture
def server(ready: Stack) -> Iterator[McpServer]:
    with mcp_server() as server:
        yield server


def forget_servers() -> None:
    """Nobody's logins and servers are left for the next test."""
    script = f"for n in $(python3 -c '{_SERVERS}'); do claude mcp remove -s user $n; done"
    docker("exec", NAME, "bash", "-c", script, check=False)


def sign_in(stack: Stack, browser: Browser, name: str, server: McpServer, *args: str) -> str:
    """The whole login, which must succeed; what the terminal said."""
    with auth(stack, name, "--url", server.url, *args) as login:
        if "--client-id" in args:
            login.terminal.read_until("ecret")
            login.terminal.type(b"\r")  # it has none
        decide(browser, login.url())
        return login.end(0)


def test_login_in_the_browser(ready: Stack, server: McpServer, browser: Browser) -> None:
    """E01: one command and one click; the page says so, the CLI is connected, its tool's answer is in a run."""
    with auth(ready, DEMO, "--url", server.url) as login:
        url = login.url()
        port = redirect_port(url)
        assert port in listeners()
        page = decide(browser, url, picture="login-success")
        said = login.end(0)
    assert "Sign-in received" in page
    assert "secret_word" in said
    assert "✔ Connected" in listed(DEMO)
    assert server.recorded["codes"] == 1
    await_that(lambda: port not in listeners(), "the end of the listener")
    answer = chat(ready, "Ask the MCP server")
    assert "**mcp__demo-server__secret_word**" in answer or "secret_word" in answer
    assert "The secret word is xyzzy." in answer


def chat(stack: Stack, prompt: str) -> str:
    body = {"model": "sonnet", "messages": [{"role": "user", "content": prompt}]}
    request = urllib.request.Request(
        f"http://localhost:{stack.port}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as response:
        return str(json.load(response)["choices"][0]["message"]["content"])


def test_login_by_hand_in_the_container(ready: Stack, server: McpServer, browser: Browser) -> None:
    """`docker exec -it … claude mcp login`: the image's $BROWSER tells the proxy; nothing is opened."""
    with by_hand(ready, server) as (terminal, url):
        status = ready.cli("proxy", "status").stdout
        assert f"localhost:{server.port}" in status
        assert "state=" not in status
        assert "Sign-in received" in decide(browser, url)
        assert "Authenticated" in terminal.read_all()
    assert "✔ Connected" in listed(DEMO)
    assert f"localhost:{server.port}" in ready.cli("proxy", "logs").stdout


@contextmanager
def by_hand(stack: Stack, server: McpServer) -> Iterator[tuple[Terminal, str]]:
    """A login that a person starts in the container, once this machine listens for it; its terminal and its URL."""
    docker("exec", NAME, "claude", "mcp", "add", "-s", "user", "--transport", "http", DEMO, server.url, check=False)
    before = heard(stack)
    program = ["docker", "exec", "-it", NAME, "claude", "mcp", "login", DEMO]
    with on_terminal(program, stack.environ, stack.directory, columns=120) as terminal:
        terminal.read_until("resource=")
        found = re.search(r"http://localhost:\d+/authorize\?[!-~]+?(?=\x1b|\x07|\s)", terminal.text)
        assert found
        await_that(lambda: heard(stack) > before, "the proxy has heard of it")  # and not of one on the same port
        assert redirect_port(found[0]) in listeners()
        yield terminal, found[0]


def heard(stack: Stack) -> int:
    """Of how many logins that were started in the container the proxy has learned."""
    return stack.cli("proxy", "logs", "-n", "10000").stdout.count("login started in the container: localhost")


def test_login_by_hand_that_is_given_up(ready: Stack, server: McpServer, browser: Browser) -> None:
    """P09: with Ctrl-C, or killed, it is over on this machine too; the next one, on the same port, works."""
    with by_hand(ready, server) as (terminal, url):
        port = redirect_port(url)
        terminal.type(b"\x03")
        terminal.read_all()
        await_that(lambda: port not in listeners(), "the end of the listener")
    with by_hand(ready, server) as (terminal, url):
        assert redirect_port(url) == port
        docker("exec", NAME, "pkill", "-KILL", "-f", "mcp login")
        terminal.read_all()
        with by_hand(ready, server) as (again, url_again):
            assert redirect_port(url_again) == port
            assert "Sign-in received" in decide(browser, url_again)
            assert "Authenticated" in again.read_all()
    await_that(lambda: port not in listeners(), "the end of the listener")


def test_denied(ready: Stack, server: McpServer, browser: Browser) -> None:
    """E07: the page says only that it was not completed, the command why and what next; nothing is left."""
    with auth(ready, DEMO, "--url", server.url) as login:
        url = login.url()
        page = decide(browser, url, "Deny", picture="login-denied")
        said = login.end(1)
    assert "Sign-in was not completed" in page
    assert "The user said no" not in page
    assert "not to allow access" in said
    assert listed(DEMO) == ""
    await_that(lambda: redirect_port(url) not in listeners(), "the end of the listener")


def test_nobody_clicks(ready: Stack, server: McpServer) -> None:
    """E08: after the time limit everything is as before, and the exit code says so."""
    with auth(ready, DEMO, "--url", server.url, "--timeout", "5") as login:
        url = login.url()
        said = login.end(124)
    assert "5 s" in said
    assert listed(DEMO) == ""
    assert redirect_port(url) not in listeners()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://localhost:{redirect_port(url)}/callback", trust_env=False)


def test_ctrl_c(ready: Stack, server: McpServer) -> None:
    """Neither a listener nor a process nor a server that is added by half."""
    with auth(ready, DEMO, "--url", server.url) as login:
        url = login.url()
        login.terminal.type(b"\x03")
        login.end(130)
    assert listed(DEMO) == ""
    assert logins_inside() == []
    await_that(lambda: redirect_port(url) not in listeners(), "the end of the listener")


def test_terminated(ready: Stack, server: McpServer) -> None:
    """SIGTERM cleans up as Ctrl-C does."""
    with auth(ready, DEMO, "--url", server.url) as login:
        url = login.url()
        login.terminal.process.send_signal(signal.SIGTERM)
        login.end(143)
    assert listed(DEMO) == ""
    assert logins_inside() == []
    await_that(lambda: redirect_port(url) not in listeners(), "the end of the listener")


def test_pasted(ready: Stack, server: McpServer) -> None:
    """E11: a browser elsewhere ends at an address that does not answer; pasting that address is enough."""
    with auth(ready, DEMO, "--url", server.url, "--no-browser") as login:
        url = login.shown()
        address = redirected(url)
        login.terminal.type(b"http://localhost:1/callback?code=x&state=y\r")
        login.terminal.type(address.encode() + b"\r")
        said = login.end(0)
    code = address.partition("code=")[2].partition("&")[0]
    assert code
    assert code not in said
    assert "✔ Connected" in listed(DEMO)


def test_two_at_once_in_reverse_order(ready: Stack, browser: Browser) -> None:
    """E06: two servers, the second one answered first; each token goes to its own server."""
    with (
        mcp_server("--word=one") as first,
        mcp_server("--word=two") as second,
        auth(ready, "first", "--url", first.url) as one,
        auth(ready, "second", "--url", second.url) as two,
    ):
        urls = one.url(), two.url()
        decide(browser, urls[1])
        two.end(0)
        decide(browser, urls[0])
        one.end(0)
        assert "✔ Connected" in listed("first")
        assert "✔ Connected" in listed("second")
        assert (first.recorded["codes"], second.recorded["codes"]) == (1, 1)


def test_a_fixed_port(ready: Stack, browser: Browser) -> None:
    """E05: an own client id and port 3118, as Slack wants it; if that is taken, it says by whom and opens nothing."""
    redirect = "http://localhost:3118/callback"
    with mcp_server("--no-registration", "--client=known", f"--redirect-uri={redirect}") as server:
        fixed = ("--client-id", "known", "--callback-port", "3118")
        said = sign_in(ready, browser, DEMO, server, *fixed)
        assert "secret_word" in said
        assert server.recorded["redirect_uris"] == [redirect]
        forget_servers()
        with (
            socket.create_server(("127.0.0.1", 3118)),
            auth(ready, DEMO, "--url", server.url, *fixed) as login,
        ):
            login.terminal.read_until("ecret")
            login.terminal.type(b"\r")
            said = login.end(1)
            assert "3118" in said
            assert "python" in said  # who has it
            assert not login.opened.exists()
    assert listed(DEMO) == ""


def test_no_registration(ready: Stack) -> None:
    """E16: a server that registers nobody says so before a browser opens."""
    with mcp_server("--no-registration") as server:
        done = ready.cli("auth", DEMO, "--url", server.url, "--no-browser")
    assert done.returncode == 4, done.stderr
    assert "--client-id" in done.stderr
    assert "--with-token" in done.stderr
    assert listed(DEMO) == ""


def test_the_container_restarts_in_the_middle(ready: Stack, server: McpServer) -> None:
    """E09: one clear line, and nothing is left."""
    with auth(ready, DEMO, "--url", server.url) as login:
        url = login.url()
        docker("restart", "--time=1", NAME)
        said = login.end(1)
    assert "ccapi auth" in said
    await_that(lambda: redirect_port(url) not in listeners(), "the end of the listener")
    await_that(lambda: ready.status()["state"] == "healthy", "the container", within=60)
    assert listed(DEMO) == ""


def test_the_cli_is_killed_in_the_middle(ready: Stack, server: McpServer, browser: Browser) -> None:
    """E09: the browser is told to start again, not that it worked."""
    with auth(ready, DEMO, "--url", server.url) as login:
        url = login.url()
        docker("exec", NAME, "pkill", "-KILL", "-f", "mcp login")
        assert login.end(1)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://localhost:{redirect_port(url)}/callback?code=x&state=y", trust_env=False)


def test_the_proxy_is_not_there(ready: Stack, server: McpServer) -> None:
    """E10: its port is another program's: pasting still works, and the command says so."""
    assert ready.cli("proxy", "stop").returncode == 0
    oauth_port = int(ready.environ["CCAPI_OAUTH_PORT"])
    with socket.create_server(("127.0.0.1", oauth_port)), auth(ready, DEMO, "--url", server.url) as login:
        url = login.shown()
        login.terminal.type(redirected(url).encode() + b"\r")
        said = login.end(0)
    assert str(oauth_port) in said
    assert "paste" in said.lower()


def test_a_working_login_is_not_dropped_unasked(ready: Stack, server: McpServer, browser: Browser) -> None:
    """E13: the person is asked, and warned that the old login ends at once; in a script it is exit code 3."""
    sign_in(ready, browser, DEMO, server)
    done = ready.cli("auth", DEMO, "--no-browser")
    assert done.returncode == 3, done.stderr
    assert "--force" in done.stderr
    with auth(ready, DEMO) as login:
        login.terminal.read_until("[y/N]")
        login.terminal.type(b"n\r")
        login.terminal.read_all()
    assert "✔ Connected" in listed(DEMO)
    assert server.recorded["codes"] == 1


def test_the_login_outlives_container_and_image(ready: Stack, server: McpServer, browser: Browser) -> None:
    """`down` and `up` again, then an image that was built anew: the login is in the volume, for nobody else to read."""
    sign_in(ready, browser, DEMO, server)
    modes = ready.inside("stat -c '%U %a' $CLAUDE_CONFIG_DIR $CLAUDE_CONFIG_DIR/.credentials.json")
    assert modes == "claude 700\nclaude 600"  # C22
    before = inspect()
    assert ready.cli("down").returncode == 0
    docker("tag", "debian:trixie-slim", OTHER_BASE)
    try:
        done = ready.cli("up", "--rehearsal", "mcp", environ={"CCAPI_STACK_BASE_IMAGE": OTHER_BASE})
        assert done.returncode == 0, done.stderr
        assert inspect()["Config"]["Image"] != before["Config"]["Image"]
        server.relay()
        assert "✔ Connected" in listed(DEMO)
        assert ready.cli("up", "--rehearsal", "mcp").returncode == 0
    finally:
        docker("rmi", OTHER_BASE)
    server.relay()
    assert "✔ Connected" in listed(DEMO)


def test_the_proxy_is_out_of_the_containers_reach(ready: Stack) -> None:
    """P73: whatever name or address of this machine is tried in the container, the proxy's port does not answer."""
    addresses = {"host.docker.internal", gateway_of(f"{NAME}_default"), gateway_of("bridge"), own_address()}
    for address in addresses:
        url = f"http://{address}:{ready.environ['CCAPI_OAUTH_PORT']}/health"
        answer = ready.inside(f"curl --noproxy '*' --silent --max-time 2 --output /dev/null {url}; echo $?")
        assert answer != "0", address


def test_other_containers_do_not_reach_the_gateway(ready: Stack) -> None:
    """G36: a container in Docker's own network gets no answer, or is not let in."""
    address = docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", NAME)
    curl = ("curl", "--silent", "--max-time", "2", "--output", "/dev/null", "--write-out", "%{http_code}")
    run = ("run", "--rm", "--network=bridge", "--entrypoint=env", ready.image())
    for path in ("/internal/v1/logins", "/v1/models"):
        assert docker(*run, *curl, f"http://{address}:8000{path}", check=False) in {"000", "401", "421"}


def own_address() -> str:
    """The one that this machine would send from."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent
        return str(probe.getsockname()[0])


def test_tokens_rotate_without_us(ready: Stack, browser: Browser) -> None:
    """Tokens that live for seconds and refresh tokens that are good once: the CLI renews them, no proxy around."""
    with mcp_server("--access-seconds=4") as server:
        sign_in(ready, browser, DEMO, server)
        assert ready.cli("proxy", "stop").returncode == 0
        for _ in range(2):
            seen = server.recorded["refreshes"]
            time.sleep(4.2)  # the token's life, which the server measures by the clock
            assert "The secret word is xyzzy." in chat(ready, "Ask the MCP server")
            assert server.recorded["refreshes"] > seen
    assert ready.cli("proxy", "start").returncode == 0


def test_from_a_script(ready: Stack, server: McpServer, browser: Browser) -> None:
    """Without a terminal: exit code 4 and the command; with --no-browser the URL on standard output, and it waits."""
    done = ready.cli("auth", DEMO, "--url", server.url)
    assert done.returncode == 4
    assert f"ccapi auth {DEMO}" in done.stderr
    cli = Cli(ready.directory)
    cli.environ = ready.environ
    with cli.start("auth", DEMO, "--url", server.url, "--no-browser") as process:
        assert process.stdout
        url = process.stdout.readline().decode().strip()
        decide(browser, url)
        process.communicate(timeout=DEADLINE * 3)
        assert process.returncode == 0
    assert "✔ Connected" in listed(DEMO)


def test_no_secret_is_left_anywhere(ready: Stack, server: McpServer, browser: Browser) -> None:
    """E20: code and state of a login are in no log, no `docker inspect`, and on no disk of either side."""
    with auth(ready, DEMO, "--url", server.url) as login, browser.new_context() as context:
        url = login.url()
        page = context.new_page()
        page.goto(url)
        with page.expect_request(f"**:{redirect_port(url)}/**") as request:
            page.get_by_role("button", name="Allow").click()
        login.end(0)
    markers = re.findall(r"(?:code|state)=([\w.~-]{20,})", request.value.url)
    assert len(markers) == 2
    logs = docker("logs", NAME) + ready.cli("proxy", "logs", "-n", "10000").stdout + json.dumps(inspect())
    for file in (ready.directory / "ccapi").rglob("*"):
        if file.is_file():
            logs += file.read_text("utf-8", "replace")
    for marker in markers:
        assert marker not in logs
        found = docker("exec", NAME, "grep", "-rlF", marker, "/home/claude", "/tmp", "/workspace", check=False)
        assert found == ""
