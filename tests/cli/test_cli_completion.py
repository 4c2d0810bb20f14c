"""Completion: in the real shells, what it asks `ccapi`, and where `--install` puts it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ccapi.cli import values
from ccapi.cli.app import TABLE
from ccapi.commands import completion
from ccapi.paths import Home
from ccapi.settings import TABLE as SETTINGS
from tests.cli.support import DEADLINE, Cli, Terminal, on_terminal

SHELLS = ("bash", "zsh", "fish", "powershell")
PLAIN = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}
WITH_START_FILES = {"bash": ["bash", "-i"], "zsh": ["zsh", "-i"]}
TAB = b"\t"
SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def needs(shell: str) -> None:
    """CI has them all (.ci/prepare)."""
    if not os.environ.get("CI") and shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")


@pytest.fixture
def environ(cli: Cli) -> dict[str, str]:
    """For a shell in which `ccapi` is the one under test."""
    programs = cli.directory / "bin"
    programs.mkdir()
    program = programs / "ccapi"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ccapi "$@"\n')
    program.chmod(0o755)
    (cli.directory / "home").mkdir()
    return {**cli.environ, "PATH": f"{programs}:{cli.environ['PATH']}", "PS1": "$ ", "TERM": "dumb"}


def possible(cli: Cli, word: str, *before: str) -> list[str]:
    """What can stand where `word` was begun, behind `ccapi BEFORE`."""
    done = cli.run("__complete", f"={word}", *before)
    assert (done.returncode, done.stderr) == (0, "")
    return [line.partition("\t")[0] for line in done.stdout.splitlines()]


# --- the shells


@contextmanager
def interactive(shell: list[str], environ: dict[str, str], directory: Path, first: str = "") -> Iterator[Terminal]:
    """The shell waits for a key; it has done what `first` says."""
    with on_terminal(shell, environ, directory, columns=200) as terminal:
        terminal.type(f"{first}\necho re''ady\n".encode())
        terminal.read_until("ready\r\n")
        yield terminal


@pytest.mark.parametrize("shell", PLAIN)
@pytest.mark.parametrize(
    ("typed", "becomes"),
    [
        ("stat", "ccapi status "),
        ("config ge", "ccapi config get "),
        ("config get gateway.po", "ccapi config get gateway.port "),
        ("status --color=al", "ccapi status --color=always "),
        ("status --color al", "ccapi status --color always "),
        ("up --rehearsal fib", "ccapi up --rehearsal fibonacci "),
        ("auth noti", "ccapi auth notion "),
        ("up --workspace ./a-direct", "ccapi up --workspace ./a-directory/"),
    ],
)
def test_a_key_completes_the_word(shell: str, typed: str, becomes: str, cli: Cli, environ: dict[str, str]) -> None:
    """Commands, settings, values of options, names that only ccapi knows, and files where a file belongs."""
    needs(shell)
    (cli.directory / "a-directory").mkdir()
    with interactive(PLAIN[shell], environ, cli.directory, f'eval "$(ccapi completion {shell})"') as terminal:
        terminal.type(f"ccapi {typed}".encode() + TAB)
        read_shown(terminal, becomes)


def read_shown(terminal: Terminal, wanted: str) -> None:
    """Until it stands behind the prompt, whatever moves of the cursor brought it there."""
    deadline = time.monotonic() + DEADLINE
    while wanted not in (shown := SEQUENCE.sub("", terminal.text.rpartition("ready\n")[2])):
        assert terminal._read(deadline), shown


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("ccapi stat", {"status"}),
        ("ccapi config get gateway.po", {"gateway.port"}),
        ("ccapi status --color=al", {"--color=always"}),
        ("ccapi status --color al", {"always"}),
        ("ccapi auth noti", {"notion"}),
        ("ccapi up --workspace ./a-direct", {"./a-directory/"}),
    ],
)
def test_fish(line: str, found: set[str], cli: Cli, environ: dict[str, str]) -> None:
    """As in the other shells; each possibility with what it is."""
    needs("fish")
    (cli.directory / "a-directory").mkdir()
    done = subprocess.run(
        ["fish", "--no-config", "-c", 'ccapi completion fish | source; complete -C "$argv"', "--", line],
        cwd=cli.directory,
        env=environ,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.stderr == ""
    assert {one.partition("\t")[0] for one in done.stdout.splitlines()} == found
    if found == {"status"}:
        assert done.stdout == f"status\t{TABLE['status'].help}\n"


def test_the_script_for_bash_does_without_what_macos_lacks() -> None:
    """bash 3.2 knows no associative arrays, no `mapfile`, no change of case, no `compopt`, no `|&` and no `;&`."""
    script = completion.script("bash")
    newer = re.compile(
        r"mapfile|readarray|declare -[Ang]|local -[An]|\$\{\w+[,^]|compopt|\|&|&>>|;;?&|\$EPOCH|printf -v \w+\["
    )
    assert not newer.search(script)
    done = subprocess.run(["bash", "--posix", "-n"], input=script, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_script_for_powershell() -> None:
    """No PowerShell runs here: that it asks as the others do, and what its engine calls for, can be read from it."""
    script = completion.script("powershell")
    assert script.startswith("Register-ArgumentCompleter -Native -CommandName ccapi -ScriptBlock {\n")
    assert "param($wordToComplete, $commandAst, $cursorPosition)" in script
    assert 'ccapi __complete "=$wordToComplete" @before 2>$null' in script
    assert "[System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $text)" in script
    for opening, closing in ("{}", "()", "[]"):
        assert script.count(opening) == script.count(closing)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_printed(shell: str, cli: Cli) -> None:
    """Alone, on standard output."""
    done = cli.run("completion", shell)
    assert (done.returncode, done.stdout, done.stderr) == (0, completion.script(shell), "")  # type: ignore[arg-type]


def test_the_shell_is_the_persons_own(cli: Cli) -> None:
    """By `$SHELL`; exit 2 where that says nothing."""
    assert cli.run("completion", environ={"SHELL": "/usr/bin/zsh"}).stdout.startswith("#compdef ccapi\n")
    unknown = cli.run("completion", environ={"SHELL": "/bin/tcsh"})
    assert unknown.returncode == 2
    assert "ccapi completion bash" in unknown.stderr


# --- what is asked


def test_every_command_is_offered(cli: Cli) -> None:
    """And none that is not for typing."""
    assert possible(cli, "") == list(TABLE)


def test_options(cli: Cli) -> None:
    """The command's own, and those that every command has."""
    assert {"--json", "--project", "--help"} <= set(possible(cli, "--", "status"))
    assert possible(cli, "--verb", "config", "get") == ["--verbose"]


