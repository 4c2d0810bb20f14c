"""Everything of ours that an engine holds, of whatever stack, found by label; and how it is removed.

More of the engine than running one stack needs: what `down`, `uninstall` and `status --all` look at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ccapi.paths import Home
from ccapi.stack import spec
from ccapi.stack.engine import Engine

_PROJECT = "com.docker.compose.project"
_NAME = re.compile(rf"{Home().stack}(?:-(?P<project>[a-z0-9][a-z0-9_-]*))?")


@dataclass(frozen=True, slots=True)
class Session:
    """A process that somebody started in the container beside the gateway, such as a shell; and what it is."""

    command: str
    terminal: bool


def project(stack: str) -> str | None:
    """The project's name in that of a stack; None for the stack that has none. Raises `ValueError` for another name."""
    if not (match := _NAME.fullmatch(stack)):
        raise ValueError(stack)
    return match["project"]


class Census(Engine):
    """An `Engine` that also tells of what belongs to a stack, and removes it. Raises like it."""

    def stacks(self) -> list[str]:
        """The names of all stacks of which anything is there: a container, a network, a volume."""
        anybodys = {"label": spec.LABEL}
        with self._mapped():
            found = [
                *self._api.containers(all=True, filters=anybodys),
                *self._api.networks(filters=anybodys),
                *(self._api.volumes(filters=anybodys)["Volumes"] or []),
            ]
        names = {one["Labels"][spec.LABEL] for one in found}
        return sorted(name for name in names if _NAME.fullmatch(name))

    def containers(self) -> list[str]:
        """The stack's, by their names; more than one after an interruption."""
        with self._mapped():
            return sorted(_name(found) for found in self._api.containers(all=True, filters=self._own))

    def networks(self) -> list[str]:
        with self._mapped():
            return sorted(found["Name"] for found in self._api.networks(filters=self._own))

    def orphans(self) -> list[str]:
        """Containers of the same compose project that are not of the stack: somebody has added services to it."""
        with self._mapped():
            found = self._api.containers(all=True, filters={"label": f"{_PROJECT}={self.stack}"})
        return sorted(_name(one) for one in found if one["Labels"].get(spec.LABEL) != self.stack)

    def sessions(self) -> list[Session]:
        """What runs in the container because somebody said so, and not the gateway; Docker's health check neither."""
        with self._mapped():
            for found in self._api.containers(filters=self._own):
                document = self._api.inspect_container(found["Id"])
                check = (document["Config"].get("Healthcheck") or {}).get("Test") or []
                started = [self._api.exec_inspect(one) for one in document["ExecIDs"] or []]
                return [_session(one) for one in started if one["Running"] and _argv(one) != check[1:]]
        return []

    def remove_network(self, network: str) -> bool:
        """Whether it is gone: one that a container of somebody else is attached to stays."""
        with self._mapped():
            if self._api.inspect_network(network)["Containers"]:
                return False
            self._api.remove_network(network)
        return True

    def remove_volume(self, volume: str) -> None:
        """Raises `StackFailed` for one that another container uses."""
        with self._mapped():
            self._api.remove_volume(volume)

    def is_used_by_others(self, volume: str) -> bool:
        """Whether somebody else has a container with it. (One that is only being made is not seen, whosever it is.)"""
        with self._mapped():
            found = self._api.containers(all=True, filters={"volume": volume})
        return any(one["Labels"].get(spec.LABEL) != self.stack for one in found)

    def remove_images(self) -> list[str]:
        """Remove what `up` built, for whatever stack; what a container uses stays. The names of those that went."""
        before = self.image_names()
        self.remove_old_images(keep="")
        left = self.image_names()
        return [name for name in before if name not in left]

    def alone(self) -> bool:
        """Whether no other stack is there."""
        return not set(self.stacks()) - {self.stack}


def _name(found: Mapping[str, Any]) -> str:
    return str(found["Names"][0]).lstrip("/")


def _argv(execution: Mapping[str, Any]) -> list[str]:
    process = execution["ProcessConfig"]
    return [process["entrypoint"], *(process["arguments"] or [])]


def _session(execution: Mapping[str, Any]) -> Session:
    """Named by what it runs, behind the wrappers that we put before it; not by its arguments, which may be a prompt."""
    argv = _argv(execution)
    words = [word.rpartition("/")[2] for word in argv]
    known = next((word for word in words if word in {"claude", "bash"}), words[0])
    return Session(known, bool(execution["ProcessConfig"].get("tty")))
