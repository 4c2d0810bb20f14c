"""The file `.env` of an exported folder: every variable with what it means, in the form that `docker compose` reads."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ccapi import settings
from ccapi.errors import SettingInvalid
from ccapi.stack.overlays import Overlay, Variable, compose_file
from ccapi.stack.spec import StackSpec

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]+")
_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)")
_QUOTED = re.compile(r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\s*(?:#.*)?""")
_WIDTH = 100

_HEAD = """\
# What `docker compose` in this folder goes by. A line with # in front is what holds without it.
# After a change: docker compose up -d --wait
# Keep this file to yourself: it may hold secrets."""

_MACHINE = (
    Variable("CCAPI_GATEWAY_PORT", "Port of the API.", "8000"),
    Variable(
        "CCAPI_GATEWAY_HOST",
        "Address of this machine on which the API is published, without HTTPS. Any but 127.0.0.1 needs API keys.",
        "127.0.0.1",
    ),
    Variable(
        "CCAPI_STACK_WORKSPACE",
        "Absolute path of an existing directory of this machine, in which the agent works. Without it: on a volume.",
    ),
    Variable(
        "CCAPI_UID",
        "As whom everything in the container runs: the owner of CCAPI_STACK_WORKSPACE, or the agent cannot write "
        "there. After a change of these two: docker compose up -d --wait --build",
        "1000",
    ),
    Variable("CCAPI_GID", "And the group.", "1000"),
    Variable(
        "CCAPI_STACK", "What the containers and volumes are called. With another name it is another installation."
    ),
    Variable("CCAPI_KEYS_DIR", "Directory of keys.json, which holds the hashes of the API keys.", "./keys"),
)
_NETWORK = (
    Variable("ANTHROPIC_BASE_URL", "Where the model's API is, if it is not Anthropic's own address."),
    Variable("HTTP_PROXY", "Proxies, for the build and for the container; set the spelling in small letters as well."),
    Variable("HTTPS_PROXY", ""),
    Variable("NO_PROXY", "What is reached without them; localhost,127.0.0.1,::1 must be in it."),
    Variable("http_proxy", ""),
    Variable("https_proxy", ""),
    Variable("no_proxy", ""),
)
_IMAGE = (
    Variable("CCAPI_STACK_BASE_IMAGE", "Debian image that the build starts from.", "debian:trixie-slim"),
    Variable("CLAUDE_AGENT_SDK_VERSION", "Release of the PyPI package with Claude Code; see Dockerfile."),
)
_SELDOM = (
    Variable("CCAPI_REHEARSAL", "A scenario that plays the model, such as default: to try it all without an account."),
    Variable("OAUTH_PROXY_HOST", "Where a browser reaches the OAuth proxy, where there is one.", "localhost"),
    Variable("OAUTH_PROXY_PORT", "", "8888"),
    Variable("MCP_OAUTH_CALLBACK_PORT", "Port that MCP logins come back to; without it a free one for each."),
)  # fmt: skip


def text(spec: StackSpec, overlays: Sequence[Overlay], given: Mapping[str, str], kept: Mapping[str, str]) -> str:
    """The file. `given`: values that are set beside those of `spec`; `kept`: what an earlier file says, as it says it.

    Raises `SettingInvalid` for a value that no such file can hold.
    """
    values = {**spec.interpolation("", ""), **given}
    for name in ("CCAPI_IMAGE", "CCAPI_COMPOSE_ID", "CCAPI_KEYS_DIR"):  # the folder has its own
        values.pop(name, None)
    groups = _groups(spec, overlays)
    known = {variable.name for _, variables in groups for variable in variables}
    lines = [_HEAD, "", f"COMPOSE_PATH_SEPARATOR=:\nCOMPOSE_FILE={compose_file(overlays)}"]
    for heading, variables in groups:
        lines += ["", f"# --- {heading}"]
        for variable in variables:
            lines += [""] if variable.help else []  # one without explanation belongs to the one before
            lines.append(_entry(variable, values.get(variable.name, ""), kept.get(variable.name)))
    if own := [f"{name}={raw}" for name, raw in kept.items() if name not in known | _OURS]:
        lines += ["", "# --- Your own", "", *own]
    return "\n".join(lines) + "\n"


_OURS = {"COMPOSE_FILE", "COMPOSE_PATH_SEPARATOR"}


def read(content: bytes, place: Path) -> dict[str, str]:
    """What such a file assigns, each value as it is written there, quotes and all. Raises `SettingInvalid`."""
    found = {}
    try:
        lines = content.decode("utf-8").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError:
        raise SettingInvalid(f"{place}: not UTF-8 text") from None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not (match := _ASSIGNMENT.fullmatch(line)) or _unclosed(match[2]):
            raise SettingInvalid(
                f"{place}, line {number}: expected NAME=value, on one line", hint="Mend it, or move the file away."
            )
        found[match[1]] = match[2]
    return found


def quoted(value: str) -> str:
    """`value` so that `docker compose` reads exactly that: nothing in it is a variable, an escape or a comment."""
    if any(char in value for char in "\n\r\0"):
        raise SettingInvalid("A value with a line break cannot be written into .env")
    if _PLAIN.fullmatch(value):
        return value
    if "'" not in value and "\\" not in value:
        return f"'{value}'"
    return '"' + re.sub(r'([\\"$])', r"\\\1", value) + '"'


def _unclosed(raw: str) -> bool:
    return raw.lstrip()[:1] in {"'", '"'} and not _QUOTED.fullmatch(raw.strip())


def _groups(spec: StackSpec, overlays: Sequence[Overlay]) -> list[tuple[str, Iterable[Variable]]]:
    machine = tuple(v._replace(default=spec.stack) if v.name == "CCAPI_STACK" else v for v in _MACHINE)
    elsewhere = {variable.name for variable in machine}
    rows = [row for row in settings.TABLE if row.gateway and row.env not in elsewhere]
    gateway = [
        # What was set is written down, also when it is the default: the container then has the variable.
        Variable(row.env, _meaning(row), "" if row.env in spec.environment else row.written_default)
        for row in rows
    ]
    return [
        ("This machine", machine),
        *((overlay.title, overlay.variables) for overlay in overlays),
        ("The way to the model's API", _NETWORK),
        ("The gateway", gateway),
        ("The image; after a change: docker compose up -d --wait --build", _IMAGE),
        ("Seldom needed", _SELDOM),
    ]


def _meaning(row: settings.Setting) -> str:
    """Its help, and what its values are where they are written as here."""
    return f"{row.help} ({'NAME=MODEL,NAME=MODEL' if isinstance(row.default, Mapping) else row.expected})"


def _entry(variable: Variable, value: str, kept: str | None) -> str:
    about = textwrap.wrap(variable.help, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
    if kept:
        return "\n".join([*about, f"{variable.name}={kept}"])
    if value and value != variable.default:
        return "\n".join([*about, f"{variable.name}={quoted(value)}"])
    return "\n".join([*about, f"#{variable.name}={quoted(variable.default) if variable.default else ''}"])
