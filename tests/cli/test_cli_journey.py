"""What the README tells a user to do, from the installation to the end, on the real Docker engine and port 8000.

By its name this stands before tests/stack, whose tests keep the one stack of this machine until they are over.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.cli.readme import ASK, CURLS, FIBONACCI, README, Page, bash, below, check_answer, content_of, shell
from tests.cli.support import DEADLINE, ROOT, clean_environ, command, on_terminal, read_line
from tests.gateway.harness import await_that
from tests.oauth.servers import access_token
from tests.stack.login import Login, chromium, decide, listeners, mcp_server, redirect_port
from tests.stack.support import CA_FILE, NAME, docker, refuse_to_harm

LABEL = "label=ccapi.stack=claude-code-api"
SIGN_IN = "ccapi auth claude"
MCP = Page("docs/mcp.md")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Where pipx and what it installs stay among themselves. pip's cache is the person's: no 100 MB each time."""
    tools = Path(sys.executable).parent  # where the dev extra puts pipx
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "DOCKER_"))}
    return {
        **{name: value for name, value in clean_environ(tmp_path / "home").items() if name != "PYTHONPATH"},
        "PATH": f"{tmp_path / 'bin'}:{tools}:{os.environ['PATH']}",
        "PIPX_HOME": str(tmp_path / "pipx"),
        "PIPX_BIN_DIR": str(tmp_path / "bin"),
        "PIPX_DEFAULT_BACKEND": "pip",  # which knows this machine's package index
        "PIP_CACHE_DIR": str(Path(pwd.getpwuid(os.getuid()).pw_dir) / ".cache" / "pip"),
        "CCAPI_STACK_CA_FILE": str(CA_FILE),  # so that tests/stack can use the same image
        **kept,
    }


