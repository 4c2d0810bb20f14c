"""How `claude` is started."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccapi.agent.launch import Launch, child_environment, child_secrets, find_claude
from ccapi.agent.options import Resume, RunOptions
from ccapi.errors import ClaudeNotFound
from ccapi.settings import PERMISSION_MODES

ALLOWED = {
    *("ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CONFIG_DIR"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy"),
    *("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("GIT_SSL_CAINFO", "PIP_CERT"),
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"),
}
ADDED = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CLAUDE_CODE_SDK_READS_SESSION_STATE": "1",
    "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",
    "DISABLE_AUTOUPDATER": "1",
    "CLAUDE_CODE_MAX_RETRIES": "4",
}


def argv(model: str | None, mode: str = "default") -> list[str]:
    launch = Launch(Path("/bin/claude"), Path("/workspace"), permission_mode=mode)
    return list(launch.command(RunOptions(model=model)).argv)


@given(st.text(min_size=1))
def test_no_value_of_a_request_can_become_a_flag(model: str) -> None:
    """A model is one argument, `--model=value`, whatever it looks like; nothing else of a request is on argv."""
    assert sorted(argv(model)) == sorted([*argv(None), f"--model={model}"])


@pytest.mark.parametrize("mode", PERMISSION_MODES)
def test_every_argument_is_one_flag(mode: str) -> None:
    """Flag and value are never two arguments; prompt and system prompt are none at all."""
    binary, *arguments = argv("sonnet", mode)
    assert binary == "/bin/claude"
    assert all(argument.startswith("--") for argument in arguments)
    assert f"--permission-mode={mode}" in arguments
    assert {"--input-format=stream-json", "--output-format=stream-json", "--include-partial-messages"} <= set(arguments)


def flags(options: RunOptions, mode: str = "bypassPermissions", resume: Resume | None = None) -> list[str]:
    """What these options add to the arguments."""
    launch = Launch(Path("/bin/claude"), Path("/workspace"), permission_mode=mode)
    plain = launch.command(RunOptions()).argv
    return [argument for argument in launch.command(options, resume).argv if argument not in plain]


def test_a_list_of_tools_is_all_there_is() -> None:
    """Built-in ones are not offered, others denied; without any from a server no server is started."""
    assert flags(RunOptions(tools=("Read", "Bash(git *)", "mcp__github"))) == [
        "--setting-sources=",
        "--permission-mode=dontAsk",
        "--tools=Read,Bash",
        "--allowedTools=Read,Bash(git *),mcp__github",
    ]
    assert flags(RunOptions(tools=())) == ["--permission-mode=dontAsk", "--tools=", "--strict-mcp-config"]
    assert flags(RunOptions(denied_tools=("Bash", "Write"))) == ["--disallowedTools=Bash,Write"]


@pytest.mark.parametrize("tools", [("Bash(git *)",), ("Read", "mcp__one__safe")])
def test_the_users_settings_add_nothing_to_a_fine_list(tools: tuple[str, ...]) -> None:
    """What they allow would be in force as well: another command, another tool of the server."""
    launch = Launch(Path("/bin/claude"), Path("/workspace"), permission_mode="bypassPermissions")
    assert "--setting-sources=" in launch.command(RunOptions(tools=tools)).argv
    assert "--setting-sources=user" in launch.command(RunOptions(tools=("Read",))).argv


@pytest.mark.parametrize("mode", ["plan", "default", "dontAsk", "acceptEdits"])
def test_a_list_of_tools_allows_nothing_that_was_denied(mode: str) -> None:
    """Where a tool has to be asked for, naming it is no permission."""
    assert flags(RunOptions(tools=("Bash",)), mode) == ["--tools=Bash", "--strict-mcp-config"]
    assert not [flag for flag in flags(RunOptions(tools=("Bash",), permission_mode=mode)) if "allowed" in flag]


def test_rules_hold_where_edits_are_accepted() -> None:
    """That mode runs commands that edit, whatever the rules say: it is not used with them."""
    assert "--permission-mode=default" in flags(RunOptions(tools=("Bash(git *)",), permission_mode="acceptEdits"))
    assert "--permission-mode=acceptEdits" in flags(RunOptions(tools=("Edit",), permission_mode="acceptEdits"))


def test_a_session_to_go_on_with() -> None:
    """At a place of it, or as a copy."""
    resume = Resume("id", "place", fork=True)
    assert flags(RunOptions(), resume=resume) == ["--resume=id", "--resume-session-at=place", "--fork-session"]
    assert flags(RunOptions(), resume=Resume("id")) == ["--resume=id"]


def test_limits_of_a_run() -> None:
    """As flags where the CLI has them, else in its environment."""
    limited = RunOptions(max_turns=3, max_budget_usd=0.5, effort="high", json_schema='{"type":"object"}', persist=False)
    assert flags(limited) == [
        "--effort=high",
        "--max-turns=3",
        "--max-budget-usd=0.5",
        '--json-schema={"type":"object"}',
        "--no-session-persistence",
    ]
    launch = Launch(Path("/bin/claude"), Path("/workspace"))
    environment = launch.command(RunOptions(max_output_tokens=100, effort="none")).environment
    assert environment == {"CLAUDE_CODE_MAX_OUTPUT_TOKENS": "100", "CLAUDE_CODE_DISABLE_THINKING": "1"}


def test_without_a_model_the_cli_chooses() -> None:
    """No empty `--model=` is passed."""
    assert not [argument for argument in argv(None) if "model" in argument]


def test_the_workspace_cannot_change_the_settings() -> None:
    """Only the user's own settings are read: a repository must not redirect the API or run hooks (C28)."""
    assert "--setting-sources=user" in argv(None)


