"""Docker: the command, its plugins, the engine and the machine that it runs on."""

from __future__ import annotations

import json
import platform
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ccapi.doctor import advice, program
from ccapi.doctor.check import Check, Finding, Fix, Trouble, fail, info, ok, skip, warn
from ccapi.doctor.facts import Facts
from ccapi.errors import CcapiError, DockerUnavailable

_ENGINE = (20, 10)
_COMPOSE = (2, 20)  # `--progress` as an option of `docker compose` itself
_MEMORY = 2_000_000_000  # bytes: a few Claude Code processes and what they start
_INSTALL = "https://docs.docker.com/engine/install/"
_INSTALL_PLUGIN = "https://docs.docker.com/compose/install/linux/"
_DEFAULT_SOCKET = "/var/run/docker.sock"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "amd64": "amd64", "arm64": "arm64"}


def _command(facts: Facts) -> Finding:
    """Which `docker` is run, and what it really is."""
    environ = facts.docker_environment
    found = shutil.which("docker", path=environ.get("PATH", ""))
    if found is None:
        hint = "brew install --cask docker" if sys.platform == "darwin" else None
        return fail(
            "no docker command was found",
            "It is looked for in the directories of PATH.",
            Fix(f"Install Docker Engine with its command and the compose plugin: {_INSTALL}", hint),
        )
    said = program.ask(found, "--version", environ=environ, timeout=facts.share)
    if not said.ok:
        why = said.stderr or f"exit code {said.code}"
        return fail(f"{found} does not run: {why}", fix=Fix(f"Install Docker anew: {_INSTALL}"))
    version = said.stdout.splitlines()[0] if said.stdout else "it does not tell its version"
    if "podman" in said.stdout.lower():
        return warn(
            f"docker is Podman under another name ({found})",
            "ccapi is tried with Docker only. Podman needs its socket, and docker-compose as its compose provider.",
            Fix("Have Podman listen, and say where", _podman_socket()),
        )
    if str(Path(found).resolve()).startswith("/snap/"):
        return warn(
            f"docker is the one from snap ({found})",
            "It sees no hidden directory of your home, so ccapi's files must not lie in one.",
            Fix("Put ccapi's files where it sees them, in your shell's profile too", 'export CCAPI_HOME="$HOME/ccapi"'),
        )
    return ok(f"{version} ({found})")


def _podman_socket() -> str:
    return "systemctl --user enable --now podman.socket\nexport DOCKER_HOST=unix://$XDG_RUNTIME_DIR/podman/podman.sock"


def _context(facts: Facts) -> Finding:
    """Which engine is meant. What both DOCKER_HOST and DOCKER_CONTEXT say is a trap: the first one wins."""
    environ = facts.docker_environment
    host, context = environ.get("DOCKER_HOST"), environ.get("DOCKER_CONTEXT")
    if host and context:
        return warn(
            f"DOCKER_HOST ({host}) hides DOCKER_CONTEXT ({context})",
            "`docker` goes by DOCKER_HOST when both are set.",
            Fix("Keep one of them", "unset DOCKER_HOST"),
        )
    if host:
        return info(f"DOCKER_HOST says {host}")
    if context:
        return info(f"DOCKER_CONTEXT says {context}")
    chosen = _current_context(environ)
    return info(f"the context {chosen}, by `docker context use`" if chosen else "the default one of this machine")


