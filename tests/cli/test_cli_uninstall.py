"""`ccapi uninstall` where no engine runs: the files, the completion, the unit and the proxy; and what is not ours."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from ccapi.commands import updates
from tests.cli.support import Cli, free_port
from tests.stack.support import cli_without_engine


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Its own directories are where the system keeps such files, below a home that has other things in it."""
    made = cli_without_engine(tmp_path)
    del made.environ["CCAPI_HOME"]
    (home(made) / ".bashrc").write_text("alias ll='ls -l'\n")
    return made


def home(cli: Cli) -> Path:
    return Path(cli.environ["HOME"])


def tree(directory: Path) -> dict[str, str]:
    """Everything below it: files with what is in them, links with where they lead."""
    found = {}
    for place, directories, files in os.walk(directory):
        for name in (*directories, *files):
            path = Path(place, name)
            text = f"-> {path.readlink()}" if path.is_symlink() else "directory" if path.is_dir() else path.read_text()
            found[str(path.relative_to(directory))] = text
    return found


def settle(cli: Cli) -> None:
    """What ccapi leaves on a machine on which it is used: settings, keys, completion, a unit; of two stacks."""
    for args in (
        ["config", "set", "gateway.timeout", "9"],
        ["config", "set", "gateway.timeout", "7", "--project", "web"],
        ["key", "create"],
        ["key", "create", "--project", "web"],
        ["completion", "bash", "--install"],
        ["proxy", "install"],
    ):
        done = cli.run(*args)
        assert done.returncode == 0, done.stderr
    state = home(cli) / ".local" / "state" / "ccapi"
    (state / "log").mkdir(exist_ok=True)
    (state / "log" / "proxy.log.1").write_text("old\n")
    (state / f".stack.secret.{'0' * 16}").write_text("half")
    (state / "gateway" / "responses").mkdir(parents=True)
    (state / "gateway" / "responses" / "resp_1").write_text("{}")
    build = home(cli) / ".cache" / "ccapi" / "build-x1" / "templates"
    build.mkdir(parents=True)
    (build / "Dockerfile").write_text("FROM x\n")


def uninstall(cli: Cli, *args: str) -> dict[str, Any]:
    """What `ccapi uninstall --json` tells."""
    done = cli.run("uninstall", "--json", *args)
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["status"] == ("ok" if done.returncode == 0 else "failed")
    data: dict[str, Any] = document["data"]
    return data


def test_nothing_is_left_over(cli: Cli) -> None:
    """The home is as it was before the first command, but for the directories in which others keep their files.

    That Docker could not be asked is told, with the commands by label, and is exit 1.
    """
    before = tree(home(cli))
    settle(cli)
    done = cli.run("uninstall", "--yes")
    assert done.returncode == 1
    assert "the Docker engine is not running" in done.stderr
    assert "  docker volume rm $(docker volume ls --quiet --filter label=ccapi.stack)\n" in done.stderr
    assert "  docker rmi $(docker images --quiet --filter label=ccapi.image=claude-code-api)\n" in done.stderr
    after = tree(home(cli))
    shared = {".config", ".config/systemd", ".config/systemd/user", ".local", ".local/state", ".cache"}
    assert {name: text for name, text in after.items() if name not in shared} == before
    assert f"The command itself: {updates.removal()}" in done.stderr


def test_a_dry_run(cli: Cli) -> None:
    """It lists the same as what then goes, on standard output, and changes nothing."""
    settle(cli)
    before = tree(home(cli))
    listed = uninstall(cli, "--dry-run")
    text = cli.run("uninstall", "--dry-run")
    assert text.returncode == 0
    assert tree(home(cli)) == before
    assert (listed["removed"], listed["dry_run"]) == ([], True)
    names = [artefact["name"] for artefact in listed["artefacts"]]
    assert names == [
        str(home(cli) / ".config/systemd/user/ccapi-oauth-proxy.service"),
        str(home(cli) / ".config/ccapi/completion/ccapi.bash"),
        str(home(cli) / ".bashrc"),
        str(home(cli) / ".config/ccapi"),
        str(home(cli) / ".local/state/ccapi"),
        str(home(cli) / ".cache/ccapi"),
    ]
    assert all(name in text.stdout for name in names)
    assert uninstall(cli, "--yes")["removed"] == listed["artefacts"]
    assert uninstall(cli, "--dry-run")["artefacts"] == []


def test_what_is_not_ours_stays(cli: Cli, tmp_path: Path) -> None:
    """Files of the person's in `CCAPI_HOME`, and what symbolic links lead to; both are named, and no failure."""
    there, elsewhere = tmp_path / "mine", tmp_path / "elsewhere"
    cli.environ["CCAPI_HOME"] = str(there)
    foreign = ["notes.txt", "config/other.toml", "config/projects/README", "state/keys/my.key", "state/mine/stack.lock"]
    for name in foreign:
        (there / name).parent.mkdir(parents=True, exist_ok=True)
        (there / name).write_text("mine")
    elsewhere.mkdir()
    for name in ("config.toml", "update.json", "log", "gateway"):
        (elsewhere / name).write_text("mine")
    (there / "cache").symlink_to(elsewhere)
    (there / "state" / "log").symlink_to(elsewhere)
    (there / "state" / "gateway").mkdir()
    (there / "state" / "gateway" / "link").symlink_to(elsewhere)
    before = tree(tmp_path)
    assert cli.run("key", "create").returncode == 0
    (there / "config" / "config.toml").symlink_to(elsewhere / "config.toml")
    found = uninstall(cli, "--yes")
    after = tree(tmp_path)
    ours = {"mine/state/gateway", "mine/state/gateway/link"}
    assert after == {name: text for name, text in before.items() if name not in ours}
    kept = {str(there / name) for name in [*foreign[1:], "cache", "state/log"]}
    assert set(found["kept"]) == kept
    assert found["left"] == []


