"""Whether a port of this host is free. Who has it if not: `ccapi.portowner`."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Collection, Iterator

_LOOPBACK = "127.0.0.1"
_BROWSERS = "::1"  # what `localhost` means first: whoever listens there would get what is meant for us
_PATIENCE = 0.5  # seconds


def is_free(port: int, host: str = _LOOPBACK) -> bool:
    """Whether it can be published on this address, and reached there by everybody who is told of it.

    Connects *and* binds: each sees listeners that the other one does not. An address that this machine does not have
    has no port that is taken: see `is_here`.
    """
    return not any(_answers(port, address) or _is_bound(port, address) for address in _addresses(host))


def is_here(host: str) -> bool:
    """Whether this machine has the address."""
    return _error(0, host) != errno.EADDRNOTAVAIL


def _addresses(host: str) -> Iterator[str]:
    address = ipaddress.ip_address(host)
    yield host
    if address.is_unspecified:
        yield _LOOPBACK
    if host == _LOOPBACK or address.is_unspecified:
        yield _BROWSERS


def _answers(port: int, address: str) -> bool:
    if ipaddress.ip_address(address).is_unspecified:
        return False
    with socket.socket(_family(address)) as client:
        client.settimeout(_PATIENCE)
        return client.connect_ex((address, port)) == 0


def _is_bound(port: int, address: str) -> bool:
    return _error(port, address) == errno.EADDRINUSE  # EACCES below 1024 is ours only; the engine may be root


def _error(port: int, address: str) -> int | None:
    try:
        with socket.socket(_family(address)) as server:
            if address == "::":
                server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Docker does: TIME_WAIT is no obstacle
            server.bind((address, port))
    except OSError as error:  # also: no IPv6 here
        return error.errno
    return None


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def free_near(port: int, host: str = _LOOPBACK, *, taken: Collection[int] = ()) -> int:
    """A free port to suggest: the next one that is not among `taken`, and so on; 0 when there is none for long."""
    candidates = range(port + 1, min(port + 200, 65536))
    return next((candidate for candidate in candidates if candidate not in taken and is_free(candidate, host)), 0)
