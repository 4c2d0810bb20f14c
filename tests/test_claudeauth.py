"""How Claude Code itself is signed in: with the real CLI, and a configuration of its own."""

from __future__ import annotations

import json
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from ccapi.commands import claudeauth
from ccapi.commands.claudeauth import BILLING, METHODS, Credential, Method, State, Variable
from ccapi.errors import ClaudeFailed, CodeIncomplete, LoginFailed, UsageError
from tests.cli.support import DEADLINE
from tests.oauth.driven import NO_NETWORK
from tests.oauth.localcontainer import LocalContainer

KEY, TOKEN = "sk-ant-api03-never-to-be-shown-1", "sk-ant-oat01-never-to-be-shown-2"
VALUES: dict[Variable, str] = {
    "ANTHROPIC_API_KEY": KEY,
    "CLAUDE_CODE_OAUTH_TOKEN": TOKEN,
    "ANTHROPIC_AUTH_TOKEN": "never-to-be-shown-3",
}
# What `claude auth login` leaves behind for a subscription.
SUBSCRIPTION = {
    "claudeAiOauth": {
        "accessToken": "sk-ant-oat01-never-to-be-shown-4",
        "refreshToken": "sk-ant-ort01-never-to-be-shown-5",
        "expiresAt": 4102444800000,
        "scopes": ["user:inference", "user:profile"],
        "subscriptionType": "max",
    }
}


@pytest.fixture
def container(tmp_path: Path) -> LocalContainer:
    return LocalContainer(tmp_path / "container", NO_NETWORK)


def with_subscription(container: LocalContainer) -> None:
    (container.config / ".credentials.json").write_text(json.dumps(SUBSCRIPTION))


def with_helper(container: LocalContainer) -> None:
    (container.config / "settings.json").write_text('{"apiKeyHelper": "echo sk-ant-helper"}')


def file(container: LocalContainer) -> Path:
    return container.config / "credentials.env"


# --- what counts


def test_not_signed_in(container: LocalContainer) -> None:
    """A new volume has nothing."""
    found = claudeauth.state(container)
    assert found == State("none")
    assert not found.signed_in


def test_a_subscription(container: LocalContainer) -> None:
    """The CLI's own login, with its plan."""
    with_subscription(container)
    found = claudeauth.state(container)
    assert (found.method, found.login, found.plan) == ("subscription", "subscription", "max")
    assert found.signed_in
    assert found.billing == "subscription"


@pytest.mark.parametrize("variable", VALUES)
def test_a_credential_of_the_file(container: LocalContainer, variable: Variable) -> None:
    """Is what counts, and of its value no more is seen than its kind."""
    claudeauth.keep(container, variable, VALUES[variable])
    found = claudeauth.state(container)
    kind = VALUES[variable].partition("never")[0]
    assert found.method == METHODS[variable]
    assert found.credentials == (Credential(variable, "credentials.env", kind),)
    assert "never-to-be-shown" not in repr(found)
    assert found.billing == BILLING[METHODS[variable]]


def test_the_environment_comes_before_the_file(tmp_path: Path) -> None:
    """As in the gateway; the file's value of the same name is of no use then."""
    container = LocalContainer(tmp_path / "container", {"ANTHROPIC_API_KEY": KEY})
    claudeauth.keep(container, "ANTHROPIC_API_KEY", KEY)
    claudeauth.keep(container, "CLAUDE_CODE_OAUTH_TOKEN", TOKEN)
    found = claudeauth.state(container)
    assert found.credentials == (
        Credential("ANTHROPIC_API_KEY", "environment", "sk-ant-api03-"),
        Credential("CLAUDE_CODE_OAUTH_TOKEN", "credentials.env", "sk-ant-oat01-"),
    )
    assert found.method == "api-key"


@pytest.mark.parametrize(
    "line",
    ["ANTHROPIC_API_KEY=%s", '  ANTHROPIC_API_KEY = "%s"', "ANTHROPIC_API_KEY='%s'\r", "# no\n\nANTHROPIC_API_KEY=%s"],
)
def test_every_form_that_the_gateway_reads(container: LocalContainer, line: str) -> None:
    """Quotes, spaces, comments: a person may have written the file."""
    file(container).write_text(line % KEY)
    assert claudeauth.state(container).method == "api-key"


def test_what_is_only_a_comment_does_not_count(container: LocalContainer) -> None:
    """Neither does a name of another kind."""
    file(container).write_text(f"#ANTHROPIC_API_KEY={KEY}\nOTHER={KEY}\n")
    assert claudeauth.state(container) == State("none")


def _chosen() -> list[tuple[Variable, ...]]:
    return [chosen for count in range(4) for chosen in combinations(VALUES, count)]