def test_a_directory_of_ones_own_goes_when_it_is_empty(cli: Cli, tmp_path: Path) -> None:
    """`CCAPI_HOME` with nothing but ours in it."""
    cli.environ["CCAPI_HOME"] = str(tmp_path / "ccapi")
    assert cli.run("key", "create").returncode == 0
    uninstall(cli, "--yes")
    assert not (tmp_path / "ccapi").exists()


def test_one_project(cli: Cli) -> None:
    """What is that stack's goes, and nothing that others have or share."""
    settle(cli)
    before = tree(home(cli))
    found = uninstall(cli, "--yes", "--project", "web")
    assert len(found["removed"]) == 2
    gone = set(before) - set(tree(home(cli)))
    assert gone == {name for name in before if name.endswith("projects") or "projects/web" in name}
    done = cli.run("uninstall", "--yes", "--project", "default")
    assert done.returncode == 1, "Docker could not be asked"
    left = tree(home(cli) / ".local" / "state" / "ccapi")
    assert set(left) <= {"config.lock", "ports.lock"}
    assert (home(cli) / ".config" / "ccapi" / "config.toml").exists()
    assert "The command itself" not in done.stderr


def test_a_proxy_that_runs(cli: Cli) -> None:
    """It is listed, and ends."""
    cli.environ["CCAPI_OAUTH_PORT"] = port = str(free_port())
    assert cli.run("proxy", "start").returncode == 0
    try:
        first = uninstall(cli, "--dry-run")["artefacts"][0]
        assert (first["kind"], first["name"]) == ("proxy", f"http://localhost:{port}")
        assert first["command"].startswith("kill ")
    finally:
        removed = uninstall(cli, "--yes")["removed"]
    assert removed[0]["name"] == first["name"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port)))


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("here/ccapi.toml", "[stack\n"),
        ("here/ccapi.toml", '[stack]\nproject = "../x"\n'),
        ("config", "[gateway]\nx = 1"),
    ],
)
def test_broken_settings_are_no_hindrance(cli: Cli, tmp_path: Path, place: str, text: str) -> None:
    """All stacks are meant, whatever a file says; one that lies in the directory is the person's, and stays."""
    user = home(cli) / ".config" / "ccapi" / "config.toml"
    file = user if place == "config" else tmp_path / "ccapi.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    found = uninstall(cli, "--yes")
    assert found["left"] == []
    assert not user.exists()
    assert (tmp_path / "ccapi.toml").exists() == (place != "config")


def test_nobody_to_ask(cli: Cli) -> None:
    """Exit 3, with all that would go, and how to say yes; nothing changes."""
    settle(cli)
    before = tree(home(cli))
    done = cli.run("uninstall")
    assert done.returncode == 3
    assert str(home(cli) / ".local/state/ccapi") in done.stderr
    assert "ccapi uninstall --yes" in done.stderr
    assert tree(home(cli)) == before


def test_the_question(cli: Cli) -> None:
    """It comes after the list; no is the default, and exit 1. Ctrl-C is no as well. Yes removes."""
    settle(cli)
    before = tree(home(cli))
    for keys, code in ((b"\n", 1), (b"\x03", 130)):
        with cli.terminal("uninstall") as terminal:
            assert "Files of ccapi" in terminal.read_until("Remove all of it? [y/N]")
            terminal.type(keys)
            terminal.read_all()
        assert terminal.process.returncode == code
        assert tree(home(cli)) == before
    with cli.terminal("uninstall") as terminal:
        terminal.read_until("Remove all of it? [y/N]")
        terminal.type(b"y\n")
        terminal.read_all()
    assert not (home(cli) / ".local" / "state" / "ccapi").exists()


def test_what_cannot_be_removed(cli: Cli) -> None:
    """It is named, with why and the command by hand, and the rest goes; a second run finishes."""
    settle(cli)
    script = home(cli) / ".bashrc"
    script.write_bytes(script.read_bytes() + b"\xff\n")
    done = cli.run("uninstall", "--yes")
    assert done.returncode == 1
    assert f"{script} cannot be read" in done.stderr
    assert not (home(cli) / ".local" / "state" / "ccapi").exists()
    script.write_bytes(script.read_bytes().replace(b"\xff\n", b""))
    assert [artefact["name"] for artefact in uninstall(cli, "--yes")["removed"]] == [str(script)]
    assert script.read_text() == "alias ll='ls -l'\n"


def test_how_the_tool_itself_goes(tmp_path: Path) -> None:
    """By what its environment says of itself."""
    (tmp_path / "pipx_metadata.json").touch()
    assert updates.removal(tmp_path) == "pipx uninstall ccapi-cli"
    (tmp_path / "pipx_metadata.json").rename(tmp_path / "uv-receipt.toml")
    assert updates.removal(tmp_path) == "uv tool uninstall ccapi-cli"
    (tmp_path / "uv-receipt.toml").unlink()
    pip = f"{sys.executable} -m pip uninstall ccapi-cli"
    assert updates.removal(tmp_path) in {pip, f"uv pip uninstall --python {sys.executable} ccapi-cli"}
