"""What an engine holds of one stack, for the list of what goes; nothing is started for it."""

from __future__ import annotations

from dataclasses import dataclass

from ccapi.stack import signin, spec
from ccapi.stack.census import Census
from ccapi.stack.engine import Volume


@dataclass(frozen=True, slots=True)
class Holdings:
    """`method`: how Claude is signed in; `servers`: the MCP servers of which a login or a token is on the volumes.

    Both are None where there is no container through which the volumes could be looked into.
    """

    containers: list[str]
    networks: list[str]
    volumes: list[Volume]
    method: signin.Method | None = None
    servers: tuple[str, ...] | None = None


class Inventory(Census):
    """A `Census` that also tells of sign-ins. Raises like it."""

    def holdings(self) -> Holdings:
        found = Holdings(self.containers(), self.networks(), self.volumes())
        if self.own() is None:
            return found
        method, servers = signin.details(self.file).method, signin.stored(self.file)
        return Holdings(found.containers, found.networks, found.volumes, method, servers)

    def kept_for_going_back(self) -> list[str]:
        """The image that `ccapi upgrade` has kept for this stack alone."""
        name = spec.kept(self.stack)
        return [name] if self.has_image(name) else []
