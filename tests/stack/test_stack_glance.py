"""A look at the container without the SDK: what it sees, and that it sees nothing in what is out of the ordinary."""

from __future__ import annotations

import io
import json
import socket
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from ccapi import plainhttp
from ccapi.client import knock
from ccapi.errors import KeyInvalid, StackSecretInvalid
from ccapi.stack.glance import Glance, NothingSeen
from tests.cli.support import DEADLINE, FakeGateway
from tests.stack.support import NAME

INSPECTED = {
    "Id": "1" * 64,
    "Image": "sha256:2",
    "Name": f"/{NAME}",
    "RestartCount": 0,
    "State": {
        "Status": "running",
        "ExitCode": 0,
        "OOMKilled": False,
        "Error": "",
        "StartedAt": "2026-11-28T03:00:00.123456789Z",
        "Health": {"Status": "healthy", "Log": []},
    },
    "Config": {"Image": f"{NAME}:0123456789ab", "User": "1000:1000", "Env": ["A=b"], "Labels": {"ccapi.stack": NAME}},
    "NetworkSettings": {"Ports": {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8000"}]}},
    "HostConfig": {},
}


def answer(body: bytes, *, status: str = "200 OK", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nApi-Version: 1.45\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body


def chunked(body: bytes) -> bytes:
    """In two pieces, as the engine sends what is long."""
    half = len(body) // 2
    pieces = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body[:half], body[half:]))
    return b"HTTP/1.1 200 OK\r\nApi-Version: 1.43\r\nTransfer-Encoding: chunked\r\n\r\n" + pieces + b"0\r\n\r\n"


@contextmanager
def engine(directory: Path, said: bytes) -> Iterator[Glance]:
    """A socket at which every question is answered with these bytes."""
    path = directory / "sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(8)

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client, suppress(ConnectionError):  # who asks may have had enough
                    client.recv(65536)
                    client.sendall(said)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Glance({"DOCKER_HOST": f"unix://{path}"}, NAME)
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(DEADLINE)


@pytest.mark.parametrize("form", [answer, chunked])
def test_what_it_sees(tmp_path: Path, form: object) -> None:
    """The same as the SDK would, however the engine sends it."""
    body = json.dumps(INSPECTED).encode()
    with engine(tmp_path, answer(body) if form is answer else chunked(body)) as glance:
        found = glance.container()
        assert (found.state, found.health, found.published, found.ours) == (
            "running",
            "healthy",
            "127.0.0.1:8000",
            True,
        )
        assert glance.knows_start_interval == (form is answer)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        answer(b"{}", status="500 Internal Server Error"),
        answer(b'{"message": "No such container"}', status="404 Not Found"),
        answer(b"[]"),
        answer(b"{}"),
        answer(b"not JSON"),
        answer(json.dumps(INSPECTED).encode())[:-1],
        chunked(json.dumps(INSPECTED).encode())[:-20],
        b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps(INSPECTED).encode(),  # of what version, it does not say
    ],
)
def test_what_it_does_not_understand(tmp_path: Path, said: bytes) -> None:
    """Nothing is seen then, and the SDK is asked."""
    with engine(tmp_path, said) as glance, pytest.raises(NothingSeen):
        glance.container()


def test_what_is_left_of_a_replacement(tmp_path: Path) -> None:
    """Only what has compose's kind of name; nothing is seen in an answer that is not understood."""
    names = [NAME, f"0123456789ab_{NAME}", f"0123456789ab_{NAME}-x", f"a0123456789ab_{NAME}", f"abc_{NAME}"]
    said = json.dumps([{"Names": [f"/{name}"]} for name in names]).encode()
    with engine(tmp_path, answer(said)) as glance:
        assert glance.leftovers() == [f"0123456789ab_{NAME}"]
    (tmp_path / "sock").unlink()
    with engine(tmp_path, answer(b'[{"Names": []}]')) as glance, pytest.raises(NothingSeen):
        glance.leftovers()


@pytest.mark.parametrize("host", ["tcp://127.0.0.1:2375", "ssh://somewhere", "npipe:////./pipe/docker_engine"])
def test_engines_elsewhere(host: str) -> None:
    """They are the SDK's business, as is a socket at which nobody is."""
    with pytest.raises(NothingSeen):
        Glance({"DOCKER_HOST": host}, NAME)


def test_no_engine(tmp_path: Path) -> None:
    """The socket is not there."""
    with pytest.raises(NothingSeen):
        Glance({"DOCKER_HOST": f"unix://{tmp_path}/none"}, NAME).container()


def test_files(tmp_path: Path) -> None:
    """Several at once; none is not nothing seen."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as files:
        entry = tarfile.TarInfo("x")
        entry.size = 4
        files.addfile(entry, io.BytesIO(b"text"))
    with engine(tmp_path, answer(archive.getvalue())) as glance:
        assert glance.files(["/a", "/b", "/c"]) == {"/a": b"text", "/b": b"text", "/c": b"text"}
    (tmp_path / "sock").unlink()
    with engine(tmp_path, answer(b"{}", status="404 Not Found")) as glance:
        assert glance.files(["/a"]) == {"/a": None}
    (tmp_path / "sock").unlink()
    with engine(tmp_path, b"") as glance, pytest.raises(NothingSeen):
        glance.files(["/a"])


def test_an_answer_without_end(tmp_path: Path) -> None:
    """It is not read for ever."""
    with engine(tmp_path, answer(b"x" * 200_000)), pytest.raises(ValueError, match="too long"):
        plainhttp.get(str(tmp_path / "sock"), "/", headers={}, timeout=DEADLINE, most=1000)


# --- whether the gateway knows us


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    fake = FakeGateway()
    yield fake
    fake.close()


@pytest.mark.parametrize(
    ("reply", "known"),
    [
        (FakeGateway.document({"logins": []}), True),
        (FakeGateway.refusal(StackSecretInvalid("no")), False),
        (FakeGateway.refusal(KeyInvalid("no")), True),
        (FakeGateway.document({}, 401), True),
        (b"SSH-2.0-OpenSSH\r\n", True),
        (b"", True),
    ],
)
def test_only_a_clear_no_counts(gateway: FakeGateway, reply: bytes, known: bool) -> None:
    """One that cannot be asked, or answers something else, is not blamed for it."""
    found: list[bool] = []
    asking = threading.Thread(target=lambda: found.append(knock.is_known(gateway.url, "ccapi-stack-x")))
    asking.start()
    with gateway.request() as connection:
        connection.sendall(reply)
    asking.join(DEADLINE)
    assert found == [known]
    assert gateway.received[0].line == "GET /internal/v1/logins?wait=0"
    assert gateway.received[0].headers["authorization"] == "Bearer ccapi-stack-x"
    assert gateway.received[0].headers["host"] == f"localhost:{gateway.port}"


def test_nobody_answers(gateway: FakeGateway) -> None:
    """The container is then judged by its health alone."""
    gateway.close()
    assert knock.is_known(gateway.url, "ccapi-stack-x")
