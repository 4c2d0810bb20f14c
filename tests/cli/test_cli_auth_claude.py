"""`ccapi auth claude`: what it asks, what it takes from a script, and what it says of who pays."""

from __future__ import annotations

import json
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.support import SGR, Cli, is_dying
from tests.oauth.driven import Driven
from tests.oauth.proxyprocess import until
from tests.test_claudeauth import KEY, SUBSCRIPTION, TOKEN


@pytest.fixture
def driven(tmp_path: Path) -> Driven:
    return Driven(tmp_path)


def kept(driven: Driven) -> str:
    file = driven.container.config / "credentials.env"
    return file.read_text() if file.exists() else ""


def going_on(driven: Driven) -> list[int]:
    """The processes in the container, but for those that were killed and only wait for the processor to end."""
    found = []
    for pid in driven.container.processes():
        with suppress(OSError):  # it has ended
            found += [] if is_dying(Path(f"/proc/{pid}")) else [pid]
    return found


def with_subscription(driven: Driven) -> None:
    (driven.container.config / ".credentials.json").write_text(json.dumps(SUBSCRIPTION))


# --- from a script


@pytest.mark.parametrize(
    ("way", "secret", "line", "billing"),
    [
        ("api-key", KEY, f"ANTHROPIC_API_KEY={KEY}\n", "API usage billing (by an API key)"),
        ("token", TOKEN, f"CLAUDE_CODE_OAUTH_TOKEN={TOKEN}\n", "subscription (by a long-lived token)"),
    ],
)
def test_a_secret_that_was_piped_in(driven: Driven, way: str, secret: str, line: str, billing: str) -> None:
    """Is kept, is not shown, and it is said who pays."""
    done = driven.run("claude", way=way, secret=secret)
    assert done.returncode == 0, done.stderr
    assert kept(driven) == line
    assert stat.S_IMODE((driven.container.config / "credentials.env").stat().st_mode) == 0o600
    assert f"Billing: {billing}." in done.stderr
    assert secret not in done.stdout + done.stderr


def test_nobody_there(driven: Driven) -> None:
    """Exit 4, and the commands for a script."""
    done = driven.run("claude", way=None)
    assert done.returncode == 4
    assert "ccapi auth claude --api-key --with-token < FILE" in done.stderr
    assert kept(driven) == ""


def test_replacing_from_a_script(driven: Driven) -> None:
    """A sign-in that works is not given up without --force: exit 3, and nothing has changed."""
    driven.run("claude", way="api-key", secret=KEY)
    done = driven.run("claude", way="token", secret=TOKEN)
    assert done.returncode == 3
    assert "Claude is signed in already: API usage billing" in done.stderr
    assert "--force" in done.stderr
    assert kept(driven) == f"ANTHROPIC_API_KEY={KEY}\n"


def test_force_takes_out_what_would_win(driven: Driven) -> None:
    """A key in the file would be used instead of the token: it goes, and that is said."""
    driven.run("claude", way="api-key", secret=KEY)
    done = driven.run("claude", way="token", secret=TOKEN, force=True)
    assert done.returncode == 0, done.stderr
    assert "warning: ANTHROPIC_API_KEY in the file credentials.env wins over this sign-in" in done.stderr
    assert "Removed ANTHROPIC_API_KEY" in done.stderr
    assert "Billing: subscription (by a long-lived token)." in done.stderr
    assert kept(driven) == f"CLAUDE_CODE_OAUTH_TOKEN={TOKEN}\n"


def test_a_helper_wins_without_a_word_but_ours(driven: Driven) -> None:
    """An apiKeyHelper of Claude's settings is named, and so is who really pays."""
    (driven.container.config / "settings.json").write_text('{"apiKeyHelper": "echo sk-ant-helper"}')
    done = driven.run("claude", way="token", secret=TOKEN, force=True)
    assert done.returncode == 0, done.stderr
    assert "warning: an apiKeyHelper" in done.stderr
    assert "Billing: API usage billing (by the key of an apiKeyHelper)." in done.stderr


def test_what_is_no_key(driven: Driven) -> None:
    """Exit 2, before anything is looked at."""
    done = driven.run("claude", way="api-key", secret=TOKEN)
    assert done.returncode == 2
    assert "ccapi auth claude --token" in done.stderr
    assert TOKEN not in done.stderr


# --- the command itself


@pytest.mark.parametrize(
    ("args", "stdin", "said"),
    [
        (["--token", "--api-key"], "", "exclude each other"),
        (["--subscription", "--with-token"], KEY, "exclude each other"),
        (["--with-token"], "", "standard input must hold the token or key"),
        (["--api-key", "--with-token"], "one\ntwo\n", "standard input must hold the API key, in one line"),
        (["sk-ant-api03-something"], "", "unexpected extra argument"),
    ],
)
def test_wrong_usage(cli: Cli, args: list[str], stdin: str, said: str) -> None:
    """Exit 2, without Docker, and without repeating what may be a secret."""
    done = cli.run("auth", "claude", *args, stdin=stdin)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr.replace("\n", " ")
    assert KEY not in done.stderr


def test_without_docker(cli: Cli) -> None:
    """Exit 5."""
    done = cli.run("auth", "claude", "--with-token", stdin=KEY, environ={"DOCKER_HOST": "unix:///nowhere.sock"})
    assert done.returncode == 5
    assert KEY not in done.stderr


# --- at the terminal


