"""Where ccapi keeps its files. `CCAPI_HOME` puts everything below one directory."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from platformdirs import PlatformDirs

_DIRS = PlatformDirs("ccapi", appauthor=False)
_PACKAGE = Path(__file__).resolve().parent
_STACK = "claude-code-api"


class Home(NamedTuple):
    """Which stack is meant, and where its files are.

    `directory` is `CCAPI_HOME` when that is set; `project` the name of one of several stacks, None for the one that
    most people have; `config` another file in the place of the user's settings file.
    """

    directory: str | None = None
    project: str | None = None
    config: str | None = None

    @property
    def stack(self) -> str:
        """What Docker knows the stack by: its container, its compose project, the label of all that belongs to it."""
        return f"{_STACK}-{self.project}" if self.project else _STACK

    def below(self, name: str, default: Path) -> Path:
        """A directory below `CCAPI_HOME`, else where the system keeps such files."""
        return Path(self.directory).expanduser() / name if self.directory else default


_HERE = Home()


def config_file(home: Home = _HERE) -> Path:
    """The user's settings file (TOML); it need not exist."""
    return Path(home.config).expanduser() if home.config else _config_dir(home) / "config.toml"


def project_config_file(home: Home) -> Path | None:
    """The settings of one of several stacks, which count before the user's; it need not exist."""
    return _config_dir(home) / "projects" / f"{home.project}.toml" if home.project else None


def _config_dir(home: Home) -> Path:
    return home.below("config", _DIRS.user_config_path)


def state_dir(home: Home = _HERE) -> Path:
    """Logs, locks, secrets and what else must survive a restart but is not a setting; of each stack its own."""
    state = home.below("state", _DIRS.user_state_path)
    return state / "projects" / home.project if home.project else state


def keys_dir(home: Home = _HERE) -> Path:
    """The API keys' hashes, in a directory of their own: the container is given it to read."""
    return state_dir(home) / "keys"


def cache_dir(home: Home = _HERE) -> Path:
    """What can be made again at any time, such as the staged build context."""
    return home.below("cache", _DIRS.user_cache_path)


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
