"""What doctor says of Docker: no command, no engine, one that hangs, one that is not ours; each really made."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from ccapi.doctor.check import Finding
from tests.cli.support import DEADLINE
from tests.doctor.support import NO_ENGINE, Doctor, Table
from tests.stack.support import FakeDocker

pytestmark = NO_ENGINE

ENGINE = "docker.engine"
HOST = "DOCKER_HOST"
NOBODY = 65534


@pytest.fixture
def fake_docker(tmp_path: Path) -> FakeDocker:
    """A `docker` command in the place of the real one."""
    return FakeDocker(tmp_path / "bin")


@contextmanager
def listener(file: Path) -> Iterator[socket.socket]:
    """A socket that takes connections."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(file))
        server.listen(8)
        yield server


class _Engine(socketserver.ThreadingUnixStreamServer):
    """An engine at a socket, as far as it is asked."""

    daemon_threads = True

    def __init__(self, file: Path, said: dict[str, object]) -> None:
        self.said = said
        super().__init__(str(file), _Answer)


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Engine

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].rpartition("/")[2]
        body = json.dumps(self.server.said.get(path, [])).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Not on the terminal."""

    def address_string(self) -> str:
        return "a client"


@contextmanager
def engine(file: Path, **answers: object) -> Iterator[None]:
    """What stands in for an engine at the outermost edge. `answers`: its documents, by their path."""
    said = {"version": {"Version": "26.1.5", "ApiVersion": "1.45", "Platform": {"Name": ""}}, "info": {}, **answers}
    with _Engine(file, said) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join(DEADLINE)
            file.unlink()


def finding(doctor: Doctor, check: str, **environ: str) -> Finding:
    return doctor.look(check, environ).finding


# --- the command


def without_docker(directory: Path) -> str:
    """A PATH with all programs of this machine but docker."""
    directory.mkdir()
    for place in os.environ["PATH"].split(os.pathsep):
        for program in Path(place).glob("*"):
            link = directory / program.name
            if not program.name.startswith("docker") and not link.is_symlink():
                link.symlink_to(program)
    return str(directory)


@pytest.mark.docker
def test_docker_is_not_installed(doctor: Doctor, table: Table, tmp_path: Path) -> None:
    """It is said once: what needs the command is left out."""
    path = {"PATH": without_docker(tmp_path / "bin")}
    broken = doctor.look("docker.command", path)
    assert broken.finding.status == "fail"
    assert "https://docs.docker.com/engine/install/" in (broken.finding.fix.text if broken.finding.fix else "")
    others = doctor.look_at("docker.engine", "docker.compose", "stack.container", environ=path)
    assert {result.finding.summary for result in others} == {f"docker.command: {broken.finding.summary}"}
    docker = shutil.which("docker")
    assert docker
    (tmp_path / "bin" / "docker").symlink_to(docker)  # the installation
    mended = doctor.look("docker.command", path)
    told = {mended.finding.summary: "Docker version 1.2.3 (~/bin/docker)"}
    table.add("Docker is not installed", broken, mended, replace=told)


@pytest.mark.parametrize(
    ("says", "told"),
    [("echo podman version 5.4.0", "Podman under another name"), ("exit 127", "does not run: exit code 127")],
)
def test_what_calls_itself_docker(doctor: Doctor, fake_docker: FakeDocker, says: str, told: str) -> None:
    """Podman's stand-in is told from Docker, and so is a command that is broken."""
    assert told in finding(doctor, "docker.command", PATH=fake_docker.says(says)["PATH"]).summary


def test_docker_from_snap(doctor: Doctor) -> None:
    """It sees no hidden directory, where ccapi's files are by default. (/snap can be made by root only.)"""
    place = Path("/snap/bin")
    if os.geteuid() or place.exists():
        pytest.skip("needs root, and a machine without snap")
    place.mkdir(parents=True)
    try:
        (place / "docker").write_text("#!/bin/sh\necho Docker version 28.1.1\n")
        (place / "docker").chmod(0o755)
        found = finding(doctor, "docker.command", PATH=f"{place}:{os.environ['PATH']}")
    finally:
        shutil.rmtree("/snap")
    assert found.status == "warn"
    assert "from snap" in found.summary
    assert found.fix
    assert "CCAPI_HOME" in (found.fix.command or "")


# --- which engine


def test_which_engine_is_meant(doctor: Doctor, tmp_path: Path) -> None:
    """By the environment, else by the context that was chosen."""
    assert finding(doctor, "docker.context", DOCKER_HOST="tcp://h:2375").summary == "DOCKER_HOST says tcp://h:2375"
    assert finding(doctor, "docker.context", DOCKER_CONTEXT="colima").summary == "DOCKER_CONTEXT says colima"
    assert finding(doctor, "docker.context").summary == "the default one of this machine"
    config = tmp_path / "home" / ".docker"
    config.mkdir(parents=True)
    (config / "config.json").write_text('{"currentContext": "desktop-linux"}')
    assert finding(doctor, "docker.context").summary == "the context desktop-linux, by `docker context use`"
    (config / "config.json").write_text("not JSON")
    assert finding(doctor, "docker.context").status == "info"


