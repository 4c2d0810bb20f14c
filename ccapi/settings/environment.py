"""What ccapi reads from its environment besides settings. Each takes another environment in the place of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ccapi.errors import SettingInvalid


def own(environ: Mapping[str, str] | None = None) -> Mapping[str, str]:
    """This process's environment, if no other is given."""
    return os.environ if environ is None else environ


def directories_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables that say where ccapi keeps its files, for a service, which does not get this shell's."""
    environ = own(environ)
    names = ("CCAPI_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
    return {name: environ[name] for name in names if environ.get(name)}


def api_key(environ: Mapping[str, str] | None = None) -> str | None:
    """`CCAPI_API_KEY`: what `ccapi ask` shows the gateway. It is a secret, so no file of settings has it.

    Raises `SettingInvalid`, which does not repeat it.
    """
    environ = own(environ)
    key = environ.get("CCAPI_API_KEY", "").strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise SettingInvalid("CCAPI_API_KEY: this is no API key; ccapi key create makes one")
    return key or None


def given(names: Iterable[str], environ: Mapping[str, str] | None = None) -> list[str]:
    """Which of these variables are set; not what they are set to."""
    environ = own(environ)
    return [name for name in names if environ.get(name)]


def editor(environ: Mapping[str, str] | None = None) -> list[str] | None:
    """The person's editor, as a command that is given the file: `$VISUAL`, else `$EDITOR`. Raises `SettingInvalid`."""
    import shlex

    environ = own(environ)
    name = next((name for name in ("VISUAL", "EDITOR") if environ.get(name, "").strip()), None)
    if name is None:
        return None
    windows = sys.platform == "win32"  # where a backslash separates directories, and quotes nothing
    try:
        words = shlex.split(environ[name], posix=not windows)
    except ValueError as error:
        raise SettingInvalid(f"{name}: this is no command: {error}") from None
    return [word.strip('"') for word in words] if windows else words


def docker_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """What `docker` and the Docker SDK get of this process's environment: how to reach the engine, and nothing else.

    In particular no `COMPOSE_*`, which would put other files or another project in the place of ours.
    """
    environ = own(environ)
    names = {"PATH", "HOME", "USER", "TMPDIR", "SSH_AUTH_SOCK", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"}
    prefixes = ("DOCKER_", "BUILDX_", "BUILDKIT_")
    return {name: value for name, value in environ.items() if name in names or name.startswith(prefixes)}


def terminal_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """What kind of terminal this is, for a program that gets it."""
    environ = os.environ if environ is None else environ
    return {name: environ[name] for name in ("TERM", "COLORTERM") if environ.get(name)}


def in_container(environ: Mapping[str, str] | None = None) -> bool:
    """Whether this is the image. Then no settings file counts: the working directory belongs to the agent."""
    return bool(own(environ).get("CCAPI_IN_CONTAINER"))


def rehearsal_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without any account or setting in it: for a gateway with a scripted model."""
    environ = own(environ)
    ours = ("CCAPI_", "ANTHROPIC_", "CLAUDE_")
    return {name: value for name, value in environ.items() if not name.startswith(ours)}


def network_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """How the model's API is reached from here, for the container: the proxies in both spellings, and a base URL."""
    environ = own(environ)
    found: dict[str, str] = {}
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        if value := environ.get(name) or environ.get(name.lower()):
            found |= {name: value, name.lower(): value}
    if "HTTP_PROXY" in found or "HTTPS_PROXY" in found:
        local = "localhost,127.0.0.1,::1"  # the container's own loopback must never be asked of a proxy
        bypass = f"{found['NO_PROXY']},{local}" if "NO_PROXY" in found else local
        found |= {"NO_PROXY": bypass, "no_proxy": bypass}
    if url := environ.get("ANTHROPIC_BASE_URL"):
        found["ANTHROPIC_BASE_URL"] = url
    return found


class Seat(NamedTuple):
    """Where the person sits. `remote`: the address of this machine, in a session over SSH; None otherwise.

    `display`: a browser's window can appear before them.
    """

    remote: str | None
    display: bool


def seat(environ: Mapping[str, str] | None = None) -> Seat:
    """What the environment tells of that. (The variables are those of sshd, X11, Wayland, and of `webbrowser`.)"""
    environ = own(environ)
    connection = environ.get("SSH_CONNECTION", "").split()  # client and its port, server and its port
    if connection or environ.get("SSH_TTY"):
        return Seat(connection[2] if len(connection) == 4 else "HOST", display=False)
    windows = sys.platform in {"darwin", "win32"}
    return Seat(None, windows or any(environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")))
