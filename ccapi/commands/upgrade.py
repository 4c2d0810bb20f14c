"""Another release of Claude Code in the container: found, built, tried, and taken back if it is no good."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from ccapi import files, paths
from ccapi.commands import config, inside, stack
from ccapi.commands.inside import Inside
from ccapi.errors import StackFailed, UsageError
from ccapi.paths import Home
from ccapi.settings import Settings
from ccapi.stack import spec, templates, upgrade
from ccapi.stack.container import Container as Programs
from ccapi.stack.engine import Engine
from ccapi.stack.inspection import Inspector
from ccapi.stack.lock import Waiting
from ccapi.stack.progress import Progress, Report
from ccapi.stack.spec import Options, StackSpec
from ccapi.stack.state import Container
from ccapi.stack.status import claude_version
from ccapi.stack.task import Task

KEY = "stack.claude_version"
PACKAGE = "claude-agent-sdk"

_RECORD = "upgrade.json"
_SEARCH = 120.0  # seconds that the package index has
_TRIAL = 120.0  # seconds for a question to the scripted model
_READY = 30.0

# As the image's build runs pip, with what the image says of the index. Not in the workspace, and without the home
# directory: both are the agent's, and no file of its own may say what is new.
_VERSIONS = f"""
cd /
export HOME=/nonexistent
exec python3 -I "$(echo /usr/share/python-wheels/pip-*.whl)/pip" --disable-pip-version-check --no-cache-dir \\
  index versions {PACKAGE}
"""

# A second gateway beside the container's own, with a scripted model, that leaves nothing behind: Claude Code starts,
# speaks as the gateway understands it, and runs a tool.
_QUESTION = """
place=$(mktemp -d)
mkdir "$place/workspace"
cd "$place"
env -i PATH="$PATH" HOME="$place" LANG=C.UTF-8 CCAPI_HOME="$place/home" CCAPI_DATA_DIR="$place/data" \\
  CLAUDE_CONFIG_DIR="$place/claude" /opt/ccapi/venv/bin/python -I -u -m ccapi gateway --port 0 \\
  --rehearsal fibonacci --workspace "$place/workspace" >out 2>log &
gateway=$!
trap 'kill $gateway 2>/dev/null; wait $gateway; cd /; rm -rf "$place"' EXIT
until url=$(sed -n 's/^Gateway on //p' out) && [ -n "$url" ]; do
  kill -0 $gateway || { tail -n 5 log >&2; exit 1; }
  sleep 0.1
done
curl --noproxy '*' --silent --show-error --fail-with-body --header 'Content-Type: application/json' \\
  --data '{"model": "sonnet", "messages": [{"role": "user", "content": "Fibonacci numbers"}]}' \\
  "$url/v1/chat/completions"
