"""`ccapi gateway` and `ccapi rehearsal`: how the servers start, refuse and end."""

from __future__ import annotations

import signal
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from ccapi.errors import SettingInvalid
from ccapi.gateway.settings import from_environment
from tests.cli.support import DEADLINE, Cli, Gateway, gateway, read_line


def get(url: str) -> dict[str, Any]:
    with httpx.Client(trust_env=False, timeout=DEADLINE) as client:
        document: dict[str, Any] = client.get(url).raise_for_status().json()
    return document


# --- gateway


def test_the_gateway_says_its_url_once_it_answers(cli: Cli) -> None:
    """One line on stdout, after which the address works; the log goes to stderr."""
    with cli.start("gateway", "--port", "0", "--rehearsal") as process:
        line = read_line(process.stdout, "the URL")
        url = line.removeprefix("Gateway on ")
        assert url.startswith("http://127.0.0.1:")
        assert get(f"{url}/health")["service"] == "claude-code-api"
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=DEADLINE)
    assert stdout == b""
    assert b"gateway on 127.0.0.1" in stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_gateway_ends_in_order(cli: Cli, number: signal.Signals) -> None:
    """SIGTERM (`docker stop`) and Ctrl-C: exit 0, no traceback, no temporary directory left."""
    scratch = cli.directory / "scratch"
    scratch.mkdir()
    with cli.start("gateway", "--port", "0", "--rehearsal", "chat", environ={"TMPDIR": str(scratch)}) as process:
        read_line(process.stdout, "the URL")
        process.send_signal(number)
        _, stderr = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    assert b"Traceback" not in stderr
    assert list(scratch.iterdir()) == []


def test_a_gateway_that_ends_ends_its_runs(tmp_path: Path, cli: Cli) -> None:
    """SIGTERM in mid-answer: the client is told, and no `claude` is left (the helper checks that)."""
    with gateway(tmp_path / "it", "--rehearsal=slow", CCAPI_GATEWAY_SHUTDOWN_GRACE="0") as running:
        with cli.start("ask", "--port", str(running.port), "go") as process:
            assert read_line(process.stdout, "the first line") == "This command takes a minute."
            assert running.claude_pids()
            running.process.send_signal(signal.SIGTERM)
            _, stderr = process.communicate(timeout=DEADLINE)
        assert process.returncode == 1
        assert stderr.startswith(b"error: ")
        assert running.process.wait(DEADLINE) == 0


def test_rehearsal_without_a_name_plays_the_default(tmp_path: Path) -> None:
    """`--rehearsal` takes no option for a scenario. (As the last argument: see the tests of the README.)"""
    with gateway(tmp_path / "it", "--rehearsal", "--permission-mode=plan") as running:
        assert running.chat("hello") == "You said: hello"


def test_the_rehearsal_can_come_from_the_environment(tmp_path: Path) -> None:
    """CCAPI_REHEARSAL is what the container is told; a flag wins over it."""
    with gateway(tmp_path / "it", CCAPI_REHEARSAL="chat") as running:
        assert running.chat("hello") == "You said: hello"


def test_gateway_and_ask_read_the_same_settings(cli: Cli) -> None:
    """One `ccapi.toml` in the directory: the gateway listens where `ask` looks, and knows the models it maps."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    (cli.directory / "ccapi.toml").write_text(f"[gateway]\nport = {port}\n[models.map]\ngpt-4o = 'sonnet'\n")
    with cli.start("gateway", "--rehearsal") as process:
        assert read_line(process.stdout, "the URL") == f"Gateway on http://127.0.0.1:{port}"
        done = cli.run("ask", "--model", "gpt-4o", "hello")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=DEADLINE)
    assert (done.returncode, done.stdout) == (0, "You said: hello\n")


def test_settings_of_the_agents_directory_do_not_count_in_the_container(cli: Cli) -> None:
    """There the current directory is the agent's, who could write a `ccapi.toml` into it."""
    (cli.directory / "ccapi.toml").write_text("this is no settings file")
    environ = {"CCAPI_IN_CONTAINER": "1", "CCAPI_GATEWAY_TIMEOUT": "never"}  # the next thing that is wrong
    assert "ccapi.toml" in cli.run("gateway", "--port", "0").stderr
    assert cli.run("gateway", "--port", "0", environ=environ).stderr.startswith("error: CCAPI_GATEWAY_TIMEOUT")


