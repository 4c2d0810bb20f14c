"""Where ccapi keeps its files. `CCAPI_HOME` puts everything below one directory."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal, NamedTuple

_PACKAGE = Path(__file__).resolve().parent
_STACK = "claude-code-api"


Kind = Literal["config", "state", "cache"]


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

    def below(self, kind: Kind) -> Path:
        """A directory below `CCAPI_HOME`, else where the system keeps such files."""
        return Path(self.directory).expanduser() / kind if self.directory else _system_dir(kind)


_HERE = Home()


def _system_dir(kind: Kind) -> Path:
    from platformdirs import PlatformDirs  # late: it is not needed below a directory of one's own

    dirs = PlatformDirs("ccapi", appauthor=False)
    return {"config": dirs.user_config_path, "state": dirs.user_state_path, "cache": dirs.user_cache_path}[kind]


def config_file(home: Home = _HERE) -> Path:
    """The user's settings file (TOML); it need not exist."""
    return Path(home.config).expanduser() if home.config else _config_dir(home) / "config.toml"


def project_config_file(home: Home) -> Path | None:
    """The settings of one of several stacks, which count before the user's; it need not exist."""
    return _config_dir(home) / "projects" / f"{home.project}.toml" if home.project else None


def _config_dir(home: Home) -> Path:
    return home.below("config")


def state_dir(home: Home = _HERE) -> Path:
    """Logs, locks, secrets and what else must survive a restart but is not a setting; of each stack its own."""
    state = home.below("state")
    return state / "projects" / home.project if home.project else state


def projects(home: Home = _HERE) -> list[str]:
    """The names of the stacks that have a state directory."""
    state = state_dir(home._replace(project=None)) / "projects"
    return sorted(entry.name for entry in state.iterdir() if entry.is_dir()) if state.is_dir() else []


def keys_dir(home: Home = _HERE) -> Path:
    """The API keys' hashes, in a directory of their own: the container is given it to read."""
    return state_dir(home) / "keys"


def keys_file(home: Home = _HERE) -> Path:
    """The API keys' hashes; it need not exist."""
    return keys_dir(home) / "keys.json"


def cache_dir(home: Home = _HERE) -> Path:
    """What can be made again at any time, such as the staged build context."""
    return home.below("cache")


def package_dir() -> Path:
    """The directory of the installed `ccapi` package."""
    return _PACKAGE


def scenarios() -> list[str]:
    """The names of the rehearsal scenarios that are shipped."""
    return sorted(file.stem for file in (_PACKAGE / "rehearsal" / "scenarios").glob("*.toml"))


def templates_dir() -> Path:
    """`templates/`: inside the package when installed from a wheel (hatchling force-include), else beside it."""
    inside = _PACKAGE / "_templates"
    return inside if inside.is_dir() else _PACKAGE.parent / "templates"


def interpreter() -> str:
    """The Python that runs ccapi, for starting its own background processes."""
    return sys.executable
