"""Signing in to an MCP server with a token: a real server, the real CLI, the gateway's own probe."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccapi.commands import mcpservers
from ccapi.commands.mcpservers import Listed
from ccapi.oauth import catalogue
from tests.cli.support import SGR
from tests.oauth.driven import Driven
from tests.oauth.servers import access_token, mcp_server

WRONG = "not-the-token-and-not-to-be-shown"


@pytest.fixture
def driven(tmp_path: Path) -> Driven:
    return Driven(tmp_path)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mcp_server(tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.fixture
def token(url: str) -> str:
    """One that the server takes."""
    return access_token(url)


def listed(driven: Driven) -> tuple[Listed, ...]:
    return mcpservers.listed(driven.container)


def test_from_standard_input(driven: Driven, url: str, token: str) -> None:
    """Tried, kept, connected, and never shown."""
    done = driven.run("token", name="demo", url=url, with_token=True, stdin=f"{token}\n")
    assert done.returncode == 0, done.stderr
    assert listed(driven) == (Listed("demo", url, "connected"),)
    assert token not in done.stdout + done.stderr
    assert json.loads(mcpservers.entry(driven.container, "demo") or "")["headers"] == {
        "Authorization": f"Bearer {token}"
    }


def test_with_the_word_bearer(driven: Driven, url: str, token: str) -> None:
    """As it stands in a header that somebody copied."""
    assert driven.run("token", name="demo", url=url, with_token=True, stdin=f"Bearer {token}").returncode == 0
    assert listed(driven)[0].status == "connected"


def test_a_token_that_the_server_does_not_take(driven: Driven, url: str) -> None:
    """Exit 1; it was never kept, not even for a moment: no change at all was asked of Claude Code."""
    done = driven.run("token", name="linear", url=url, with_token=True, stdin=WRONG)
    assert done.returncode == 1
    assert "Linear does not accept this token; nothing was kept" in done.stderr
    assert "https://linear.app/settings/account/security" in done.stderr
    assert WRONG not in done.stderr
    assert not list(driven.container.config.iterdir())


@pytest.mark.parametrize(
    ("where", "said"),
    [("http://127.0.0.1:9/mcp", "cannot be reached from the container"), ("/recorded", "is no MCP server")],
)
def test_an_address_without_a_server(driven: Driven, url: str, where: str, said: str) -> None:
    """Exit 1, and nothing is set up."""
    address = where if where.startswith("http") else url.removesuffix("/mcp") + where
    done = driven.run("token", name="demo", url=address, with_token=True, stdin=WRONG)
    assert done.returncode == 1
    assert said in done.stderr
    assert mcpservers.configured(driven.container) == ()


@pytest.mark.parametrize("stdin", ["", "\n", "one\ntwo\n", "a b", "\x1b[A"])
def test_what_is_no_token(driven: Driven, url: str, stdin: str) -> None:
    """Exit 2."""
    assert driven.run("token", name="demo", url=url, with_token=True, stdin=stdin).returncode == 2


def test_a_token_is_not_sent_in_the_clear(driven: Driven) -> None:
    """Exit 2, before it is asked for, also where the address was configured earlier."""
    with driven.terminal("token", name="demo", url="http://mcp.example.com/mcp") as terminal:
        shown = terminal.read_all()
    assert terminal.process.returncode == 2
    assert "a token is not sent to mcp.example.com without TLS" in shown
    assert "does not show" not in shown


def test_replacing_from_a_script(driven: Driven, url: str, token: str) -> None:
    """What works is given up with --force only: exit 3 without."""
    driven.run("token", name="demo", url=url, with_token=True, stdin=token)
    other = access_token(url)
    done = driven.run("token", name="demo", url=url, with_token=True, stdin=other)
    assert done.returncode == 3
    assert "--force" in done.stderr
    assert token in (mcpservers.entry(driven.container, "demo") or "")
    done = driven.run("token", name="demo", url=url, with_token=True, force=True, stdin=other)
    assert done.returncode == 0, done.stderr
    assert other in (mcpservers.entry(driven.container, "demo") or "")


def test_what_does_not_work_is_replaced_without_a_question(driven: Driven, url: str, token: str) -> None:
    """There is nothing to lose."""
    mcpservers.add(driven.container, "demo", mcpservers.document(url, token=WRONG))
    assert driven.run("token", name="demo", url=url, with_token=True, stdin=token).returncode == 0
    assert listed(driven)[0].status == "connected"


def test_a_wrong_token_leaves_the_right_one(driven: Driven, url: str, token: str) -> None:
    """Even with --force."""
    driven.run("token", name="demo", url=url, with_token=True, stdin=token)
    done = driven.run("token", name="demo", url=url, with_token=True, force=True, stdin=WRONG)
    assert done.returncode == 1
    assert listed(driven)[0].status == "connected"


def test_nobody_there(driven: Driven) -> None:
    """Exit 4, with the commands; for GitHub also what this shell has, by its name only."""
    driven.environ |= {"GH_TOKEN": "ghp_0123456789abcdefghijklmnop"}
    done = driven.run("token", name="github", url="https://api.githubcopilot.com/mcp/")
    assert done.returncode == 4
    assert "ccapi auth github --with-token < FILE" in done.stderr
    assert "printenv GH_TOKEN | ccapi auth github --with-token" in done.stderr
    assert "ccapi auth github --from-gh --yes" in done.stderr
    assert "ghp_" not in done.stderr


# --- at the terminal


def test_a_hidden_prompt(driven: Driven, url: str, token: str) -> None:
    """Where tokens are made, what to choose there, and a prompt that shows nothing."""
    with driven.terminal("token", name="huggingface", url=url, browser=False) as terminal:
        terminal.read_until("Make a token of the type Read.")
        terminal.read_until("https://huggingface.co/settings/tokens")
        terminal.read_until("Token for Hugging Face (it does not show): ")
        terminal.type(f"{token}\r".encode())
        shown = terminal.read_all()
    assert terminal.process.returncode == 0, shown
    assert token not in shown
    assert listed(driven)[0].status == "connected"


def test_the_page_is_never_opened(driven: Driven, url: str) -> None:
    """As the setting has it: it is shown only."""
    driven.environ |= {"BROWSER": f"touch {driven.directory}/opened", "CCAPI_OAUTH_OPEN_BROWSER": "never"}
    with driven.terminal("token", name="huggingface", url=url) as terminal:
        terminal.read_until("Tokens are made on this page")
        terminal.read_until("(it does not show): ")
        terminal.type(b"\x03")
        terminal.read_all()
    assert not (driven.directory / "opened").exists()


def test_github_is_explained(driven: Driven) -> None:
    """Which permissions, read-only first; giving up leaves nothing."""
    with driven.terminal("token", name="github", url="https://api.githubcopilot.com/mcp/", browser=False) as terminal:
        shown = terminal.read_until("Token for GitHub (it does not show): ")
        terminal.type(b"\x03")
        terminal.read_all()
    entry = catalogue.load().get("github")
    assert entry
    assert entry.token.how in shown
    assert "https://github.com/settings/personal-access-tokens/new" in shown
    assert terminal.process.returncode == 130
    assert mcpservers.configured(driven.container) == ()


def test_replacing_is_asked(driven: Driven, url: str, token: str) -> None:
    """Before the token is."""
    mcpservers.add(driven.container, "demo", mcpservers.document(url, token=token))
    with driven.terminal("token", name="demo", url=url) as terminal:
        terminal.read_until("You are signed in to demo with the token …, and it works. Replace it? [y/N]: ")
        terminal.type(b"n\r")
        assert "Nothing was changed" in terminal.read_all()
    assert terminal.process.returncode == 1
    assert listed(driven)[0].status == "connected"


# --- from gh


@pytest.fixture
def gh(driven: Driven) -> Path:
    """A stand-in for GitHub's command, which cannot sign in here: its token is what the file says."""
    program = driven.directory / "bin" / "gh"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@" >"$0.args"\ncat "$0.token"\n')
    program.chmod(0o755)
    program.with_name("gh.token").write_text("gho_0123456789abcdefghijklmnop\n")
    driven.environ["PATH"] = f"{program.parent}:{os.environ['PATH']}"
    return program