@pytest.mark.parametrize("what", ["gateway", "rehearsal"])
def test_a_busy_port(cli: Cli, what: str) -> None:
    """Exit 1, the port, and the way out; it never moves to another port silently."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = cli.run(what, "--port", str(port))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert str(port) in done.stderr
    assert "in use" in done.stderr
    assert "--port" in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("CCAPI_GATEWAY_TIMEOUT", "never", "seconds, more than 0"),
        ("CCAPI_GATEWAY_PERMISSION_MODE", "all", "one of plan, default, dontAsk, acceptEdits, bypassPermissions"),
        ("CCAPI_GATEWAY_PORT", "eighty", "a port, 1 to 65535"),
    ],
)
def test_bad_settings_of_the_gateway(cli: Cli, name: str, value: str, expected: str) -> None:
    """Exit 2 before anything listens: the variable, what was expected, and what it was."""
    done = cli.run("gateway", environ={name: value})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {name}: expected {expected}, not {value!r}\n"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("CCAPI_GATEWAY_TIMEOUT", "0", "seconds, more than 0"),
        ("CCAPI_GATEWAY_TIMEOUT", "nan", "seconds, more than 0"),
        ("CCAPI_GATEWAY_HEARTBEAT", "-1", "seconds, more than 0 and at most 30"),
        ("CCAPI_GATEWAY_MAX_BODY", "1e6", "a whole number, 1 or more"),
        ("CCAPI_GATEWAY_MAX_BODY", "0", "a whole number, 1 or more"),
        ("CCAPI_GATEWAY_MAX_RETRIES", "many", "a whole number"),
        ("CCAPI_MODELS_MAP", "gpt-4o", "a table of names and Claude models"),
        ("CCAPI_MODELS_FALLBACK", "maybe", "true or false"),
        ("CCAPI_LOG_LEVEL", "loud", "one of DEBUG, INFO, WARNING, ERROR"),
    ],
)
def test_each_bad_setting_of_the_gateway_is_named(name: str, value: str, expected: str) -> None:
    """The same for the others, without a process for each."""
    with pytest.raises(SettingInvalid) as raised:
        from_environment({name: value})
    assert raised.value.message == f"{name}: expected {expected}, not {value!r}"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_without_a_key_the_gateway_listens_on_loopback_only(cli: Cli, host: str) -> None:
    """Nobody could be asked for one, so only this machine may ask."""
    done = cli.run("gateway", "--port", "0", "--host", host)
    assert done.returncode == 2
    assert "has no API key" in done.stderr
    assert "ccapi key create" in done.stderr


def test_a_workspace_that_is_not_there(cli: Cli) -> None:
    """The directory is named; nothing is made in its place."""
    done = cli.run("gateway", "--port", "0", "--workspace", "missing")
    assert done.returncode == 2
    assert "missing" in done.stderr
    assert not (cli.directory / "missing").exists()


def test_claude_that_is_not_there(cli: Cli) -> None:
    """CCAPI_CLAUDE names another binary: one that does not exist ends the start with its name."""
    done = cli.run("gateway", "--port", "0", environ={"CCAPI_CLAUDE": "/nowhere/claude"})
    assert done.returncode == 1
    assert "/nowhere/claude" in done.stderr
    assert "Traceback" not in done.stderr


# --- rehearsal


def test_the_list_of_scenarios(cli: Cli) -> None:
    """Every shipped scenario, one a line, sorted: what `--scenario` takes."""
    done = cli.run("rehearsal", "--list")
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert names == sorted(names)
    required = {"fibonacci", "count-files", "chat", "long", "big-output", "rate-limited", "unauthenticated"}
    assert required <= set(names)


@pytest.mark.parametrize("args", [["rehearsal", "--scenario=fibonaci"], ["gateway", "--rehearsal=fibonaci"]])
def test_a_mistyped_scenario(cli: Cli, args: list[str]) -> None:
    """Exit 2 with the name that was probably meant."""
    done = cli.run(*args, "--port=0")
    assert done.returncode == 2
    assert "did you mean 'fibonacci'?" in done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file"),
        ("turn = 5", "turn"),
        ("[[turn]]\n[[turn.step]]\ntxet = 'x'\n", "text"),
        ("= broken", "TOML"),
    ],
)
def test_a_scenario_file_that_is_none(cli: Cli, text: str | None, said: str) -> None:
    """Exit 2; the file and the place in it are named."""
    if text is not None:
        (cli.directory / "mine.toml").write_text(text)
    done = cli.run("rehearsal", "--port=0", "--scenario=./mine.toml")
    assert done.returncode == 2
    assert "mine.toml" in done.stderr
    assert said in done.stderr


def test_the_rehearsal_model_starts_and_ends(cli: Cli) -> None:
    """It says its URL, answers like the model's API, and ends with 0 at SIGTERM."""
    with cli.start("rehearsal", "--port", "0", "--scenario", "chat") as process:
        url = read_line(process.stdout, "the URL").removeprefix("Rehearsal model on ")
        body = {"model": "any", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}], "tools": [{}]}
        with httpx.Client(trust_env=False, timeout=DEADLINE) as client:
            answer = client.post(f"{url}/v1/messages", json=body, headers={"x-api-key": "any"}).json()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=DEADLINE)
    assert answer["content"] == [{"type": "text", "text": "You said: hello"}]
    assert process.returncode == 0


def test_the_aliases_of_the_help_are_models(scripted: Gateway) -> None:
    """The models it lists are the ones that `ask --model` names in its help."""
    models = get(f"{scripted.url}/v1/models")["data"]
    assert {"sonnet", "opus", "haiku"} <= {model["id"] for model in models}
