"""Whether a port is free."""

from __future__ import annotations

import socket

import pytest

from ccapi.stack import ports
from tests.cli.support import free_port


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::"])
def test_a_listener_is_seen(address: str) -> None:
    """On whatever address it listens that takes the port away."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family, dualstack_ipv6=address == "::") as listener:
        assert not ports.is_free(listener.getsockname()[1])


def test_a_socket_that_is_bound_only() -> None:
    """No connection finds it, and yet the port cannot be had."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert not ports.is_free(bound.getsockname()[1])


def test_a_free_port() -> None:
    """Asking does not take it."""
    port = free_port()
    assert ports.is_free(port)
    assert ports.is_free(port)


def test_a_port_just_left_is_free() -> None:
    """Connections in TIME_WAIT are no obstacle to Docker, so they are none here."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            connection, _ = listener.accept()
            connection.close()
    assert ports.is_free(port)


def test_the_port_that_is_suggested_is_free() -> None:
    """The next one that is."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        suggested = ports.free_near(port - 1)
        assert suggested > port
        assert ports.is_free(suggested)
