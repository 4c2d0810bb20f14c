"""`ccapi config`: what counts and why, and changes that leave the rest of a file as it is."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from ccapi import settings
from ccapi.cli.app import root
from ccapi.cli.main import main
from ccapi.commands import config
from ccapi.errors import SettingInvalid
from ccapi.paths import Home
from ccapi.settings import TABLE, layers
from tests.cli.support import DEADLINE, Cli, command

COMMANDS: dict[str, Any] = root().commands["config"].commands  # it is a group
NAMES = ["show", "get", "set", "unset", "path", "edit", "validate"]
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
    "stack.claude_version": ("0.2.186", "0.2.186"),
}


def user_file(cli: Cli) -> Path:
    return Path(cli.environ["CCAPI_HOME"]) / "config" / "config.toml"


def ok(cli: Cli, *args: str, **environ: str) -> str:
    """Stdout of a command that works."""
    done = cli.run("config", *args, environ=environ)
    assert done.returncode == 0, done.stderr
    return done.stdout


def flat(text: str) -> dict[str, Any]:
    """What a file says, by the keys of the table."""
    return dict(layers.of_text(text, Path("config.toml")).values)


def project_file(cli: Cli, name: str) -> Path:
    return user_file(cli).parent / "projects" / f"{name}.toml"


@pytest.mark.parametrize("name", NAMES)
def test_help(cli: Cli, name: str) -> None:
    """Usage, a description and every option explained, within 80 columns."""
    done = cli.run("config", name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: ccapi config {name} ")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert [parameter.name for parameter in COMMANDS[name].params if not getattr(parameter, "help", "")] == []
    assert set(COMMANDS) == set(NAMES)


# --- set


@pytest.mark.parametrize("key", TYPED)
def test_set_then_get(cli: Cli, key: str) -> None:
    """What was typed is in the file as a person would write it, and counts."""
    typed, written = TYPED[key]
    done = cli.run("config", "set", key, typed)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith(f"{key} is set in {user_file(cli)}\n")
    assert flat(user_file(cli).read_text()) == {key: written}
    found = json.loads(ok(cli, "get", key, "--json"))["data"]
    assert (found["origin"], found["file"]) == ("file", str(user_file(cli)))
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
        ("gateway.timeout", "5m", "Did you mean 300?"),
        ("log.level", "warn", "Did you mean WARNING?"),
        ("gateway.level", "INFO", "Did you mean log.level?"),
        ("port", "1", "Did you mean gateway.port or oauth.port?"),
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


def test_the_file_of_a_directory(cli: Cli) -> None:
    """In the current directory, and only there."""
    ok(cli, "set", "--local", "gateway.port", "8001")
    file = cli.directory / "ccapi.toml"
    assert flat(file.read_text()) == {"gateway.port": 8001}
    assert not user_file(cli).exists()
    assert ok(cli, "path", "--local") == f"{file}\n"


def test_a_path_becomes_absolute(cli: Cli) -> None:
    """It must mean the same from every directory."""
    ok(cli, "set", "stack.workspace", "work")
    assert flat(user_file(cli).read_text()) == {"stack.workspace": str(cli.directory / "work")}


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("gateway.timeout", "60", "A running stack takes it over with: ccapi up (a `ccapi gateway` when it is"),
        ("stack.base_image", "debian:sid", "A running stack takes it over with: ccapi up\n"),
        ("oauth.port", "8889", "A running stack takes it over with: ccapi up\n"),
        ("oauth.open_browser", "never", "A running OAuth proxy takes it over with: ccapi proxy restart\n"),
        ("updates.check", "off", "It counts from the next command on\n"),
    ],
)
def test_what_must_be_restarted_is_said(cli: Cli, key: str, value: str, said: str) -> None:
    """Exactly that, also after a value was taken out; not when nothing changed."""
    assert said in cli.run("config", "set", key, value).stderr
    assert cli.run("config", "set", key, value).stderr == f"{key} was already so in {user_file(cli)}\n"
    assert said in cli.run("config", "unset", key).stderr


def test_what_a_program_is_told_of_a_change(cli: Cli) -> None:
    """The file, whether anything changed, and the command that applies it."""
    told = json.loads(ok(cli, "set", "gateway.timeout", "60", "--json"))["data"]
    assert told == {"key": "gateway.timeout", "file": str(user_file(cli)), "changed": True, "apply": "ccapi up"}
    told = json.loads(ok(cli, "set", "gateway.timeout", "60", "--json"))["data"]
    assert (told["changed"], told["apply"]) == (False, None)
    told = json.loads(ok(cli, "unset", "gateway.timeout", "--json", "--project", "web"))["data"]
    assert (told["file"], told["changed"]) == (str(project_file(cli, "web")), False)


# --- several stacks


def test_the_file_of_a_stack(cli: Cli) -> None:
    """`--project` writes for that stack alone; it is looked at in the same way."""
    done = cli.run("config", "set", "gateway.port", "8100", "--project", "web")
    assert "with: ccapi up --project web" in done.stderr
    assert flat(project_file(cli, "web").read_text()) == {"gateway.port": 8100}
    assert not user_file(cli).exists()
    assert ok(cli, "get", "gateway.port", "-p", "web") == "8100\n"
    assert ok(cli, "get", "gateway.port") == "8000\n"
    assert ok(cli, "path", "-p", "web") == f"{project_file(cli, 'web')}\n"
    assert ok(cli, "path", "-p", "default") == f"{user_file(cli)}\n"


def test_the_directory_says_which_stack(cli: Cli) -> None:
    """`stack.project` in its file is as good as the option; it never stands in the file of a stack."""
    ok(cli, "set", "stack.project", "web", "--local")
    ok(cli, "set", "pool.size", "1")
    assert flat(project_file(cli, "web").read_text()) == {"pool.size": 1}
    ok(cli, "set", "stack.project", "shop")
    assert flat(user_file(cli).read_text()) == {"stack.project": "shop"}
    assert flat(project_file(cli, "web").read_text()) == {"pool.size": 1}


def test_a_stack_cannot_be_told_which_one_it_is(cli: Cli) -> None:
    """Exit 2, and the two ways that make sense."""
    done = cli.run("config", "set", "stack.project", "shop", "--project", "web")
    assert (done.returncode, "--local" in done.stderr) == (2, True)
    assert not user_file(cli).parent.exists()


def test_another_users_file(cli: Cli) -> None:
    """`--config` is in its place: also for what is written."""
    other = cli.directory / "other.toml"
    other.write_text("# other\n")
    ok(cli, "set", "gateway.port", "8001", "--config", str(other))
    assert other.read_text() == "# other\n\n[gateway]\nport = 8001\n"
    assert not user_file(cli).exists()
    assert cli.run("config", "show", "--config", str(cli.directory / "none.toml")).returncode == 2


def test_what_ccapi_chooses_is_remembered(cli: Cli) -> None:
    """In the file of the stack, several settings at once; the rest of it stays."""
    file = project_file(cli, "web")
    file.parent.mkdir(parents=True)
    file.write_text("# web shop\npool.size = 1 # keep\n")
    meant = Home(cli.environ["CCAPI_HOME"], "web")
    assert config.remember(meant, {"gateway.port": 8100, "oauth.port": 8101}, waiting=pytest.fail) == file
    assert flat(file.read_text()) == {"pool.size": 1, "gateway.port": 8100, "oauth.port": 8101}
    assert "# web shop\n" in file.read_text()
    assert "# keep\n" in file.read_text()


def test_what_cannot_be_remembered_changes_nothing(cli: Cli) -> None:
    """All of it or nothing."""
    file = project_file(cli, "web")
    file.parent.mkdir(parents=True)
    file.write_text("oauth = 5\n")
    meant = Home(cli.environ["CCAPI_HOME"], "web")
    with pytest.raises(SettingInvalid, match="cannot be changed"):
        config.remember(meant, {"gateway.port": 8100, "oauth.port": 8101}, waiting=pytest.fail)
    assert file.read_text() == "oauth = 5\n"


@pytest.mark.parametrize("where", ["environment", "directory"])
def test_a_value_that_another_place_overrides(cli: Cli, where: str) -> None:
    """It is written, and it is said why it does not count."""
    environ = {"CCAPI_GATEWAY_PORT": "9001"} if where == "environment" else {}
    if where == "directory":
        ok(cli, "set", "gateway.port", "9001", "--local")
    done = cli.run("config", "set", "gateway.port", "8001", environ=environ)
    assert done.returncode == 0
    assert "But what counts here is '9001', from the " in done.stderr
    assert ("environment CCAPI_GATEWAY_PORT" if where == "environment" else "ccapi.toml:2") in done.stderr


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
        assert f"{user_file(cli)}:1:9: not valid TOML" in done.stderr
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


# --- validate


def test_validate_shows_everything(cli: Cli) -> None:
    """Each problem on a line of its own with its place, what is near below it; exit 2."""
    file = cli.directory / "ccapi.toml"
    file.write_text('[gateway]\nport = "a"\n[log]\nlevel = "WARN"\n')
    ok(cli, "set", "pool.size", "1")
    user_file(cli).write_text(user_file(cli).read_text() + "sise = 1\n")
    done = cli.run("config", "validate", environ={"CCAPI_POOL_SIZE": "x", "CCAPI_GATEWAY_PROT": "1"})
    assert done.returncode == 2
    assert done.stdout.splitlines() == [
        f"{file}:2: gateway.port: expected a port, 1 to 65535, not 'a'",
        f"{file}:4: log.level: expected one of DEBUG, INFO, WARNING, ERROR, not 'WARN'",
        "  Did you mean WARNING?",
        f"{user_file(cli)}:3: no setting is called 'pool.sise'",
        "  Did you mean pool.size?",
        "CCAPI_POOL_SIZE: expected a whole number, not 'x'",
    ]
    assert done.stderr.startswith("warning: CCAPI_GATEWAY_PROT: ")


def test_validate_for_a_program(cli: Cli) -> None:
    """The same as data; the files that were looked at, too."""
    file = cli.directory / "ccapi.toml"
    file.write_text("[gateway\n")
    done = cli.run("config", "validate", "--json", environ={"CCAPI_GATEWAY_PROT": "1"})
    document = json.loads(done.stdout)
    assert (done.returncode, document["status"], len(document["warnings"])) == (2, "failed", 1)
    (problem,) = document["data"]["problems"]
    assert document["data"]["files"] == [str(file)]
    assert (problem["file"], problem["line"], problem["column"]) == (str(file), 1, 9)


def test_validate_of_nothing_wrong(cli: Cli) -> None:
    """Each file is named; there may be none."""
    assert ok(cli, "validate") == "There is no file of settings; nothing is wrong\n"
    ok(cli, "set", "gateway.port", "8001")
    ok(cli, "set", "gateway.port", "8100", "-p", "web")
    assert ok(cli, "validate", "-p", "web").count(": nothing is wrong\n") == 2
    assert json.loads(ok(cli, "validate", "--json"))["data"] == {"files": [str(user_file(cli))], "problems": []}


def test_validate_of_one_file(cli: Cli) -> None:
    """That one and no other; a stack's is looked at as such; exit 2 if there is none."""
    (cli.directory / "ccapi.toml").write_text("[gateway\n")
    file = cli.directory / "new.toml"
    file.write_text("gateway.port = 8001\n")
    assert ok(cli, "validate", "new.toml", CCAPI_POOL_SIZE="x") == "new.toml: nothing is wrong\n"
    project_file(cli, "web").parent.mkdir(parents=True)
    project_file(cli, "web").write_text("stack.project = 'web'\n")
    assert (
        "cannot stand in the file of one stack" in cli.run("config", "validate", str(project_file(cli, "web"))).stdout
    )
    done = cli.run("config", "validate", "none.toml")
    assert (done.returncode, "there is no such file" in done.stderr) == (2, True)


