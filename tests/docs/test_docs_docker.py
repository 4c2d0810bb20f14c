"""What docs/setup.md, production.md and migration.md do with Docker, as it stands there, on the ports that they name.

Where a command needs a person or an account, the tests of that command have it; here the model is scripted.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.readme import Page, bash, below
from tests.cli.support import clean_environ
from tests.gateway.harness import await_that
from tests.stack.support import CA_FILE, CONFIG_VOLUME, NAME, docker, refuse_to_harm

SETUP, PRODUCTION, MIGRATION = (Page(f"docs/{name}.md") for name in ("setup", "production", "migration"))
SCRIPT_DEADLINE = 540  # seconds: the first start may build the image
BEFORE = f"{NAME}-before"

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]


class Owner:
    """Somebody on this machine: a home, a shell, and the commands that they have done."""

    def __init__(self, directory: Path) -> None:
        self.home = directory / "home"
        self.home.mkdir(exist_ok=True)
        (directory / "bin").mkdir()
        self._directory = directory / "here"
        self._directory.mkdir()
        (directory / "bin" / "ccapi").write_text(f'#!/bin/sh\nexec {sys.executable} -m ccapi "$@"\n')
        (directory / "bin" / "ccapi").chmod(0o755)
        clean = clean_environ(self.home)
        self.environ = {
            **clean,
            "PATH": f"{directory / 'bin'}:{clean['PATH']}",
            "CCAPI_HOME": str(self.home / "ccapi"),
            "CCAPI_STACK_CA_FILE": str(CA_FILE),  # so that tests/stack can use the same image
        }

    def does(self, page: Page, heading: str, *, but: tuple[str, ...] = (), **environ: str) -> list[str]:
        """All commands below the heading that do not begin with one of `but`; what each prints."""
        commands = [command for block in below(page, heading) for command in block.commands]
        chosen = [command for command in commands if not command.startswith(but or "\0")]
        assert chosen
        return [self.types(command, **environ) for command in chosen]

    def types(self, command: str, **environ: str) -> str:
        """Standard output of a command that must succeed."""
        done = bash(command, {**self.environ, **environ}, self._directory, SCRIPT_DEADLINE)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture
def owner(docker_engine: None, tmp_path: Path) -> Iterator[Owner]:
    """A machine without a stack; at the end it is that again."""
    refuse_to_harm()
    refuse_to_harm("claude-code-api-web")
    owner = Owner(tmp_path)
    try:
        yield owner
    finally:
        docker("rm", "--force", BEFORE, check=False)
        for stack in ("", "--project=web"):  # and no other that may be here
            owner.types(f"ccapi down --volumes --yes {stack}")


def healthy() -> bool:
    """The gateway on port 8000 answers."""
    try:
        return httpx.get("http://127.0.0.1:8000/health", trust_env=False, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def in_container(*command: str) -> str:
    return docker("exec", NAME, *command)


def test_from_nothing_to_an_answer(owner: Owner) -> None:
    """The first start, a question, a directory of one's own and back, and the end."""
    first, scripted = owner.does(SETUP, "The first start")
    assert "http://127.0.0.1:8000/v1" in first
    assert "scripted" in scripted
    answer, status = owner.does(SETUP, "The first answer")
    assert "It works" in answer
    assert status.startswith("running (healthy)\n")
    in_container("sh", "-c", "echo kept > /workspace/note")

    site = owner.home / "projects" / "site"
    site.mkdir(parents=True)
    (site / "index.html").write_text("hello")
    block, keep, back = below(SETUP, "Your own directory")
    owner.types(block.commands[0], CCAPI_REHEARSAL="")
    assert in_container("ls", "/workspace") == "index.html"
    for command in keep.commands:
        owner.types(command)
    assert in_container("ls", "/workspace") == "index.html"
    for command in back.commands:
        owner.types(command)
    assert in_container("cat", "/workspace/note") == "kept"
    shown, _, valid = owner.does(SETUP, "Settings")
    assert "# default" in shown
    assert "config.toml" in valid


