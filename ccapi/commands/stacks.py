"""All stacks of this machine, as Docker knows them by their label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ccapi import paths
from ccapi.errors import DockerUnavailable, SettingInvalid
from ccapi.paths import Home
from ccapi.stack.census import Census, project


def homes(home: Home, docker: Mapping[str, str], *, timeout: float = 10.0) -> list[Home]:
    """Of every stack of which anything is there. Raises `DockerUnavailable`."""
    with Census(docker, home.stack, timeout=timeout) as engine:
        return [home._replace(project=project(name)) for name in engine.stacks()]


def sure(home: Home, docker: Mapping[str, str], unread: Sequence[SettingInvalid]) -> None:
    """That no other stack than this one can be meant. `unread`: see `settings.passed_over`.

    Raises `SettingInvalid` if one of these files may name another, and there are several. Without Docker it is those
    that were ever started for this user.
    """
    if not unread:
        return
    try:
        there = [found.project or "default" for found in homes(home, docker)]
    except DockerUnavailable:
        there = ["default", *paths.projects(home)]
    if len(there) > 1:
        hint = "\n".join(
            [
                "Nobody can know which stack it names. Say so, or correct the file:",
                *(f"ccapi down --project {name}" for name in there),
                "ccapi down --all",
            ]
        )
        raise SettingInvalid(unread[0].message, hint=hint)
