"""What holds for the whole of one command: which stack is meant, and how to speak. Decided once, by the options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ccapi.cli.pipe import Pipe
from ccapi.errors import UsageError

if TYPE_CHECKING:
    from ccapi.paths import Home
    from ccapi.settings import Settings


class Mode:
    """What the options that every command has came to; `ccapi.cli.frame` fills it in, everybody else reads it.

    `project` and `config`: which stack, and whose settings. `quiet`: data and errors only. `verbose`: how often -v was
    given. `debug`: the traceback of a failure is wanted. `no_input`: nobody is to be asked. `color`: auto, always or
    never. `port`: of the gateway that is asked, if --port was given. `json`: standard output is for a program;
    `stream`: in lines of JSON. `command`: what was called, such as `auth status`. `warnings`: what was warned of so
    far. `data`: what the command has found, if it fails after all. `pipe`: to who reads standard output. `sink`: where
    JSON is written to instead.
    """

    __slots__ = (
        "color", "command", "config", "data", "debug", "json", "no_input", "pipe", "port", "project", "quiet",
        "sink", "stream", "verbose", "warnings",
    )  # fmt: skip

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """As it is before any option was read."""
        self.project: str | None = None
        self.config: str | None = None
        self.port: int | None = None
        self.quiet = False
        self.verbose = 0
        self.debug = False
        self.no_input = False
        self.color = "auto"
        self.json = False
        self.stream = False
        self.command = ""
        self.warnings: list[str] = []
        self.data: Any = None
        self.pipe = Pipe()
        self.sink: Callable[[str], None] | None = None


mode = Mode()


def own(args: Sequence[str]) -> Sequence[str]:
    """Those of a command line among which there are options: behind a `--` there are none."""
    return args[: args.index("--")] if "--" in args else args


def home() -> Home:
    """The stack that is meant; also when a file of settings is broken.

    Raises `SettingInvalid` for a name that no stack can have.
    """
    from ccapi import settings

    return settings.find_home(mode.project, mode.config)


def directory() -> Path:
    """Where the command was called. Raises `UsageError` when that is no directory any more."""
    try:
        return Path.cwd()
    except OSError as error:
        raise UsageError("the current directory does not exist any more") from error


def settings(flags: Mapping[str, Any] | None = None, *, files: bool = True) -> Settings:
    """All settings, with the command's own options (keys of the table) before everything else.

    `files` False: no file of settings counts. Raises `SettingInvalid`.
    """
    from ccapi import settings as host_settings

    if not files:
        return host_settings.load(flags, files=False)
    return host_settings.load({**(flags or {}), "stack.project": mode.project}, home=home())
