"""The files in which the CLI keeps its sessions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


class SessionFiles:
    """Below one config directory. All methods block: call them in a thread."""

    def __init__(self, config: Path) -> None:
        self.config = config

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> SessionFiles:
        """Where a CLI with this environment keeps them."""
        config = environment.get("CLAUDE_CONFIG_DIR")
        return cls(Path(config) if config else Path(environment.get("HOME") or "~").expanduser() / ".claude")

    def exists(self, session_id: str) -> bool:
        raise NotImplementedError

    def delete(self, session_id: str) -> bool:
        """Everything that is kept of the session. Whether there was anything."""
        raise NotImplementedError

    def read(self, session_id: str) -> Iterator[dict[str, Any]]:
        """The entries in the order of the file; a torn line is left out."""
        raise NotImplementedError

    def repair(self, session_id: str) -> bool:
        """Make a file that was cut off in mid-write one that can be resumed. Whether anything was wrong."""
        raise NotImplementedError
