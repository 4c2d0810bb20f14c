"""Whether a port of this host is free. Who has it if not: `ccapi.portowner`."""

from __future__ import annotations

import errno
import socket

_LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    """Connects *and* binds: each sees listeners that the other one does not."""
    with socket.socket() as client:
        client.settimeout(0.5)
        if client.connect_ex((_LOOPBACK, port)) == 0:
            return False
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Docker does: TIME_WAIT is no obstacle
        try:
            server.bind((_LOOPBACK, port))
        except OSError as error:
            return error.errno != errno.EADDRINUSE  # EACCES below 1024 is ours only; the engine may be root
    return True


def free_near(port: int) -> int:
    """A free port to suggest: the next one, and so on."""
    return next((candidate for candidate in range(port + 1, min(port + 100, 65536)) if is_free(candidate)), 0)