def _current_context(environ: Mapping[str, str]) -> str | None:
    directory = Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME") or Path.home()) / ".docker")
    try:
        document: Any = json.loads((directory / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    name = document.get("currentContext") if isinstance(document, dict) else None
    return name if isinstance(name, str) and name != "default" else None


def _engine(facts: Facts) -> Finding:
    """Whether an engine answers; if not, why, by the error of the connection itself."""
    try:
        version = facts.engine_version()
    except DockerUnavailable as error:
        return fail(error.message, _elsewhere(facts), _engine_fix(facts, error))
    from ccapi.stack.engine import endpoint

    return ok(f"{version.get('Platform', {}).get('Name') or 'Docker Engine'} {version.get('Version')} answers "
              f"({endpoint(facts.docker_environment)})")  # fmt: skip


def _elsewhere(facts: Facts) -> str:
    """A hint at the commonest of all mistakes: another engine is meant than the one that runs here."""
    from ccapi.stack.inspection import Inspector

    environ = facts.docker_environment
    if sys.platform == "win32" or not (environ.get("DOCKER_HOST") or environ.get("DOCKER_CONTEXT")):
        return ""
    try:
        here = {"PATH": environ.get("PATH", ""), "DOCKER_HOST": f"unix://{_DEFAULT_SOCKET}"}
        with Inspector(here, facts.stack, timeout=facts.rest / 2):
            return f"An engine does answer at {_DEFAULT_SOCKET}: is the wrong one meant?"
    except CcapiError:
        return ""


def _engine_fix(facts: Facts, error: DockerUnavailable) -> Fix:
    """The commands, by what is wrong and by what is installed here. Never one that opens the socket to everybody."""
    environ = facts.docker_environment
    named = next((name for name in ("DOCKER_HOST", "DOCKER_CONTEXT") if environ.get(name)), None)
    if "no permission" in error.message:
        return Fix(
            "Let your account use it, then sign in again (whoever may use it is as good as root); or use rootless "
            "Docker: https://docs.docker.com/engine/security/rootless/",
            "sudo usermod -aG docker $USER",
        )
    if named:
        return Fix(f"Is {named} meant? Without it the default engine is used", f"unset {named}\ndocker context ls")
    if "does not answer" in error.message:
        return Fix("Start it anew", _restart())
    if "not running" in error.message:
        return Fix("Start it", _start())
    return Fix(error.hint or "See what it says", "docker info")


def _start() -> str:
    if sys.platform == "darwin":
        return next((start for app, start in _MAC.items() if shutil.which(app)), "open -a Docker")
    if sys.platform == "win32":
        return 'start "" "C:\\Program Files\\Docker\\Docker\\Docker Desktop.exe"'
    if "microsoft" in platform.release().lower():
        return "sudo service docker start"
    return "sudo systemctl enable --now docker"


_MAC = {"colima": "colima start", "orb": "orb start"}


def _restart() -> str:
    return "sudo systemctl restart docker" if sys.platform == "linux" else "docker desktop restart"


def _server(facts: Facts) -> Finding:
    """Whether it is new enough."""
    version = str(facts.engine_version().get("Version"))
    if _numbers(version) < _ENGINE:
        return fail(
            f"the engine is {version}, and {_dotted(_ENGINE)} is needed",
            fix=Fix(f"Install a newer one: {_INSTALL}"),
        )
    return ok(f"{version}, API {facts.engine_version().get('ApiVersion')}")


def _compose(facts: Facts) -> Finding:
    """The plugin, and not the old `docker-compose`."""
    environ = facts.docker_environment
    said = program.ask("docker", "compose", "version", "--short", environ=environ, timeout=facts.share)
    if said.code is None:
        return fail(f"`docker compose version` does not answer: {said.stderr}")
    version = said.stdout.removeprefix("v")
    if not said.ok or not _numbers(version):
        old = shutil.which("docker-compose", path=environ.get("PATH", ""))
        return fail(
            "docker has no compose plugin",
            f"There is {old}, the standalone command, which is not used." if old else "",
            Fix(f"Install the plugin: {_INSTALL_PLUGIN}", _packages("docker-compose-plugin")),
        )
    if _numbers(version) < _COMPOSE:
        return fail(
            f"the compose plugin is {version}, and {_dotted(_COMPOSE)} is needed",
            fix=Fix(f"Install a newer one: {_INSTALL_PLUGIN}", _packages("docker-compose-plugin")),
        )
    return ok(f"docker compose {version}")


def _buildx(facts: Facts) -> Finding:
    """BuildKit's command. Without it the old builder is used, which newer versions of Docker no longer have."""
    said = program.ask("docker", "buildx", "version", environ=facts.docker_environment, timeout=facts.share)
    if said.code is None:
        return warn(f"`docker buildx version` does not answer: {said.stderr}")
    if not said.ok:
        return warn(
            "docker has no buildx plugin",
            "Images are built with it; without it a build may be slower, or fail.",
            Fix("Install the plugin", _packages("docker-buildx-plugin")),
        )
    found = re.search(r"v?(\d+\.\d+\.\d+)", said.stdout)
    return ok(f"docker buildx {found[1]}" if found else said.stdout.splitlines()[0])


def _packages(name: str) -> str | None:
    """The command of this system's package manager; Docker's own packages are named alike everywhere."""
    for manager, command in (("apt-get", "install"), ("dnf", "install"), ("zypper", "install")):
        if sys.platform == "linux" and shutil.which(manager):
            return f"sudo {manager} {command} {name}"
    return None


def _rootless(facts: Facts) -> Finding:
    """Whether the engine has root's rights; user ids on mounted directories depend on it."""
    options = [str(option) for option in facts.engine_info().get("SecurityOptions") or []]
    if any("rootless" in option for option in options):
        return info("the engine is rootless", "Files that the agent writes to a mounted directory have a mapped owner.")
    if any("userns" in option for option in options):
        return info("the engine maps user ids (userns-remap)", "The agent's files on a mounted directory have one.")
    return info("the engine runs as root, as it mostly does")


def _architecture(facts: Facts) -> Finding:
    """Whether the container's programs run on the processor itself: emulated, Claude Code is slow or does not run."""
    engine = _MACHINES.get(str(facts.engine_info().get("Architecture")), str(facts.engine_info().get("Architecture")))
    here = _MACHINES.get(platform.machine().lower(), platform.machine())
    asked = facts.docker_environment.get("DOCKER_DEFAULT_PLATFORM")
    if asked and engine not in asked:
        return warn(
            f"DOCKER_DEFAULT_PLATFORM is {asked}, and the engine's processor is {engine}",
            "The container would be emulated: several times slower, and Claude Code may not start at all.",
            Fix("Build for the engine's own processor", "unset DOCKER_DEFAULT_PLATFORM\nccapi up"),
        )
    container = facts.container()
    image = facts.image(container.image) if container and container.ours else None
    built = str(image.get("Architecture")) if image else engine
    if built != engine:
        return warn(
            f"the image was built for {built}, and the engine's processor is {engine}",
            "The container is emulated.",
            Fix("Have it built anew", f"docker image rm --force {image['Id'][:19] if image else ''}\nccapi up"),
        )
    if engine != here and not facts.docker_environment.get("DOCKER_HOST"):
        return info(f"the engine's processor is {engine}, this machine's {here}")
    return ok(f"{engine}, not emulated")


def _memory(facts: Facts) -> Finding:
    """Of the machine that the engine runs on: Docker Desktop gives its own only a part of this one's."""
    total, cores = int(facts.engine_info().get("MemTotal") or 0), facts.engine_info().get("NCPU")
    if not total:
        return skip("the engine does not tell")
    has = f"{advice.size(total)} of memory, {cores} processors"
    if total < _MEMORY:
        desktop = "desktop" in str(facts.engine_info().get("OperatingSystem")).lower()
        way = "Settings → Resources of Docker Desktop" if desktop else "For Colima: colima start --memory 4"
        return warn(
            f"the engine's machine has {has}, and {advice.size(_MEMORY)} are needed",
            "An agent that runs out of memory is killed in the middle of its answer.",
            Fix(f"Give it more. {way}"),
        )
    return ok(has)


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else ()


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


CHECKS: tuple[Check, ...] = (
    Check(
        "docker.command",
        "Which `docker` is run, and whether it is Docker's own",
        _command,
        trouble=(
            Trouble("Docker is not installed.", "Install Docker Engine with its command and the compose plugin."),
            Trouble("`docker` is Podman.", "Have it listen on its socket and set DOCKER_HOST; it is not tried."),
            Trouble("Docker comes from snap.", "Set CCAPI_HOME to a directory that is not hidden."),
        ),
    ),
    Check(
        "docker.context",
        "Which engine is meant: DOCKER_HOST, the context, or the default",
        _context,
        trouble=(Trouble("DOCKER_HOST and DOCKER_CONTEXT are both set.", "DOCKER_HOST wins; unset one of them."),),
    ),
    Check(
        "docker.engine",
        "Whether the engine answers",
        _engine,
        needs=("docker.command",),
        trouble=(
            Trouble("The engine is not running.", "Start it, with `systemctl`, or by opening Docker Desktop."),
            Trouble("No permission on the socket.", "Add yourself to the group `docker`, or use rootless Docker."),
            Trouble("Another engine is meant than the one that runs.", "Unset DOCKER_HOST, or use another context."),
            Trouble("The engine hangs.", "Start it anew; containers come back by themselves."),
        ),
    ),
    Check(
        "docker.server",
        "Whether the engine is new enough",
        _server,
        needs=("docker.engine",),
        trouble=(Trouble(f"The engine is older than {_dotted(_ENGINE)}.", "Install a newer one."),),
    ),
    Check(
        "docker.compose",
        "Whether the compose plugin is there and new enough",
        _compose,
        needs=("docker.command",),
        trouble=(
            Trouble("There is no compose plugin.", "Install it; the old `docker-compose` is something else."),
            Trouble(f"The plugin is older than {_dotted(_COMPOSE)}.", "Install a newer one."),
        ),
    ),
    Check(
        "docker.buildx",
        "Whether the buildx plugin, which builds the image, is there",
        _buildx,
        needs=("docker.command",),
        trouble=(Trouble("There is no buildx plugin.", "Install it."),),
    ),
    Check("docker.rootless", "With whose rights the engine runs", _rootless, needs=("docker.engine",)),
    Check(
        "docker.architecture",
        "Whether the container runs on the processor itself, or is emulated",
        _architecture,
        needs=("docker.engine",),
        trouble=(Trouble("The image is for another processor.", "Unset DOCKER_DEFAULT_PLATFORM; build it anew."),),
    ),
    Check(
        "docker.memory",
        "Memory and processors of the machine that the engine runs on",
        _memory,
        needs=("docker.engine",),
        trouble=(Trouble("Docker's machine has little memory.", "Give it 4 GB in Docker Desktop or Colima."),),
    ),
)
