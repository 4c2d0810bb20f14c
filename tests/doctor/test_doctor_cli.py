"""What doctor says of the command line itself: its settings, its installations, what it runs on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ccapi import __version__
from tests.doctor.support import Doctor, Table


def put(directory: Path, text: str = "exit 0") -> Path:
    """A `ccapi` in a directory of its own."""
    directory.mkdir()
    file = directory / "ccapi"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


# --- the settings


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[gateway]\nport = 99999\n", ["2", "gateway.port", "a port, 1 to 65535"]),
        ("[gateway]\nprot = 8000\n", ["gateway.prot", "gateway.port"]),
        ("[gateway\nport = 8000\n", ["not valid TOML"]),
    ],
)
def test_a_mistake_in_a_settings_file(doctor: Doctor, text: str, told: list[str]) -> None:
    """The file, the place in it, what was expected, what is near it."""
    file = doctor.directory / "ccapi.toml"
    file.write_text(text)
    found = doctor.look("cli.settings").finding
    assert found.status == "fail"
    for word in [str(file), *told]:
        assert word in f"{found.summary}\n{found.detail}"


def test_a_settings_file_is_mended(doctor: Doctor, table: Table) -> None:
    """Nothing else of the person's is needed for that."""
    file = doctor.directory / "home" / "ccapi" / "config" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("[oauth]\nport = 'eighty'\n")
    broken = doctor.look("cli.settings")
    others = doctor.look_at("ports.gateway", "storage.workspace")
    assert {result.finding.status for result in others} == {"skip"}
    file.write_text("[oauth]\nport = 8080\n")
    mended = doctor.look("cli.settings")
    assert str(file) in mended.finding.summary
    known = mended.finding.summary.partition(" of ")[2].partition(" ")[0]
    table.add("A settings file has a value that is not possible", broken, mended, replace={f"of {known} ": "of all "})


# --- the installations


def test_several_installations(doctor: Doctor, table: Table) -> None:
    """An upgrade reaches only one, and perhaps not the one that is run."""
    first, second = put(doctor.directory / "home" / "one"), put(doctor.directory / "home" / "two")
    rest = "/usr/bin:/bin"
    broken = doctor.look("cli.installs", {"PATH": f"{first.parent}:{second.parent}:{rest}"})
    assert broken.finding.status == "warn"
    assert broken.finding.detail.splitlines() == ["The first one is run:", str(first), str(second)]
    second.unlink()
    mended = doctor.look("cli.installs", {"PATH": f"{first.parent}:{second.parent}:{rest}"})
    assert mended.finding.summary == str(first)
    table.add("ccapi is installed twice", broken, mended)


def test_the_same_one_by_two_names(doctor: Doctor) -> None:
    """A link, such as pipx makes, is no second installation; nor is a directory that PATH has twice."""
    first = put(doctor.directory / "one")
    (doctor.directory / "two").mkdir()
    (doctor.directory / "two" / "ccapi").symlink_to(first)
    path = f"{first.parent}:{first.parent}:{doctor.directory}/two"
    assert doctor.look("cli.installs", {"PATH": path}).finding.status == "ok"


def test_not_in_path(doctor: Doctor, table: Table) -> None:
    """It was started by its whole name, or as a module; the next shell will not find it."""
    broken = doctor.look("cli.installs", {"PATH": "/nowhere"})
    assert broken.finding.status == "warn"
    assert broken.finding.fix
    line = broken.finding.fix.command or ""
    path = subprocess.run(["sh", "-c", f'{line}; echo "$PATH"'], capture_output=True, text=True, check=True).stdout
    mended = doctor.look("cli.installs", {"PATH": path.strip()})
    scripts = str(Path(sys.executable).parent)
    table.add("The shell does not find ccapi", broken, mended, replace={scripts: "~/.local/bin"})


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_of_another_version(doctor: Doctor, shell: str) -> None:
    """Is written anew, by a fix that is safe: it is ccapi's own file. Without one nothing is wrong."""
    assert doctor.look("cli.completion").finding.status == "info"
    doctor.do_commands(f"ccapi completion {shell} --install")
    found = doctor.look("cli.completion").finding
    assert found.status == "ok"
    script = Path(found.summary)
    script.write_text("# of another version\n" + script.read_text())
    broken = doctor.look("cli.completion").finding
    assert (broken.status, str(script) in broken.summary) == ("warn", True)
    assert broken.fix
    assert broken.fix.apply
    broken.fix.apply()
    assert doctor.look("cli.completion").finding.status == "ok"


def test_the_copied_command_writes_it_anew(doctor: Doctor, table: Table) -> None:
    """As well."""
    doctor.do_commands("ccapi completion bash --install")
    script = Path(doctor.look("cli.completion").finding.summary)
    script.write_text("# of another version\n")
    broken = doctor.look("cli.completion")
    doctor.do(broken)
    table.add("The shell's completion is another version's", broken, doctor.look("cli.completion"))


def test_the_version(doctor: Doctor) -> None:
    """And how it was installed: here it is run as it lies."""
    summary = doctor.look("cli.version").finding.summary
    assert summary.startswith(f"ccapi {__version__}, run from a checkout (")
    assert summary.endswith(")")


def test_a_newer_version_is_known(doctor: Doctor) -> None:
    """From the last look that ccapi took, however it did: nobody is asked."""
    cache = doctor.directory / "home" / "ccapi" / "cache"
    cache.mkdir(parents=True)
    (cache / "update.json").write_text('{"checked": 0, "latest": "999.1"}')
    found = doctor.look("cli.version").finding
    assert (found.status, "999.1 is there" in found.summary) == ("info", True)
    assert found.detail.startswith("To upgrade: ")


def test_python(doctor: Doctor) -> None:
    """The one that runs it, and nothing that it needs is missing."""
    found = doctor.look("cli.python").finding
    assert (found.status, sys.executable in found.summary) == ("ok", True)


def test_a_terminal_without_utf8(doctor: Doctor, table: Table) -> None:
    """Asked in a process of its own, as the encoding is decided when Python starts."""
    broken = doctor.run("cli.locale", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})
    assert broken["status"] == "warn"
    assert broken["fix"]["command"] == "export LANG=C.UTF-8"
    mended = doctor.run("cli.locale", {"LANG": "C.UTF-8"})
    encoding = broken["summary"].rpartition(" ")[2]
    table.add_document("The terminal's encoding is not UTF-8", broken, mended, replace={encoding: "ASCII"})
