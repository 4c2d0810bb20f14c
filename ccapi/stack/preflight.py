"""What can be known to go wrong before anything is built or started."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from ccapi import portowner
from ccapi.errors import PortBusy, SettingInvalid, StackFailed
from ccapi.settings import LOOPBACK
from ccapi.stack import ports
from ccapi.stack.engine import Engine
from ccapi.stack.spec import StackSpec
from ccapi.wire import keys

_UID = 1000  # of the container's user, see the Dockerfile


def check_workspace(workspace: Path | None) -> None:
    """Docker would make a missing directory, as root, and the agent could not write to it. Raises `SettingInvalid`."""
    if workspace is None:
        return
    if not workspace.is_dir():
        missing = "is not a directory" if workspace.exists() else "does not exist"
        raise SettingInvalid(f"workspace {workspace}: {missing}", hint=f"Make it first: mkdir -p {workspace}")
    if ":" in str(workspace):
        raise SettingInvalid(f"workspace {workspace}: Docker cannot mount a path with a colon")


def check_keys(wanted: StackSpec) -> None:
    """Whoever else than this machine reaches the gateway must have a key. Raises `SettingInvalid`."""
    if wanted.keys is None:
        return
    file = wanted.keys / keys.FILE
    found = keys.load(file.read_bytes(), file).keys if file.exists() else ()
    if wanted.host not in LOOPBACK and not found:
        raise SettingInvalid(
            f"gateway.host {wanted.host}: other machines would reach the gateway, and there is no API key",
            hint="Make one first: ccapi key create",
        )


def warnings(wanted: StackSpec) -> Iterator[str]:
    """What will work, but perhaps not as hoped."""
    if wanted.workspace and not _writable(wanted.workspace):
        yield (
            f"the agent (user id {_UID}) cannot write to {wanted.workspace}; "
            f"to let it: sudo setfacl -R -m u:{_UID}:rwX -m d:u:{_UID}:rwX {wanted.workspace}"
        )
    for name, value in wanted.environment.items():
        if not name.isupper():
            continue
        url = urlsplit(value)
        if name.endswith("_PROXY") and url.password:
            yield f"{name} has a password in it, which `docker inspect` shows"
        if name != "NO_PROXY" and url.hostname in {"localhost", "127.0.0.1", "::1"}:
            yield f"{name} is {value}, which inside the container is the container itself"


def check_port(port: int, engine: Engine) -> None:
    """Raises `PortBusy`, which names who has it."""
    if not ports.is_free(port):
        raise port_busy(port, engine)


def port_busy(port: int, engine: Engine) -> PortBusy:
    """The error for a port that is taken: by whom, and the ways out."""
    free = ports.free_near(port)
    hint = [f"Take another one: ccapi up --port {free}", f"To keep that, in ccapi.toml: gateway.port = {free}"]
    if container := engine.publisher(port):
        who = f"the container {container}"
        hint.append(f"Or stop the container: docker stop {container}")
    elif process := portowner.owner(port):
        who = str(process)
        hint.append(f"Or stop the process: kill {process.pid}")
    else:
        who = "another process"
        hint.append(f"Whose it is: sudo lsof -nP -iTCP:{port} -sTCP:LISTEN")
    return PortBusy(f"port {port} is in use by {who}", hint="\n".join(hint))


def check_snap(environ: Mapping[str, str], directory: Path) -> None:
    """Docker from snap may not read hidden directories, and says only that nothing is there. Raises `StackFailed`."""
    docker = shutil.which("docker", path=environ.get("PATH")) or ""
    if docker.startswith("/snap/") and any(part.startswith(".") for part in directory.parts):
        raise StackFailed(
            f"Docker from snap cannot read {directory}",
            hint="Set CCAPI_HOME to a directory without a dot in its path, such as ~/ccapi",
        )


def _writable(directory: Path) -> bool:
    """Whether the container's user may write, by owner and mode; true where Docker translates user ids itself."""
    if sys.platform != "linux":
        return True
    status = directory.stat()
    if status.st_uid == _UID:
        return bool(status.st_mode & 0o200)
    if status.st_gid == _UID:
        return bool(status.st_mode & 0o020)
    return bool(status.st_mode & 0o002) or _has_acl(directory)


def _has_acl(directory: Path) -> bool:
    return "system.posix_acl_access" in os.listxattr(directory)
