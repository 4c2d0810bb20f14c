"""The proxy's own port, on this machine's loopback addresses and nowhere else."""

from __future__ import annotations

import errno
import socket
import time
from typing import TYPE_CHECKING

from ccapi.oauth import loopback

if TYPE_CHECKING:
    from ccapi.errors import CcapiError, PortBusy

_PATIENCE = 1.0  # seconds; the server of a proxy that was just killed still lets go of its sockets
_POLL = 0.05


def listen(port: int) -> list[socket.socket]:
    """Sockets that listen on 127.0.0.1, and on ::1 where there is IPv6. Raises `OSError`."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return loopback.listen(port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise
        time.sleep(_POLL)


def explained(port: int, error: OSError) -> CcapiError:
    """Why the port cannot be had, by whose fault, and the ways out; imported late, for its size."""
    from ccapi.errors import ProxyFailed

    if error.errno == errno.EADDRINUSE:
        return _busy(port)
    return ProxyFailed(f"the OAuth proxy cannot listen on port {port}: {error.strerror}", hint=_other_port(8888))


def _busy(port: int) -> PortBusy:
    """By whom, and the ways out. Another port is never taken unasked: redirect URIs are registered with this one."""
    from ccapi import portowner
    from ccapi.errors import PortBusy

    process = portowner.owner(port)
    if process is None:
        stop = f"Stop the program that has it; to see which one: sudo lsof -nP -iTCP:{port} -sTCP:LISTEN"
    elif "jupyter" in process.command.lower():
        stop = f"It is Jupyter's default port, too. Stop that: kill {process.pid}"
    else:
        stop = f"Stop that program: kill {process.pid}"
    who = process or "another process"
    message = f"port {port}, which the OAuth proxy listens on, is in use by {who}"
    return PortBusy(message, hint=f"{stop}\n{_other_port(_near(port))}")


def _other_port(port: int) -> str:
    return (
        f"Or have the proxy use another port from now on: ccapi config set oauth.port {port}\n"
        f"Or only this time: CCAPI_OAUTH_PORT={port} ccapi up"
    )


def _near(port: int) -> int:
    """A free port to suggest; the next one if none is found."""
    for candidate in range(port + 1, min(port + 100, 65536)):
        try:
            for listener in loopback.listen(candidate):
                listener.close()
        except OSError:
            continue
        return candidate
    return min(port + 1, 65535)