def test_what_is_shown_does_not_command_the_terminal(cli: Cli) -> None:
    """A file may be from anywhere."""
    (cli.directory / "ccapi.toml").write_bytes(b'"a\\u001b[31m" = 1\nlog.level = "\\u001b[2J"\n')
    assert "\x1b" not in cli.run("config", "validate").stdout


# --- show, get, path


def test_show_is_toml(cli: Cli) -> None:
    """Every setting has its line; what was printed, taken as a settings file, means the same."""
    ok(cli, "set", "models.map", 'gpt-4o=sonnet,"odd name"=opus')
    ok(cli, "set", "stack.base_image", 'a"b\\c')
    shown = ok(cli, "show")
    assert [line.removeprefix("# ").split()[0] for line in shown.splitlines()] == KEYS
    (cli.directory / "ccapi.toml").write_text(shown)
    values = json.loads(ok(cli, "show", "--json"))["data"]
    user_file(cli).unlink()
    again = json.loads(ok(cli, "show", "--json"))["data"]
    assert {key: entry["value"] for key, entry in again.items()} == {k: entry["value"] for k, entry in values.items()}


def test_show_says_where_a_value_comes_from(cli: Cli) -> None:
    """The variable of the environment, a line of a file, the default."""
    ok(cli, "set", "gateway.port", "8001")
    ok(cli, "set", "pool.size", "1", "--project", "web")
    shown = ok(cli, "show", "--origin", "--project", "web", CCAPI_OAUTH_PORT="8889", CCAPI_GATEWAY_PORT="8002")
    lines = shown.splitlines()
    origins = {line.removeprefix("# ").split()[0]: line.rpartition("# ")[2] for line in lines}
    assert origins["pool.size"] == f"{project_file(cli, 'web')}:2"
    assert origins["oauth.port"] == "environment CCAPI_OAUTH_PORT"
    assert origins["stack.project"] == "flag"
    assert origins["gateway.timeout"] == "default"
    assert tomllib.loads("\n".join(lines))["gateway"]["port"] == 8002
    assert f"# {user_file(cli)}:2\n" in ok(cli, "show", "--origin")


