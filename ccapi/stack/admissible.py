"""Whether what is wanted makes sense, before an engine is asked for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ccapi.errors import CcapiError, SettingInvalid
from ccapi.settings import LOOPBACK
from ccapi.stack.spec import StackSpec


def problems(wanted: StackSpec) -> Iterator[CcapiError]:
    """What keeps it from being done, whatever the engine is like."""
    yield from filter(None, (_workspace(wanted.workspace), _keys(wanted)))


def _workspace(workspace: Path | None) -> SettingInvalid | None:
    """Docker would make a missing directory, as root, and the agent could not write to it."""
    if workspace is None:
        return None
    if not workspace.is_dir():
        missing = "is not a directory" if workspace.exists() else "does not exist"
        return SettingInvalid(f"workspace {workspace}: {missing}", hint=f"Make it first: mkdir -p {workspace}")
    if ":" in str(workspace):
        return SettingInvalid(f"workspace {workspace}: Docker cannot mount a path with a colon")
    return None


def _keys(wanted: StackSpec) -> CcapiError | None:
    """Whoever else than this machine reaches the gateway must have a key."""
    if wanted.keys is None or wanted.host in LOOPBACK:
        return None
    from ccapi.wire import keys

    file = wanted.keys / keys.FILE
    try:
        if keys.load(file.read_bytes(), file).keys:
            return None
    except FileNotFoundError:
        pass
    except CcapiError as error:
        return error
    return SettingInvalid(
        f"gateway.host {wanted.host}: other machines would reach the gateway, and there is no API key",
        hint="Make one first: ccapi key create",
    )
