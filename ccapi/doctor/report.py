"""The report that goes into an issue: one Markdown text with all that somebody else needs to see what is wrong.

Nothing secret is in it, nor what leads to one: no keys and none of their beginnings, no digests, no account, no home
directory. What is unknown is left out. Everything passes `redact`, and `_Scrubber`, which knows what this machine's own
secrets are.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ccapi import paths
from ccapi.commands import secret as stack_secret
from ccapi.doctor.document import environment, summary
from ccapi.doctor.facts import Facts
from ccapi.doctor.runner import Result
from ccapi.errors import CcapiError
from ccapi.oauth import daemon
from ccapi.redact import redact

_LINES = 60  # of each log
_MOST = 128 * 1024  # bytes of a log's end that are looked at
_VERSION = ("Version", "ApiVersion", "Os", "Arch", "KernelVersion")
_INFO = (
    "OperatingSystem", "OSType", "Architecture", "NCPU", "MemTotal", "Driver", "CgroupVersion", "SecurityOptions",
    "DockerRootDir", "DefaultRuntime", "LoggingDriver", "Warnings", "ServerVersion", "Containers", "Images",
)  # fmt: skip
_STATE = ("Status", "Running", "OOMKilled", "ExitCode", "Error", "StartedAt", "FinishedAt", "Health")
_HOST_CONFIG = (
    "Memory", "PidsLimit", "ReadonlyRootfs", "CapDrop", "SecurityOpt", "NetworkMode", "PortBindings", "RestartPolicy",
    "Tmpfs",
)  # fmt: skip


def report(results: Sequence[Result], facts: Facts) -> str:
    """The text. Never raises for what cannot be found out: everything may be broken."""
    scrub = _Scrubber(facts)
    parts = [
        "# ccapi doctor: report\n",
        _listed(environment(facts)),
        "\n## Results\n",
        _results(results),
        _section("Settings", _settings(facts)),
        _section("Docker", _docker(facts)),
        _section("Container", _container(facts)),
        _section("Log of the container", _container_log(facts)),
        _section("Log of the OAuth proxy", _tail(daemon.log_path(facts.home))),
        _section("Log of the last build that failed", _tail(facts.state_dir / "build.log")),
    ]
    return scrub("\n".join(parts)) + "\n"


class _Scrubber:
    """Takes out what `redact` cannot know by its form: this machine's secrets, the home directory, the user's name."""

    def __init__(self, facts: Facts) -> None:
        self._secrets = sorted(set(_secrets(facts)), key=len, reverse=True)
        self._homes = sorted({str(Path.home()), facts.environ.get("HOME") or str(Path.home())}, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "[redacted]")
        text = redact(text)
        for home in self._homes:
            if home not in {"/", ""}:
                text = re.sub(rf"{re.escape(home)}(?![\w.-])", "~", text)
        return text


_SECRET_NAME = re.compile(r"(?i)token|secret|password|passwd|api_?key|credential|auth")


def _secrets(facts: Facts) -> Iterator[str]:
    """What is secret on this machine, wherever it may have got into a log.

    The stack's secret, what the environment has under such a name, passwords in proxy addresses, the digests of keys.
    """
    for name, value in facts.environ.items():
        if _SECRET_NAME.search(name) and len(value) >= 8 and not value.startswith(("/", "~")):
            yield value
        yield from re.findall(r"://[^/\s:@]+:([^/\s@]{4,})@", value)
    state = stack_secret.path(facts.home).parent
    for file in (stack_secret.path(facts.home), *state.glob("keys/*")):
        try:
            yield from re.findall(r"[A-Za-z0-9_+/=-]{20,}", file.read_text("ascii", errors="replace"))
        except OSError:
            continue


def _listed(values: Mapping[str, Any]) -> str:
    return "\n".join(f"- {name}: {_value(value)}" for name, value in values.items() if value is not None)


def _value(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def _results(results: Sequence[Result]) -> str:
    counted = ", ".join(f"{count} {status}" for status, count in summary(results).items() if count)
    lines = [f"{counted}\n", "```text"]
    for result in results:
        lines.append(f"{result.finding.status:<5} {result.check.id:<22} {result.finding.summary}")
        lines += [f"{'':<28} {line}" for line in result.finding.detail.splitlines()]
    return "\n".join([*lines, "```"])


def _section(title: str, text: str) -> str:
    """In a block that nothing in it can end."""
    text = text.strip() or "none"
    longest = max((len(found) for found in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"\n## {title}\n\n{fence}text\n{text}\n{fence}"


def _settings(facts: Facts) -> str:
    """Those that are not the default, with where each is from."""
    try:
        resolved = facts.settings().resolved
    except CcapiError as error:
        return f"not valid: {error.message}"
    own = {key: one for key, one in resolved.items() if one.origin != "default"}
    lines = [f"{key} = {one.value!s}   # {one.origin}" for key, one in own.items()]
    return "\n".join(lines or ["all as by default", f"# {paths.config_file(facts.home)}"])


def _docker(facts: Facts) -> str:
    try:
        version, info = facts.engine_version(), facts.engine_info()
    except CcapiError as error:
        return error.message
    return _json({"version": _picked(version, _VERSION), "info": _picked(info, _INFO)})


def _container(facts: Facts) -> str:
    """The container's state and limits; of its variables the names only, and the values of those that ccapi set."""
    try:
        raw = facts.inspected()
    except CcapiError as error:
        return error.message
    if raw is None:
        return "there is none"
    return _json(
        {
            "image": raw["Config"].get("Image"),
            "user": raw["Config"].get("User"),
            "labels": {name: value for name, value in (raw["Config"].get("Labels") or {}).items() if "ccapi" in name},
            "variables": sorted(pair.partition("=")[0] for pair in raw["Config"].get("Env") or []),
            "restarts": raw.get("RestartCount"),
            "state": _picked(raw["State"], _STATE),
            "host": _picked(raw["HostConfig"], _HOST_CONFIG),
            "mounts": [f"{one.get('Type')} {one.get('Destination')} rw={one.get('RW')}" for one in raw["Mounts"]],
        }
    )


def _container_log(facts: Facts) -> str:
    try:
        facts.own_container()
        with facts.engine() as engine:
            return engine.logs(_LINES).decode("utf-8", "replace")
    except CcapiError as error:
        return error.message


def _tail(file: Path) -> str:
    try:
        with file.open("rb") as handle:
            handle.seek(max(0, handle.seek(0, os.SEEK_END) - _MOST))
            text = handle.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-_LINES:])


def _picked(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: values[name] for name in names if values.get(name) not in (None, "", [])}


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False)
