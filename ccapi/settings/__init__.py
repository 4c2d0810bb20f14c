"""The settings: one table, and where each value came from.

Precedence: flag > environment (`CCAPI_*`) > the directory's file (`./ccapi.toml`) > the stack's (`projects/NAME.toml`)
> the user's > default. The gateway is told its settings by the environment, under the same names;
`Settings.gateway_environment` writes them down for it.
"""

from ccapi.settings.environment import (
    Seat,
    api_key,
    directories_environment,
    docker_environment,
    editor,
    given,
    in_container,
    network_environment,
    rehearsal_environment,
    seat,
    terminal_environment,
)
from ccapi.settings.layers import PROJECT_FILE
from ccapi.settings.resolution import Resolved, Settings, find_home, load, passed_over
from ccapi.settings.table import LOOPBACK, PERMISSION_MODES, TABLE, VARIABLES, Setting, Variable
from ccapi.settings.values import WORKSPACE_NAME

__all__ = [
    "LOOPBACK",
    "PERMISSION_MODES",
    "PROJECT_FILE",
    "TABLE",
    "VARIABLES",
    "WORKSPACE_NAME",
    "Resolved",
    "Seat",
    "Setting",
    "Settings",
    "Variable",
    "api_key",
    "directories_environment",
    "docker_environment",
    "editor",
    "find_home",
    "given",
    "in_container",
    "load",
    "network_environment",
    "passed_over",
    "rehearsal_environment",
    "seat",
    "terminal_environment",
]
