"""A person works in the container: a shell, Claude Code itself; and a restart, which leaves all as it was."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cli.support import DEADLINE, Cli, command, on_terminal, plain
from tests.gateway.harness import Gateway, await_that
from tests.stack.support import NAME, Stack, cli_without_engine, docker, inspect

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]


# --- the shell


def test_a_shell_in_a_pipe(running: Stack) -> None:
    """What is piped in is run, as the agent's user, in the workspace; the exit code is the shell's."""
    done = running.cli("shell", stdin="id -u; pwd; echo to-stderr >&2; exit 7\n")
    assert (done.returncode, done.stdout, done.stderr) == (7, "1000\n/workspace\n", "to-stderr\n")


def test_a_command_with_options_of_its_own(running: Stack) -> None:
    """Behind the command nothing is ccapi's, `--` or not."""
    for words in (["shell", "echo", "-n", "--json", "-q"], ["shell", "--", "echo", "-n", "--json", "-q"]):
        done = running.cli(*words)
        assert (done.returncode, done.stdout) == (0, "--json -q")


def test_a_shell_on_a_terminal(running: Stack) -> None:
    """It has a terminal, of the kind and size of this one; Ctrl-C is the program's; the exit code comes back."""
    environ = {**running.environ, "TERM": "xterm-256color"}
    with on_terminal(command("shell"), environ, running.directory, columns=101) as terminal:
        terminal.read_until("$ ")
        terminal.type(b"stty size; echo $TERM; sleep 100\r")
        terminal.read_until("xterm-256color")
        await_that(lambda: "sleep 100" in docker("top", NAME), "the command that Ctrl-C is for", DEADLINE)
        terminal.type(b"\x03")
        terminal.type(b"exit 5\r")
        said = terminal.read_all()
    assert " 101" in said
    assert terminal.process.returncode == 5


# --- a question


def test_a_question_before_there_is_a_container(agent: Gateway, stack: Stack) -> None:
    """A person who says yes has it started, and then the answer; the sign-in was on the volume."""
    assert agent.model
    (bridge,) = json.loads(docker("network", "inspect", "bridge"))
    upstream = f"http://{bridge['IPAM']['Config'][0]['Gateway']}:{urlsplit(agent.model.url).port}"
    assert stack.cli("down").returncode == 0
    environ = {**stack.environ, "ANTHROPIC_BASE_URL": upstream}
    with on_terminal(command("ask", "echo $((6 * 7))"), environ, stack.directory) as terminal:
        terminal.read_until("Start it now (ccapi up)?")
        terminal.type(b"\r")
        said = plain(terminal.read_all())
    assert terminal.process.returncode == 0, said
    assert re.search(r"│ 42\n.*\nDone\.", said, re.DOTALL)


# --- Claude Code


def test_claude_gets_all_that_follows(running: Stack) -> None:
    """Options and all, also those that ccapi has; it says itself what is wrong with them."""
    assert "(Claude Code)" in running.cli("claude", "--version").stdout
    assert "Usage: claude mcp" in running.cli("claude", "mcp", "--help").stdout
    wrong = running.cli("--quiet", "claude", "--no-such-option")
    assert wrong.returncode == 1
    assert "unknown option '--no-such-option'" in wrong.stderr


def test_claude_is_signed_in_as_the_gateway_is(running: Stack, agent: Gateway) -> None:
    """By the key that lies on the volume, and in the workspace that the gateway works in."""
    assert agent.content("touch here.txt; echo made").endswith("Done.")
    done = running.cli("claude", "-p", "--allowed-tools=Bash", "--", "ls; pwd")
    assert (done.returncode, done.stdout) == (0, "Done.\n"), done.stderr
    assert agent.model
    seen = json.dumps(agent.model.conversation[-1]["messages"])
    assert "here.txt" in seen
    assert "/workspace/default" in seen


@pytest.mark.parametrize("words", [["shell"], ["claude", "mcp", "list"], ["restart"]])
def test_there_is_no_container(absent: Stack, words: list[str]) -> None:
    """One line, and what to do."""
    done = absent.cli(*words)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "container" in done.stderr
    assert "ccapi up" in done.stderr


@pytest.mark.parametrize("words", [["shell"], ["claude"], ["restart"]])
def test_there_is_no_engine(tmp_path: Path, words: list[str]) -> None:
    """Exit code 5, as ever."""
    cli: Cli = cli_without_engine(tmp_path)
    done = cli.run(*words)
    assert done.returncode == 5
    assert "Docker" in done.stderr


# --- restart


def test_restart(running: Stack) -> None:
    """The same container with another process, healthy; what was on its volumes is; the proxy is another one."""
    running.inside("echo kept >/workspace/kept.txt; echo gone >/tmp/gone.txt")
    before, proxy = inspect(), json.loads(running.cli("proxy", "status", "--json").stdout)["data"]["pid"]
    done = running.cli("restart")
    assert done.returncode == 0, done.stderr
    assert f"http://127.0.0.1:{running.port}/v1" in done.stdout
    assert "Healthy after" in done.stderr
    after = inspect()
    assert after["Id"] == before["Id"]
    assert after["State"]["StartedAt"] != before["State"]["StartedAt"]
    assert after["State"]["Health"]["Status"] == "healthy"
    assert running.inside("cat /workspace/kept.txt; ls /tmp/gone.txt 2>/dev/null; true") == "kept"
    assert json.loads(running.cli("proxy", "status", "--json").stdout)["data"]["pid"] not in {proxy, None}
    os.kill(json.loads(running.cli("proxy", "status", "--json").stdout)["data"]["pid"], 0)


@pytest.mark.parametrize("state", ["stop", "pause", "kill"])
def test_restart_of_what_does_not_run(running: Stack, state: str) -> None:
    """It runs afterwards, whatever it was."""
    docker(state, NAME)
    done = running.cli("restart", "--json")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)["data"]
    assert data["url"] == f"http://127.0.0.1:{running.port}"
    assert inspect()["State"]["Health"]["Status"] == "healthy"


def test_restart_takes_nothing_over(running: Stack) -> None:
    """What changed in the settings is named, and what takes it over."""
    done = running.cli("restart", environ={"CCAPI_GATEWAY_TIMEOUT": "77"})
    assert "Not as in the settings: gateway.timeout. To take them over: ccapi up\n" in done.stderr
    assert "CCAPI_GATEWAY_TIMEOUT=77" not in inspect()["Config"]["Env"]
