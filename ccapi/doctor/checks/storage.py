"""Disks, directories, files, the workspace and the volumes."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from ccapi import paths
from ccapi.doctor import advice
from ccapi.doctor.check import Check, Finding, Fix, Trouble, fail, info, ok, skip, warn
from ccapi.doctor.facts import Facts
from ccapi.errors import CcapiError, OutputFailed
from ccapi.stack import ownership, spec
from ccapi.stack.engine import Container
from ccapi.stack.spec import User

_FULL, _FILLING = 90, 80  # percent
_LITTLE, _SOME = 5_000_000_000, 20_000_000_000  # bytes: with more free than this, the percentage says nothing
_IMAGE = 3_000_000_000  # bytes: what a build takes at its peak
_UID = 1000  # of the image's user, see the Dockerfile


def _directories(facts: Facts) -> Finding:
    """Whether settings, state and cache can be written. What is missing will be made, if its parent lets us."""
    shut = [directory for directory in _own_directories(facts) if not _writable(directory)]
    if not shut:
        return ok("settings, state and cache can be written")
    first = _existing(shut[0])
    kind = "is not a directory" if not first.is_dir() else "cannot be written"
    return fail(
        f"{first} {kind}",
        "\n".join(f"Needed for: {directory}" for directory in shut),
        Fix("If it is yours, and another user's by mistake", f"sudo chown -R $USER {first}")
        if first.is_dir()
        else Fix("Move it out of the way", f"mv {first} {first}.old"),
    )


def _own_directories(facts: Facts) -> Iterator[Path]:
    yield paths.config_file(facts.home).parent
    yield facts.state_dir
    yield paths.cache_dir(facts.home)


def _existing(path: Path) -> Path:
    """The nearest thing that there is."""
    try:
        return path if path.exists() else _existing(path.parent)
    except PermissionError:
        return _existing(path.parent)


def _writable(directory: Path) -> bool:
    there = _existing(directory)
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _space(facts: Facts) -> Finding:
    """On the disk that ccapi's own files are on."""
    place = _existing(facts.state_dir)
    try:
        usage = shutil.disk_usage(place)
    except OSError as error:
        return skip(f"{place} does not tell: {error.strerror}")
    return _judged(
        usage.used, usage.free, f"the disk of {place}", Fix("See what takes it", f"du -xh {place} | sort -h | tail")
    )


def _engine_space(facts: Facts) -> Finding:
    """On the disk that the engine keeps images, containers and volumes on."""
    fix = Fix("Remove what nothing uses any more: builder cache, stopped containers, images", "docker system prune")
    root = Path(str(facts.engine_info().get("DockerRootDir") or "/var/lib/docker"))
    desktop = "desktop" in str(facts.engine_info().get("OperatingSystem")).lower()
    if (
        sys.platform == "linux"
        and not desktop
        and not facts.docker_environment.get("DOCKER_HOST", "unix").startswith(("tcp", "ssh", "http"))
    ):
        try:
            usage = shutil.disk_usage(root)
        except OSError:
            pass  # a rootless engine's, or another user's
        else:
            return _judged(usage.used, usage.free, f"Docker's disk ({root})", fix, needed=_needed(facts))
    return _inside_space(facts, fix)


def _inside_space(facts: Facts, fix: Fix) -> Finding:
    """As the container sees it: its volumes are on the engine's disk."""
    try:
        facts.running_container()
        said = facts.run_inside("df", "--block-size=1", "--output=used,avail", spec.CONFIG)
        used, free = map(int, said.stdout.splitlines()[1].split())
    except (CcapiError, IndexError, ValueError):
        return skip("Docker's disk cannot be seen from here, and no container runs that could look")
    return _judged(used, free, "Docker's disk", fix)


def _needed(facts: Facts) -> int:
    """What a build would take, if there has to be one."""
    container = facts.container()
    return 0 if container and container.ours else _IMAGE


def _judged(used: int, free: int, where: str, fix: Fix, *, needed: int = 0) -> Finding:
    """By percent, as people do; but of a large disk a tenth is plenty."""
    percent = round(100 * used / ((used + free) or 1))
    text = f"{where} is {percent} % full, {advice.size(free)} free"
    if free < needed:
        return fail(f"{text}; building the image takes {advice.size(needed)}", fix=fix)
    if percent >= _FULL and free < _LITTLE:
        return fail(text, "Sessions, logins and logs could not be written.", fix)
    if percent >= _FILLING and free < _SOME:
        return warn(text, fix=fix)
    return ok(text)


def _files(facts: Facts) -> Finding:
    """What is secret may be read by nobody else: the directory keeps others out, and so does each file by itself."""
    if os.name != "posix":
        return skip("this system has no file modes")
    open_ones = [(file, now & most) for file, most in _private(facts) if (now := _mode(file)) & ~most & 0o777]
    if not open_ones:
        return ok("what is secret can be read by you only")
    commands = "\n".join(f"chmod {mode:o} {file}" for file, mode in open_ones)
    return warn(
        f"{len(open_ones)} can be read by others: {advice.listed(file.name for file, _ in open_ones)}",
        fix=Fix("Keep the others out", commands, lambda: _close(open_ones)),
    )