@pytest.mark.parametrize("stored", ["none", "subscription", "helper"])
@pytest.mark.parametrize("chosen", _chosen(), ids=lambda chosen: "+".join(chosen) or "nothing")
def test_which_wins_is_what_the_cli_says(
    container: LocalContainer, chosen: tuple[Variable, ...], stored: Method
) -> None:
    """Of every combination: the real CLI, given the same variables, uses what `State.method` says it does."""
    if stored == "subscription":
        with_subscription(container)
    if stored == "helper":
        with_helper(container)
    for variable in chosen:
        claudeauth.keep(container, variable, VALUES[variable])
    environ = dict(container.environ)
    environ.update((variable, VALUES[variable]) for variable in chosen)
    ran = subprocess.run(["claude", "auth", "status"], env=environ, capture_output=True, check=False, timeout=DEADLINE)
    says = json.loads(ran.stdout)
    with_key = ("api_key", "ANTHROPIC_API_KEY")
    expected: dict[str, set[Any]] = {
        "none": {("none", None)},
        "subscription": {("claude.ai", None)},
        "token": {("oauth_token", None)},
        "api-key": {with_key},
        "helper": {("api_key_helper", "apiKeyHelper"), ("api_key_helper", "ANTHROPIC_API_KEY"), with_key},
        "bearer": {("oauth_token", source) for source in (None, "ANTHROPIC_API_KEY", "apiKeyHelper")},
    }  # fmt: skip
    assert (says["authMethod"], says.get("apiKeySource")) in expected[claudeauth.state(container).method]


def test_what_would_win_over_a_subscription(container: LocalContainer) -> None:
    """Everything in the file; over a key only a bearer token."""
    for variable, value in VALUES.items():
        claudeauth.keep(container, variable, value)
    found = claudeauth.state(container)
    assert {credential.name for credential in found.over("subscription")} == set(VALUES)
    assert [credential.name for credential in found.over("api-key")] == ["ANTHROPIC_AUTH_TOKEN"]
    assert found.over("bearer") == ()


def test_an_expired_login_is_none() -> None:
    """Unless it is not what counts."""
    past = datetime.now(UTC) - timedelta(minutes=1)
    assert not State("subscription", "subscription", expires=past).signed_in
    assert State("api-key", "subscription", expires=past).signed_in


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"loggedIn": True, "authMethod": "api_key", "apiKeySource": "/login managed key"}, "console"),
        ({"loggedIn": True, "authMethod": "api_key", "apiKeySource": "ANTHROPIC_API_KEY"}, "api-key"),
        ({"loggedIn": True, "authMethod": "third_party"}, "other"),
        ({"loggedIn": True, "authMethod": "what comes one day"}, "other"),
    ],
)
def test_what_only_an_account_could_show(tmp_path: Path, status: dict[str, Any], expected: Method) -> None:
    """Answers of `claude auth status` that need an account: read out of the CLI."""
    container = LocalContainer(tmp_path / "container", {"STATUS": json.dumps(status)})
    (tmp_path / "container" / "bin" / "claude").unlink()
    program = tmp_path / "container" / "bin" / "claude"
    program.write_text('#!/bin/sh\nprintf "%s" "$STATUS"\n')
    program.chmod(0o755)
    assert claudeauth.state(container).login == expected


def test_rehearsal(tmp_path: Path) -> None:
    """A scripted model needs none of it."""
    assert claudeauth.state(LocalContainer(tmp_path, {"CCAPI_REHEARSAL": "default"})).rehearsal == "default"


def test_a_cli_that_says_nothing(tmp_path: Path) -> None:
    """Is a failure, not a signed-out account."""
    container = LocalContainer(tmp_path / "container")
    (tmp_path / "container" / "bin" / "claude").unlink()
    (tmp_path / "container" / "bin" / "claude").symlink_to("/bin/false")
    with pytest.raises(ClaudeFailed):
        claudeauth.state(container)


# --- tokens and keys


def test_it_is_kept_for_one_user_alone(container: LocalContainer) -> None:
    """Mode 0600, through standard input only, and the gateway is told."""
    claudeauth.keep(container, "ANTHROPIC_API_KEY", KEY)
    assert file(container).read_text() == f"ANTHROPIC_API_KEY={KEY}\n"
    assert stat.S_IMODE(file(container).stat().st_mode) == 0o600
    assert container.signals == ["HUP"]
    assert KEY not in repr(container.commands)
    assert [path.name for path in container.config.glob("credentials.env*")] == ["credentials.env"]


@pytest.mark.parametrize("ending", ["", "\n"])
def test_other_lines_stay(container: LocalContainer, ending: str) -> None:
    """Comments too; only the variable's own line is replaced, whatever its form."""
    file(container).write_text(
        f"# mine\nCLAUDE_CODE_OAUTH_TOKEN={TOKEN}\n ANTHROPIC_API_KEY = old\nANTHROPIC_AUTH_TOKEN=x{ending}"
    )
    claudeauth.keep(container, "ANTHROPIC_API_KEY", KEY)
    assert file(container).read_text() == (
        f"# mine\nCLAUDE_CODE_OAUTH_TOKEN={TOKEN}\nANTHROPIC_AUTH_TOKEN=x\nANTHROPIC_API_KEY={KEY}\n"
    )
    claudeauth.forget(container, "ANTHROPIC_API_KEY")
    assert file(container).read_text() == f"# mine\nCLAUDE_CODE_OAUTH_TOKEN={TOKEN}\nANTHROPIC_AUTH_TOKEN=x\n"