def test_what_follows_ccapi_auth(cli: Cli) -> None:
    """Its subcommands, the servers of the catalogue, and the options of a login."""
    assert {"list", "status", "logout", "claude", "github", "notion"} <= set(possible(cli, "", "auth"))
    assert {"--with-token", "--project"} <= set(possible(cli, "--", "auth"))
    assert possible(cli, "--with", "auth", "github") == ["--with-token"]
    assert possible(cli, "noti", "auth", "logout") == ["notion"]


def test_settings(cli: Cli) -> None:
    """All keys, for each command that takes one."""
    keys = sorted(row.key for row in SETTINGS)
    for command in ("get", "set", "unset"):
        assert possible(cli, "", "config", command) == keys


def test_scenarios_and_checks(cli: Cli) -> None:
    """Those that are shipped; checks by name and by category."""
    assert "fibonacci" in possible(cli, "", "up", "--rehearsal")
    assert "fibonacci" in possible(cli, "", "rehearsal", "--scenario")
    assert {"docker", "docker.engine"} <= set(possible(cli, "docker", "doctor"))


def test_projects(cli: Cli) -> None:
    """The stacks that have settings or a state here, wherever the option stands."""
    home = cli.directory / "home" / "ccapi"
    (home / "config" / "projects").mkdir(parents=True)
    (home / "config" / "projects" / "web.toml").touch()
    (home / "state" / "projects" / "mail").mkdir(parents=True)
    assert possible(cli, "", "-p") == ["mail", "web"]
    assert possible(cli, "w", "status", "--project") == ["web"]
    assert possible(cli, "--project=m", "status") == ["--project=mail"]


def test_keys_by_their_ids(cli: Cli) -> None:
    """Each with its name; the key itself is nowhere."""
    key = cli.run("key", "create", "--name", "laptop").stdout.strip()
    done = cli.run("__complete", "=", "key", "revoke")
    assert done.stdout.endswith("\tlaptop\n")
    assert key not in done.stdout


@pytest.mark.parametrize("words", [["=", "xyzzy"], ["=x", "config", "--bogus"], [], ["=", "ask", "a question"]])
def test_nothing_to_offer(words: list[str], cli: Cli) -> None:
    """No error in the middle of somebody's line."""
    done = cli.run("__complete", *words)
    assert done.stderr == ""
    assert "Traceback" not in done.stdout


def test_broken_settings_do_not_matter(cli: Cli) -> None:
    """A file that cannot be read is no reason to complete nothing."""
    (cli.directory / "ccapi.toml").write_text("this is no TOML")
    assert possible(cli, "gateway.po", "config", "get") == ["gateway.port"]
    assert possible(cli, "x", "--project") == []


_WATCH = """
import sys
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork"):
        with open({file!r}, "a") as file:
            file.write(f"{{event}} {{arguments}}\\n")
sys.addaudithook(watch)
"""


