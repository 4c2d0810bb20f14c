"""What holds for the whole of one command: which stack is meant, and how to speak. Decided once, by the options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ccapi.paths import Home
    from ccapi.settings import Settings


@dataclass(slots=True)
class Mode:
    """The options that every command has."""

    project: str | None = None
    config: str | None = None


mode = Mode()


def home() -> Home:
    """The stack that is meant; also when a file of settings is broken.

    Raises `SettingInvalid` for a name that no stack can have.
    """
    from ccapi import settings

    return settings.find_home(mode.project, mode.config)


def settings(flags: Mapping[str, Any] | None = None, *, files: bool = True) -> Settings:
    """All settings, with the command's own options (keys of the table) before everything else.

    `files` False: no file of settings counts. Raises `SettingInvalid`.
    """
    from ccapi import settings as host_settings

    if not files:
        return host_settings.load(flags, files=False)
    return host_settings.load({**(flags or {}), "stack.project": mode.project}, home=home())
