"""The fingerprint of the CLI's configuration: what makes another one of it, and what does not."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ccapi.agent.fingerprint import Fingerprint

SERVERS = {"mcpServers": {"github": {"type": "http", "url": "https://example.org/mcp"}}}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    directory = tmp_path / "config"
    directory.mkdir()
    return directory


def write(file: Path, content: str | dict[str, Any]) -> None:
    """At another time than before, however soon: many kernels' clocks for files move on every few milliseconds only."""
    file.parent.mkdir(parents=True, exist_ok=True)
    before = file.stat().st_mtime_ns if file.exists() else 0
    file.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    if file.stat().st_mtime_ns <= before:
        os.utime(file, ns=(before, before + 1_000_000))


def touch_later(file: Path) -> None:
    """As if it had been written again later, with the same content."""
    stat = file.stat()
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))


def test_a_login_to_an_mcp_server_makes_another_one_and_its_next_token_does_not(config: Path) -> None:
    """Each process renews the tokens for all others; a login or its end is what they do not see."""
    fingerprint, file = Fingerprint(config), config / ".credentials.json"

    def logged_in(token: str, claude: str = "c") -> str:
        write(file, {"claudeAiOauth": {"accessToken": claude}, "mcpOAuth": {"notion|1": {"accessToken": token}}})
        touch_later(file)
        return fingerprint.now()

    before = logged_in("")
    after = logged_in("one")
    assert after != before
    assert logged_in("another") == after
    assert logged_in("") == before
    assert logged_in("", claude="d") != before


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("settings.json", {"language": "French"}),
        ("CLAUDE.md", "Be brief."),
        ("plugins/installed_plugins.json", {"version": 1}),
        ("agents/reviewer.md", "---\nname: reviewer\n---\n"),
        ("agents/team/reviewer.md", "---\nname: reviewer\n---\n"),
        ("commands/deploy.md", "Deploy it."),
        ("skills/pdf/SKILL.md", "---\nname: pdf\n---\n"),
        ("rules/style.md", "Tabs."),
        ("output-styles/terse.md", "Terse."),
    ],
)
def test_a_file_that_a_process_reads_when_it_starts_makes_another_one(
    config: Path, name: str, content: str | dict[str, Any]
) -> None:
    """When it comes, when it changes, and when it goes; and only then."""
    fingerprint = Fingerprint(config)
    file = config / name
    without = fingerprint.now()
    assert fingerprint.now() == without
    write(file, content)
    created = fingerprint.now()
    write(file, f"{json.dumps(content)} ")
    changed = fingerprint.now()
    file.unlink()
    assert len({without, created, changed}) == 3
    assert fingerprint.now() == without


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        (lambda state: state | SERVERS, True),
        (lambda state: state | {"projects": {"/workspace": SERVERS}}, True),
        (lambda state: state | {"numStartups": 8, "tipsHistory": {"a": 1}}, False),
        (lambda state: state | {"projects": {"/workspace": {"lastSessionId": "s", "mcpServers": {}}}}, False),
        (lambda state: state | {"projects": {"/workspace": {"hasTrustDialogAccepted": True}}}, False),
    ],
)
@pytest.mark.parametrize("inside", [True, False])
def test_of_the_clis_own_state_only_the_mcp_servers_count(
    config: Path, change: Callable[[dict[str, Any]], dict[str, Any]], *, counts: bool, inside: bool
) -> None:
    """It rewrites `.claude.json` on every run, which must not cost a process; inside the directory or beside it."""
    file = (config if inside else config.parent) / ".claude.json"
    state = {"numStartups": 7, "projects": {"/other": {"mcpServers": {}}}}
    write(file, state)
    fingerprint = Fingerprint(config)
    before = fingerprint.now()
    write(file, change(state))
    assert (fingerprint.now() != before) is counts
    write(file, state)
    assert fingerprint.now() == before


def test_the_same_content_written_again_is_the_same(config: Path) -> None:
    """Its time alone says nothing."""
    fingerprint = Fingerprint(config)
    write(config / "settings.json", {"env": {}})
    before = fingerprint.now()
    touch_later(config / "settings.json")
    assert fingerprint.now() == before


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"projects": 1}', '{"projects": {"a": null}}'])
def test_a_state_that_is_not_as_expected_is_no_failure(config: Path, content: str) -> None:
    """A torn or foreign file counts as what it is."""
    file = config / ".claude.json"
    write(file, content)
    fingerprint = Fingerprint(config)
    before = fingerprint.now()
    assert fingerprint.now() == before
    write(file, SERVERS)
    assert fingerprint.now() != before


def test_a_directory_that_is_not_there_is_an_empty_configuration(tmp_path: Path) -> None:
    """As on the first start of all."""
    fingerprint = Fingerprint(tmp_path / "nowhere")
    assert fingerprint.now() == fingerprint.now()


def test_two_look_at_one_configuration_and_see_the_same(config: Path) -> None:
    """The value is a matter of the files, not of who looked when."""
    write(config / "settings.json", {"env": {"A": "1"}})
    write(config / "skills" / "a" / "SKILL.md", "a")
    first = Fingerprint(config)
    first.now()
    write(config / "settings.json", {"env": {"A": "2"}})
    assert first.now() == Fingerprint(config).now()
