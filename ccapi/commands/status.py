"""How the stack is."""

from __future__ import annotations

from collections.abc import Mapping

from ccapi.paths import Home
from ccapi.stack import status as stack_status
from ccapi.stack.status import Status

__all__ = ["Status", "status"]


def status(home: Home, docker: Mapping[str, str]) -> Status:
    """Starts nothing. Raises `DockerUnavailable`."""
    return stack_status.status(docker, home.stack)
