"""More of the engine than running the stack needs: what doctor looks at. Starts and changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ccapi.stack.engine import Engine

Document = Mapping[str, Any]  # as the engine's API has it


class Inspector(Engine):
    """An `Engine` that also tells of itself. Raises like it."""

    def info(self) -> Document:
        """`docker info`."""
        with self._mapped():
            found: Document = self._api.info()
            return found

    def version(self) -> Document:
        """`docker version`, the server's half."""
        with self._mapped():
            found: Document = self._api.version()
            return found

    def inspected(self) -> Document | None:
        """`docker inspect` of the stack's container, or of whatever else has its name; None when nothing has."""
        with self._mapped():
            for found in self._api.containers(all=True, filters={"name": f"^/{self.stack}$"}):
                document: Document = self._api.inspect_container(found["Id"])
                return document
        return None

    def image(self, reference: str) -> Document | None:
        """`docker image inspect`; None when there is no such image here."""
        with self._mapped():
            for found in self._api.images(name=reference):
                document: Document = self._api.inspect_image(found["Id"])  # type: ignore[no-untyped-call]
                return document
        return None
