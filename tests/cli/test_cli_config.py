"""`ccapi config`: what counts and why, and changes that leave the rest of a file as it is."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from ccapi import settings
from ccapi.cli.app import app
from ccapi.cli.main import main
from ccapi.settings import TABLE
from tests.cli.support import DEADLINE, Cli, command

COMMANDS: dict[str, Any] = get_command(app).commands["config"].commands  # type: ignore[attr-defined] # both are groups
KEYS = [row.key for row in TABLE]
# A value for each kind of row that can be typed: what is typed, and how TOML has it.
TYPED: dict[str, tuple[str, Any]] = {
    "gateway.port": ("8001", 8001),
    "gateway.host": ("::1", "::1"),
    "gateway.timeout": ("12.5", 12.5),
    "gateway.heartbeat": ("5", 5),
    "gateway.permission_mode": ("ACCEPTEDITS", "acceptEdits"),
    "gateway.default_workspace": (".", "."),
    "api.require_key": ("on", True),
    "models.map": ("gpt-4o=sonnet, o3=opus", {"gpt-4o": "sonnet", "o3": "opus"}),
    "models.fallback": ("0", False),
    "stack.workspace": ("/srv/w", "/srv/w"),
    "stack.base_image": ("debian:sid", "debian:sid"),
}


def user_file(cli: Cli) -> Path:
    return Path(cli.environ["CCAPI_HOME"]) / "config" / "config.toml"


def ok(cli: Cli, *args: str, **environ: str) -> str:
    """Stdout of a command that works."""
    done = cli.run("config", *args, environ=environ)
    assert done.returncode == 0, done.stderr
    return done.stdout


def flat(text: str) -> dict[str, Any]:
    return settings._flatten(tomllib.loads(text))


@pytest.mark.parametrize("name", ["show", "get", "set", "unset", "path"])
def test_help(cli: Cli, name: str) -> None:
    """Usage, a description and every option explained, within 80 columns."""
    done = cli.run("config", name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: ccapi config {name} ")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert [parameter.name for parameter in COMMANDS[name].params if not getattr(parameter, "help", "")] == []
    assert set(COMMANDS) == {"show", "get", "set", "unset", "path"}


# --- set


@pytest.mark.parametrize("key", TYPED)
def test_set_then_get(cli: Cli, key: str) -> None:
    """What was typed is in the file as a person would write it, and counts."""
    typed, written = TYPED[key]
    done = cli.run("config", "set", key, typed)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith(f"{key} is set in {user_file(cli)}\n")
    assert flat(user_file(cli).read_text()) == {key: written}
    found = json.loads(ok(cli, "get", key, "--json"))
    assert found["origin"] == str(user_file(cli))
    assert type(written)(found["value"]) == written


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.key)
def test_what_get_prints_can_be_set(row: settings.Setting, capsys: pytest.CaptureFixture[str]) -> None:
    """Every row of the table, its own default taken back in; for those that have none, good values are above."""
    assert main(["config", "get", row.key]) == 0
    printed = capsys.readouterr().out.removesuffix("\n")
    if not printed:
        assert row.default in (None, {})
        return
    assert main(["config", "set", row.key, printed]) == 0
    found = settings.load().resolved[row.key]
    assert found.value == row.default
    assert found.origin.endswith("config.toml")


def test_a_table_as_toml_writes_it(cli: Cli) -> None:
    """Braces are TOML; it takes the place of the old table."""
    ok(cli, "set", "models.map", "gpt-4o=sonnet,o3=opus")
    ok(cli, "set", "models.map", '{"gpt-4o" = "haiku"}')
    assert flat(user_file(cli).read_text()) == {"models.map": {"gpt-4o": "haiku"}}
    assert ok(cli, "get", "models.map") == "gpt-4o=haiku\n"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("gateway.port", "eighty", "gateway.port: expected a port, 1 to 65535, not 'eighty'"),
        ("gateway.port", "", "not ''"),
        ("gateway.port", "[1]", "not '[1]'"),
        ("gateway.timeout", "nan", "expected seconds"),
        ("api.require_key", "maybe", "expected true or false"),
        ("models.map", "{", "expected a table"),
        ("models.map", '{"a" = 5}', "expected a table"),
        ("stack.base_image", "a\nb", "expected an image name"),
        ("gateway.prot", "1", "Did you mean gateway.port?"),
        ("gateway", "1", "no setting is called 'gateway'"),
        ("", "1", "no setting is called ''"),
        ("xyzzy", "1", "ccapi config show"),
    ],
)
def test_what_is_refused(cli: Cli, key: str, value: str, said: str) -> None:
    """Exit 2, what was expected or what is near, and nothing was written."""
    done = cli.run("config", "set", key, value)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert not user_file(cli).exists()


def test_a_negative_number_is_no_option_of_a_user(cli: Cli) -> None:
    """Exit 2 in any case."""
    assert cli.run("config", "set", "gateway.port", "-1").returncode == 2
    done = cli.run("config", "set", "--", "gateway.port", "-1")
    assert (done.returncode, "expected a port" in done.stderr) == (2, True)


def test_the_rest_of_the_file_stays(cli: Cli) -> None:
    """Comments, order, spelling, blank lines."""
    before = (
        "# my settings\n\n[oauth]\nport = 8889   # jupyter has 8888\n\n"
        "[gateway]\n# because of the proxy\ntimeout = 6e2\nport = 8001 # known to n8n\n\n# the end\n"
    )
    user_file(cli).parent.mkdir(parents=True)
    user_file(cli).write_text(before)
    ok(cli, "set", "gateway.port", "8002")
    assert user_file(cli).read_text() == before.replace("8001", "8002")
    ok(cli, "set", "gateway.port", "8001")
    assert user_file(cli).read_text() == before


def test_a_symbolic_link_stays_one(cli: Cli) -> None:
    """As dotfile managers make them: the file it leads to is changed, and keeps its mode."""
    target = cli.directory / "dotfiles.toml"
    target.write_text("# mine\n")
    target.chmod(0o640)
    user_file(cli).parent.mkdir(parents=True)
    user_file(cli).symlink_to(target)
    ok(cli, "set", "gateway.port", "8001")
    assert user_file(cli).is_symlink()
    assert target.read_text() == "# mine\n\n[gateway]\nport = 8001\n"
    assert target.stat().st_mode & 0o777 == 0o640
    assert list(cli.directory.glob(".dotfiles*")) == []


def test_the_same_once_more_changes_nothing(cli: Cli) -> None:
    """And says so."""
    ok(cli, "set", "gateway.port", "8001")
    before = user_file(cli).stat()
    done = cli.run("config", "set", "gateway.port", "8001")
    assert done.stderr == f"gateway.port was already so in {user_file(cli)}\n"
    assert user_file(cli).stat().st_mtime_ns == before.st_mtime_ns


def test_the_project_file(cli: Cli) -> None:
    """In the current directory, and only there."""
    ok(cli, "set", "--project", "gateway.port", "8001")
    file = cli.directory / "ccapi.toml"
    assert flat(file.read_text()) == {"gateway.port": 8001}
    assert not user_file(cli).exists()
    assert ok(cli, "path", "--project") == f"{file}\n"


def test_a_path_becomes_absolute(cli: Cli) -> None:
    """It must mean the same from every directory."""
    ok(cli, "set", "stack.workspace", "work")
    assert flat(user_file(cli).read_text()) == {"stack.workspace": str(cli.directory / "work")}


def test_what_must_be_restarted_is_said(cli: Cli) -> None:
    """Also after a value was taken out; not when nothing changed."""
    done = cli.run("config", "set", "gateway.timeout", "60")
    assert "ccapi up" in done.stderr
    assert "ccapi up" not in cli.run("config", "set", "gateway.timeout", "60").stderr
    assert "ccapi up" in cli.run("config", "unset", "gateway.timeout").stderr


@pytest.mark.parametrize("where", ["environment", "project"])
def test_a_value_that_another_place_overrides(cli: Cli, where: str) -> None:
    """It is written, and it is said why it does not count."""
    environ = {"CCAPI_GATEWAY_PORT": "9001"} if where == "environment" else {}
    if where == "project":
        ok(cli, "set", "gateway.port", "9001", "--project")
    done = cli.run("config", "set", "gateway.port", "8001", environ=environ)
    assert done.returncode == 0
    assert "But what counts here is '9001', from the " in done.stderr
    assert ("environment" if where == "environment" else "ccapi.toml") in done.stderr


@pytest.mark.parametrize(("key", "value"), [("api.require_key", "true"), ("gateway.host", "0.0.0.0")])
def test_requiring_a_key_that_nobody_has(cli: Cli, key: str, value: str) -> None:
    """One must know before everything is refused."""
    assert "Make one: ccapi key create" in cli.run("config", "set", key, value).stderr
    assert cli.run("key", "create").returncode == 0
    assert "Make one" not in cli.run("config", "set", key, value).stderr


def test_requiring_none_is_no_reason_to_warn(cli: Cli) -> None:
    """On loopback, without a key."""
    assert "Make one" not in cli.run("config", "set", "api.require_key", "false").stderr
    assert "Make one" not in cli.run("config", "set", "gateway.host", "127.0.0.1").stderr


def test_a_broken_file_is_not_touched(cli: Cli) -> None:
    """Exit 2 with the file and the line."""
    user_file(cli).parent.mkdir(parents=True)
    user_file(cli).write_text("[gateway\nport = 1\n")
    for args in (["set", "gateway.port", "1"], ["unset", "gateway.port"], ["show"], ["get", "gateway.port"]):
        done = cli.run("config", *args)
        assert (done.returncode, done.stdout) == (2, "")
        assert str(user_file(cli)) in done.stderr
        assert "line 1" in done.stderr
    assert user_file(cli).read_text() == "[gateway\nport = 1\n"
    assert ok(cli, "path") == f"{user_file(cli)}\n"


def test_a_wrong_value_can_be_mended(cli: Cli) -> None:
    """By the very commands that would complain about it."""
    user_file(cli).parent.mkdir(parents=True)
    user_file(cli).write_text('[gateway]\nport = "eighty"\nprot = 1\n')
    done = cli.run("config", "set", "gateway.port", "8001")
    assert done.returncode == 0
    assert "no setting is called 'gateway.prot'" in done.stderr
    ok(cli, "unset", "gateway.prot")
    assert ok(cli, "get", "gateway.port") == "8001\n"


def test_two_at_once_lose_nothing(cli: Cli) -> None:
    """Each setting is there in the end."""
    wanted = {key: TYPED[key][0] for key in TYPED}
    processes = [
        subprocess.Popen(
            command("config", "set", key, value), cwd=cli.directory, env=cli.environ, stderr=subprocess.PIPE
        )
        for key, value in wanted.items()
    ]
    for process in processes:
        _, stderr = process.communicate(timeout=2 * DEADLINE)
        assert process.returncode == 0, stderr
    assert flat(user_file(cli).read_text()) == {key: written for key, (_, written) in TYPED.items()}


# --- unset


def test_unset(cli: Cli) -> None:
    """The next place counts; what else is in the table stays; once more is no failure."""
    ok(cli, "set", "gateway.port", "8001")
    ok(cli, "set", "gateway.timeout", "60")
    ok(cli, "unset", "gateway.port")
    assert flat(user_file(cli).read_text()) == {"gateway.timeout": 60}
    assert ok(cli, "get", "gateway.port") == "8000\n"
    done = cli.run("config", "unset", "gateway.port")
    assert (done.returncode, done.stderr) == (0, f"gateway.port was not set in {user_file(cli)}\n")


@pytest.mark.parametrize("key", ["gateway.prot", "gateway", "models"])
def test_unset_of_what_is_no_setting(cli: Cli, key: str) -> None:
    """Exit 2; a whole table does not go by a slip."""
    ok(cli, "set", "gateway.port", "8001")
    ok(cli, "set", "models.map", "a=b")
    before = user_file(cli).read_text()
    assert cli.run("config", "unset", key).returncode == 2
    assert user_file(cli).read_text() == before


def test_unset_where_there_is_no_file(cli: Cli) -> None:
    """None is made."""
    ok(cli, "unset", "gateway.port")
    assert not user_file(cli).exists()


# --- show, get, path


def test_show_is_toml(cli: Cli) -> None:
    """Every setting has its line; what was printed, taken as a settings file, means the same."""
    ok(cli, "set", "models.map", 'gpt-4o=sonnet,"odd name"=opus')
    ok(cli, "set", "stack.base_image", 'a"b\\c')
    shown = ok(cli, "show")
    assert [line.removeprefix("# ").split()[0] for line in shown.splitlines()] == KEYS
    (cli.directory / "ccapi.toml").write_text(shown)
    values = json.loads(ok(cli, "show", "--json"))
    user_file(cli).unlink()
    again = json.loads(ok(cli, "show", "--json"))
    assert {key: entry["value"] for key, entry in again.items()} == {k: entry["value"] for k, entry in values.items()}


def test_show_says_where_a_value_comes_from(cli: Cli) -> None:
    """The environment, a file by its path, the default."""
    ok(cli, "set", "gateway.port", "8001")
    lines = ok(cli, "show", "--origin", CCAPI_OAUTH_PORT="8889").splitlines()
    origins = {line.removeprefix("# ").split()[0]: line.rpartition("# ")[2] for line in lines}
    assert origins["gateway.port"] == str(user_file(cli))
    assert origins["oauth.port"] == "environment"
    assert origins["gateway.timeout"] == "default"
    assert tomllib.loads("\n".join(lines))["gateway"]["port"] == 8001


def test_show_as_json(cli: Cli) -> None:
    """Value and origin of each, unset ones as null."""
    document = json.loads(ok(cli, "show", "--json", CCAPI_STACK_WORKSPACE="/srv/w"))
    assert list(document) == KEYS
    assert document["gateway.max_runs"] == {"value": None, "origin": "default"}
    assert document["stack.workspace"] == {"value": "/srv/w", "origin": "environment"}


def test_get_of_what_is_not_set(cli: Cli) -> None:
    """An empty line, exit 0: there is such a setting."""
    assert ok(cli, "get", "gateway.max_runs") == "\n"
    done = cli.run("config", "get", "gateway.maxruns")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Did you mean gateway.max_runs?" in done.stderr


def test_looking_writes_nothing(cli: Cli) -> None:
    """No file and no directory."""
    for args in (["show"], ["get", "gateway.port"], ["path"]):
        ok(cli, *args)
    assert not Path(cli.environ["CCAPI_HOME"]).exists()
    assert list(cli.directory.iterdir()) == []
