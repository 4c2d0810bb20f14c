"""The one edge where the Docker SDK's exceptions become ours, and what `docker inspect` says in our words."""

from __future__ import annotations

import errno
import gc
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from docker import errors as docker_errors
from urllib3 import exceptions as urllib3_errors

from ccapi.errors import CcapiError, DockerUnavailable, StackFailed
from ccapi.stack import engine
from ccapi.stack import state as inspected
from ccapi.stack.engine import Engine
from tests.stack.support import FakeDocker

# The SDK leaves the sockets of a failed start to the garbage collector, which is made to run here.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")


def open_engine(environ: dict[str, str], *, timeout: float = 5) -> DockerUnavailable:
    with pytest.raises(DockerUnavailable) as raised:
        Engine(environ, "claude-code-api", timeout=timeout)
    failed = raised.value.with_traceback(None)
    del raised
    gc.collect()
    assert failed.exit_code == 5
    assert failed.hint
    return failed


@contextmanager
def unix_listener(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        yield listener


def test_no_engine(fake_docker: FakeDocker, tmp_path: Path) -> None:
    """There is no socket: it does not run, and where it was looked for is said."""
    environ = fake_docker.says("exit 1") | {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    assert f"is not running (unix://{tmp_path}/none.sock)" in open_engine(environ).message


def test_a_socket_without_an_engine(fake_docker: FakeDocker, tmp_path: Path) -> None:
    """Connection refused is the same to the person."""
    with unix_listener(tmp_path / "d.sock"):
        pass
    environ = fake_docker.says("exit 1") | {"DOCKER_HOST": f"unix://{tmp_path}/d.sock"}
    assert "is not running" in open_engine(environ).message


def test_docker_is_not_installed(tmp_path: Path) -> None:
    """Neither socket nor command."""
    environ = {"DOCKER_HOST": f"unix://{tmp_path}/none.sock", "PATH": str(tmp_path)}
    failed = open_engine(environ)
    assert failed.message == "Docker is not installed"
    assert "https://" in (failed.hint or "")


def test_an_engine_that_hangs(tmp_path: Path) -> None:
    """It takes the connection and says nothing: the time limit holds."""
    with unix_listener(tmp_path / "d.sock"):
        began = time.monotonic()
        failed = open_engine({"DOCKER_HOST": f"unix://{tmp_path}/d.sock"}, timeout=0.3)
        assert time.monotonic() - began < 15
    assert "does not answer" in failed.message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use any socket")
def test_a_socket_that_is_not_ours(tmp_path: Path) -> None:
    """No permission: the hint never is to open the socket to everybody."""
    with unix_listener(tmp_path / "d.sock"):
        (tmp_path / "d.sock").chmod(0)
        failed = open_engine({"DOCKER_HOST": f"unix://{tmp_path}/d.sock"})
    assert "no permission" in failed.message
    assert "chmod" not in (failed.hint or "")


@pytest.mark.parametrize("host", ["nonsense", "ssh://user@host", "tcp://127.0.0.1:1", "ftp://host"])
def test_addresses_that_lead_nowhere(fake_docker: FakeDocker, host: str) -> None:
    """Whatever DOCKER_HOST holds, the failure is ours and names it."""
    assert host in open_engine(fake_docker.says("exit 1") | {"DOCKER_HOST": host}).message


def wrapped(cause: OSError) -> Exception:
    """As the SDK gives it: requests' exception around urllib3's around the system's, each in `args`."""
    inner = urllib3_errors.ProtocolError("Connection aborted.", cause)
    return docker_errors.DockerException(f"Error while fetching: {inner}", requests.exceptions.ConnectionError(inner))


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (wrapped(PermissionError(errno.EACCES, "denied")), DockerUnavailable, "no permission"),
        (wrapped(FileNotFoundError(errno.ENOENT, "none")), DockerUnavailable, "not running"),
        (wrapped(ConnectionRefusedError(errno.ECONNREFUSED, "refused")), DockerUnavailable, "not running"),
        (requests.exceptions.ReadTimeout("slow"), DockerUnavailable, "does not answer"),
        (urllib3_errors.ReadTimeoutError(None, "/", "slow"), DockerUnavailable, "can be reached"),  # type: ignore[arg-type] # a pool is not needed here
        (TimeoutError("slow"), DockerUnavailable, "does not answer"),
        (docker_errors.TLSParameterError("TLS"), DockerUnavailable, "can be reached"),
        (docker_errors.APIError("500", explanation="it broke"), StackFailed, "Docker refused: it broke"),
    ],
)
def test_every_exception_becomes_ours(
    fake_docker: FakeDocker, error: Exception, kind: type[CcapiError], said: str
) -> None:
    """By what lies below it, however deep."""
    translated = engine._translate(error, fake_docker.says("exit 1"))
    assert type(translated) is kind
    assert said in translated.message


