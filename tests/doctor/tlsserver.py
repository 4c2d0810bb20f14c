"""HTTPS servers of this machine, signed by an authority that nobody knows: what an inspecting proxy shows."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.cli.support import DEADLINE

ORGANISATION = "Example Corp"
AUTHORITY = "Example Corp TLS Inspection"


@dataclass(frozen=True)
class Authority:
    """`file`: its certificate, for whoever shall trust it."""

    file: Path
    certificate: Path
    key: Path


def authority(directory: Path, *, name: str = "IP:127.0.0.1") -> Authority:
    """A new one, and what it signed: a certificate for `name`."""
    subject = f"/O={ORGANISATION}/CN={AUTHORITY}"
    _openssl(directory, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
             "-days", "30", "-subj", subject, "-addext", "basicConstraints=critical,CA:TRUE",
             "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # fmt: skip
    _openssl(directory, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", "server.key", "-out", "server.csr",
             "-subj", "/CN=api")  # fmt: skip
    (directory / "server.ext").write_text(f"subjectAltName={name}\n")
    _openssl(directory, "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
             "-days", "7", "-extfile", "server.ext", "-out", "server.pem")  # fmt: skip
    return Authority(directory / "ca.pem", directory / "server.pem", directory / "server.key")


def _openssl(directory: Path, *args: str) -> None:
    done = subprocess.run(
        ["openssl", *args], cwd=directory, capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert done.returncode == 0, done.stderr


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    ahead = timedelta()
    status = 404

    def handle_error(self, *_: object) -> None:
        """A client that does not trust it goes away: nothing to print."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_HEAD(self) -> None:
        self.send_response_only(self.server.status)
        self.send_header("Date", format_datetime(datetime.now(UTC) + self.server.ahead, usegmt=True))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Not on the terminal."""


@contextmanager
def https(of: Authority | None, *, ahead: timedelta = timedelta(), status: int = 404) -> Iterator[str]:
    """The address of a server, whose clock is so far ahead of ours. Without an authority it speaks HTTP."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.ahead, server.status = ahead, status
        if of:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(of.certificate, of.key)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"{'https' if of else 'http'}://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(DEADLINE)