"""
_ANSWER = "[0, 1, 1, 2, 3, 5, 8, 13, 21, 34]"  # what the tool printed
_ASK_READY = ("curl", "--noproxy", "*", "--silent", "http://127.0.0.1:8000/ready")


@dataclass(frozen=True, slots=True)
class Release:
    """`sdk`: of the package that carries Claude Code; `claude`: what `claude --version` says. None: not known."""

    sdk: str | None
    claude: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """From which release to which. `setting`: what stack.claude_version becomes, None: it is taken out."""

    before: Release
    sdk: str
    setting: str | None
    container: Container
    rehearsal: str | None

    @property
    def nothing(self) -> bool:
        """Whether it is there already."""
        return self.before.sdk == self.sdk


def plan(
    settings: Settings,
    *,
    docker: Mapping[str, str],
    network: Mapping[str, str],
    version: str | None,
    rollback: bool,
    report: Report,
) -> Plan:
    """What an upgrade would do: to `version`, to the one before (`rollback`), or to the newest that there is.

    Changes nothing. Raises `UsageError`, `DockerUnavailable`, `SettingInvalid`, and `StackFailed`, also for a container
    that is not as it should be.
    """
    target = _checked(version)
    _ours_to_change(settings)
    with Engine(docker, settings.home.stack) as engine:
        found = engine.container()
        rehearsal = found.environment.get("CCAPI_REHEARSAL") if found else None
        container = upgrade.present(_task(settings, stack.wanted(settings, network, rehearsal), docker, report))
        before = Release(container.labels.get(spec.SDK_LABEL) or None, claude_version(engine))
        if rollback:
            record = _record(settings.home)
            return Plan(before, record["sdk"], _setting(record), container, rehearsal)
        if target is None:
            report(Progress("phase", f"Looking for a newer {PACKAGE}"))
            target = _newest(Programs(engine), before.sdk)
            report(Progress("done", f"The newest {PACKAGE} is {target}"))
    return Plan(before, target, target, container, rehearsal)


def run(
    settings: Settings,
    chosen: Plan,
    *,
    docker: Mapping[str, str],
    network: Mapping[str, str],
    timeout: float,
    report: Report,
    waiting: Waiting,
) -> Release:
    """Do it; what runs then. `timeout`: seconds until the container must be healthy.

    Whatever fails or interrupts it: the container runs as before, and the settings are as before. Raises
    `DockerUnavailable` and `StackFailed`.
    """
    home, after = settings.home, Release(chosen.sdk)
    notes = _Notes(settings, chosen, waiting)
    wanted = replace(stack.wanted(settings, network, chosen.rehearsal), claude=chosen.setting)
    task = _task(settings, wanted, docker, report, Options(timeout=timeout))
    with inside.opened(docker, home.stack) as programs:
        was_ready = not _not_ready(programs)

    def settle(engine: Inspector) -> None:
        nonlocal after
        programs = Programs(engine)
        report(Progress("phase", "Trying it: a question to the scripted model"))
        after = Release(chosen.sdk, _tried(programs))
        if was_ready and (problems := _not_ready(programs)):
            raise StackFailed(f"the new container is not ready: {problems}")
        report(Progress("done", "It answers, and its tools run"))
        notes.write()

    upgrade.upgrade(task, chosen.container, settle=settle, unsettle=notes.take_back)
    return after


def _task(
    settings: Settings, wanted: StackSpec, docker: Mapping[str, str], report: Report, options: Options | None = None
) -> Task:
    return Task(wanted, stack.host(settings.home, docker), options or Options(), report)


# --- which release


def _checked(version: str | None) -> str | None:
    try:
        return None if version is None else str(config.row(KEY).parse(version))
    except ValueError as error:
        raise UsageError(f"--version {version}: that is no release of {PACKAGE}", hint="Such as 0.2.187") from error


def _ours_to_change(settings: Settings) -> None:
    """Raises `UsageError` if another place than the file that would be written has the last word."""
    origin = settings.resolved[KEY].origin
    files_of_ours = {"default", str(paths.config_file(settings.home)), str(config.file(settings.home))}
    if origin not in files_of_ours:
        where = config.origins({KEY: settings.resolved[KEY]})[KEY]
        hint = f"Name the release there and run `ccapi up`, or take it out there: {where}"
        raise UsageError(f"{KEY} is set where ccapi does not change it: {where}", hint=hint)


def _newest(programs: Inside, present: str | None) -> str:
    """The newest release that the index has for this image; `present` if that has none newer."""
    ran = programs.run("sh", "-euc", _VERSIONS, timeout=_SEARCH)
    listed = re.search(r"^Available versions: (.+)$", ran.stdout, re.MULTILINE)
    if ran.code or not listed:
        hint = "Name one: ccapi upgrade --version X.Y.Z\nWhat is wrong with the network: ccapi doctor"
        raise StackFailed(f"the package index could not be asked: {inside.words(ran)}", hint=hint)
    known = [one.strip() for one in listed[1].split(",")]
    return max([*known, *([present] if present else [])], key=_order)


def _order(release: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", release)))


# --- whether it is any good


def _tried(programs: Inside) -> str:
    """What `claude --version` says, once a question was answered. Raises `StackFailed`, `StackTimeout`."""
    said = programs.run(*inside.CLAUDE, "--version", timeout=_READY)
    if said.code or not said.stdout.split():
        raise StackFailed(f"`claude --version` fails in the new container: {inside.words(said)}")
    ran = programs.run("sh", "-euc", _QUESTION, timeout=_TRIAL)
    text = ""
    with suppress(ValueError, LookupError, TypeError):
        text = json.loads(ran.stdout)["choices"][0]["message"]["content"]
    if ran.code or _ANSWER not in text:
        raise StackFailed(f"the new container does not answer: {_complaint(ran)}")
    return said.stdout.split()[0]


def _complaint(ran: inside.Ran) -> str:
    with suppress(ValueError, LookupError, TypeError):
        return str(json.loads(ran.stdout)["error"]["message"])
    return inside.words(ran)


def _not_ready(programs: Inside) -> str:
    """What the gateway says is in the way of a question; empty if nothing is."""
    ran = programs.run(*_ASK_READY, timeout=_READY)
    try:
        document = json.loads(ran.stdout)
        return "; ".join(str(check["message"]) for check in document["checks"] if not check["ok"])
    except (ValueError, LookupError, TypeError):
        return inside.words(ran)


# --- what is remembered


class _Notes:
    """The setting and the record of what was before: written once the new release is good, and taken back."""

    def __init__(self, settings: Settings, chosen: Plan, waiting: Waiting) -> None:
        self._home, self._chosen, self._waiting = settings.home, chosen, waiting
        self._setting: str | None = settings.value(KEY)
        self._file = paths.state_dir(settings.home) / _RECORD
        self._record = _text(settings.home)

    def write(self) -> None:
        """Raises `OutputFailed`, `SettingInvalid`."""
        before = self._chosen.before
        if before.sdk:
            record = {"sdk": before.sdk, "claude": before.claude, "setting": self._setting}
            files.replace(self._file, json.dumps(record) + "\n")
        self._set(self._chosen.setting)

    def take_back(self) -> None:
        self._set(self._setting)
        if self._record is None:
            self._file.unlink(missing_ok=True)
        else:
            files.replace(self._file, self._record)

    def _set(self, release: str | None) -> None:
        if release is None:
            config.unset(self._home, KEY, local=False, waiting=self._waiting)
        else:
            config.remember(self._home, {KEY: release}, self._waiting)


def _text(home: Home) -> str | None:
    with suppress(OSError, UnicodeDecodeError):
        return (paths.state_dir(home) / _RECORD).read_text("utf-8")
    return None


def _record(home: Home) -> Mapping[str, Any]:
    """Raises `StackFailed` if there is none."""
    with suppress(ValueError, TypeError, LookupError):
        record = json.loads(_text(home) or "")
        return {"sdk": _checked(record["sdk"]), "setting": _checked(record["setting"])}
    hint = "Name the release: ccapi upgrade --version X.Y.Z"
    raise StackFailed("there was no upgrade of this stack that could be taken back", hint=hint)


def _setting(record: Mapping[str, Any]) -> str | None:
    """As it was; but if it was not set and ccapi comes with another release by now, the release itself."""
    return record["setting"] or (None if record["sdk"] == templates.pinned() else record["sdk"])
