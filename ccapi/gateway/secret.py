"""Who may use the internal API: whoever has the stack's own secret, which is on the host.

Always, also where no API key is required, and no API key is one: the agent, its tools and everybody else who reaches
the port are kept out. Of the secret only the digest is here (see `ccapi.wire.internal`). As with API keys there is no
lockout: 256 random bits are not guessed.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Middleware
from multidict import MultiMapping

from ccapi.errors import SettingInvalid, StackSecretInvalid
from ccapi.gateway import access
from ccapi.gateway.access import Handler
from ccapi.wire import internal

log = logging.getLogger(__name__)

_BEARER = re.compile(r"(?i)bearer[ \t]+(\S+)")
_MAKE_ONE = "ccapi up makes it"
_HINT = "Have ccapi on the host and the container agree on one: ccapi up"


class StackSecret:
    """The digest in a file that `ccapi up` writes; read at each use, so that another one is good at once."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._problem: str | None = None

    def check(self, headers: MultiMapping[str]) -> None:
        """Raises `StackSecretInvalid` unless `Authorization: Bearer SECRET` is among them, once."""
        sent = [_BEARER.fullmatch(value) for value in headers.getall("Authorization", [])]
        known = self._digest()
        if len(sent) != 1 or not sent[0] or not known or not internal.is_secret(sent[0][1], known):
            raise StackSecretInvalid("The gateway does not know the stack's secret that was sent", hint=_HINT)

    def _digest(self) -> str | None:
        """None, and a line in the log, if there is none that can be read."""
        try:
            found = _read(self._file)
        except SettingInvalid as error:
            if error.message != self._problem:
                log.warning("nobody can use the internal API: %s (%s)", error.message, _MAKE_ONE)
            self._problem = error.message
            return None
        self._problem = None
        return found


def _read(file: Path) -> str:
    try:
        with open(file, "rb", opener=access.without_waiting) as handle:
            regular = stat.S_ISREG(os.fstat(handle.fileno()).st_mode)
            text = handle.read(1024) if regular else b""
    except OSError as error:
        raise SettingInvalid(f"{file} cannot be read: {error.strerror}") from error
    return internal.check_digest(text.decode("ascii", "replace"))


def guard(secret: StackSecret) -> Middleware:
    """Before every handler of an application that is marked with `access.OWN`."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            secret.check(request.headers)
        except StackSecretInvalid:
            access.refused(request, "no secret of the stack, or a wrong one")
            raise
        request[access.CALLER] = access.STACK
        return await handler(request)

    return middleware