def test_several_stacks(owner: Owner) -> None:
    """The second has a name, ports and volumes of its own, and ends without the first."""
    owner.types("ccapi up")
    started, status, _ = owner.does(SETUP, "Several stacks", but=("ccapi auth",))
    assert "8000" not in started.split("http://", 1)[1].split("/", 1)[0]
    assert status.startswith("running (healthy)\n")
    names = docker("ps", "--all", "--format", "{{.Names}}", "--filter", "label=ccapi.stack").split()
    assert NAME in names
    assert "claude-code-api-web" not in names


def test_back_up_and_back(owner: Owner) -> None:
    """What was on both volumes is there again, with its owner, after all was lost."""
    owner.types("ccapi up --rehearsal")
    owner.types('ccapi ask "Remember this."')
    in_container("sh", "-c", "echo mine > /workspace/mine")
    sessions = in_container("find", "/home/claude/.claude/projects", "-name", "*.jsonl")
    assert sessions
    save, restore = below(PRODUCTION, "Back-up")
    for command in save.commands:
        owner.types(command)
    volume = docker("inspect", "--format", "{{.CreatedAt}}", "--type", "volume", CONFIG_VOLUME)
    for command in restore.commands:
        owner.types(command)
    assert docker("inspect", "--format", "{{.CreatedAt}}", "--type", "volume", CONFIG_VOLUME) != volume
    await_that(healthy, "the gateway answers")
    assert in_container("find", "/home/claude/.claude/projects", "-name", "*.jsonl") == sessions
    assert in_container("cat", "/workspace/mine") == "mine"
    uid = in_container("id", "-u")
    assert in_container("find", "/home/claude/.claude", "/workspace", "!", "-user", uid) == ""
    assert in_container("stat", "--format=%a", "/home/claude/.claude") == "700"


def test_moving_over_and_back(owner: Owner) -> None:
    """A container made by hand is kept, what Claude knew comes along but for the login, and it all goes back."""
    image = owner.types("ccapi up --rehearsal") and docker("inspect", "--format", "{{.Image}}", NAME)
    owner.types("ccapi down --volumes --yes")
    docker(
        *("run", "--detach", "--name", NAME, "--user", "1000", "--entrypoint", "sh", image, "-c"),
        "cd ~/.claude && mkdir -p agents && echo helper > agents/helper.md && echo secret > .credentials.json"
        " && exec sleep infinity",
    )
    claude = owner.home / ".claude"
    (claude / "commands").mkdir(parents=True)
    (claude / "commands" / "deploy.md").write_text("Deploy.")
    (claude / ".credentials.json").write_text("secret")
    (owner.home / ".claude.json").write_text(json.dumps({"mcpServers": {"wiki": {"type": "http", "url": "https://x"}}}))

    owner.does(MIGRATION, "Stop the old")
    owner.does(MIGRATION, "Start the new")
    owner.does(MIGRATION, "Take over what Claude knew", but=("ccapi auth",))
    await_that(healthy, "the gateway answers")
    config = "/home/claude/.claude"
    assert in_container("cat", f"{config}/agents/helper.md") == "helper"
    assert in_container("cat", f"{config}/commands/deploy.md") == "Deploy."
    assert in_container("sh", "-c", f"test -e {config}/.credentials.json || echo none") == "none"
    assert "wiki" in in_container("cat", f"{config}/.claude.json")
    *_, proxy, models = owner.does(MIGRATION, "See that it works", but=("ccapi doctor",))
    assert json.loads(proxy)["service"] == "oauth-proxy"
    assert json.loads(models)["data"][0]["id"] == "sonnet"

    back, last = below(MIGRATION, "Go back")
    for command in back.commands:
        owner.types(command)
    assert in_container("cat", f"{config}/agents/helper.md") == "helper"
    assert in_container("cat", f"{config}/.credentials.json") == "secret"
    docker("rename", NAME, BEFORE)
    docker("stop", "--time=0", BEFORE)
    for command in last.commands:
        owner.types(command)
    assert BEFORE not in docker("ps", "--all", "--format", "{{.Names}}")
