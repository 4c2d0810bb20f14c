"""What doctor says of disks, directories and files: full, shut, open to others, each really so."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.doctor.stage import Stage
from tests.doctor.support import NO_ENGINE, Doctor, Table
from tests.stack.support import docker

NOBODY = 65534
MEGABYTE = 1_000_000


pytestmark = NO_ENGINE


@pytest.fixture(autouse=True)
def no_engine(request: pytest.FixtureRequest, doctor: Doctor) -> None:
    """But where a test is about one: no stack of this machine is seen."""
    if not request.node.get_closest_marker("docker"):
        doctor.environ["DOCKER_HOST"] = f"unix://{doctor.directory}/none.sock"


@pytest.fixture
def state(doctor: Doctor) -> Path:
    """Where ccapi keeps what is secret."""
    directory = doctor.facts().state_dir
    directory.mkdir(mode=0o700, parents=True)
    return directory


@contextmanager
def small_disk(directory: Path, *, size: int) -> Iterator[None]:
    """A disk of so many bytes at that place."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(directory)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(directory)], check=True)


# --- disks


def test_a_full_disk(doctor: Doctor, table: Table, state: Path) -> None:
    """A small one, really full; with room again all is well."""
    with small_disk(state, size=20 * MEGABYTE):
        filler = state / "filler"
        filler.write_bytes(b"0" * 19 * MEGABYTE)
        broken = doctor.look("storage.space")
        assert broken.finding.status == "fail"
        assert str(state) in broken.finding.summary
        filler.unlink()
        mended = doctor.look("storage.space")
    full, empty = _share(broken.finding.summary), _share(mended.finding.summary)
    shown = {full: "95 %", empty: "0 %"}
    table.add("The disk of ccapi's files is full", broken, mended, replace=shown)


def _share(summary: str) -> str:
    return summary.partition(" is ")[2].partition(" full")[0]


def test_a_disk_that_fills(doctor: Doctor, state: Path) -> None:
    """Is a warning at 80 percent."""
    with small_disk(state, size=20 * MEGABYTE):
        (state / "filler").write_bytes(b"0" * 17 * MEGABYTE)
        assert doctor.look("storage.space").finding.status == "warn"


@pytest.mark.docker
def test_the_disk_of_the_engine(doctor: Doctor) -> None:
    """Is looked at where the engine says that it is."""
    found = doctor.look("storage.engine", project="nosuch").finding
    root = docker("info", "--format", "{{.DockerRootDir}}")
    assert f"Docker's disk ({root})" in found.summary
    assert found.status in {"ok", "warn", "fail"}  # as full as this machine's disk is


# --- directories


@pytest.mark.parametrize("name", ["config", "state", "cache"])
def test_a_file_in_the_place_of_a_directory(doctor: Doctor, name: str) -> None:
    """Whichever of the three it is."""
    home = doctor.directory / "home" / "ccapi"
    home.mkdir()
    (home / name).write_text("")
    broken = doctor.look("storage.directories")
    assert broken.finding.summary == f"{home / name} is not a directory"
    doctor.do(broken)
    assert doctor.look("storage.directories").finding.status == "ok"


def test_a_home_that_cannot_be_written(doctor: Doctor, table: Table) -> None:
    """As after `sudo ccapi`; asked as the person themselves, since root may write anywhere."""
    if os.geteuid():
        pytest.skip("needs root, to be somebody else")
    home = doctor.directory / "home" / "ccapi"
    home.mkdir(mode=0o755)
    doctor.environ["USER"] = str(NOBODY)
    for place in (home, *home.parents):
        if place.name.startswith(("pytest-", "home")) or place == doctor.directory:
            place.chmod(0o755)
    broken = doctor.look_as(NOBODY, "storage.directories")
    assert broken["status"] == "fail"
    assert broken["summary"] == f"{home} cannot be written"
    doctor.do_commands(broken["fix"]["command"])
    table.add_document("ccapi's directory is another user's", broken, doctor.look_as(NOBODY, "storage.directories"))


# --- files


def test_what_is_secret_is_open(doctor: Doctor, table: Table, state: Path) -> None:
    """It is closed by a fix that is safe, and by nothing else than what is shown."""
    (state / "stack.secret").write_text("x")
    (state / "stack.secret").chmod(0o644)
    (state / "log").mkdir()
    (state / "log" / "proxy.log").write_text("x")
    (state / "log" / "proxy.log").chmod(0o640)
    state.chmod(0o755)
    broken = doctor.look("storage.files")
    assert broken.finding.status == "warn"
    fix = broken.finding.fix
    assert fix
    assert fix.apply
    fix.apply()
    modes = [(state / name).stat().st_mode & 0o777 for name in ("", "stack.secret", "log/proxy.log")]
    assert modes == [0o750, 0o600, 0o600]
    table.add("What is secret can be read by others", broken, doctor.look("storage.files"))


def test_the_copied_command_does_the_same(doctor: Doctor, state: Path) -> None:
    """For whoever does not want ccapi to do it."""
    (state / "build.log").write_text("x")
    (state / "build.log").chmod(0o666)
    doctor.do(doctor.look("storage.files"))
    assert doctor.look("storage.files").finding.status == "ok"


def test_what_is_closed_more_tightly_stays_so(doctor: Doctor, state: Path) -> None:
    """A file that only its owner reads is not made writable."""
    (state / "one.log").write_text("x")
    (state / "one.log").chmod(0o400)
    (state / "two.log").write_text("x")
    (state / "two.log").chmod(0o444)
    broken = doctor.look("storage.files")
    assert broken.finding.fix
    assert broken.finding.fix.apply
    broken.finding.fix.apply()
    assert [(state / name).stat().st_mode & 0o777 for name in ("one.log", "two.log")] == [0o400, 0o400]


# --- the workspace


def test_a_workspace_that_does_not_exist(doctor: Doctor, table: Table) -> None:
    """Docker would make it, as root."""
    missing = doctor.directory / "home" / "project"
    environ = {"CCAPI_STACK_WORKSPACE": str(missing)}
    broken = doctor.look("storage.workspace", environ)
    assert broken.finding.summary == f"stack.workspace {missing} does not exist"
    doctor.do(broken)
    table.add("The workspace does not exist", broken, doctor.look("storage.workspace", environ))


@pytest.mark.docker
def test_a_workspace_that_is_not_the_agents(doctor: Doctor, table: Table) -> None:
    """root's: the agent, which is never root, cannot write there."""
    if os.geteuid():
        pytest.skip("needs root, to own it")
    directory = doctor.directory / "home" / "project"
    directory.mkdir(mode=0o755)
    environ = {"CCAPI_STACK_WORKSPACE": str(directory)}
    broken = doctor.look("storage.workspace", environ, project="nosuch")
    assert broken.finding.status == "warn"
    assert broken.finding.summary == f"the agent (user id 1000) cannot write to {directory}"
    assert broken.finding.fix
    assert (broken.finding.fix.command or "").startswith("sudo setfacl -R -m u:1000:rwX")
    os.chown(directory, 1000, 1000)  # where setfacl is not installed, that does as well
    mended = doctor.look("storage.workspace", environ, project="nosuch")
    table.add("The agent cannot write to the workspace", broken, mended)


@pytest.mark.docker
@pytest.mark.timeout(600)
def test_the_workspace_of_a_container(stage: Stage) -> None:
    """Is tried in it, as its user."""
    stage.healthy()
    found = stage.finding("storage.workspace")
    assert (found.status, found.summary) == ("ok", "a Docker volume, and the agent can write there")
    assert stage.finding("storage.volumes").summary == "claude-config and workspace"
