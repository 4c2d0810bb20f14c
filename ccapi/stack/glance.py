"""A look at the container without the Docker SDK: enough to see that all is as wanted, in a fifth of the time.

Where anything is out of the ordinary (an engine elsewhere, no answer, an answer that is not understood) nothing is
seen, and `Engine` finds out and says why.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from ccapi import plainhttp
from ccapi.plainhttp import Answer
from ccapi.stack import spec, state
from ccapi.stack.state import Container

_TIMEOUT = 5.0  # seconds for each wait
_MOST = 4 * 1024 * 1024  # bytes
_SOCKET = "/var/run/docker.sock"


class NothingSeen(Exception):
    """The engine did not say what was asked, for whatever reason."""


class Glance:
    """The stack's container, asked for at the socket that the Docker SDK would use."""

    def __init__(self, environ: Mapping[str, str], stack: str) -> None:
        """Raises `NothingSeen` where the engine is not reached by a socket of this machine."""
        host = environ.get("DOCKER_HOST") or f"unix://{_SOCKET}"
        if not host.startswith("unix://") or environ.get("DOCKER_TLS_VERIFY"):
            raise NothingSeen
        self._socket = host.removeprefix("unix://")
        self._stack = stack
        self._path = f"/containers/{stack}"
        self.knows_start_interval = False  # until it has answered

    def container(self) -> Container:
        """Raises `NothingSeen`, also when there is none."""
        answer = self._get(f"{self._path}/json")
        try:
            self.knows_start_interval = state.knows_start_interval(answer.headers["api-version"])
            return state.parsed(json.loads(answer.body))
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            raise NothingSeen from error

    def leftovers(self) -> list[str]:
        """See `Engine.leftovers`. Raises `NothingSeen`."""
        filters = quote(json.dumps({"label": [f"{spec.LABEL}={self._stack}"]}))
        try:
            found = json.loads(self._get(f"/containers/json?all=1&filters={filters}").body)
            names = [one["Names"][0].lstrip("/") for one in found]
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            raise NothingSeen from error
        return sorted(name for name in names if spec.is_provisional(name, self._stack))

    def info(self) -> Mapping[str, Any]:
        """`docker info`. Raises `NothingSeen`."""
        try:
            found = json.loads(self._get("/info").body)
        except ValueError as error:
            raise NothingSeen from error
        if not isinstance(found, dict):
            raise NothingSeen
        return found

    def file(self, path: str) -> bytes | None:
        """What is in a file of the container; None when there is none. Raises `NothingSeen`."""
        answer = self._get(f"{self._path}/archive?path={quote(path)}", missing=True)
        return state.only_file(answer.body, _MOST) if answer.status == 200 else None

    def files(self, paths: Sequence[str]) -> dict[str, bytes | None]:
        """Several at once, as each takes the engine a while. Raises `NothingSeen`."""
        found: dict[str, bytes | None] = {}

        def look(path: str) -> None:
            with suppress(NothingSeen):
                found[path] = self.file(path)

        threads = [threading.Thread(target=look, args=(path,), daemon=True) for path in paths]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if len(found) < len(paths):
            raise NothingSeen
        return found

    def _get(self, target: str, *, missing: bool = False) -> Answer:
        try:
            answer = plainhttp.get(self._socket, target, headers={"Host": "docker"}, timeout=_TIMEOUT, most=_MOST)
        except (OSError, ValueError, AttributeError) as error:  # the last: no such sockets here
            raise NothingSeen from error
        if answer.status != 200 and not (missing and answer.status == 404):
            raise NothingSeen
        return answer
