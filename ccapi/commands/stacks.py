"""All stacks of this machine, as Docker knows them by their label."""

from __future__ import annotations

from collections.abc import Mapping

from ccapi.paths import Home
from ccapi.stack.census import Census, project


def homes(home: Home, docker: Mapping[str, str], *, timeout: float = 10.0) -> list[Home]:
    """Of every stack of which anything is there. Raises `DockerUnavailable`."""
    with Census(docker, home.stack, timeout=timeout) as engine:
        return [home._replace(project=project(name)) for name in engine.stacks()]
