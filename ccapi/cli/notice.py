"""The line that tells of a newer ccapi, at the end of a command, to a person at a terminal."""

from __future__ import annotations

from ccapi.cli import context, output
from ccapi.errors import CcapiError

_OFF = "CCAPI_NO_UPDATE_CHECK"
# In front of a program or of a server it would be seen too late, or by the wrong one.
_NEVER = {"", "completion", "gateway", "rehearsal", "claude", "shell", "uninstall", "proxy run"}


def offer() -> None:
    """Say it if it is known, and see to it that it will be. Takes no time that a person would notice."""
    mode = context.mode
    if mode.quiet or mode.json or mode.command in _NEVER or not output.interactive():
        return
    from ccapi.commands import updates
    from ccapi.settings import environment

    environ = environment.own()
    if environ.get(_OFF) or not _wanted():
        return
    home = context.home()
    if found := updates.newer(home):
        output.note(f"ccapi {found.version} is there. Upgrade: {found.command}")
    updates.look_if_due(home, environ)


def _wanted() -> bool:
    try:
        return bool(context.settings().value("updates.check"))
    except CcapiError:
        return False
