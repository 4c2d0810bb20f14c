"""What doctor says of who may come in and what may get out: containers and files that are really so."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ccapi.commands import keys, secret
from ccapi.paths import Home
from ccapi.stack import isolation
from tests.doctor.stage import Stage
from tests.doctor.support import Doctor, Table
from tests.stack.support import inspect

pytestmark = pytest.mark.timeout(600)

HOSTILE = "sk-ant-api03-never-to-be-shown"


# --- who reaches the API


@pytest.mark.docker
def test_an_api_for_everybody(stage: Stage, table: Table) -> None:
    """Docker says where it is published, whatever the settings say; that nobody is asked for a key is tried."""
    with by_hand(stage, f"--publish=0.0.0.0:{stage.port}:8000"):
        broken = stage.look("security.published")
        assert f"other machines reach the API on 0.0.0.0:{stage.port}" in broken.finding.summary
        stage.do(broken)
        stage.add(table, "Everybody in the network can use the API", broken, stage.look("security.published"))


@pytest.mark.docker
def test_an_api_that_wants_a_key(stage: Stage, table: Table) -> None:
    """Without one nobody can use it; with one it is as somebody wanted it."""
    home = stage.doctor.facts().home
    keys.create(home, None, keys.policy(), lambda _: None)
    everywhere = {"CCAPI_GATEWAY_HOST": "0.0.0.0"}
    stage.up(environ=everywhere)
    try:
        assert stage.finding("security.published", everywhere).summary.endswith("with a key")
        revoke_all(home)
        broken = stage.look("security.published", everywhere)
        stage.do(broken)
        mended = stage.look("security.published", everywhere)
        stage.add(table, "The API wants a key, and there is none", broken, mended)
    finally:
        revoke_all(home)
        stage.gone()


def revoke_all(home: Home) -> None:
    for record in keys.listed(home):
        keys.revoke(home, record.id, lambda _: None)


@contextmanager
def by_hand(stage: Stage, *options: str) -> Iterator[None]:
    """The real gateway, in a container that somebody started with `docker run`."""
    stage.healthy()
    image = inspect(stage.name)["Config"]["Image"]
    command = "exec /opt/ccapi/venv/bin/python -I -u -m ccapi gateway --host 0.0.0.0 --port 8000"
    health = ("--health-cmd=curl --silent --fail http://127.0.0.1:8000/health", "--health-interval=1s")
    with stage.container("--env=CCAPI_REHEARSAL=default", *health, *options, image=image, script=command):
        stage.await_health("healthy")
        yield


# --- what the container may do


@pytest.mark.docker
def test_a_container_of_docker_run(stage: Stage, table: Table) -> None:
    """Has all that docker-compose.yml takes away; `up` alone would leave it, as its settings are the right ones."""
    with stage.container():
        broken = stage.look("security.container")
        stage.do(broken)
        stage.add(table, "The container was started with `docker run`", broken, stage.look("security.container"))
    assert broken.finding.status == "fail"
    assert broken.finding.summary == "the container runs as root, and 6 more"
    assert broken.finding.detail.splitlines() == [
        "it keeps capabilities (cap_drop: ALL is missing)",
        "it may gain privileges (no-new-privileges is missing)",
        "it can write to its root file system",
        "it may use all memory",
        "it may start any number of processes",
        "it has no init: processes that ended pile up",
    ]


CONFINED = (
    "--user=1000:1000",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--read-only",
    "--memory=64m",
    "--pids-limit=64",
    "--init",
)


@pytest.mark.docker
@pytest.mark.parametrize(
    ("option", "said", "status"),
    [
        ("--privileged", "is privileged", "fail"),
        ("--volume=/var/run/docker.sock:/run/other.sock", "has the engine's socket", "fail"),
        ("--cap-add=NET_ADMIN", "was given capabilities: NET_ADMIN", "warn"),
        ("--security-opt=seccomp=unconfined", "has no seccomp profile", "warn"),
        ("--device=/dev/null:/dev/other", "has devices of the machine: /dev/null", "warn"),
        ("--pid=host", "shares the machine's process ids", "warn"),
        ("--ipc=host", "shares the machine's IPC", "warn"),
        ("--uts=host", "shares the machine's host name", "warn"),
        ("--network=host", "shares the machine's network", "warn"),
        ("--volume=/etc/hostname:/secrets:ro", "has more of this machine mounted: /etc/hostname on /secrets", "warn"),
        ("--volume=/tmp:/run/ccapi/keys", "can write to the API keys", "warn"),
    ],
)
def test_one_thing_too_many(stage: Stage, option: str, said: str, status: str) -> None:
    """Beside all that is right, it is found."""
    with stage.container(*CONFINED, option):
        found = stage.finding("security.container")
    assert said in f"{found.summary}\n{found.detail}"
    assert found.status == status


@pytest.mark.docker
def test_a_confined_container(stage: Stage) -> None:
    """Nothing is found in one that has none of it."""
    with stage.container(*CONFINED, "--tmpfs=/tmp"):
        assert stage.finding("security.container").status == "ok"
        document: dict[str, Any] = inspect(stage.name)
    assert isolation.weaknesses(document) == []
    assert isolation.bindings(document) == []


@pytest.mark.docker
def test_secrets_in_the_environment(stage: Stage, table: Table) -> None:
    """By name or by what they look like; they are not repeated."""
    secrets = ("--env=SERVICE_TOKEN=never-to-be-shown", f"--env=OTHER={HOSTILE}", "--env=CCAPI_API_REQUIRE_KEY=true")
    with stage.container(*secrets):
        broken = stage.look("security.environment")
        assert broken.finding.summary.endswith("holds what looks secret: OTHER and SERVICE_TOKEN")
        assert "never-to-be-shown" not in repr(broken.finding)
        stage.do(broken)
        mended = stage.look("security.environment")
    stage.add(table, "A token is in the container's environment", broken, mended)


@pytest.mark.docker
def test_a_proxy_with_a_password(stage: Stage) -> None:
    """Both spellings are one thing, and its way out is another."""
    url = "http://me:never-to-be-shown@proxy.example:3128"
    with stage.container(f"--env=HTTPS_PROXY={url}", f"--env=https_proxy={url}", "--env=HTTP_PROXY=http://p:1"):
        found = stage.finding("security.environment")
    assert found.summary.endswith("holds what looks secret: HTTPS_PROXY")
    assert found.fix is not None
    assert found.fix.text.startswith("Use a proxy without a password")


# --- the files of this machine


def with_keys(doctor: Doctor) -> tuple[Home, Path]:
    """The stack's secret, a key, and where they are."""
    home = doctor.facts().home
    secret.ensure(home)
    keys.create(home, None, keys.policy(), lambda _: None)
    return home, keys.directory(home)


