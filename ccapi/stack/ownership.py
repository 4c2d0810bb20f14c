"""As whom the container runs: what the agent makes in a directory of a person's shall be theirs.

A mounted directory has the same numbers inside as outside, where Docker runs on this machine's own Linux. So the
container's user is then the one that owns the workspace, and what lies on the volumes is handed over to them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ccapi.stack import spec
from ccapi.stack.spec import StackSpec, User

if TYPE_CHECKING:
    from ccapi.stack.engine import Engine

Info = Mapping[str, Any]  # `docker info`
Mapped = Literal["rootless", "userns", "desktop"]

_CAPABILITIES = ("CHOWN", "DAC_OVERRIDE")
_GIVE = "find {places} ! '(' -uid {uid} -gid {gid} ')' -exec chown --no-dereference {uid}:{gid} '{{}}' +"


def container_user(workspace: Path | None, info: Info) -> User:
    """The workspace's owner, as far as that is an ordinary user whose number means the same in a container."""
    if workspace is None or not workspace.is_dir() or mapped(info):
        return User()
    status = workspace.stat()
    return User(status.st_uid, status.st_gid or status.st_uid) if status.st_uid else User()


def settled(wanted: StackSpec, info: Callable[[], Info]) -> StackSpec:
    """With that user. `info` is asked only where it makes a difference, as that takes the engine a moment."""
    workspace = wanted.workspace
    if workspace is None or workspace.stat().st_uid == wanted.user.uid == workspace.stat().st_gid:
        return wanted
    return replace(wanted, user=container_user(workspace, info()))


def mapped(info: Info) -> Mapped | None:
    """How numbers of users differ inside and outside; None when they do not."""
    if sys.platform != "linux" or "docker desktop" in str(info.get("OperatingSystem")).lower():
        return "desktop"
    options = " ".join(map(str, info.get("SecurityOptions") or []))
    if "name=rootless" in options:
        return "rootless"
    return "userns" if "name=userns" in options else None


def warnings(wanted: StackSpec, info: Info) -> Iterator[str]:
    """Why the agent will not be able to write to the workspace, and the ways out."""
    workspace, how = wanted.workspace, mapped(info)
    if workspace is None or how == "desktop":
        return
    if how:
        words = "is rootless" if how == "rootless" else "maps user ids (userns-remap)"
        yield (
            f"the Docker engine {words}: the agent is another user on this machine, and may not be able to write to "
            f"{workspace}; everybody may after: chmod -R a+rwX {workspace}"
        )
    elif not _writable(workspace, wanted.user):
        who = f"the agent (user id {wanted.user.uid}) cannot write to {workspace}"
        uid = wanted.user.uid
        let = f"sudo setfacl -R -m u:{uid}:rwX -m d:u:{uid}:rwX {workspace}"
        if workspace.stat().st_uid == 0:
            yield f"{who}, which is root's; make it yours: sudo chown -R $USER {workspace}; or let the agent in: {let}"
        else:
            yield f"{who}; to let it: {let}"


def _writable(directory: Path, user: User) -> bool:
    """By owner and mode, or perhaps by an access list."""
    status = directory.stat()
    if status.st_uid == user.uid:
        return status.st_mode & 0o300 == 0o300
    if status.st_gid == user.gid:
        return status.st_mode & 0o030 == 0o030
    return status.st_mode & 0o003 == 0o003 or _has_acl(directory)


def _has_acl(directory: Path) -> bool:
    return "system.posix_acl_access" in os.listxattr(directory)


def foreign(engine: Engine, wanted: StackSpec) -> dict[str, str]:
    """The volumes of the stack's container, running or not, that belong to somebody else; and where each is mounted."""
    names = {volume.role: volume.name for volume in engine.volumes()}
    places = {"claude-config": spec.CONFIG} | ({} if wanted.workspace else {"workspace": spec.WORKSPACE})
    return {
        names[role]: place
        for role, place in places.items()
        if role in names and engine.owner(place) not in {tuple(wanted.user), None}
    }


def hand_over(engine: Engine, image: str, volumes: Mapping[str, str], user: User) -> None:
    """Give all that is on these volumes to the user. The container must not run. Raises `StackFailed`."""
    script = _GIVE.format(places=" ".join(volumes.values()), uid=user.uid, gid=user.gid)
    engine.run_as_root(image, script, volumes, capabilities=_CAPABILITIES)
