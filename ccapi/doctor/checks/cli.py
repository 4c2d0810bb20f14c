"""The command line itself: how it was installed, what it runs on, and its settings."""

from __future__ import annotations

import locale
import os
import platform
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import cast, get_args

from ccapi import paths
from ccapi.commands import completion, updates
from ccapi.doctor import advice
from ccapi.doctor.check import Check, Finding, Fix, Trouble, fail, info, ok, warn
from ccapi.doctor.facts import Facts
from ccapi.errors import SettingInvalid

_OLDEST = (3, 11)


def _version(facts: Facts) -> Finding:
    """Which one, how it came here; and a newer one, if ccapi has heard of it. Nobody is asked now."""
    text = f"ccapi {facts.version}, {_method()}"
    if newer := updates.newer(facts.home):
        return info(f"{text}; {newer.version} is there", f"To upgrade: {newer.command}")
    return info(text)


def _method() -> str:
    """How it was installed, which says how it is upgraded."""
    if _editable():
        return f"run from a checkout ({paths.package_dir().parent})"
    kind = "in a virtual environment" if sys.prefix != sys.base_prefix else "for the whole system"
    return f"installed {kind} ({sys.prefix}), upgraded with: {updates.command()}"


def _editable() -> bool:
    """Whether the package lies anywhere but where packages are installed."""
    here = paths.package_dir().parent
    return not any(here == Path(sysconfig.get_path(name)) for name in ("purelib", "platlib"))


def _installs(facts: Facts) -> Finding:
    """Whether the shell would run this very one, and no other."""
    found = list(_commands(facts))
    if not found:
        return warn(
            "the shell would not find ccapi: its directory is not in PATH",
            fix=Fix("Add the directory that it is in", _add_to_path()),
        )
    others = {command.resolve() for command in found[1:]} - {found[0].resolve()}
    if others:
        return warn(
            f"{len(others) + 1} installations of ccapi are in PATH",
            "\n".join(["The first one is run:", *(str(command) for command in found)]),
            Fix("Remove those that you do not use, in the way in which they were installed", "type -a ccapi"),
        )
    return ok(str(found[0]))


def _commands(facts: Facts) -> Iterator[Path]:
    """In the order of PATH; a directory that is named twice counts once."""
    for directory in dict.fromkeys(facts.environ.get("PATH", "").split(os.pathsep)):
        if directory and (found := shutil.which("ccapi", path=directory)):
            yield Path(found)


def _add_to_path() -> str:
    directory = Path(sysconfig.get_path("scripts"))
    return f'export PATH="{directory}:$PATH"' if os.name == "posix" else f'setx PATH "{directory};%PATH%"'


def _python(facts: Facts) -> Finding:
    """The interpreter, and whether what ccapi is made of is there in the versions that it was made for."""
    del facts
    version = f"Python {platform.python_version()} ({sys.executable})"
    if sys.version_info[:2] < _OLDEST:
        return fail(f"{version}, and 3.11 is needed", fix=Fix("Install ccapi with a newer one"))
    missing = list(_unmet())
    if missing:
        return fail(
            f"packages that ccapi needs are missing or too old: {advice.listed(missing)}",
            fix=Fix("Install ccapi anew", f"{sys.executable} -m pip install --force-reinstall {updates.PACKAGE}"),
        )
    return ok(version)


def _unmet() -> Iterator[str]:
    """The names of what is declared and is not installed. A checkout that nobody installed declares nothing."""
    try:
        declared = metadata.requires(updates.PACKAGE) or []
    except metadata.PackageNotFoundError:
        return
    for requirement in declared:
        name, _, marker = requirement.partition(";")
        plain = name.strip().split("[")[0]
        plain = plain.split("<")[0].split(">")[0].split("=")[0].split("!")[0].split("~")[0].strip()
        if "extra" in marker:
            continue
        try:
            metadata.version(plain)
        except metadata.PackageNotFoundError:
            yield plain


def _locale(facts: Facts) -> Finding:
    """Whether answers can be shown as they are."""
    encoding = locale.getpreferredencoding(do_setlocale=False)
    if encoding.lower().replace("-", "") == "utf8" or sys.flags.utf8_mode:
        return ok(f"UTF-8, TERM={facts.environ.get('TERM') or 'not set'}")
    return warn(
        f"the terminal's encoding is {encoding}",
        "Letters that it does not have are shown as question marks.",
        Fix("Have UTF-8, in your shell's profile too", "export LANG=C.UTF-8"),
    )


def _completion(facts: Facts) -> Finding:
    """Whether the shell completes ccapi's commands, by a script that is this version's."""
    scripts = {completion.script(shell) for shell in get_args(completion.Shell)}
    present = [file for file in completion.installed(facts.environ, facts.home) if file.stem == "ccapi"]
    stale = [file for file in present if not any(_text(file).startswith(script) for script in scripts)]
    if stale:
        shell = stale[0].suffix.removeprefix(".").replace("ps1", "powershell")
        return warn(
            f"the completion in {stale[0]} is another version's",
            fix=Fix("Write it anew", f"ccapi completion {shell} --install", lambda: _install(facts, shell)),
        )
    if present:
        return ok(advice.listed(map(str, present)))
    return info("not installed: `ccapi completion --install` does that")


def _install(facts: Facts, shell: str) -> None:
    completion.install(cast("completion.Shell", shell), facts.environ, facts.home)


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", errors="replace")
    except OSError:
        return ""


def _settings(facts: Facts) -> Finding:
    """Whether every file of settings can be read, and every value is one that is possible."""
    try:
        settings = facts.settings()
    except SettingInvalid as error:
        first, *rest = error.message.splitlines()
        detail = "\n".join([*rest, *(error.hint or "").splitlines()])
        return fail(first, detail, Fix("Correct it, then look again", "ccapi config edit\nccapi config validate"))
    origins = [resolved.origin for resolved in settings.resolved.values()]
    own = sum(origin != "default" for origin in origins)
    files = [origin for origin in dict.fromkeys(origins) if origin not in {"flag", "environment", "default"}]
    where = f", from {advice.listed(files)}" if files else ""
    return ok(f"{own} of {len(origins)} are not the default{where}")


CHECKS: tuple[Check, ...] = (
    Check("cli.version", "The version, and how it was installed", _version),
    Check(
        "cli.installs",
        "Whether the shell finds this ccapi, and no other",
        _installs,
        trouble=(Trouble("Several are installed.", "Remove all but one: an upgrade reaches only one of them."),),
    ),
    Check("cli.python", "The Python that runs it, and the packages it needs", _python),
    Check(
        "cli.locale",
        "Whether the terminal takes UTF-8",
        _locale,
        trouble=(Trouble("Letters are shown as question marks.", "Set LANG to a UTF-8 locale."),),
    ),
    Check(
        "cli.completion",
        "Whether the shell completes ccapi's commands",
        _completion,
        trouble=(Trouble("The shell completes what is no longer there.", "`ccapi completion --install`."),),
    ),
    Check(
        "cli.settings",
        "Whether the settings are valid: file, line, what was expected",
        _settings,
        trouble=(Trouble("A settings file has a mistake in it.", "Correct the line that is named."),),
    ),
)