def _private(facts: Facts) -> Iterator[tuple[Path, int]]:
    """Each that there is, and the mode that it may have at most.

    Not the keys' directory: it has hashes only, and the container's user must read it.
    """
    state = facts.state_dir
    yield from ((state, 0o770),) if state.is_dir() else ()
    for pattern in ("*.secret", "*.log", "log/*.log", "proxy-*.json"):
        for file in state.glob(pattern) if state.is_dir() else ():
            if file.is_file() and not file.is_symlink():
                yield file, 0o600


def _mode(file: Path) -> int:
    try:
        return stat.S_IMODE(file.stat().st_mode)
    except OSError:  # it is gone, or a directory above lets nobody in
        return 0


def _close(found: list[tuple[Path, int]]) -> None:
    for file, mode in found:
        try:
            file.chmod(mode)
        except OSError as error:
            raise OutputFailed(f"{file}: {error.strerror}") from error


def _workspace(facts: Facts) -> Finding:
    """Whether the agent can write where it works: it is tried in the container if that runs."""
    directory = facts.settings().workspace
    if directory is not None and not directory.is_dir():
        what = "is not a directory" if directory.exists() else "does not exist"
        return fail(f"stack.workspace {directory} {what}", fix=Fix("Make it, or name another", f"mkdir -p {directory}"))
    if (container := _running(facts)) is not None:
        return _tried(facts, container)
    if directory is None:
        return ok("a Docker volume")
    user = _agent(facts, directory)
    if user and not _writable_by(user, directory):
        return warn(f"the agent (user id {user.uid}) cannot write to {directory}", fix=_let_in(directory, user.uid))
    return ok(f"{directory}")


def _tried(facts: Facts, container: Container) -> Finding:
    where = container.workspace or "a Docker volume"
    said = facts.run_inside("sh", "-c", 'id -u; test -w "$1"', "sh", spec.WORKSPACE)
    if said.code == 0:
        return ok(f"{where}, and the agent can write there")
    uid = int(said.stdout.strip() or _UID)
    fix = _let_in(Path(container.workspace), uid) if container.workspace else None
    return fail(f"the agent (user id {uid}) cannot write to {where}", fix=fix)


def _agent(facts: Facts, directory: Path) -> User | None:
    """As whom it will run; None where its number means nothing on this machine, or there is no engine to ask."""
    try:
        info = facts.engine_info()
    except CcapiError:
        return None
    return None if ownership.mapped(info) else ownership.container_user(directory, info)


def _let_in(directory: Path, uid: int) -> Fix:
    who = f"u:{uid}:rwX"
    return Fix("Let it in", f"sudo setfacl -R -m {who} -m d:{who} {directory}")


def _running(facts: Facts) -> Container | None:
    try:
        return facts.running_container()
    except CcapiError:
        return None


def _writable_by(user: User, directory: Path) -> bool:
    """By owner and mode. An access list may let it in: that is left to the container to tell."""
    status = directory.stat()
    if status.st_uid == user.uid:
        return bool(status.st_mode & 0o200)
    if status.st_gid == user.gid:
        return bool(status.st_mode & 0o020)
    return bool(status.st_mode & 0o002) or "system.posix_acl_access" in os.listxattr(directory)


def _volumes(facts: Facts) -> Finding:
    """Whether the container's volumes are there. One that was removed takes the sign-in along."""
    with facts.engine() as engine:
        roles = {volume.role for volume in engine.volumes()}
    container = facts.container()
    if container is None or not container.ours:
        kept = advice.listed(sorted(roles)) if roles else "none"
        return info(
            f"volumes of an earlier container: {kept}" if roles else "none yet: the first `ccapi up` makes them"
        )
    wanted = {"claude-config"} | (set() if container.workspace else {"workspace"})
    if missing := sorted(wanted - roles):
        return fail(
            f"the volume {advice.listed(missing)} is missing",
            "What was on it is lost: `claude-config` has the sign-in, the sessions and the MCP logins.",
            Fix("Make the container anew, and sign in", f"{advice.ccapi(facts, 'down')}\n{advice.ccapi(facts, 'up')}"),
        )
    return ok(advice.listed(sorted(roles)))


CHECKS: tuple[Check, ...] = (
    Check(
        "storage.directories",
        "Whether ccapi's own directories can be written",
        _directories,
        trouble=(Trouble("A directory is another user's.", "`sudo ccapi` made it: give it back with chown."),),
    ),
    Check(
        "storage.space",
        "Free space on the disk of ccapi's own files",
        _space,
        trouble=(Trouble("The disk is full.", "Make room: logs and sessions cannot be written."),),
    ),
    Check(
        "storage.engine",
        "Free space on the disk of images, containers and volumes",
        _engine_space,
        needs=("docker.engine",),
        trouble=(Trouble("Docker's disk is full.", "`docker system prune` removes what nothing uses."),),
    ),
    Check(
        "storage.files",
        "Whether others can read what is secret",
        _files,
        trouble=(Trouble("Secret files can be read by others.", "`ccapi doctor --fix` closes them."),),
    ),
    Check(
        "storage.workspace",
        "Whether the workspace is there, and the agent can write to it",
        _workspace,
        needs=("cli.settings",),
        trouble=(
            Trouble("The workspace does not exist.", "Make it, or set stack.workspace to another."),
            Trouble("The agent cannot write to it.", "Let user id 1000 in, with an access list."),
        ),
    ),
    Check(
        "storage.volumes",
        "Whether the container's volumes are there",
        _volumes,
        needs=("docker.engine",),
        trouble=(Trouble("A volume was removed.", "Make the container anew; sign in once more."),),
    ),
)
