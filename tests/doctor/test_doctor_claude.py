"""What doctor says of Claude Code in the container: the real one, without an account, and one that cannot run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.doctor.stage import Stage
from tests.doctor.support import Table
from tests.stack.support import docker
from tests.test_claudeauth import KEY, SUBSCRIPTION, TOKEN

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

_CONFIG = "cd /home/claude/.claude"


@pytest.fixture
def signed_out(stage: Stage) -> Iterator[Stage]:
    """The stack with Claude Code as it is after the first `ccapi up`: there is no account."""
    done = stage.cli("up")
    assert done.returncode == 0, done.stderr
    forget = f"{_CONFIG} && rm -f .credentials.json credentials.env settings.json"
    stage.inside(forget)
    yield stage
    stage.inside(forget)


def put(stage: Stage, name: str, content: str, mode: str = "600") -> None:
    """A file of Claude's configuration."""
    stage.inside(f"{_CONFIG} && printf %s '{content}' >{name} && chmod {mode} {name}")


# --- the program


def with_claude(stage: Stage, directory: Path, script: str) -> str:
    """The option that puts a `claude` of this script into a container."""
    file = directory / "claude"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return f"--volume={file}:/usr/local/bin/claude:ro"


def test_a_processor_that_is_too_old(stage: Stage, table: Table, tmp_path: Path) -> None:
    """What Claude Code then dies of; nothing else of it is asked."""
    with stage.container(with_claude(stage, tmp_path, "kill -ILL $$")):
        broken = stage.look("claude.binary")
        assert stage.finding("claude.sign_in").status == "skip"
    stage.up()  # on another machine, so to speak
    stage.add(table, "The processor lacks what Claude Code needs", broken, stage.look("claude.binary"))


@pytest.mark.parametrize(
    ("script", "said"),
    [("echo no more memory >&2; exit 7", "does not start in the container: exit code 7"), ("", "")],
)
def test_a_claude_that_does_not_start(stage: Stage, tmp_path: Path, script: str, said: str) -> None:
    """Its exit code and its words; or that it is not there."""
    with stage.container(*([with_claude(stage, tmp_path, script)] if script else [])):
        found = stage.finding("claude.binary")
    assert found.status == "fail"
    assert found.summary == f"Claude Code {said or 'is not in the container'}"
    assert script == "" or found.detail == "no more memory"


# --- the sign-in


def test_not_signed_in(signed_out: Stage, table: Table) -> None:
    """As after the first `ccapi up`."""
    broken = signed_out.look("claude.sign_in")
    assert signed_out.finding("claude.billing").status == "skip"
    sign_in = signed_out.cli("auth", "claude", "--api-key", "--with-token", stdin=KEY)
    assert sign_in.returncode == 0, sign_in.stderr
    mended = signed_out.look("claude.sign_in")
    signed_out.add(table, "Claude Code is not signed in", broken, mended)
    assert signed_out.finding("claude.billing").summary == "who pays: API usage billing (by an API key)"
    assert signed_out.finding("claude.endpoint").status == "ok"


def test_the_scripted_model(stage: Stage) -> None:
    """Needs nobody to be signed in."""
    stage.healthy()
    for check in ("claude.sign_in", "claude.billing", "claude.endpoint"):
        assert stage.finding(check).status == "info"


def test_a_subscription(signed_out: Stage) -> None:
    """By its plan; whose it is does not get into a report."""
    put(signed_out, ".credentials.json", json.dumps(SUBSCRIPTION))
    found = signed_out.finding("claude.sign_in")
    assert found.status == "ok"
    assert found.summary == "Claude Code is signed in: subscription (max)"
    assert signed_out.finding("claude.billing").summary == "who pays: subscription"


def test_a_key_that_wins_over_a_subscription(signed_out: Stage, table: Table) -> None:
    """The API would be billed, and nobody would notice."""
    put(signed_out, ".credentials.json", json.dumps(SUBSCRIPTION))
    put(signed_out, "credentials.env", f"ANTHROPIC_API_KEY={KEY}\n")
    broken = signed_out.look("claude.billing", {"ANTHROPIC_API_KEY": "of-this-machine"})
    assert "of this machine's environment does not count" in broken.finding.detail
    assert KEY not in repr(broken.finding)
    assert broken.finding.fix is not None
    assert broken.finding.fix.command is not None
    logout, again = broken.finding.fix.command.splitlines()
    assert (logout, again) == ("ccapi auth logout claude --project doctor", "ccapi auth claude --project doctor")
    assert signed_out.cli("auth", "logout", "claude").returncode == 0
    put(signed_out, ".credentials.json", json.dumps(SUBSCRIPTION))  # what the browser would bring
    signed_out.add(table, "An API key wins over a subscription", broken, signed_out.look("claude.billing"))