def test_a_key_is_asked_for_and_does_not_show(driven: Driven) -> None:
    """Chosen in the menu, typed in the dark, kept."""
    with driven.terminal("claude", way=None) as terminal:
        terminal.read_until("How shall Claude be signed in?")
        terminal.read_until("An API key")
        terminal.type(b"\x1b[A\r")  # the last of the menu
        terminal.read_until("Your API key (it does not show): ")
        terminal.type(f"{KEY}\r".encode())
        shown = terminal.read_all()
    assert terminal.process.returncode == 0, shown
    assert "platform.claude.com" in shown
    assert KEY not in shown
    assert kept(driven) == f"ANTHROPIC_API_KEY={KEY}\n"


def test_replacing_is_asked(driven: Driven) -> None:
    """No is no."""
    with_subscription(driven)
    with driven.terminal("claude", way="api-key") as terminal:
        terminal.read_until("Claude is signed in already: subscription")
        terminal.read_until("Replace it? [y/N]: ")
        terminal.type(b"\r")
        assert "Nothing was changed" in terminal.read_all()
    assert terminal.process.returncode == 1
    assert kept(driven) == ""


def test_what_would_win_is_offered_to_go(driven: Driven) -> None:
    """After a token was given, the key that would be used instead."""
    driven.run("claude", way="api-key", secret=KEY)
    with driven.terminal("claude", way="token", secret=TOKEN) as terminal:
        terminal.read_until("Replace it? [y/N]: ")
        terminal.type(b"y\r")
        terminal.read_until("Remove ANTHROPIC_API_KEY? [Y/n]: ")
        terminal.type(b"n\r")
        shown = terminal.read_all()
    assert terminal.process.returncode == 0
    assert "Billing: API usage billing (by an API key)." in shown
    assert kept(driven) == f"ANTHROPIC_API_KEY={KEY}\nCLAUDE_CODE_OAUTH_TOKEN={TOKEN}\n"


def test_the_browser_login_and_a_code_that_fails(driven: Driven) -> None:
    """The address as one line, the code in the dark, once more when it is not whole, and why it failed."""
    driven.environ |= {"COLUMNS": "60"}
    with driven.terminal("claude", way="subscription", open_browser=False) as terminal:
        terminal.read_until("Open this page in a browser, to sign Claude in; it then shows a code:")
        terminal.read_until("Code (it does not show): ")
        terminal.type(b"half\r")
        terminal.read_until("Once more: that is not the whole code: copy all of it, with the # in the middle\r\nCode (")
        terminal.type(b"secret-code#secret-state\r")
        shown = terminal.read_all()
    assert terminal.process.returncode == 1
    assert "\nhttps://claude.ai/oauth/authorize?" in shown.replace("\x1b]8;;", "\n")
    assert "error: Claude Code is not signed in: " in SGR.sub("", shown)
    assert "secret" not in shown
    assert "half" not in shown


def test_ctrl_c_leaves_nothing_behind(driven: Driven) -> None:
    """Exit 130, no process of the login, nothing signed in."""
    with driven.terminal("claude", way="console", open_browser=False) as terminal:
        terminal.read_until("Code (it does not show): ")
        terminal.type(b"\x03")
        terminal.read_all()
    assert terminal.process.returncode == 130
    assert going_on(driven) == []
    assert kept(driven) == ""


def test_the_browser_is_opened(driven: Driven, tmp_path: Path) -> None:
    """That of the person, with the address that is shown."""
    opener = tmp_path / "opener"
    opener.write_text(
        f'#!/bin/sh\nprintf %s "$1" >{tmp_path}/opened.new && mv {tmp_path}/opened.new {tmp_path}/opened\n'
    )
    opener.chmod(0o755)
    driven.environ |= {"BROWSER": str(opener)}
    with driven.terminal("claude", way="console") as terminal:
        terminal.read_until("Your browser opens this page")
        shown = terminal.read_until("Code (it does not show): ")
        until((tmp_path / "opened").exists, "the browser has opened the page")
        terminal.type(b"\x03")
        terminal.read_all()
    assert (tmp_path / "opened").read_text() in shown


def test_the_browser_is_never_opened(driven: Driven, tmp_path: Path) -> None:
    """As the setting has it: the page is shown only."""
    driven.environ |= {"BROWSER": f"touch {tmp_path}/opened", "CCAPI_OAUTH_OPEN_BROWSER": "never"}
    with driven.terminal("claude", way="console") as terminal:
        terminal.read_until("Open this page in a browser")
        terminal.read_until("Code (it does not show): ")
        terminal.type(b"\x03")
        terminal.read_all()
    assert not (tmp_path / "opened").exists()


def test_a_token_that_is_made_on_the_spot(driven: Driven) -> None:
    """The terminal is lent to `claude setup-token`, at its own width; Ctrl-C ends it, which its own key does not."""
    with driven.terminal("claude", way="token") as terminal:
        terminal.read_until("Have a new token made now (claude setup-token)? [Y/n]: ")
        terminal.type(b"\r")
        terminal.read_until("oauth/authorize")
        terminal.type(b"\x03")
        shown = terminal.read_all()
    assert terminal.process.returncode == 130, shown
    assert going_on(driven) == []
    assert "\x1b[?25h" in shown.rpartition("oauth/authorize")[2]
    assert kept(driven) == ""


def test_a_token_that_is_there(driven: Driven) -> None:
    """Needs no new one."""
    with driven.terminal("claude", way="token") as terminal:
        terminal.read_until("[Y/n]: ")
        terminal.type(b"n\r")
        terminal.read_until("Your long-lived token (it does not show): ")
        terminal.type(f"{TOKEN}\r".encode())
        assert "Billing: subscription (by a long-lived token)." in terminal.read_all()
    assert kept(driven) == f"CLAUDE_CODE_OAUTH_TOKEN={TOKEN}\n"
