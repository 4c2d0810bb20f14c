"""No row of the table does nothing: another value makes another gateway, container or proxy, or another command."""

from __future__ import annotations

import ast
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from ccapi import settings
from ccapi.commands import stack
from ccapi.gateway.settings import from_settings
from ccapi.oauth import daemon
from ccapi.settings import TABLE, Setting

PACKAGE = Path(settings.__file__).parent.parent
OTHER: dict[str, str] = {
    "gateway.host": "192.0.2.1",
    "gateway.port": "8001",
    "gateway.permission_mode": "plan",
    "gateway.default_workspace": "elsewhere",
    "models.map": "a=sonnet",
    "models.small": "opus",
    "log.level": "DEBUG",
    "log.format": "json",
    "api.require_key": "true",
    "models.fallback": "false",
    "stack.project": "web",
    "stack.workspace": "/srv/work",
    "stack.ca_file": "/etc/ca.pem",
    "stack.base_image": "debian:sid",
    "stack.claude_version": "0.2.186",
    "oauth.port": "8889",
    "oauth.callback_port": "3118",
    "oauth.open_browser": "never",
    "updates.check": "false",
}
COMMANDS_OWN = {"updates.check"}  # nothing is made from them: a command reads them by their key


def made_of(environ: dict[str, str], directory: Path) -> dict[str, Any]:
    """What comes of the settings: gateway, container, proxy, and which stack is meant."""
    ports = {"CCAPI_GATEWAY_PORT": "8000", "CCAPI_OAUTH_PORT": "8888"}  # that a named stack would have
    wanted = settings.load(environ={"CCAPI_HOME": str(directory), **ports, **environ}, directory=directory)
    told = wanted.gateway_environment()
    return {
        "gateway": asdict(from_settings(wanted, {})),
        "container": asdict(stack.wanted(wanted, {}, None)),
        "gateway in it": asdict(from_settings(settings.load(environ=told, files=False), {})),
        "proxy": daemon.configured(wanted),
        "stack": wanted.home.stack,
    }


@pytest.mark.parametrize("row", [row for row in TABLE if row.key not in COMMANDS_OWN], ids=lambda row: row.key)
def test_another_value_makes_a_difference(row: Setting, tmp_path: Path) -> None:
    """Of the gateway's, also in the container."""
    usual, other = made_of({}, tmp_path), made_of({row.env: OTHER.get(row.key, "7")}, tmp_path)
    differing = {part for part in usual if usual[part] != other[part]}
    assert differing
    if row.gateway:
        assert "gateway in it" in differing


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.key)
def test_what_takes_a_change_over(row: Setting, tmp_path: Path) -> None:
    """`ccapi up` is named where the container is another one, `ccapi proxy restart` where only the proxy is."""
    usual, other = made_of({}, tmp_path), made_of({row.env: OTHER.get(row.key, "7")}, tmp_path)
    same_stack = usual["stack"] == other["stack"]
    container, proxy = (usual[part] != other[part] for part in ("container", "proxy"))
    expected = "up" if container else "proxy" if proxy else "next"
    assert row.takes == (expected if same_stack else "next")


@pytest.mark.parametrize("key", COMMANDS_OWN)
def test_a_command_reads_it(key: str) -> None:
    """By its key, outside of the table."""
    found = [
        file
        for file in PACKAGE.rglob("*.py")
        if file.parent.name != "settings"
        and any(isinstance(node, ast.Constant) and node.value == key for node in ast.walk(ast.parse(file.read_text())))
    ]
    assert found
