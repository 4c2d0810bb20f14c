"""`ccapi key`: what is shown, what is kept, and what several at once do to each other."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ccapi.cli.app import root
from ccapi.wire import keys
from tests.cli.support import DEADLINE, Cli, command

KEYS: Any = root().commands["key"]
COMMANDS: dict[str, Any] = KEYS.commands
KEY = re.compile(r"ccapi-[A-Za-z0-9_-]{43}\n")


def file(cli: Cli) -> Path:
    return Path(cli.environ["CCAPI_HOME"]) / "state" / "keys" / "keys.json"


def stored(cli: Cli) -> keys.KeyFile:
    return keys.load(file(cli).read_bytes(), file(cli))


def create(cli: Cli, *args: str) -> str:
    """The key that was made; all went well."""
    done = cli.run("key", "create", *args)
    assert done.returncode == 0, done.stderr
    assert KEY.fullmatch(done.stdout)
    return done.stdout.strip()


def listed(cli: Cli) -> list[dict[str, Any]]:
    done = cli.run("key", "list", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found: list[dict[str, Any]] = json.loads(done.stdout)["data"]["keys"]
    return found


def everything_written(cli: Cli) -> str:
    home = Path(cli.environ["HOME"])
    return "".join(path.read_text("utf-8") for path in home.rglob("*") if path.is_file())


# --- help


@pytest.mark.parametrize("name", ["create", "list", "revoke"])
def test_help(cli: Cli, name: str) -> None:
    """Usage, a description and every option explained, within 80 columns."""
    done = cli.run("key", name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: ccapi key {name} ")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert [parameter.name for parameter in COMMANDS[name].params if not getattr(parameter, "help", "")] == []


def test_the_group_lists_its_commands(cli: Cli) -> None:
    """All of them, none cut off."""
    done = cli.run("key", "--help", environ={"COLUMNS": "80"})
    lines = done.stdout.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert {line.split()[0] for line in lines} == set(COMMANDS) == {"create", "list", "revoke"}
    assert not [line for line in lines if line.endswith("...")]


def test_a_mistyped_command(cli: Cli) -> None:
    """Exit 2, and what was meant."""
    done = cli.run("key", "revok", "x")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Did you mean 'revoke'?" in done.stderr


# --- create


def test_the_key_alone_is_on_stdout(cli: Cli) -> None:
    """So that KEY=$(ccapi key create) works; what there is to say goes to stderr, without the key."""
    done = cli.run("key", "create", "--name", "n8n")
    assert done.returncode == 0
    assert KEY.fullmatch(done.stdout)
    (record,) = stored(cli).keys
    assert done.stderr.startswith(f"Key {record.id} 'n8n': everything. It is not shown again.\n")
    assert done.stdout[6:14] not in done.stderr


def test_only_the_hash_is_kept(cli: Cli) -> None:
    """Nothing that was written, anywhere, has a part of the key."""
    key = create(cli)
    assert stored(cli).keys[0].hash == keys.digest(key)
    written = everything_written(cli)
    assert keys.digest(key) in written
    assert key[6:14] not in written


def test_without_a_limit_a_key_may_do_everything(cli: Cli) -> None:
    """As whoever needs no key."""
    create(cli)
    assert stored(cli).keys[0].policy == keys.Policy()


def test_the_limits_are_kept(cli: Cli) -> None:
    """Each option, repeated where it can be; twice the same is once."""
    models = ["--model", "sonnet", "--model=gpt-4o", "--model", "sonnet"]
    tools = ["--tool", "Read", "--tool", "mcp__github__get_me", "--tool", "mcp__github"]
    create(cli, *models, *tools, "--workspace", "docs", "--workspace", ".", "--transcript", "final", "--rate", "30")
    wanted = keys.Policy(
        ("sonnet", "gpt-4o"), "final", ("Read", "mcp__github__get_me", "mcp__github"), ("docs", "."), 30
    )
    assert stored(cli).keys[0].policy == wanted


def test_no_tools_is_not_any_tools(cli: Cli) -> None:
    """The empty list forbids."""
    create(cli, "--no-tools")
    assert stored(cli).keys[0].policy == keys.Policy(tools=())


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--no-tools", "--tool", "Read"], "--tool and --no-tools exclude each other"),
        (["--model", "--dangerously-skip-permissions"], "--model"),
        (["--model", "a b"], "is not a model's name"),
        (["--model", "sonnet:final"], "--model sonnet --transcript final"),
        (["--tool", "Bash(git *)"], "is not a tool's name"),
        (["--tool", "Read,Write"], "is not a tool's name"),
        (["--workspace", "../x"], "is not a workspace's name"),
        (["--workspace", "/etc"], "is not a workspace's name"),
        (["--transcript", "all"], "--transcript"),
        (["--rate", "0"], "--rate"),
        (["--rate", "10001"], "--rate"),
        (["--rate", "many"], "--rate"),
        (["--name", ""], "is no name"),
        (["--name", "a\nb"], "is no name"),
        (["--name", "x" * 65], "is no name"),
        (["--name", "0123456789ab"], "is no name"),
        (["extra"], "extra"),
    ],
)
def test_what_is_refused(cli: Cli, args: list[str], said: str) -> None:
    """Exit 2, what is wrong, and no key was made."""
    done = cli.run("key", "create", *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert not file(cli).exists()


def test_a_key_in_the_place_of_a_name_is_not_repeated(cli: Cli) -> None:
    """It may be a real one, and stderr may be a log."""
    key = create(cli)
    done = cli.run("key", "create", "--name", key)
    assert done.returncode == 2
    assert key[6:14] not in done.stderr


def test_create_as_json(cli: Cli) -> None:
    """One document, the key in it."""
    done = cli.run("key", "create", "--name", "ci", "--rate", "5", "--json")
    document = json.loads(done.stdout)["data"]
    assert keys.digest(document.pop("key")) == stored(cli).keys[0].hash
    assert [document] == listed(cli)


def test_keys_are_made_while_a_setting_is_wrong(cli: Cli) -> None:
    """They have nothing to do with each other, and a key may have to go at once."""
    (cli.directory / "ccapi.toml").write_text("[gateway]\nprot = 1\n")
    key = create(cli, "--name", "n8n")
    assert cli.run("key", "revoke", "n8n").returncode == 0
    assert key not in cli.run("key", "list").stdout


@pytest.mark.parametrize(("require", "said"), [("off", True), ("on", False)])
def test_that_no_key_is_needed_is_said(cli: Cli, require: str, said: bool) -> None:
    """Who makes a key may think that from now on everybody needs one."""
    done = cli.run("key", "create", environ={"CCAPI_API_REQUIRE_KEY": require})
    assert ("ccapi config set api.require_key true" in done.stderr) == said


def test_a_key_that_nobody_saw_is_revoked(cli: Cli) -> None:
    """Standard output is full: the error is said, and no key is left that opens anything."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command("key", "create"),
            cwd=cli.directory,
            env=cli.environ,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 1
    assert b"Standard output cannot be written" in done.stderr
    assert stored(cli).keys == ()


