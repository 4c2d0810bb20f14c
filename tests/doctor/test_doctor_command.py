"""`ccapi doctor` as a person types it: what it prints, how it ends, what it mends."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest

from ccapi.doctor import registry
from ccapi.doctor.check import CATEGORIES, Status
from tests.cli.support import DEADLINE, SGR, Cli, command
from tests.doctor import troubleshooting
from tests.doctor.support import Doctor

FILES = "storage.files"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """On a machine without an engine. Nobody is asked on the internet, unless a test says so."""
    cli = Cli(tmp_path)
    cli.environ["DOCKER_HOST"] = f"unix://{tmp_path}/none.sock"
    return cli


@pytest.fixture
def open_file(cli: Cli) -> Path:
    """Something that is wrong, and can be mended safely."""
    state = Path(cli.environ["CCAPI_HOME"]) / "state"
    state.mkdir(mode=0o700, parents=True)
    file = state / "build.log"
    file.write_text("x")
    file.chmod(0o644)
    return file


def document(cli: Cli, *args: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cli.run("doctor", *args, "--json").stdout)
    return found


# --- how it ends


def test_nothing_is_wrong(cli: Cli) -> None:
    """One line for each category, and the verdict with how many checks and how long."""
    done = cli.run("doctor", "cli.python", "cli.settings")
    assert done.returncode == 0
    assert re.fullmatch(r"✓ No problems found \(2 checks, \d+\.\d s\)", done.stdout.splitlines()[-1])
    assert done.stderr == ""


def test_something_does_not_work(cli: Cli) -> None:
    """What, the details, what to do; exit code 1; the verdict last."""
    cli.environ["CCAPI_GATEWAY_PORT"] = "99999"
    done = cli.run("doctor", "cli.settings")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "✗ Command line"
    assert lines[1].startswith("  ✗ cli.settings: ")
    assert "        ccapi config validate" in lines
    assert lines[-1] == "✗ 1 problem in Command line"


def test_warnings_only(cli: Cli, open_file: Path) -> None:
    """Are exit code 0, and with --strict 1; what can be mended safely is said in the last line."""
    done = cli.run("doctor", FILES)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "! 1 warning in Storage: run ccapi doctor --fix"
    assert cli.run("doctor", FILES, "--strict").returncode == 1
    assert (document(cli, FILES)["data"]["ok"], document(cli, FILES, "--strict")["data"]["ok"]) == (True, False)


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["dokcer"], "Did you mean docker?"),
        (["docker.engin"], "Did you mean docker.engine?"),
        (["xyzzy"], "See them all: ccapi doctor --list"),
        (["--yes"], "--yes goes with --fix"),
        (["--timeout", "0"], "--timeout"),
    ],
)
def test_mistyped(cli: Cli, args: list[str], told: str) -> None:
    """Exit code 2, nothing on standard output, and what was probably meant."""
    done = cli.run("doctor", *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr


# --- what it says


def test_the_list(cli: Cli) -> None:
    """Every check with its title, and nothing is looked at."""
    done = cli.run("doctor", "--list")
    assert done.returncode == 0
    for check in registry.every():
        assert re.search(rf"(?m)^  {re.escape(check.id)} +{re.escape(check.title)}$", done.stdout)
    checks = document(cli, "--list")["data"]["checks"]
    assert [entry["id"] for entry in checks] == [check.id for check in registry.every()]
    (first, *_) = document(cli, "--list", "ports")["data"]["checks"]
    assert first["id"] == "ports.gateway"


def test_the_document(cli: Cli) -> None:
    """All results in the order of the checks, whatever came first; on standard output and nowhere else."""
    done = cli.run("doctor", "--offline", "--json")
    assert (done.returncode, done.stderr) == (1, "")
    envelope = json.loads(done.stdout)
    assert (envelope["command"], envelope["status"], envelope["error"]) == ("doctor", "failed", None)
    data = envelope["data"]
    assert set(data) == {"ok", "summary", "checks", "environment"}
    assert [entry["id"] for entry in data["checks"]] == [check.id for check in registry.every() if not check.deep]
    for entry in data["checks"]:
        assert set(entry) == {
            "id", "category", "status", "summary", "detail", "fix", "fixed", "duration_ms"
        }  # fmt: skip
        assert entry["status"] in get_args(Status)
        assert entry["category"] in CATEGORIES
        assert entry["summary"]
        assert isinstance(entry["duration_ms"], int)
        assert entry["fix"] is None or set(entry["fix"]) == {"text", "command", "safe"}
    assert sum(data["summary"].values()) == len(data["checks"])
    assert data["environment"]["docker"] is None


def test_offline(cli: Cli) -> None:
    """Whoever would be asked on the internet is not."""
    checks = {entry["id"]: entry for entry in document(cli, "network", "--offline")["data"]["checks"]}
    online = {check.id for check in registry.every() if check.online and check.category == "network"}
    assert online
    for name in online:
        assert (checks[name]["status"], checks[name]["summary"]) == (
            "skip",
            "no machine on the internet is asked (--offline)",
        )
    assert checks["network.proxy"]["status"] == "ok"


def test_by_name_every_result_is_shown(cli: Cli) -> None:
    """Also what is well; without names that is left to -v."""
    assert "✓ cli.python: Python 3" in cli.run("doctor", "cli.python").stdout
    assert "cli.python" not in cli.run("doctor", "--offline").stdout
    assert "✓ cli.python: Python 3" in cli.run("doctor", "--offline", "-v").stdout


def test_no_codes_in_a_pipe(cli: Cli) -> None:
    """Plain text, and lines as long as they are."""
    done = cli.run("doctor", "--offline")
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout
    assert done.stderr == ""


def test_on_a_terminal(cli: Cli) -> None:
    """What is still at work is shown, on one line that is gone at the end; the results fit the width."""
    with cli.terminal("doctor", "--offline", columns=60) as terminal:
        text = terminal.read_all()
        assert terminal.process.returncode == 1
    live = re.findall(r"\r\x1b\[K([^\r\n]*)", text)
    assert any(re.match(r"\d+/\d+  \w+\.\w+", SGR.sub("", line)) for line in live)
    shown = SGR.sub("", text.rpartition("\x1b[K")[2])
    commands = [line for line in shown.splitlines() if line.startswith("        ")]
    assert all(len(line) <= 60 or line in commands or "://" in line for line in shown.splitlines())
    assert "✗ Docker" in shown
    assert "\x1b[31m✗" in text


def test_without_colours(cli: Cli) -> None:
    """NO_COLOR leaves the marks, which say the same."""
    with cli.terminal("doctor", "docker.engine", environ={"NO_COLOR": "1"}) as terminal:
        text = terminal.read_all()
    assert not SGR.search(text)
    assert "✗ docker.engine" in text


# --- mending


def test_mending_asks(cli: Cli, open_file: Path) -> None:
    """One question for each; a yes mends it, it is looked at again, and the exit code is that of what is left."""
    with cli.terminal("doctor", FILES, "--fix", "--strict") as terminal:
        asked = terminal.read_until("[Y/n]")
        assert "storage.files: Keep the others out" in asked
        terminal.type(b"y\n")
        text = terminal.read_all()
        assert terminal.process.returncode == 0
    assert open_file.stat().st_mode & 0o777 == 0o600
    assert "fixed" in SGR.sub("", text)
    assert "No problems found" in text


def test_a_no_leaves_it(cli: Cli, open_file: Path) -> None:
    """As it was."""
    with cli.terminal("doctor", FILES, "--fix", "--strict") as terminal:
        terminal.read_until("[Y/n]")
        terminal.type(b"n\n")
        terminal.read_all()
        assert terminal.process.returncode == 1
    assert open_file.stat().st_mode & 0o777 == 0o644


def test_mending_unasked(cli: Cli, open_file: Path) -> None:
    """With --yes; and a program is told what was mended."""
    data = document(cli, FILES, "--fix", "--yes")["data"]
    assert [(entry["status"], entry["fixed"]) for entry in data["checks"]] == [("ok", True)]
    assert open_file.stat().st_mode & 0o777 == 0o600


def test_nobody_to_ask(cli: Cli, open_file: Path) -> None:
    """Exit code 3, the way out, and nothing was changed."""
    done = cli.run("doctor", FILES, "--fix")
    assert done.returncode == 3
    assert "ccapi doctor --fix --yes" in done.stderr
    assert open_file.stat().st_mode & 0o777 == 0o644


def test_nothing_to_mend(cli: Cli) -> None:
    """Is said, and is no failure."""
    done = cli.run("doctor", "cli.python", "--fix")
    assert done.returncode == 0
    assert "There is nothing that could be mended safely" in done.stderr


# --- when everything is broken


def test_nothing_is_there_at_all(tmp_path: Path) -> None:
    """No Docker, no PATH, no home that could be written, a broken settings file: every check comes to a result."""
    (tmp_path / "ccapi.toml").write_text("[[[")
    environ = {"HOME": "/dev/null/home", "PATH": "/nowhere", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    done = subprocess.run(
        command("doctor", "--offline", "--json", "--timeout", str(DEADLINE)),
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=DEADLINE * 2,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    checks = {entry["id"]: entry for entry in json.loads(done.stdout)["data"]["checks"]}
    assert {checks[name]["status"] for name in ("cli.settings", "docker.command", "storage.directories")} == {"fail"}
    assert not [entry for entry in checks.values() if "the check itself failed" in entry["summary"]]
    assert not [entry for entry in checks.values() if "did not answer" in entry["summary"]]


def test_the_report_of_nothing(tmp_path: Path) -> None:
    """Is written all the same."""
    done = subprocess.run(
        command("doctor", "--offline", "--report", "-"),
        cwd=tmp_path,
        env={"HOME": "/dev/null/home", "PATH": "/nowhere"},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.stdout.startswith("# ccapi doctor: report\n"), done.stderr


@pytest.mark.docker
def test_the_engine_is_left_as_it_is(doctor: Doctor) -> None:
    """Looking makes nothing: no container, no volume, no image."""

    def everything() -> str:
        lists = (["ps", "-aq"], ["volume", "ls", "-q"], ["image", "ls", "-q"], ["network", "ls", "-q"])
        ours = ["--filter", "label=ccapi.stack=claude-code-api-untouched"]
        return "".join(
            subprocess.check_output(["docker", *args, *(ours if args[0] != "image" else [])], text=True)
            for args in lists
        )

    before = everything()
    results = doctor.look_at(*CATEGORIES_LOOKED_AT, project="untouched")
    assert everything() == before
    assert results


CATEGORIES_LOOKED_AT = [category for category in CATEGORIES if category not in {"deep", "network"}]


# --- the document


def test_every_row_is_made_by_a_test() -> None:
    """No row is left of a test that is no more."""
    sources = "".join(file.read_text("utf-8") for file in Path(__file__).parent.glob("test_doctor_*.py"))
    found = troubleshooting.rows()
    assert found
    for row in found:
        assert row.condition in sources, row


def test_the_usual_troubles_are_in_the_table() -> None:
    """Each of these conditions was made."""
    checks = {row.check for row in troubleshooting.rows()}
    wanted = {
        "docker.command", "docker.engine", "docker.compose", "ports.gateway", "ports.oauth", "storage.space",
        "storage.files", "network.tls", "network.clock", "cli.settings", "cli.installs", "storage.workspace",
    }  # fmt: skip
    assert wanted <= checks