@pytest.mark.parametrize(
    "words",
    [
        ["="], ["=", "auth"], ["=", "config", "get"], ["=", "status", "--project"], ["=", "key", "revoke"],
        ["=", "doctor"], ["=--", "up"], ["=", "up", "--rehearsal"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_nobody_is_asked(words: list[str], cli: Cli) -> None:
    """No connection, no other program: neither Docker, nor the network, nor the person."""
    cli.run("key", "create")
    (cli.directory / "home" / "ccapi" / "state" / "projects" / "mail").mkdir(parents=True)
    seen = cli.directory / "seen"
    (cli.directory / "sitecustomize.py").write_text(_WATCH.format(file=str(seen)))
    watched = {"PYTHONPATH": f"{cli.directory}:{cli.environ['PYTHONPATH']}"}
    assert cli.run("__complete", *words, environ=watched).stdout
    assert not seen.exists(), seen.read_text()
    cli.run("status", environ=watched | {"DOCKER_HOST": f"unix://{cli.directory}/none.sock"})
    assert "socket.connect" in seen.read_text(), "the watch does see what is done"


def test_values_are_in_order() -> None:
    """Whoever asks for settings gets them sorted, and those that begin so."""
    found = values.settings("gateway.")
    assert found == sorted(found)
    assert all(key.startswith("gateway.") for key in found)


# --- installing


@pytest.mark.parametrize("shell", WITH_START_FILES)
def test_installed_for_the_next_shell(shell: str, cli: Cli, environ: dict[str, str]) -> None:
    """A new shell completes; the person's start file is otherwise as it was, also after a second time."""
    needs(shell)
    start = cli.directory / "home" / f".{shell}rc"
    start.write_text("alias ll='ls -l'\nPS1='$ '\n")
    for _ in range(2):
        done = cli.run("completion", shell, "--install")
        assert done.returncode == 0, done.stderr
        assert str(start) in done.stderr
    lines = start.read_text().splitlines()
    assert lines[:2] == ["alias ll='ls -l'", "PS1='$ '"]
    assert len(lines) == 3
    with interactive(WITH_START_FILES[shell], environ, cli.directory) as terminal:
        terminal.type(b"ccapi stat" + TAB)
        read_shown(terminal, "ccapi status ")


def test_installed_for_fish(cli: Cli, environ: dict[str, str]) -> None:
    """Where fish looks by itself."""
    needs("fish")
    assert cli.run("completion", "fish", "--install").returncode == 0
    done = subprocess.run(
        ["fish", "-c", 'complete -C "ccapi stat"'],
        env=environ,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.stdout.startswith("status\t")


def test_installed_for_powershell(cli: Cli, environ: dict[str, str]) -> None:
    """It is asked which file it reads when it starts; the line there goes nowhere if the script is gone."""
    profile = cli.directory / "Power Shell" / "profile.ps1"
    (cli.directory / "bin" / "pwsh").write_text(f"#!/bin/sh\necho '{profile}'\n")
    (cli.directory / "bin" / "pwsh").chmod(0o755)
    done = cli.run("completion", "powershell", "--install", environ=environ)
    assert done.returncode == 0, done.stderr
    script = cli.directory / "home" / "ccapi" / "config" / "completion" / "ccapi.ps1"
    assert profile.read_text() == f"if (Test-Path '{script}') {{ . '{script}' }}  # ccapi completion\n"
    assert script.read_text().startswith(completion.script("powershell"))


def test_where_there_is_no_powershell(cli: Cli) -> None:
    """Exit 2, and what works without it."""
    empty = cli.directory / "empty"
    empty.mkdir()
    done = cli.run("completion", "powershell", "--install", environ={"PATH": str(empty)})
    assert done.returncode == 2
    assert "ccapi completion powershell" in done.stderr


def test_all_of_it_can_be_taken_out_again(tmp_path: Path) -> None:
    """Which files these are, and what is left of the person's own."""
    environ = {"HOME": str(tmp_path), "PATH": ""}
    home = Home(str(tmp_path / "ccapi"))
    (tmp_path / ".bashrc").write_text("export A=1\n")
    assert completion.installed(environ, home) == []
    assert completion.uninstall(environ, home) == []
    for shell in ("bash", "zsh", "fish"):
        completion.install(shell, environ, home)
    scripts = tmp_path / "ccapi" / "config" / "completion"
    found = {
        scripts / "ccapi.bash",
        scripts / "ccapi.zsh",
        tmp_path / ".config" / "fish" / "completions" / "ccapi.fish",
        tmp_path / ".bashrc",
        tmp_path / ".zshrc",
    }
    assert set(completion.installed(environ, home)) == found
    assert set(completion.uninstall(environ, home)) == found
    assert completion.installed(environ, home) == []
    assert (tmp_path / ".bashrc").read_text() == "export A=1\n"
    assert list(scripts.iterdir()) == []
