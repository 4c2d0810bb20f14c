"""Workspaces: the directories in which agents work, each below one root and named by a request.

A name is no path. What a name leads to is looked at once, before a run: it is a directory of its own, directly below
the root, and no link. (An agent can put a link in its place later; then the next request is refused.)
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from ccapi.errors import InvalidRequest, WorkspaceUnusable
from ccapi.settings import WORKSPACE_NAME

ROOT = "."  # the root itself


def well_named(name: str) -> bool:
    """Whether a directory below the root may be called so."""
    return WORKSPACE_NAME.fullmatch(name) is not None and ".." not in name


def not_a_workspace() -> InvalidRequest:
    """The failure for a name that is not well chosen."""
    message = "'workspace' is not the name of a workspace: letters, digits, dots, dashes and underscores"
    return InvalidRequest(message, param="workspace")


class Workspaces:
    """`default` is the name of the workspace of requests that name none."""

    def __init__(self, root: Path, default: str) -> None:
        self.default = default
        self._root = root

    def resolve(self, name: str | None) -> Path:
        """The directory of a workspace, made on its first use.

        Raises `InvalidRequest` for what is no name, or no directory of its own, and `WorkspaceUnusable`.
        """
        name = self.default if name is None else name
        if name == ROOT:
            return self._checked_root()
        if not well_named(name):
            raise not_a_workspace()
        try:
            self._make(name)
        except OSError as error:
            raise self._unusable(error) from error
        return self._root.resolve() / name

    def name(self, directory: Path) -> str | None:
        """Of the workspace that this is, as `resolve` says it; None if it is none."""
        root = self._root.resolve()
        if directory == root:
            return ROOT
        return directory.name if directory.parent == root and well_named(directory.name) else None

    def _make(self, name: str) -> None:
        # Through a descriptor of the root, so that both steps are about the same directory.
        root = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            try:
                os.mkdir(name, 0o755, dir_fd=root)
            except FileExistsError:
                mode = os.stat(name, dir_fd=root, follow_symlinks=False).st_mode
                if not stat.S_ISDIR(mode):
                    message = "'workspace': there is a file or a link of that name, and no directory"
                    raise InvalidRequest(message, param="workspace") from None
                if not os.access(name, os.R_OK | os.X_OK, dir_fd=root):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None
        finally:
            os.close(root)

    def _checked_root(self) -> Path:
        if not self._root.is_dir():
            raise self._unusable(None)
        return self._root.resolve()

    def _unusable(self, error: OSError | None) -> WorkspaceUnusable:
        reason = error.strerror if error else "it is not a directory"
        return WorkspaceUnusable(
            f"The workspace cannot be used: {reason}",
            hint="The gateway's user must be able to write to the mounted workspace directory.",
            detail=f"workspace root {self._root}: {reason}",
        )