INSPECTED: dict[str, Any] = {
    "Id": "1" * 64,
    "Name": "/claude-code-api",
    "RestartCount": 2,
    "State": {
        "Status": "running",
        "ExitCode": 0,
        "OOMKilled": False,
        "Error": "",
        "StartedAt": "2026-11-22T08:57:37.123456789Z",
        "Health": {"Status": "unhealthy", "Log": [{"Output": "first\n"}, {"Output": "last\n"}]},
    },
    "Config": {
        "Image": "claude-code-api:0123456789ab",
        "Env": ["A=b=c", "UNSET", "EMPTY="],
        "Labels": {"ccapi.stack": "claude-code-api", "ccapi.workspace": "/srv/work"},
    },
    "HostConfig": {"PortBindings": {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8001"}]}},
    "NetworkSettings": {"Ports": {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8002"}]}},
}


def test_what_inspect_says() -> None:
    """The last probe's words, the port that Docker gave, the variables with all their equal signs."""
    found = inspected.parsed(INSPECTED)
    assert found.ours
    assert (found.state, found.health, found.probe, found.restarts) == ("running", "unhealthy", "last", 2)
    assert (found.published, found.port) == ("127.0.0.1:8002", 8002)
    assert found.workspace == "/srv/work"
    assert found.environment == {"A": "b=c", "UNSET": "", "EMPTY": ""}
    assert found.started == datetime(2026, 11, 22, 8, 57, 37, 123456, tzinfo=UTC)


def test_what_inspect_says_of_a_container_that_never_ran() -> None:
    """No health, no start, no published port yet: the one that is wanted is told."""
    state = {**INSPECTED["State"], "Status": "created", "StartedAt": "0001-01-01T00:00:00Z", "Health": None}
    raw = {**INSPECTED, "State": state, "NetworkSettings": {"Ports": {}}}
    raw["Config"] = {**INSPECTED["Config"], "Labels": None, "Env": None}
    found = inspected.parsed(raw)
    assert not found.ours
    assert (found.health, found.started, found.probe, found.workspace) == (None, None, "", None)
    assert found.published == "127.0.0.1:8001"


@pytest.mark.parametrize(
    ("tags", "removed"),
    [
        (["claude-code-api:000000000000"], ["claude-code-api:000000000000"]),
        (["claude-code-api:123456789abc"], []),
        (["claude-code-api:000000000000", "claude-code-api:123456789abc"], []),
        (["claude-code-api:local"], []),
        (["claude-code-api:000000000000", "mine:1"], []),
        ([], ["sha256:1"]),
        (None, ["sha256:1"]),
        (["<none>:<none>"], ["sha256:1"]),
    ],
)
def test_which_images_are_tidied_away(tags: list[str] | None, removed: list[str]) -> None:
    """Those that `up` made earlier, and not one that somebody has given a name of their own."""
    assert engine._ours({"Id": "sha256:1", "RepoTags": tags}, "claude-code-api:123456789abc") == removed