# --- the file


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_modes(cli: Cli, umask: int) -> None:
    """The container's user can read the file, whatever the umask; this machine's other users cannot reach it."""
    subprocess.run(
        command("key", "create"), cwd=cli.directory, env=cli.environ, umask=umask, capture_output=True, check=True
    )
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (file(cli), file(cli).parent, file(cli).parent.parent)]
    assert modes[:2] == [0o644, 0o755]
    assert modes[2] & 0o007 == 0


def test_a_directory_of_another_user_is_explained(cli: Cli) -> None:
    """Docker makes a missing directory as root. (Here a file is in its place: the tests may run as root.)"""
    file(cli).parent.parent.mkdir(parents=True)
    file(cli).parent.write_text("")
    done = cli.run("key", "create")
    assert (done.returncode, done.stdout) == (1, "")
    assert str(file(cli).parent) in done.stderr
    assert "chown" in done.stderr


@pytest.mark.parametrize("args", [["create"], ["list"], ["revoke", "x"]])
def test_a_damaged_file_is_left_alone(cli: Cli, args: list[str]) -> None:
    """Exit 2, named, and what to do; never written over."""
    create(cli)
    file(cli).write_text(damaged := file(cli).read_text()[:-10])
    done = cli.run("key", *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert str(file(cli)) in done.stderr
    assert file(cli).read_text() == damaged


def test_many_at_once(cli: Cli) -> None:
    """No key is lost, whoever writes when; and those that end others lose none either."""
    for number in range(4):
        create(cli, "--name", f"old {number}")
    making = [["key", "create", "--name", f"new {number}"] for number in range(8)]
    ending = [["key", "revoke", f"old {number}"] for number in range(4)]
    processes = [
        subprocess.Popen(
            command(*args), cwd=cli.directory, env=cli.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for args in [*making, *ending]
    ]
    for process in processes:
        _, stderr = process.communicate(timeout=2 * DEADLINE)
        assert process.returncode == 0, stderr
    assert {record["name"] for record in listed(cli)} == {f"new {number}" for number in range(8)}
    assert {ended.name for ended in stored(cli).revoked} == {f"old {number}" for number in range(4)}
    assert os.listdir(file(cli).parent) == ["keys.json"], "nothing is left over"  # noqa: PTH208 -- names are wanted


# --- list


def test_a_list_of_none(cli: Cli) -> None:
    """Nothing on stdout, how to make one on stderr; nothing is written by looking."""
    done = cli.run("key", "list")
    assert (done.returncode, done.stdout) == (0, "")
    assert "ccapi key create" in done.stderr
    assert listed(cli) == []
    assert not Path(cli.environ["CCAPI_HOME"]).exists()


def test_a_list(cli: Cli) -> None:
    """What one must know to revoke the right one; neither key nor hash."""
    made = [create(cli, "--name", "n8n", "--model", "sonnet", "--no-tools", "--rate", "5"), create(cli)]
    done = cli.run("key", "list")
    head, first, second = done.stdout.splitlines()
    assert head.split() == ["ID", "NAME", "CREATED", "MAY", "DO"]
    assert first.endswith("models sonnet; tools none; 5 a minute")
    assert second.endswith("everything")
    for record, line in zip(stored(cli).keys, (first, second), strict=True):
        assert line.startswith(record.id)
        assert record.hash[:12] not in done.stdout
    assert [entry["name"] for entry in listed(cli)] == ["n8n", None]
    assert set(listed(cli)[0]) == {"id", "name", "created", "policy"}
    assert not [key for key in made if key in done.stdout]


# --- revoke


@pytest.mark.parametrize("by", ["id", "name", "key"])
def test_revoke(cli: Cli, by: str) -> None:
    """By what one has at hand; once more changes nothing and is no failure (by the key, nothing is left to know it)."""
    key = create(cli, "--name", "n8n")
    create(cli, "--name", "other")
    wanted = {"id": stored(cli).keys[0].id, "name": "n8n", "key": key}[by]
    done = cli.run("key", "revoke", wanted)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("Revoked key ")
    assert [record.name for record in stored(cli).keys] == ["other"]
    before = file(cli).read_bytes()
    if by != "key":
        again = cli.run("key", "revoke", wanted, "--json")
        assert again.returncode == 0
        assert json.loads(again.stdout)["data"]["already"] is True
    assert file(cli).read_bytes() == before
    assert keys.digest(key) not in everything_written(cli)


def test_an_unknown_key(cli: Cli) -> None:
    """Exit 1, with what is near; nothing is written."""
    create(cli, "--name", "open-webui")
    before = file(cli).read_bytes()
    done = cli.run("key", "revoke", "open-wbui")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: no API key has the id or name 'open-wbui'\n  Did you mean open-webui?\n"
    assert "ccapi key list" in cli.run("key", "revoke", "xyzzy").stderr
    assert file(cli).read_bytes() == before


def test_an_unknown_key_is_not_repeated(cli: Cli) -> None:
    """What was pasted may be somebody's key for another machine."""
    create(cli)
    secret = "ccapi-" + "s3cret" * 7
    for wanted in (secret, f" {secret}", f"Bearer {secret}"):
        done = cli.run("key", "revoke", wanted)
        assert done.returncode == 1
        assert "s3cret" not in done.stderr


def test_revoke_where_there_is_none(cli: Cli) -> None:
    """Exit 1, and no file is made."""
    assert cli.run("key", "revoke", "n8n").returncode == 1
    assert not file(cli).exists()


def test_a_name_that_two_keys_have(cli: Cli) -> None:
    """Exit 2: neither goes, and both commands are there to copy. With one of them gone the name is clear."""
    for _ in range(2):
        create(cli, "--name", "n8n")
    first, second = (record.id for record in stored(cli).keys)
    done = cli.run("key", "revoke", "n8n")
    assert done.returncode == 2
    assert f"ccapi key revoke {first}" in done.stderr
    assert f"ccapi key revoke {second}" in done.stderr
    assert len(stored(cli).keys) == 2
    assert cli.run("key", "revoke", first).returncode == 0
    assert cli.run("key", "revoke", "n8n").returncode == 0
    assert stored(cli).keys == ()


def test_nothing_of_docker_or_the_network_is_loaded() -> None:
    """Keys are made in a moment, wherever the stack is."""
    heavy = ["docker", "httpx", "aiohttp", "rich", "pydantic", "tomlkit"]
    code = f"import sys, ccapi.cli.app, ccapi.commands.keys; print([m for m in {heavy!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