def test_two_ways_of_saying_it(doctor: Doctor, table: Table) -> None:
    """DOCKER_HOST wins, whatever the context is."""
    both = {"DOCKER_HOST": "unix:///run/docker.sock", "DOCKER_CONTEXT": "colima"}
    broken = doctor.look("docker.context", both)
    assert broken.finding.status == "warn"
    assert broken.finding.fix
    assert broken.finding.fix.command == "unset DOCKER_HOST"
    mended = doctor.look("docker.context", {"DOCKER_CONTEXT": "colima"})
    table.add("DOCKER_HOST and DOCKER_CONTEXT are both set", broken, mended)


# --- the engine


@pytest.mark.docker
def test_no_engine(doctor: Doctor, table: Table, tmp_path: Path) -> None:
    """There is no socket where DOCKER_HOST says; that an engine does run here is said, too."""
    where = f"unix://{tmp_path}/none.sock"
    broken = doctor.look(ENGINE, {HOST: where})
    assert broken.finding.summary == f"the Docker engine is not running ({where})"
    assert broken.finding.detail == "An engine does answer at /var/run/docker.sock: is the wrong one meant?"
    assert broken.finding.fix
    assert (broken.finding.fix.command or "").splitlines()[0] == "unset DOCKER_HOST"
    table.add("DOCKER_HOST names a socket that is not there", broken, doctor.look(ENGINE))


def test_a_stopped_engine(doctor: Doctor, table: Table, tmp_path: Path) -> None:
    """Its socket is still there, and nobody listens."""
    file = tmp_path / "d.sock"
    with listener(file):
        pass
    broken = doctor.look(ENGINE, {HOST: f"unix://{file}"})
    assert "is not running" in broken.finding.summary
    file.unlink()
    with engine(file):
        mended = doctor.look(ENGINE, {HOST: f"unix://{file}"})
    table.add("The engine was stopped; its socket is still there", broken, mended)