def test_the_gateway_reads_what_was_kept(container: LocalContainer) -> None:
    """Its own reader, on the file that was written."""
    from ccapi.gateway.settings import from_environment

    claudeauth.keep(container, "ANTHROPIC_API_KEY", KEY)
    claudeauth.keep(container, "CLAUDE_CODE_OAUTH_TOKEN", TOKEN)
    environ = from_environment(environ={"CLAUDE_CONFIG_DIR": str(container.config)}).environ
    assert (environ["ANTHROPIC_API_KEY"], environ["CLAUDE_CODE_OAUTH_TOKEN"]) == (KEY, TOKEN)


def test_a_volume_that_cannot_be_written(container: LocalContainer) -> None:
    """Is said, without the key; what was there stays."""
    container.environ["CLAUDE_CONFIG_DIR"] = str(container.directory / "nothing")
    with pytest.raises(ClaudeFailed) as caught:
        claudeauth.keep(container, "ANTHROPIC_API_KEY", KEY)
    assert KEY not in caught.value.message
    assert container.signals == []


@pytest.mark.parametrize("text", ["", "  ", "a b", "a\nb", "é", 'quoted"', "x" * 5000, "\x1b[A"])
def test_what_is_no_key(text: str) -> None:
    """Nothing that would break the file or a header, and it is not repeated."""
    with pytest.raises(UsageError) as caught:
        claudeauth.check("ANTHROPIC_API_KEY", text)
    assert text.strip() == "" or text not in caught.value.message


def test_the_wrong_kind() -> None:
    """A token in the place of a key, and the reverse, is told apart, with the command for it."""
    with pytest.raises(UsageError) as caught:
        claudeauth.check("ANTHROPIC_API_KEY", TOKEN)
    assert "--token" in (caught.value.hint or "")
    with pytest.raises(UsageError) as caught:
        claudeauth.check("CLAUDE_CODE_OAUTH_TOKEN", KEY)
    assert "--api-key" in (caught.value.hint or "")
    with pytest.raises(UsageError):
        claudeauth.check("ANTHROPIC_API_KEY", "sk-ant-ort01-a-refresh-token")
    assert claudeauth.check("ANTHROPIC_API_KEY", f" {KEY}\n") == KEY
    assert claudeauth.check("ANTHROPIC_API_KEY", "a-key-of-a-proxy") == "a-key-of-a-proxy"


def test_logout(container: LocalContainer) -> None:
    """The login and everything in the file are gone; comments stay."""
    with_subscription(container)
    file(container).write_text(f"# mine\nANTHROPIC_API_KEY={KEY}\nCLAUDE_CODE_OAUTH_TOKEN={TOKEN}\n")
    claudeauth.logout(container)
    assert claudeauth.state(container) == State("none")
    assert file(container).read_text() == "# mine\n"
    assert container.signals[-1] == "HUP"


# --- `claude auth login`


@pytest.mark.parametrize(("console", "site"), [(False, "https://claude.ai/"), (True, "https://platform.claude.com/")])
def test_the_address(container: LocalContainer, console: bool, site: str) -> None:
    """One whole URL, of the account that was asked for; after the block the CLI has ended."""
    with claudeauth.login(container, console=console) as login:
        url = login.url()
        assert url.startswith(f"{site}oauth/authorize?")
        assert url.isprintable()
        assert " " not in url
        assert container.processes() != []
    assert container.processes() == []


def test_an_incomplete_code_can_be_given_again(container: LocalContainer) -> None:
    """The CLI asks once more, and so does the caller; what ends a terminal's line never gets there."""
    with claudeauth.login(container) as login:
        login.url()
        for text in ("", "a b", "a\x03", "\x1b[200~x", "incomplete"):
            with pytest.raises(CodeIncomplete):
                login.submit(text)
        with pytest.raises(LoginFailed, match=r"Claude Code is not signed in: .") as caught:
            login.submit("secret-code#secret-state")
    assert "secret" not in caught.value.message
    assert claudeauth.state(container) == State("none")


def test_a_cli_that_ends_at_once(tmp_path: Path) -> None:
    """Is told as a failed login."""
    container = LocalContainer(tmp_path / "container")
    (tmp_path / "container" / "bin" / "claude").unlink()
    (tmp_path / "container" / "bin" / "claude").symlink_to("/bin/false")
    with claudeauth.login(container) as login, pytest.raises(LoginFailed):
        login.url()
