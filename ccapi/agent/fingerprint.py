"""What a process read when it started and does not read again: whether it is still the same."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

# Below the config directory. The CLI rewrites `.claude.json` on every run; only these parts of it count.
_FILES = ("settings.json", "CLAUDE.md", "plugins/installed_plugins.json")
_DIRECTORIES = ("agents", "commands", "output-styles", "rules", "skills")
_STATE = ".claude.json"
_LOGINS = ".credentials.json"


class Fingerprint:
    """Of the CLI's configuration: settings, MCP servers, credentials, memory. Looks again only at what changed."""

    def __init__(self, config_dir: Path) -> None:
        # Without CLAUDE_CONFIG_DIR the state lies beside `~/.claude`, with it inside.
        self._directory = config_dir
        self._states = (config_dir / _STATE, config_dir.parent / _STATE)
        self._seen: dict[Path, tuple[Any, str]] = {}

    def now(self) -> str:
        """Equal for an equal configuration."""
        parts = [self._of(self._directory / name, _digest) for name in _FILES]
        parts.append(self._of(self._directory / _LOGINS, _logins))
        parts += [self._of(file, _servers) for file in self._states]
        parts += [_entries(self._directory / name) for name in _DIRECTORIES]
        return "|".join(parts)

    def _of(self, file: Path, read: Any) -> str:
        stamp = _stamp(file)
        if file not in self._seen or self._seen[file][0] != stamp:
            try:
                content = file.read_bytes()
            except OSError:
                content = b""
            self._seen[file] = (stamp, read(content))
        return self._seen[file][1]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _entries(directory: Path) -> str:
    """The files there and below, and since when they are as they are."""
    found = []
    for place, _, names in os.walk(directory):
        for name in names:
            file = Path(place, name)
            found.append((str(file), _stamp(file)))
    return str(sorted(found, key=str))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _logins(content: bytes) -> str:
    """Claude's own sign-in, and which MCP servers have one.

    Not their tokens: each process renews those for all others, and would else be replaced for having done so.
    """
    try:
        logins = json.loads(content or b"{}")
        servers = {name: bool(login.get("accessToken")) for name, login in (logins.pop("mcpOAuth", None) or {}).items()}
        return _digest(json.dumps([logins, servers], sort_keys=True).encode())
    except (ValueError, AttributeError):
        return _digest(content)


def _servers(content: bytes) -> str:
    """The MCP servers in the CLI's state: of the user, and of each project."""
    try:
        state = json.loads(content or b"{}")
        projects = {
            name: {key: value for key, value in project.items() if "mcp" in key.lower() and value}
            for name, project in (state.get("projects") or {}).items()
        }
        found = [state.get("mcpServers"), {name: servers for name, servers in projects.items() if servers}]
    except (ValueError, AttributeError):
        return _digest(content)
    return _digest(json.dumps(found, sort_keys=True).encode())