def test_show_as_json(cli: Cli) -> None:
    """Value and origin of each, unset ones as null."""
    (cli.directory / "ccapi.toml").write_text("\npool.size = 1\n")
    document = json.loads(ok(cli, "show", "--json", CCAPI_STACK_WORKSPACE="/srv/w"))["data"]
    assert list(document) == KEYS
    nowhere = {"file": None, "line": None, "variable": None}
    assert document["gateway.max_runs"] == {"value": None, "origin": "default", **nowhere}
    variable = {**nowhere, "variable": "CCAPI_STACK_WORKSPACE"}
    assert document["stack.workspace"] == {"value": "/srv/w", "origin": "environment", **variable}
    place = {**nowhere, "file": str(cli.directory / "ccapi.toml"), "line": 2}
    assert document["pool.size"] == {"value": 1, "origin": "file", **place}


def test_show_warns_of_a_variable_that_does_nothing(cli: Cli) -> None:
    """One that looks like a setting's."""
    done = cli.run("config", "show", environ={"CCAPI_GATEWAY_PROT": "1"})
    assert done.returncode == 0
    assert "warning: CCAPI_GATEWAY_PROT: nothing reads this variable. Did you mean CCAPI_GATEWAY_PORT?" in done.stderr


def test_get_of_what_is_not_set(cli: Cli) -> None:
    """An empty line, exit 0: there is such a setting."""
    assert ok(cli, "get", "gateway.max_runs") == "\n"
    done = cli.run("config", "get", "gateway.maxruns")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Did you mean gateway.max_runs?" in done.stderr


def test_looking_writes_nothing(cli: Cli) -> None:
    """No file and no directory."""
    for args in (["show", "--origin"], ["get", "gateway.port"], ["path"], ["validate"]):
        ok(cli, *args)
    assert not Path(cli.environ["CCAPI_HOME"]).exists()
    assert list(cli.directory.iterdir()) == []