def test_the_environment_is_an_allow_list() -> None:
    """Whatever else the gateway's environment holds does not reach the agent and its tools."""
    foreign = ["CCAPI_SECRET", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "LD_PRELOAD", "PYTHONPATH", "NODE_OPTIONS"]
    environ = {name: f"value of {name}" for name in (*ALLOWED, *foreign, "ANTHROPIC_API_KEY", "CLAUDECODE", "BASH_ENV")}
    child = child_environment(environ, max_retries=4)
    assert child == {**{name: environ[name] for name in ALLOWED}, **ADDED}


@given(st.dictionaries(st.text(alphabet="ABC_", min_size=1, max_size=12), st.text(max_size=5)))
def test_no_unknown_name_passes(environ: dict[str, str]) -> None:
    """A property of all names, not only of the known bad ones."""
    assert set(child_environment(environ, max_retries=0)) <= ALLOWED | set(ADDED)


def test_empty_values_are_left_out() -> None:
    """Compose passes unset variables as empty ones; an empty key is no key."""
    assert "ANTHROPIC_BASE_URL" not in child_environment({"ANTHROPIC_BASE_URL": ""}, max_retries=0)
    assert child_secrets({"ANTHROPIC_API_KEY": "", "CLAUDE_CODE_OAUTH_TOKEN": ""}) == {}


def test_credentials_do_not_stand_in_the_environment() -> None:
    """They go through a pipe each, under the name of the variable that tells its descriptor."""
    environ = {"ANTHROPIC_API_KEY": "sk-ant-key", "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat"}
    assert not set(environ.values()) & set(child_environment(environ, max_retries=0).values())
    assert child_secrets(environ) == {
        "CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR": "sk-ant-key",
        "CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR": "sk-ant-oat",
    }


def test_only_root_without_permission_checks_is_told_to_be_in_a_sandbox() -> None:
    """`IS_SANDBOX` is no default."""
    assert "IS_SANDBOX" not in child_environment({}, max_retries=0)
    assert child_environment({}, max_retries=0, sandboxed_root=True)["IS_SANDBOX"] == "1"


# --- finding the binary


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_one_that_was_named_is_taken(tmp_path: Path) -> None:
    """Before any on the path."""
    named, on_path = executable(tmp_path / "mine"), executable(tmp_path / "bin" / "claude")
    assert find_claude(str(named), path=str(on_path.parent)) == named


def test_the_one_on_the_path_comes_before_the_bundled_one(tmp_path: Path) -> None:
    """An installed CLI is the user's choice."""
    on_path = executable(tmp_path / "claude")
    assert find_claude(path=str(tmp_path)) == on_path


def test_the_bundled_one_is_found_without_importing_its_package(claude: Path) -> None:
    """The wheel of claude-agent-sdk brings the real CLI; importing it would cost a second."""
    import sys

    assert claude.parent.name == "_bundled"
    assert os.access(claude, os.X_OK)
    assert "claude_agent_sdk" not in sys.modules


def test_a_named_one_that_is_missing_is_an_error(tmp_path: Path) -> None:
    """No other one takes its place silently."""
    executable(tmp_path / "claude")
    with pytest.raises(ClaudeNotFound, match="no Claude Code CLI at"):
        find_claude(str(tmp_path / "missing"), path=str(tmp_path))


def test_the_path_of_the_settings_is_searched_not_that_of_this_process(tmp_path: Path, claude: Path) -> None:
    """An empty path finds nothing on it, wherever the tests run."""
    assert shutil.which("claude", path=str(tmp_path)) is None
    assert find_claude(path=str(tmp_path)) == claude
