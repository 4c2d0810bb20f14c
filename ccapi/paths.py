"""Where ccapi keeps its files. `CCAPI_HOME` puts everything below one directory."""

from __future__ import annotations

import sys
from pathlib import Path

from platformdirs import PlatformDirs

_DIRS = PlatformDirs("ccapi", appauthor=False)
_PACKAGE = Path(__file__).resolve().parent


def _home(home: str | None, name: str, default: Path) -> Path:
    return Path(home).expanduser() / name if home else default


def config_file(home: str | None = None) -> Path:
    """The user's settings file (TOML); it need not exist."""
    return _home(home, "config", _DIRS.user_config_path) / "config.toml"


def state_dir(home: str | None = None) -> Path:
    """Logs, locks and what must survive a restart but is not a setting."""
    return _home(home, "state", _DIRS.user_state_path)


def keys_dir(home: str | None = None) -> Path:
    """The API keys' hashes, in a directory of their own: the container is given it to read."""
    return state_dir(home) / "keys"


def cache_dir(home: str | None = None) -> Path:
    """What can be made again at any time, such as the staged build context."""
    return _home(home, "cache", _DIRS.user_cache_path)


def package_dir() -> Path:
    """The directory of the installed `ccapi` package."""
    return _PACKAGE


def templates_dir() -> Path:
    """`templates/`: inside the package when installed from a wheel (hatchling force-include), else beside it."""
    inside = _PACKAGE / "_templates"
    return inside if inside.is_dir() else _PACKAGE.parent / "templates"


def interpreter() -> str:
    """The Python that runs ccapi, for starting its own background processes."""
    return sys.executable