def test_an_api_key_helper_that_wins(signed_out: Stage) -> None:
    """It is in Claude's own settings, where `auth logout` does not reach it."""
    put(signed_out, ".credentials.json", json.dumps(SUBSCRIPTION))
    put(signed_out, "settings.json", '{"apiKeyHelper": "echo sk-ant-helper"}')
    put(signed_out, "credentials.env", f"CLAUDE_CODE_OAUTH_TOKEN={TOKEN}\n")
    found = signed_out.finding("claude.billing")
    assert found.status == "warn"
    assert found.summary.startswith("an apiKeyHelper wins over CLAUDE_CODE_OAUTH_TOKEN in credentials.env")
    assert found.fix is not None
    assert "settings.json" in (found.fix.command or "")


def test_a_key_of_the_compose_file(signed_out: Stage) -> None:
    """Is found in the container's environment, where only the one who wrote it there can take it out."""
    image = json.loads(docker("inspect", signed_out.name))[0]["Config"]["Image"]
    with signed_out.container(f"--env=ANTHROPIC_API_KEY={KEY}", "--env=ANTHROPIC_AUTH_TOKEN=x", image=image):
        billing = signed_out.finding("claude.billing")
        assert "ANTHROPIC_AUTH_TOKEN in the container's environment wins over ANTHROPIC_API_KEY" in billing.summary
        environment = signed_out.finding("security.environment")
        assert "holds what looks secret: ANTHROPIC_API_KEY and ANTHROPIC_AUTH_TOKEN" in environment.summary
    assert signed_out.cli("up").returncode == 0


def test_a_long_lived_token_that_is_old(signed_out: Stage, table: Table) -> None:
    """It does not say when it ends; the day on which it was kept is known."""
    put(signed_out, "credentials.env", f"CLAUDE_CODE_OAUTH_TOKEN={TOKEN}\n")
    assert signed_out.finding("claude.sign_in").status == "ok"
    signed_out.inside(f"{_CONFIG} && touch -d '360 days ago' credentials.env")
    assert "expires soon" in signed_out.finding("claude.sign_in").summary
    signed_out.inside(f"{_CONFIG} && touch -d '2020-01-01' credentials.env")
    broken = signed_out.look("claude.sign_in")
    sign_in = signed_out.cli("auth", "claude", "--token", "--with-token", "--force", stdin=TOKEN)
    assert sign_in.returncode == 0, sign_in.stderr
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    mended = signed_out.look("claude.sign_in")
    signed_out.add(table, "The long-lived token is more than a year old", broken, mended, **{today: "2026-01-01"})


@pytest.mark.parametrize(("days", "status"), [(-1, "fail"), (2, "warn"), (90, "ok")])
def test_a_login_that_ends(stage: Stage, tmp_path: Path, days: int, status: str) -> None:
    """The day on which Claude Code says that it does."""
    ends = datetime.now(UTC) + timedelta(days=days)
    said: dict[str, Any] = {"loggedIn": True, "authMethod": "claude.ai", "loginExpiresAt": ends.timestamp() * 1000}
    version = 'if [ "$1" = --version ]; then echo 2.1.330; else'
    with stage.container(with_claude(stage, tmp_path, f"{version} echo '{json.dumps(said)}'; fi")):
        found = stage.finding("claude.sign_in")
    assert found.status == status
    assert f"{ends:%Y-%m-%d}" in found.summary


def test_another_api(stage: Stage) -> None:
    """Where questions go instead is worth knowing; not the password on the way."""
    with stage.container("--env=ANTHROPIC_BASE_URL=https://me:never-to-be-shown@llm.example"):
        found = stage.finding("claude.endpoint")
    assert found.status == "info"
    assert "@llm.example" in found.summary
    assert "never-to-be-shown" not in repr(found)


# --- the configuration


def test_a_configuration_that_cannot_be_read(stage: Stage, table: Table) -> None:
    """As after a full disk: the file is named, and put aside."""
    stage.healthy()
    put(stage, "settings.json", '{"theme": "da')
    broken = stage.look("claude.config")
    stage.do(broken)
    stage.add(table, "A file of Claude's configuration is damaged", broken, stage.look("claude.config"))


def test_a_configuration_that_others_can_read(stage: Stage, table: Table) -> None:
    """`--fix` keeps them out."""
    stage.healthy()
    put(stage, "credentials.env", f"ANTHROPIC_API_KEY={KEY}\n", mode="644")
    try:
        broken = stage.look("claude.config")
        assert broken.finding.detail == "credentials.env: mode 644"
        stage.apply(broken)
        stage.add(table, "Claude's credentials can be read by others", broken, stage.look("claude.config"))
        stage.inside(f"{_CONFIG} && chmod 640 credentials.env")
        stage.do(stage.look("claude.config"))
        assert stage.finding("claude.config").status == "ok"
    finally:
        stage.inside(f"{_CONFIG} && rm credentials.env")
