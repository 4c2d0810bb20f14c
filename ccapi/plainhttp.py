"""One GET over HTTP, with nothing but a socket: for what is asked so often that a library's import would be most of it.

`ccapi up` on a stack that is as wanted asks five questions; the import of the Docker SDK takes longer than all of them.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import NamedTuple

_CHUNK = 64 * 1024  # bytes
_HEAD = 64 * 1024

Address = str | tuple[str, int]  # the path of a socket, or host and port


class Answer(NamedTuple):
    """The names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def get(address: Address, target: str, *, headers: Mapping[str, str], timeout: float, most: int) -> Answer:
    """The answer, whose body may have `most` bytes; each wait takes `timeout` seconds at the longest.

    Raises `OSError`, and `ValueError` for what is no such answer.
    """
    lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "Connection: close"]
    with _connected(address, timeout) as stream:
        stream.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("ascii"))
        received = bytearray()
        while chunk := stream.recv(_CHUNK):
            received += chunk
            if len(received) > most + _HEAD:
                raise ValueError("too long an answer")
    return _parsed(bytes(received))


def _connected(address: Address, timeout: float) -> socket.socket:
    if not isinstance(address, str):
        return socket.create_connection(address, timeout)
    stream = socket.socket(socket.AF_UNIX)
    try:
        stream.settimeout(timeout)
        stream.connect(address)
    except BaseException:
        stream.close()
        raise
    return stream


def _parsed(received: bytes) -> Answer:
    head, separator, body = received.partition(b"\r\n\r\n")
    first, *fields = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    if not separator or not version.startswith("HTTP/1."):
        raise ValueError("no HTTP")
    headers = {name.strip().lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    if headers.get("transfer-encoding") == "chunked":
        body = _joined(body)
    elif len(body) < int(headers.get("content-length", 0)):
        raise ValueError("the answer broke off")
    return Answer(int(rest[:3]), headers, body)


def _joined(chunked: bytes) -> bytes:
    """The chunks' contents. Raises `ValueError` unless the last one is there."""
    body, at = bytearray(), 0
    while True:
        end = chunked.index(b"\r\n", at)
        size = int(chunked[at:end].partition(b";")[0], 16)
        if size == 0:
            return bytes(body)
        start = end + 2
        if len(chunked) < start + size:
            raise ValueError("the answer broke off")
        body += chunked[start : start + size]
        at = start + size + 2
