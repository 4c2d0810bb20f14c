"""Whether there is a newer ccapi. Asked at most once a day, by a process of its own that nobody waits for.

`python -m ccapi.commands.updates FILE` is that process. It asks the installer that ccapi came with, since that one
knows the person's index, proxy, certificates and login; no address is written down here. What it found stands in FILE,
and the next command reads it.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ccapi import __version__, files, paths
from ccapi.errors import OutputFailed
from ccapi.paths import Home

INTERVAL = 24 * 3600.0  # seconds
PACKAGE = "ccapi-cli"
_NETWORK = 2  # seconds for an answer of the index
_WHOLE = 30.0  # seconds after which the installer is given up


class Newer(NamedTuple):
    """`command` upgrades this installation."""

    version: str
    command: str


def newer(home: Home) -> Newer | None:
    """What the last look found, if that is newer than this."""
    latest = _kept(_file(home)).get("latest")
    if not isinstance(latest, str) or not _is_newer(latest, __version__):
        return None
    return Newer(latest, command())


def look_if_due(home: Home, environ: Mapping[str, str]) -> None:
    """Have it looked up in the background, unless that was done within the last day; does nothing if it cannot be."""
    import subprocess

    file = _file(home)
    kept = _kept(file)
    checked = kept.get("checked")
    if isinstance(checked, int | float) and 0 <= time.time() - checked < INTERVAL:
        return
    try:
        _keep(file, kept.get("latest"))  # first, so that a look that fails is not tried again with each command
        process = subprocess.Popen(
            [paths.interpreter(), "-m", "ccapi.commands.updates", str(file)],
            env=dict(environ),
            cwd=file.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C at the terminal is not for it
        )
    except (OutputFailed, OSError):
        return
    process.returncode = 0  # nobody waits for it


def look(file: Path, environ: Mapping[str, str]) -> None:
    """What the process in the background does."""
    latest = latest_of(installer(), environ)
    if latest:
        _keep(file, latest)


def installer() -> str | None:
    """Who installed this: `pip`, `uv`; None for a checkout, which is upgraded by other means."""
    from importlib import metadata

    try:
        found = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        return None
    if '"editable": true' in (found.read_text("direct_url.json") or ""):
        return None
    return (found.read_text("INSTALLER") or "").strip() or None


def latest_of(by: str | None, environ: Mapping[str, str]) -> str | None:
    """The latest version that this installer would take; None if it cannot be found out."""
    match by:
        case "pip":
            asked = [paths.interpreter(), "-m", "pip", "index", "versions", PACKAGE]
            said = _ask([*asked, "--disable-pip-version-check", "--retries=0", f"--timeout={_NETWORK}"], environ)
            found = re.match(rf"{PACKAGE} \(([^)\s]+)\)", said)
        case "uv":
            asked = ["uv", "pip", "compile", "--quiet", "--no-deps", "--no-header", "--no-annotate", "--refresh"]
            asked += ["--python", paths.interpreter(), "-"]
            said = _ask(asked, {**environ, "UV_HTTP_TIMEOUT": str(_NETWORK)}, f"{PACKAGE}\n")
            found = re.match(rf"{PACKAGE}==(\S+)", said)
        case _:
            return None
    return found[1] if found else None


def _ask(argv: list[str], environ: Mapping[str, str], text: str = "") -> str:
    """What it prints on standard output; nothing if it fails."""
    import subprocess

    try:
        done = subprocess.run(
            argv,
            env=dict(environ),
            input=text,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_WHOLE,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def command(prefix: Path | None = None) -> str:
    """How this installation is upgraded, by what its environment says of itself."""
    return _of_installer(prefix, "upgrade", "install --upgrade")


def removal(prefix: Path | None = None) -> str:
    """How it is removed."""
    return _of_installer(prefix, "uninstall", "uninstall")


def _of_installer(prefix: Path | None, of_tool: str, of_pip: str) -> str:
    import shlex

    place = prefix or Path(sys.prefix)
    python = shlex.quote(paths.interpreter())
    if (place / "pipx_metadata.json").is_file():
        return f"pipx {of_tool} {PACKAGE}"
    if (place / "uv-receipt.toml").is_file():
        return f"uv tool {of_tool} {PACKAGE}"
    if installer() == "uv":
        verb, *options = of_pip.split()
        return " ".join(["uv pip", verb, "--python", python, *options, PACKAGE])
    return f"{python} -m pip {of_pip} {PACKAGE}"


def _is_newer(version: str, than: str) -> bool:
    """Releases only: nobody is sent to a pre-release."""
    release = re.compile(r"\d+(?:\.\d+)*")
    ours = release.match(than)
    if not release.fullmatch(version) or ours is None:
        return False
    return [int(part) for part in version.split(".")] > [int(part) for part in ours[0].split(".")]


def _file(home: Home) -> Path:
    return paths.cache_dir(home) / "update.json"


def _kept(file: Path) -> dict[str, Any]:
    import json

    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _keep(file: Path, latest: Any) -> None:
    import json

    files.replace(file, json.dumps({"checked": time.time(), "latest": latest}) + "\n")


if __name__ == "__main__":
    from ccapi.settings import environment

    look(Path(sys.argv[1]), environment.own())