def test_the_default_engine_is_stopped(doctor: Doctor) -> None:
    """Then how to start it is known. (An engine of the machine is hidden in a mount namespace of its own.)"""
    script = (
        "from ccapi.doctor import registry, runner\n"
        "from ccapi.doctor.facts import Facts; from ccapi.paths import Home\n"
        "known = registry.every(); r, = runner.run(registry.select(['docker.engine'], known), known, Facts(Home()), "
        "timeout=30); print(r.finding.summary); print(r.finding.fix.text, r.finding.fix.command)"
    )
    hidden = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh"]
    if os.geteuid() or subprocess.run([*hidden, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs root, and the permission to mount")
    done = subprocess.run(
        [*hidden, sys.executable, "-c", script],
        env=doctor.environ,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.stdout.splitlines() == [
        "the Docker engine is not running (the default socket)",
        "Start it sudo systemctl enable --now docker",
    ]


def test_an_engine_that_hangs(tmp_path: Path, table: Table) -> None:
    """It takes the connection and says nothing: it is told of in time, by its own check, and nothing waits for it."""
    doctor, file = Doctor(tmp_path, timeout=10), tmp_path / "d.sock"
    with listener(file):
        broken = doctor.look(ENGINE, {HOST: f"unix://{file}"})
    assert broken.finding.summary == f"the Docker engine does not answer (unix://{file})"
    assert broken.seconds < 10
    file.unlink()
    with engine(file):
        mended = doctor.look(ENGINE, {HOST: f"unix://{file}"})
    table.add("The engine hangs: it takes connections and says nothing", broken, mended)


def test_no_permission(doctor: Doctor, table: Table, tmp_path: Path) -> None:
    """Another user than the socket's. The advice is never to open it to everybody."""
    if os.geteuid():
        pytest.skip("needs root, to be somebody else")
    file = tmp_path / "d.sock"
    with engine(file):
        file.chmod(0o600)
        broken = doctor.look_as(NOBODY, ENGINE, {HOST: f"unix://{file}"})
        assert broken["status"] == "fail"
        assert broken["summary"] == f"no permission to use the Docker engine (unix://{file})"
        assert "chmod" not in json.dumps(broken["fix"])
        assert broken["fix"]["command"] == "sudo usermod -aG docker $USER"
        found = doctor.look(ENGINE, {HOST: f"unix://{file}"})  # as somebody who may
        assert found.finding.status == "ok"
        os.chown(file, 0, NOBODY)
        file.chmod(0o660)
        mended = doctor.look_as(NOBODY, ENGINE, {HOST: f"unix://{file}"})
    assert mended["status"] == "ok"
    table.add_document("No permission on the engine's socket", broken, mended)


def test_an_engine_that_is_too_old(doctor: Doctor, table: Table, tmp_path: Path) -> None:
    """What it is, and what is needed."""
    file = tmp_path / "d.sock"
    with engine(file, version={"Version": "19.03.15", "ApiVersion": "1.40"}):
        broken = doctor.look("docker.server", {HOST: f"unix://{file}"})
    assert broken.finding.summary == "the engine is 19.03.15, and 20.10 is needed"
    with engine(file):
        mended = doctor.look("docker.server", {HOST: f"unix://{file}"})
    table.add("The engine is too old", broken, mended, exact=True)


# --- the plugins


def test_no_compose_plugin(doctor: Doctor, fake_docker: FakeDocker, table: Table) -> None:
    """The old standalone command is not taken for it."""
    without = fake_docker.says(
        'case $1 in compose) echo "is not a docker command" >&2; exit 1;; *) echo Docker version 28;; esac'
    )
    broken = doctor.look("docker.compose", {"PATH": without["PATH"]})
    assert broken.finding.summary == "docker has no compose plugin"
    assert broken.finding.fix
    assert "https://docs.docker.com/compose/install/" in broken.finding.fix.text
    having = fake_docker.says("case $1 in compose) echo 2.26.1;; *) echo Docker version 28;; esac")
    mended = doctor.look("docker.compose", {"PATH": having["PATH"]})
    table.add("Docker has no compose plugin", broken, mended)


def test_a_compose_plugin_that_is_too_old(doctor: Doctor, fake_docker: FakeDocker) -> None:
    """And one that is just new enough; as Debian and Docker itself write versions."""
    for version, status in (("2.19.1", "fail"), ("v2.20.0", "ok"), ("2.26.1-4", "ok"), ("1.29.2", "fail")):
        path = fake_docker.says(f"case $1 in compose) echo {version};; *) echo Docker version 28;; esac")["PATH"]
        assert finding(doctor, "docker.compose", PATH=path).status == status, version


def test_no_buildx_plugin(doctor: Doctor, fake_docker: FakeDocker, table: Table) -> None:
    """A warning: there are still builds without it."""
    without = fake_docker.says("case $1 in buildx) exit 1;; *) echo Docker version 28;; esac")["PATH"]
    broken = doctor.look("docker.buildx", {"PATH": without})
    assert broken.finding.status == "warn"
    having = fake_docker.says("case $1 in buildx) echo github.com/docker/buildx v0.13.1;; *) echo Docker;; esac")[
        "PATH"
    ]
    table.add("Docker has no buildx plugin", broken, doctor.look("docker.buildx", {"PATH": having}))


def test_a_plugin_that_hangs(doctor: Doctor, fake_docker: FakeDocker) -> None:
    """Is told of before the check's own time is up."""
    doctor.timeout = 6
    path = fake_docker.says("case $1 in compose) exec sleep 60;; *) echo Docker version 28;; esac")["PATH"]
    assert "does not answer" in finding(doctor, "docker.compose", PATH=path).summary


# --- the engine's machine


def test_a_machine_with_little_memory(doctor: Doctor, table: Table, tmp_path: Path) -> None:
    """As Docker Desktop gives its own; what can be done depends on whose it is."""
    file = tmp_path / "d.sock"
    environ = {HOST: f"unix://{file}"}
    with engine(file, info={"MemTotal": 1_000_000_000, "NCPU": 2, "OperatingSystem": "Docker Desktop"}):
        broken = doctor.look("docker.memory", environ)
    assert broken.finding.status == "warn"
    assert broken.finding.fix
    assert "Docker Desktop" in broken.finding.fix.text
    with engine(file, info={"MemTotal": 8_000_000_000, "NCPU": 4}):
        mended = doctor.look("docker.memory", environ)
    table.add("Docker's machine has little memory", broken, mended, exact=True)


def test_whose_rights_the_engine_has(doctor: Doctor, tmp_path: Path) -> None:
    """Rootless, remapped, or as mostly."""
    for options, told in (
        (["name=seccomp,profile=builtin", "name=rootless"], "rootless"),
        (["name=userns"], "maps user ids"),
        ([], "runs as root"),
    ):
        file = tmp_path / f"{len(told)}.sock"
        with engine(file, info={"SecurityOptions": options}):
            assert told in finding(doctor, "docker.rootless", DOCKER_HOST=f"unix://{file}").summary


@pytest.mark.docker
def test_an_emulated_container(doctor: Doctor, table: Table) -> None:
    """DOCKER_DEFAULT_PLATFORM names another processor than the engine has."""
    here, other = ("amd64", "linux/arm64") if platform.machine() == "x86_64" else ("arm64", "linux/amd64")
    broken = doctor.look("docker.architecture", {"DOCKER_DEFAULT_PLATFORM": other})
    assert broken.finding.status == "warn"
    mended = doctor.look("docker.architecture")
    shown = {other: "linux/arm64", f"is {here}": "is amd64", f"{here}, ": "amd64, "}
    table.add("DOCKER_DEFAULT_PLATFORM names another processor", broken, mended, replace=shown)


@pytest.mark.docker
def test_docker_as_it_is(doctor: Doctor) -> None:
    """Nothing is found in an engine that tests run with."""
    found = {result.check.id: result.finding for result in doctor.look_at("docker")}
    assert {name: one for name, one in found.items() if one.status not in {"ok", "info"}} == {}