GITHUB = "https://api.githubcopilot.com/mcp/"


def test_gh_needs_a_yes(driven: Driven, gh: Path) -> None:
    """Its token may do more than read: exit 3 without a yes, and the command with one."""
    done = driven.run("token", name="github", url=GITHUB, from_gh=True)
    assert done.returncode == 3
    assert "ccapi auth github --from-gh --yes" in done.stderr
    assert gh.with_name("gh.args").read_text() == "auth token --hostname github.com\n"


def test_the_token_of_gh_goes_to_github_only(driven: Driven, gh: Path, url: str) -> None:
    """Not to another server that somebody calls so."""
    done = driven.run("token", name="github", url=url, from_gh=True, force=True)
    assert done.returncode == 2
    assert "--from-gh is for GitHub's own server" in done.stderr


def test_consent_is_asked(driven: Driven, gh: Path) -> None:
    """No is no."""
    with driven.terminal("token", name="github", url=GITHUB, from_gh=True) as terminal:
        terminal.read_until("writing included. [y/N]: ")
        terminal.type(b"\r")
        shown = terminal.read_all()
    assert terminal.process.returncode == 1
    assert "gho_" not in shown


@pytest.mark.parametrize("name", ["GH_TOKEN", "GITHUB_TOKEN"])
def test_a_token_of_the_shell_would_be_taken_for_that_of_gh(driven: Driven, gh: Path, name: str) -> None:
    """gh would hand it out instead of its own login: refused, with both ways out."""
    driven.environ |= {name: "ghp_0123456789abcdefghijklmnop"}
    done = driven.run("token", name="github", url=GITHUB, from_gh=True, force=True)
    assert done.returncode == 2
    assert f"printenv {name} | ccapi auth github --with-token" in done.stderr
    assert f"unset {name}" in done.stderr
    assert "ghp_" not in done.stderr
    assert not gh.with_name("gh.args").exists()


def test_gh_that_is_not_signed_in(driven: Driven, gh: Path) -> None:
    """Exit 4, and how to sign it in."""
    gh.with_name("gh.token").unlink()
    done = driven.run("token", name="github", url=GITHUB, from_gh=True, force=True)
    assert done.returncode == 4
    assert "gh auth login" in SGR.sub("", done.stderr)


def test_without_gh(driven: Driven) -> None:
    """Exit 4, and the other way."""
    (driven.directory / "empty").mkdir()
    driven.environ["PATH"] = str(driven.directory / "empty")
    done = driven.run("token", name="github", url=GITHUB, from_gh=True, force=True)
    assert done.returncode == 4
    assert "gh is not installed" in done.stderr
    assert "ccapi auth github --with-token" in done.stderr