@pytest.fixture
def nobodys_stack(docker_engine: None, environ: dict[str, str]) -> Iterator[None]:
    """Leaves a stack that is there alone, and at the end nothing of its own but the image."""
    refuse_to_harm()
    yield
    end = subprocess.run(
        command("down", "--volumes", "--yes"),
        env={**environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert end.returncode == 0, end.stderr
    assert stack_objects() == set()


def stack_objects() -> set[str]:
    """The kinds of things of the stack that are there; the image may stay."""
    kinds = {"container": ["--all"], "volume": [], "network": []}
    return {kind for kind, more in kinds.items() if docker(kind, "ls", "--quiet", "--filter", LABEL, *more)}


@pytest.mark.docker
@pytest.mark.timeout(900)
def test_use_it_for_real(nobodys_stack: None, environ: dict[str, str], tmp_path: Path) -> None:
    """Install with pipx, start, sign in, ask, look, stop: each line as it stands in the README.

    Nobody is signed in, so the first question is refused and says how to; then the model is the scripted one, by the
    line that the README has for it.
    """
    shell("pipx install .", environ, ROOT, timeout=300)

    started = shell("ccapi up", environ, tmp_path, timeout=540)
    assert "http://127.0.0.1:8000/v1" in started
    assert SIGN_IN in started
    with on_terminal(shlex.split(SIGN_IN), environ, tmp_path) as terminal:
        terminal.read_until("How shall Claude be signed in?")
        terminal.type(b"\r")
        terminal.read_until("https://claude.ai/oauth/authorize?")
        terminal.read_until("Code (it does not show): ")
        terminal.type(b"\x03")
        terminal.read_all()
    assert terminal.process.returncode == 130
    refused = bash(ASK, environ, tmp_path)
    assert (refused.returncode, refused.stdout) == (4, ""), refused.stderr
    assert SIGN_IN in refused.stderr

    assert "scripted" in shell("ccapi up --rehearsal", environ, tmp_path, timeout=200)
    for number, line in enumerate(CURLS):
        check_answer(number, content_of(shell(line, environ, tmp_path, timeout=60)))
    assert f"\n{FIBONACCI}\n" in shell(ASK, environ, tmp_path, timeout=60)

    assert shell("ccapi status", environ, tmp_path).startswith("running (healthy)\n")
    assert "Aggregated 3 assistant messages" in shell("ccapi logs", environ, tmp_path)
    shell("ccapi down", environ, tmp_path, timeout=60)
    assert stack_objects() == {"volume"}


@pytest.mark.docker
@pytest.mark.timeout(900)
def test_the_demo_in_docker(nobodys_stack: None, environ: dict[str, str], tmp_path: Path) -> None:
    """`ccapi demo --docker`: the same answer out of the container, of which nothing but the image is left."""
    demo = shlex.join(command("demo", "--docker"))
    answer = shell(demo, {**environ, "PYTHONPATH": str(ROOT)}, tmp_path, timeout=540)
    assert "\n\n---\n\n" in answer
    assert f"```\n{FIBONACCI}\n```" in answer
    assert stack_objects() == set()


@pytest.mark.timeout(300)
def test_install_with_claude(environ: dict[str, str], tmp_path: Path) -> None:
    """With the extra `local` the installed command brings Claude Code along: its demo runs without a checkout."""
    if not os.environ.get("CI"):
        pytest.skip("installs 400 MB from the package index; CI does it")
    shell("pipx install '.[local]'", environ, ROOT, timeout=240)
    assert f"\n{FIBONACCI}\n" in shell("ccapi demo", environ, tmp_path, timeout=DEADLINE)


# --- MCP servers


class Reader:
    """Goes through the commands of a page, as they stand, at a terminal and with a browser; knows which those were.

    The vendors' servers are played by one of this machine: the container has its address under their names.
    """

    def __init__(self, environ: Mapping[str, str], directory: Path, browser: Browser) -> None:
        self.done: set[str] = set()
        self.directory = directory
        self.opened = directory / "opened"
        self._browser = browser
        programs = directory / "bin"
        programs.mkdir()
        self._program(programs / "ccapi", f'exec {sys.executable} -m ccapi "$@"')
        opens = self._program(
            programs / "browser", f'printf %s "$1" >{self.opened}.new && mv {self.opened}.new {self.opened}'
        )
        self.environ = {**environ, "PYTHONPATH": str(ROOT), "BROWSER": str(opens), "DISPLAY": ":0"}

    @staticmethod
    def _program(file: Path, script: str) -> Path:
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        return file

    def plays(self, name: str, url: str) -> None:
        """From now on the vendor's server is the one at `url`."""
        docker("exec", NAME, "claude", "mcp", "remove", "-s", "user", name, check=False)
        docker("exec", NAME, "claude", "mcp", "add", "-s", "user", "--transport", "http", name, url)

    def shell(self, line: str, **environ: str) -> str:
        self.done.add(line)
        return shell(line, {**self.environ, **environ}, self.directory, timeout=60)

    @contextmanager
    def terminal(self, line: str, instead: str | None = None, **environ: str) -> Iterator[Login]:
        """`instead` is what is really run."""
        self.done.add(line)
        self.opened.unlink(missing_ok=True)
        words = shlex.split(instead or line)
        with on_terminal(words, {**self.environ, **environ}, self.directory, columns=120) as terminal:
            yield Login(terminal, self.opened)

    def allow(self, url: str) -> None:
        """Once somebody listens for the answer."""
        await_that(lambda: redirect_port(url) in listeners(), "a listener on this machine")
        assert "Sign-in received" in decide(self._browser, url)


@pytest.fixture
def reader(nobodys_stack: None, environ: dict[str, str], tmp_path: Path) -> Iterator[Reader]:
    """With the container running, and no MCP server in it."""
    with chromium() as browser:
        reader = Reader(environ, tmp_path, browser)
        reader.shell("ccapi up --rehearsal mcp")
        yield reader


@pytest.mark.docker
@pytest.mark.timeout(600)
def test_sign_in_to_mcp_servers(reader: Reader) -> None:
    """Each command of the README's section and of docs/mcp.md for which the container is needed, and what they show."""
    with mcp_server() as server:
        _in_the_browser(reader, server.url)
        _with_a_token(reader, server.url)
        _own_app(reader)
        _elsewhere(reader)
        _from_a_script(reader, server.url)
        _by_hand(reader)
        assert "notion" in reader.shell("ccapi auth status")
        reader.shell("ccapi auth logout notion --remove")
        assert "notion " not in reader.shell("ccapi auth status")
    wanted = [*below(README, "Sign in to MCP servers"), *MCP.blocks]
    here = {line for block in wanted for line in block.commands if block.heading != "The OAuth proxy"}
    assert here <= reader.done, here - reader.done


def _in_the_browser(reader: Reader, url: str) -> None:
    """One command and one click; with the address at hand, it looks as the page shows it."""
    reader.plays("notion", url)
    with reader.terminal("ccapi auth notion") as login:
        reader.allow(login.url())
        assert "Signed in to notion · 1 tool: secret_word" in login.end(0)
    (line,) = [line for line in MCP.commands() if "mcp.example.com" in line]
    with reader.terminal(line, line.replace("https://mcp.example.com/mcp", url)) as login:
        reader.allow(login.url())
        said = _settled(login.end(0))
    assert _shape(said) == _shape(MCP.block("text", "What you see")).replace("demo-server", "wiki")


def _settled(screen: str) -> str:
    """What stays on the screen: without the lines that were shown for a while, and without links and colours."""
    screen = re.sub(r"\x1b\]8;;[^\x1b\x07]*(?:\x1b\\|\x07)", "", screen)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen).split("\n")
    return "\n".join(line.rpartition("\r")[2] for line in lines if not re.search("[⠀-⣿]", line))


def _shape(text: str) -> str:
    """Without what is another each time."""
    text = re.sub(r"(client_id|code_challenge|state)=[\w.~-]+", r"\1=", text)
    return re.sub(r"(localhost)(:|%3A)\d+", r"\1\2", text)


def _with_a_token(reader: Reader, url: str) -> None:
    """The guided choice, the page where tokens are made, and a prompt that shows nothing."""
    reader.plays("github", url)
    token = access_token(url)
    with reader.terminal("ccapi auth github") as login:
        login.terminal.read_until("OAuth app of your own, in")
        login.terminal.type(b"j\r" if "the token that gh" in login.terminal.text else b"\r")
        login.terminal.read_until("(it does not show)")
        assert "github.com/settings/personal-access-tokens/new" in login.url()
        login.terminal.type(f"{token}\r".encode())
        said = login.end(0)
    assert "Signed in to github with the token" in said
    assert token not in said
    assert reader.shell("ccapi auth status").count("Connected") == 3
    with reader.terminal("ccapi auth") as login:
        login.terminal.read_until("✓ signed in")
        login.terminal.type(b"\x03")
        login.end(130)
    assert re.search(r"(?m)^notion +Connected ", reader.shell("ccapi auth list"))


def _own_app(reader: Reader) -> None:
    """The client id from the command line, the secret from the prompt, the port that the page names."""
    (line,) = MCP.begins("ccapi auth asana")
    client = line.rpartition(" ")[2]
    redirect = "http://localhost:18888/callback"
    with mcp_server("--no-registration", f"--client={client}", f"--redirect-uri={redirect}") as server:
        reader.plays("asana", server.url)
        with reader.terminal(line) as login:
            login.terminal.read_until("Client secret (empty if the app has none)")
            login.terminal.type(b"\r")
            reader.allow(login.url())
            assert "Signed in to asana" in login.end(0)
        docker("exec", NAME, "claude", "mcp", "remove", "-s", "user", "asana")


def _elsewhere(reader: Reader) -> None:
    """Nothing is opened; over SSH there is a line to run; a QR code; what works is replaced after a yes only."""
    with reader.terminal("ccapi auth notion --no-browser", SSH_CONNECTION="192.0.2.9 50000 192.0.2.5 22") as login:
        login.terminal.read_until("[y/N]")
        login.terminal.type(b"y\r")
        reader.allow(login.shown())
        said = login.end(0)
    (shown,) = [block.text for block in MCP.blocks if block.text.startswith("ssh ")]
    assert re.search(re.sub(r"\d+", r"\\d+", shown.partition(" you@")[0]) + r" \w+@192\.0\.2\.5\b", said)
    with reader.terminal("ccapi auth notion --qr") as login:
        login.terminal.read_until("[y/N]")
        login.terminal.type(b"y\r")
        reader.allow(login.url())
        assert "▄" in login.end(0)


def _from_a_script(reader: Reader, url: str) -> None:
    """Tokens from a file and a variable; the two documents of a login have the members that the page shows."""
    first, second, third = below(MCP, "From a script")[0].commands
    reader.plays("github", url)
    (reader.directory / "token.txt").write_text(access_token(url) + "\n")
    reader.shell(first)
    reader.shell(second, GITHUB_TOKEN=access_token(url))
    reader.shell("ccapi auth logout notion")
    reader.done.add(third)
    with subprocess.Popen(
        ["bash", "-c", third],
        env=reader.environ,
        cwd=reader.directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        lines = [read_line(process.stdout, "the address")]
        reader.allow(json.loads(lines[0])["url"])
        lines.append(read_line(process.stdout, "the result"))
        assert process.wait(DEADLINE) == 0
    shown = [json.loads(line) for line in MCP.block("json", "From a script").splitlines()]
    assert [list(json.loads(line)) for line in lines] == [list(one) for one in shown]
    assert json.loads(lines[1]) == {**shown[1], "data": {**shown[1]["data"], "name": "notion"}}


def _by_hand(reader: Reader) -> None:
    """The answer arrives as well; the proxy's log has a line for it."""
    reader.shell("ccapi auth logout notion")
    (line,) = MCP.begins("docker exec")
    with reader.terminal(line) as login:
        login.terminal.read_until("resource=")
        found = re.search(r"http://localhost:\d+/authorize\?[!-~]+?(?=\x1b|\x07|\s)", login.terminal.text)
        assert found
        login.terminal.read_until("paste")
        reader.allow(found[0])
        assert "Authenticated" in login.end(0)