def test_files_of_ones_own(doctor: Doctor) -> None:
    """As ccapi makes them, nobody else can write to them; before that there are none."""
    assert doctor.look("security.keys").finding.status == "info"
    with_keys(doctor)
    assert doctor.look("security.keys").finding.status == "ok"


def test_keys_that_others_can_write(doctor: Doctor, table: Table) -> None:
    """Whoever adds a hash there has a key; `--fix` keeps them out, and everybody can still read."""
    _, directory = with_keys(doctor)
    (directory / "keys.json").chmod(0o664)
    directory.chmod(0o777)
    broken = doctor.look("security.keys")
    assert broken.finding.fix is not None
    assert broken.finding.fix.apply is not None
    assert broken.finding.detail.splitlines() == [
        f"{directory}: mode 777",
        f"{directory / 'keys.json'}: mode 664",
    ]
    broken.finding.fix.apply()
    assert (directory / "keys.json").stat().st_mode & 0o777 == 0o644
    assert directory.stat().st_mode & 0o777 == 0o755
    table.add("Others can write to the file of the API keys", broken, doctor.look("security.keys"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_keys_of_another_user(doctor: Doctor, table: Table) -> None:
    """As after `sudo ccapi up`; giving them back is the person's own business."""
    _, directory = with_keys(doctor)
    os.chown(directory / "keys.json", 4711, 4711)
    broken = doctor.look("security.keys")
    assert broken.finding.fix is not None
    assert not broken.finding.fix.safe
    os.chown(directory / "keys.json", 0, 0)
    table.add("The file of the API keys is another user's", broken, doctor.look("security.keys"))


# --- the engine


@contextmanager
def engine_on_tcp() -> Iterator[str]:
    """The engine's socket on a port of this machine, as `dockerd -H tcp://` has it; the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    client, _ = listener.accept()
                    threading.Thread(target=relay, args=(client,), daemon=True).start()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ended.set()
            thread.join()


def relay(client: socket.socket) -> None:
    with client, socket.socket(socket.AF_UNIX) as engine, contextlib.suppress(OSError):
        engine.connect("/var/run/docker.sock")
        back = threading.Thread(target=copy, args=(engine, client), daemon=True)
        back.start()
        copy(client, engine)
        back.join()


def copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.mark.docker
def test_an_engine_without_tls(doctor: Doctor, table: Table) -> None:
    """It works, and so it does for everybody who reaches that port."""
    with engine_on_tcp() as address:
        broken = doctor.look("security.engine", {"DOCKER_HOST": address})
        assert f"at {address}" in broken.finding.summary
    mended = doctor.look("security.engine")
    port = address.rpartition(":")[2]
    table.add("DOCKER_HOST is an address without TLS", broken, mended, replace={port: "2375"})


@pytest.mark.docker
def test_an_engine_that_also_listens_on_the_network(doctor: Doctor, tmp_path: Path) -> None:
    """It says so itself, also to those who come by its socket."""
    warning = "[DEPRECATION NOTICE]: API is accessible on http://0.0.0.0:2375 without encryption."
    with engine_that_warns(tmp_path / "e.sock", warning) as address:
        found = doctor.look("security.engine", {"DOCKER_HOST": address}).finding
    assert found.status == "warn"
    assert "0.0.0.0:2375" in found.detail
    assert found.fix is not None


@contextmanager
def engine_that_warns(file: Path, warning: str) -> Iterator[str]:
    """Answers like an engine, as far as doctor asks here. (A real one would have to be started open to the network.)"""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(file))
        listener.listen()
        listener.settimeout(0.2)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                with contextlib.suppress(TimeoutError, OSError):
                    client, _ = listener.accept()
                    threading.Thread(target=answer, args=(client,), daemon=True).start()

        def answer(client: socket.socket) -> None:
            with client, contextlib.suppress(OSError):
                while request := client.recv(65536).decode():
                    path = request.split()[1]
                    info = {
                        "Warnings": [warning],
                        "SecurityOptions": [],
                        "OperatingSystem": "Debian",
                        "OSType": "linux",
                    }
                    version = {"ApiVersion": "1.45", "Version": "26.1", "Arch": "amd64", "Os": "linux"}
                    document = info if path.endswith("/info") else version if path.endswith("/version") else []
                    body = json.dumps(document).encode()
                    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                    client.sendall(head.encode() + body)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"unix://{file}"
        finally:
            ended.set()
            thread.join()
