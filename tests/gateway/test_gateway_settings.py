"""What the gateway is told by its environment."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from ccapi.errors import CcapiError, SettingInvalid
from ccapi.gateway.app import rehearsed
from ccapi.gateway.parts import Parts, create_agent
from ccapi.gateway.settings import GatewaySettings, from_environment


def test_the_defaults() -> None:
    """Loopback, 300 s without any event, no total limit, the fallback on."""
    settings = from_environment({})
    assert (settings.host, settings.run_timeout, settings.model_fallback) == ("127.0.0.1", 300.0, True)
    assert settings.heartbeat < 60  # the silence that our own client bears


@pytest.mark.parametrize(
    ("name", "value", "field", "parsed"),
    [
        ("CCAPI_GATEWAY_TIMEOUT", "12.5", "run_timeout", 12.5),
        ("CCAPI_GATEWAY_HEARTBEAT", "3", "heartbeat", 3.0),
        ("CCAPI_GATEWAY_BACKGROUND_GRACE", "60", "background_grace", 60.0),
        ("CCAPI_GATEWAY_MAX_RUNS", "2", "max_runs", 2),
        ("CCAPI_GATEWAY_MAX_QUEUE", "0", "max_queue", 0),
        ("CCAPI_GATEWAY_MAX_BODY", "1000", "max_body", 1000),
        ("CCAPI_GATEWAY_MAX_RETRIES", "0", "max_retries", 0),
        ("CCAPI_MODELS_MAP", "gpt-4o=sonnet, gpt-3 = haiku", "model_map", {"gpt-4o": "sonnet", "gpt-3": "haiku"}),
        ("CCAPI_MODELS_FALLBACK", "off", "model_fallback", False),
        ("CCAPI_MODELS_FALLBACK", "TRUE", "model_fallback", True),
        ("CCAPI_GATEWAY_PERMISSION_MODE", "plan", "permission_mode", "plan"),
        ("CCAPI_CLAUDE", "/bin/claude", "claude", "/bin/claude"),
        ("CCAPI_LOG_LEVEL", "debug", "log_level", "DEBUG"),
        ("CCAPI_REHEARSAL", "fibonacci", "rehearsal", "fibonacci"),
    ],
)
def test_each_variable_sets_its_field(name: str, value: str, field: str, parsed: Any) -> None:
    """And an empty one, as compose passes it, is not set."""
    assert getattr(from_environment({name: value}), field) == parsed
    assert getattr(from_environment({name: ""}), field) == getattr(from_environment({}), field)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("CCAPI_GATEWAY_TIMEOUT", value) for value in ("soon", "0", "-1", "nan", "inf")),
        ("CCAPI_GATEWAY_HEARTBEAT", "0"),
        ("CCAPI_GATEWAY_HEARTBEAT", "61"),  # clients give up after a minute of silence
        ("CCAPI_GATEWAY_MAX_RUNS", "0"),
        ("CCAPI_GATEWAY_MAX_QUEUE", "-1"),
        ("CCAPI_GATEWAY_MAX_BODY", "1e6"),
        ("CCAPI_GATEWAY_MAX_BODY", "0"),
        ("CCAPI_GATEWAY_MAX_RETRIES", "-1"),
        ("CCAPI_MODELS_MAP", "gpt-4o"),
        ("CCAPI_MODELS_MAP", "=sonnet"),
        ("CCAPI_MODELS_FALLBACK", "perhaps"),
        ("CCAPI_LOG_LEVEL", "LOUD"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str) -> None:
    """The variable, what was expected, and what was there."""
    with pytest.raises(SettingInvalid) as caught:
        from_environment({name: value})
    assert name in caught.value.message
    assert repr(value) in caught.value.message


def test_a_flag_wins_over_the_environment() -> None:
    """And a flag that was not given does not."""
    environ = {"CCAPI_GATEWAY_PERMISSION_MODE": "plan", "CCAPI_REHEARSAL": "chat"}
    settings = from_environment(environ, permission_mode="dontAsk", rehearsal=None, port=0)
    assert (settings.permission_mode, settings.rehearsal, settings.port) == ("dontAsk", "chat", 0)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_other_machines_need_a_key(host: str, tmp_path: Path) -> None:
    """Whoever else can reach it must have one; while there is none, nothing is served."""
    settings = from_environment({"CCAPI_HOME": str(tmp_path)}, host=host, workspace=tmp_path)
    assert settings.key_required
    with pytest.raises(SettingInvalid, match="no API key"):
        Parts(settings)


def test_in_the_container_it_counts_where_docker_publishes_it() -> None:
    """There it listens on all addresses, of which others reach only the published one."""
    assert not GatewaySettings(host="0.0.0.0", published="127.0.0.1", in_container=True).key_required
    assert GatewaySettings(host="0.0.0.0", published="192.0.2.1", in_container=True).key_required


@pytest.mark.parametrize("mode", ["yolo", "bypass", "-x"])
def test_an_unknown_permission_mode_is_refused_before_anything_is_served(mode: str, tmp_path: Path) -> None:
    """The CLI would refuse it at the first question only."""
    with pytest.raises(SettingInvalid, match="CCAPI_GATEWAY_PERMISSION_MODE"):
        from_environment({"CCAPI_GATEWAY_PERMISSION_MODE": mode}, workspace=tmp_path)


def test_a_missing_workspace_is_refused_before_anything_is_served(tmp_path: Path) -> None:
    """The same for the directory."""
    with pytest.raises(SettingInvalid, match="is not a directory"):
        create_agent(GatewaySettings(workspace=tmp_path / "missing"))


# --- the credentials file


def credentials(directory: Path, content: bytes, mode: int = 0o600) -> dict[str, str]:
    file = directory / "credentials.env"
    file.write_bytes(content)
    file.chmod(mode)
    return {"CLAUDE_CONFIG_DIR": str(directory)}


def test_credentials_are_read_from_claudes_own_volume(tmp_path: Path) -> None:
    """In no compose text and no `docker inspect`; comments, quotes and empty lines are what they are elsewhere."""
    environ = credentials(tmp_path, b"# mine\n\nANTHROPIC_API_KEY='sk-ant-1'\nCLAUDE_CODE_OAUTH_TOKEN = x\n")
    found = from_environment(environ).environ
    assert (found["ANTHROPIC_API_KEY"], found["CLAUDE_CODE_OAUTH_TOKEN"]) == ("sk-ant-1", "x")


def test_the_environment_wins_over_the_credentials_file(tmp_path: Path) -> None:
    """What is said explicitly counts; what is empty says nothing."""
    environ = credentials(tmp_path, b"ANTHROPIC_API_KEY=of-file\nANTHROPIC_AUTH_TOKEN=of-file\n")
    found = from_environment({**environ, "ANTHROPIC_API_KEY": "of-env", "ANTHROPIC_AUTH_TOKEN": ""}).environ
    assert (found["ANTHROPIC_API_KEY"], found["ANTHROPIC_AUTH_TOKEN"]) == ("of-env", "of-file")


@pytest.mark.parametrize(
    "content", [b"sk-ant-api03-THE-KEY", b"export KEY=THE-KEY", b"ANTHROPIC_API_KEY THE-KEY", b"\xff\xfeTHE-KEY"]
)
def test_a_wrong_credentials_file_is_named_but_never_quoted(tmp_path: Path, content: bytes) -> None:
    """It may hold the key itself, and the message ends up in a log."""
    with pytest.raises(CcapiError) as caught:
        from_environment(credentials(tmp_path, content))
    assert isinstance(caught.value, SettingInvalid)
    assert "credentials.env" in caught.value.message
    assert "THE-KEY" not in f"{caught.value.message} {caught.value.hint} {caught.value.detail}"


def test_a_credentials_file_that_others_can_read_is_warned_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is used all the same: the operator may have reasons."""
    with caplog.at_level(logging.WARNING):
        settings = from_environment(credentials(tmp_path, b"ANTHROPIC_API_KEY=sk-ant-1\n", 0o644))
    assert settings.environ["ANTHROPIC_API_KEY"] == "sk-ant-1"
    assert "chmod 600" in caplog.text
    assert "sk-ant-1" not in caplog.text


# --- the rehearsal's environment


def test_a_rehearsal_uses_no_account_of_this_machine(tmp_path: Path) -> None:
    """Not its tokens, not its proxies, not its config directory."""
    environ = dict.fromkeys(("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"), "real")
    environ |= {"HTTPS_PROXY": "http://proxy", "http_proxy": "http://proxy", "ANTHROPIC_BASE_URL": "https://real"}
    found = rehearsed(GatewaySettings(environ=environ), "http://127.0.0.1:9", tmp_path)
    assert "real" not in found.values()
    assert "http://proxy" not in found.values()
    assert found["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:9"
    assert Path(found["CLAUDE_CONFIG_DIR"]).is_relative_to(tmp_path)


def test_a_rehearsal_in_the_container_has_its_mcp_servers(tmp_path: Path) -> None:
    """Only the model is scripted: configuration and logins are those of the container."""
    environ = {"CLAUDE_CONFIG_DIR": "/home/claude/.claude"}
    found = rehearsed(GatewaySettings(environ=environ, in_container=True), "http://127.0.0.1:9", tmp_path)
    assert found["CLAUDE_CONFIG_DIR"] == "/home/claude/.claude"
