"""A workspace of the person's: what the agent makes there is theirs, and what lies on the volumes goes along."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccapi.stack import ownership
from ccapi.stack.spec import StackSpec, User
from tests.stack.secondengine import Frozen
from tests.stack.support import docker

pytestmark = pytest.mark.timeout(600)

NATIVE = {"OperatingSystem": "Debian GNU/Linux 13", "SecurityOptions": ["name=seccomp,profile=builtin"]}
ROOTLESS = {**NATIVE, "SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"]}
REMAPPED = {**NATIVE, "SecurityOptions": ["name=userns"]}
DESKTOP = {"OperatingSystem": "Docker Desktop", "SecurityOptions": ["name=seccomp,profile=unconfined"]}

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to somebody")


def owned(path: Path, uid: int, gid: int, mode: int = 0o755) -> Path:
    path.mkdir(parents=True)
    os.chown(path, uid, gid)
    path.chmod(mode)
    return path


def spec(workspace: Path, user: User) -> StackSpec:
    return StackSpec("claude-code-api", 8000, "debian:trixie-slim", {}, workspace, user=user)


@needs_root
@pytest.mark.parametrize(
    ("uid", "gid", "expected"),
    [
        (1000, 1000, User(1000, 1000)),
        (1501, 1502, User(1501, 1502)),
        (1501, 0, User(1501, 1501)),
        (33, 33, User(33, 33)),
        (0, 0, User(1000, 1000)),
        (0, 1501, User(1000, 1000)),
    ],
)
def test_the_container_runs_as_the_owner(tmp_path: Path, uid: int, gid: int, expected: User) -> None:
    """Never as root, and not with root's group."""
    assert ownership.container_user(owned(tmp_path / "x", uid, gid), NATIVE) == expected


@needs_root
def test_where_user_ids_are_translated(tmp_path: Path) -> None:
    """The owner's number would be somebody else's in the container; on a volume there is no owner to follow."""
    workspace = owned(tmp_path / "x", 1501, 1501)
    for info in (ROOTLESS, REMAPPED, DESKTOP):
        assert ownership.container_user(workspace, info) == User()
    assert ownership.container_user(None, NATIVE) == User()


@needs_root
def test_what_is_warned_of(tmp_path: Path) -> None:
    """Root's directory, one that its owner may not write to, and engines where it cannot be known; with a way out."""
    mine, roots = owned(tmp_path / "mine", 1501, 1501), owned(tmp_path / "roots", 0, 0)
    closed, everybodys = owned(tmp_path / "closed", 1501, 1501, 0o555), owned(tmp_path / "all", 0, 0, 0o777)
    user = User(1501, 1501)
    assert list(ownership.warnings(spec(mine, user), NATIVE)) == []
    assert list(ownership.warnings(spec(everybodys, User()), NATIVE)) == []
    assert list(ownership.warnings(spec(mine, User()), DESKTOP)) == []
    (of_root,) = ownership.warnings(spec(roots, User()), NATIVE)
    assert "which is root's; make it yours: sudo chown -R $USER" in of_root
    (of_closed,) = ownership.warnings(spec(closed, user), NATIVE)
    assert "the agent (user id 1501) cannot write" in of_closed
    (of_rootless,) = ownership.warnings(spec(mine, User()), ROOTLESS)
    assert "the Docker engine is rootless" in of_rootless


# --- with the real engine


@pytest.fixture
def stack(docker_engine: None, package: Path, tmp_path: Path) -> Iterator[Frozen]:
    """A stack of its own on the machine's engine: images are built, for other users."""
    made = Frozen(tmp_path / "stack", package, project="workspaces")
    tmp_path.chmod(0o755)
    try:
        yield made
    finally:
        made.remove()
        for image in docker("images", "--filter=label=ccapi.image", "--format={{.Repository}}:{{.Tag}}").splitlines():
            if docker("image", "inspect", "--format={{.Config.User}}", image) != "1000:1000":
                docker("rmi", image, check=False)


def readable_by_all(path: Path) -> None:
    """pytest's own directories are for their owner alone, whom the container's user is not."""
    for directory in path.parents:
        if str(directory).startswith("/tmp/"):
            directory.chmod(directory.stat().st_mode | 0o011)


@needs_root
@pytest.mark.docker
def test_workspaces_of_several_owners(stack: Frozen, tmp_path: Path) -> None:
    """One after the other, and the volume again: each time the agent can write, its files are the owner's, the files
    that were there are not touched, and the sign-in is still there.
    """
    stack.up()
    stack.inside("mkdir -p /workspace/own && echo volume >/workspace/own/file")
    stack.inside("umask 077; echo ANTHROPIC_API_KEY=x >$CLAUDE_CONFIG_DIR/credentials.env")
    for uid, gid in ((1501, 1502), (1000, 1000), (1601, 100)):
        workspace = owned(tmp_path / f"of-{uid}", uid, gid)
        (workspace / "foreign").write_text("root's")
        done = stack.up("--workspace", str(workspace))
        assert "warning" not in done.stderr
        assert f"The volumes belong to user {uid} now: claude-code-api-workspaces_claude-config\n" in done.stderr
        assert stack.inside("id -u; id -g; whoami").split() == [str(uid), str(gid), "claude"]
        stack.inside("mkdir made && echo x >made/file && git init -q repository")
        made = [workspace / "made", workspace / "made" / "file", workspace / "repository" / ".git"]
        assert {(file.stat().st_uid, file.stat().st_gid) for file in made} == {(uid, gid)}
        assert (workspace / "foreign").stat().st_uid == 0, "what is the person's is not touched"
        modes = stack.inside("stat -c '%u %a' ~ ~/.claude ~/.claude/credentials.env").splitlines()
        assert modes == [f"{uid} 700", f"{uid} 700", f"{uid} 600"]
        assert "API usage billing" in stack.cli("up", "--workspace", str(workspace)).stdout
        stack.inside("claude --version")
    back = stack.up()
    assert "The volumes belong to user 1000 now" in back.stderr
    assert stack.inside("cat /workspace/own/file; echo more >>/workspace/own/file; id -u").split() == ["volume", "1000"]
    assert "API usage billing" in stack.cli("up").stdout


@needs_root
@pytest.mark.docker
def test_a_volume_of_another_user_after_down(stack: Frozen, tmp_path: Path) -> None:
    """The container that was is gone, and with it the knowledge of who it ran as: the volume itself is looked at."""
    workspace = owned(tmp_path / "mine", 1501, 1501)
    stack.up("--workspace", str(workspace))
    stack.inside("echo kept >~/.claude/mark")
    stack.cli("down")
    done = stack.up()
    assert "The volumes belong to user 1000 now: claude-code-api-workspaces_claude-config\n" in done.stderr
    assert stack.inside("cat ~/.claude/mark; stat -c %u ~/.claude/mark").split() == ["kept", "1000"]
    again = stack.up()
    assert "Already running and healthy" in again.stderr


@needs_root
@pytest.mark.docker
def test_a_workspace_of_roots(stack: Frozen, tmp_path: Path) -> None:
    """It is worked in as far as it goes, as an ordinary user, and the ways out are told."""
    workspace = owned(tmp_path / "roots", 0, 0)
    done = stack.up("--workspace", str(workspace))
    assert f"warning: the agent (user id 1000) cannot write to {workspace}, which is root's" in done.stderr
    assert stack.inside("id -u; touch x 2>/dev/null || echo refused").split() == ["1000", "refused"]
