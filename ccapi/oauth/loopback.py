"""Listening sockets on this machine's own two addresses, and never on any other."""

from __future__ import annotations

import errno
import os
import socket

_BACKLOG = 128
ADDRESSES = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
_NO_SUCH_ADDRESS = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT}


def listen(port: int) -> list[socket.socket]:
    """As `bind`, and they listen; non-blocking."""
    listening = bind(port)
    try:
        for one in listening:
            one.listen(_BACKLOG)
            one.setblocking(False)  # noqa: FBT003 -- the standard library's
    except OSError:
        for one in listening:
            one.close()
        raise
    return listening


def bind(port: int) -> list[socket.socket]:
    """Sockets bound to the port on 127.0.0.1 and, where this machine has IPv6, on ::1. They do not listen yet.

    Both or none: a browser takes `localhost` for either. Raises `OSError`; EADDRINUSE also where the system would let
    two programs share the port (another one listens on all addresses).
    """
    bound: list[socket.socket] = []
    try:
        for family, address in ADDRESSES:
            if one := _bind(family, address, port):
                bound.append(one)
    except OSError:
        for one in bound:
            one.close()
        raise
    return bound


def _bind(family: socket.AddressFamily, address: str, port: int) -> socket.socket | None:
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        if family == socket.AF_INET6 and error.errno in _NO_SUCH_ADDRESS:
            return None
        raise
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections in TIME_WAIT are no obstacle
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _check_unanswered(family, address, port)
        listener.bind((address, port))
    except OSError as error:
        listener.close()
        if family == socket.AF_INET6 and error.errno in _NO_SUCH_ADDRESS:
            return None
        raise
    return listener


def _check_unanswered(family: socket.AddressFamily, address: str, port: int) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(0.5)
        there = client.connect_ex((address, port)) == 0
        if there and client.getsockname() != client.getpeername():  # where nobody listens, TCP can meet itself
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
