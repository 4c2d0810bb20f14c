"""What the stack logs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ccapi.paths import Home
from ccapi.stack import status as stack_status


def logs(home: Home, docker: Mapping[str, str], *, tail: int, timestamps: bool) -> bytes:
    return stack_status.logs(docker, home.stack, tail=tail, timestamps=timestamps)


def follow(
    home: Home, docker: Mapping[str, str], *, tail: int, timestamps: bool, note: Callable[[str], None]
) -> Iterator[bytes]:
    return stack_status.follow(docker, home.stack, tail=tail, timestamps=timestamps, note=note)
