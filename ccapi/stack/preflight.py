"""What can be known to go wrong before anything is built or started, all of it at once."""

from __future__ import annotations

import ipaddress
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from ccapi import portowner
from ccapi.errors import CcapiError, DockerUnavailable, PortBusy, SettingInvalid, StackFailed
from ccapi.stack import compose, ownership, ports
from ccapi.stack.engine import Engine
from ccapi.stack.ownership import Info
from ccapi.stack.spec import StackSpec

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "amd64": "amd64", "arm64": "arm64"}
_TO_BUILD = 3_000_000_000  # bytes of disk: the image, and what its build leaves in the builder's cache
_TO_RUN = 100_000_000
_MEMORY = 2_000_000_000  # bytes: a few Claude Code processes and what they start
_INSTALL = "Install a newer one: https://docs.docker.com/compose/install/linux/"


def joined(problems: Sequence[CcapiError]) -> CcapiError:
    """One error that tells of all of them; code and exit code are the first one's."""
    if len(problems) == 1:
        return problems[0]
    lines: list[str] = []
    for number, problem in enumerate(problems, 1):
        lines += [f"{number}. {problem.message}", *(f"   {line}" for line in (problem.hint or "").splitlines())]
    details = "\n".join(problem.detail for problem in problems if problem.detail)
    return type(problems[0])(f"{len(problems)} things are in the way", hint="\n".join(lines), detail=details or None)


# --- what needs no engine


def of_docker(environ: Mapping[str, str], cache: Path) -> Iterator[CcapiError]:
    """What is wrong with the command and its plugin. `cache`: where a build is staged."""
    try:
        version = compose.version(environ)
        if version < compose.MINIMUM:
            yield DockerUnavailable(
                f"the compose plugin is {_dotted(version)}, and {_dotted(compose.MINIMUM)} is needed", hint=_INSTALL
            )
    except DockerUnavailable as error:
        yield error
    if problem := snap(environ, cache):
        yield problem


def snap(environ: Mapping[str, str], directory: Path) -> StackFailed | None:
    """Docker from snap may not read hidden directories, and says only that nothing is there."""
    docker = shutil.which("docker", path=environ.get("PATH")) or ""
    if not docker.startswith("/snap/") or not any(part.startswith(".") for part in directory.parts):
        return None
    return StackFailed(
        f"Docker from snap cannot read {directory}",
        hint="Set CCAPI_HOME to a directory without a dot in its path, such as ~/ccapi",
    )


def _dotted(version: Sequence[int]) -> str:
    return ".".join(map(str, version))


# --- what the engine says


def of_engine(info: Info, environ: Mapping[str, str], *, build: bool) -> Iterator[CcapiError]:
    """What is wrong with the engine's machine. `build`: an image is to be built there."""
    machine = str(info.get("Architecture"))
    if machine not in _MACHINES:
        yield StackFailed(f"the engine's processor is {machine}; Claude Code is there for x86-64 and 64-bit ARM only")
    needed, root = _TO_BUILD if build else _TO_RUN, Path(str(info.get("DockerRootDir")))
    if _is_local(environ) and ownership.mapped(info) != "desktop" and root.is_dir():
        free = shutil.disk_usage(root).free
        if free < needed:
            yield StackFailed(
                f"Docker's disk ({root}) has {_size(free)} left, and {_size(needed)} are needed",
                hint="See what takes it: docker system df\nMake room, for example with: docker builder prune",
            )


def of_ports(wanted: StackSpec, engine: Engine | None) -> Iterator[CcapiError]:
    """Why the API cannot be published where it is wanted. `engine`: None if there is none to ask for its containers."""
    if not ports.is_here(wanted.host):
        yield SettingInvalid(
            f"gateway.host {wanted.host}: this machine has no such address",
            hint="Its addresses: ip address\nAll of them: ccapi up --bind 0.0.0.0",
        )
    elif not ports.is_free(wanted.port, wanted.host):
        yield port_busy(wanted.port, engine, host=wanted.host)


def of_proxy(port: int | None, engine: Engine) -> Iterator[CcapiError]:
    """Why the OAuth proxy would not start. `port`: None when it runs already."""
    if port is not None and not ports.is_free(port):
        yield port_busy(port, engine, key="oauth.port", option="")


def port_busy(
    port: int, engine: Engine | None, *, host: str = "127.0.0.1", key: str = "gateway.port", option: str = "--port"
) -> PortBusy:
    """The error for a port that is taken: by whom, and the ways out. `option`: of `ccapi up`; empty if it has none."""
    free = ports.free_near(port, host)
    hint = [f"Take another one, now and from now on: ccapi config set {key} {free}"]
    if option:
        hint = [f"Take another one: ccapi up {option} {free}", f"Or any that is free, and keep it: ccapi up {option} 0"]
        hint.append(f"To keep {free}: ccapi config set {key} {free}")
    if engine and (container := engine.publisher(port)):
        other = container in engine.published().values()
        who = f"another stack of ccapi, {container}" if other else f"the container {container}"
        hint.append(f"Or stop the container: docker stop {container}")
    elif process := portowner.owner(port):
        who = str(process)
        hint.append(f"Or stop the process: kill {process.pid}")
    else:
        who = "another process"
        hint.append(f"Whose it is: sudo lsof -nP -iTCP:{port} -sTCP:LISTEN")
    return PortBusy(f"port {port} is in use by {who}", hint="\n".join(hint))


def _is_local(environ: Mapping[str, str]) -> bool:
    """Whether the engine's files are this machine's."""
    return environ.get("DOCKER_HOST", "unix:").startswith("unix:")


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


# --- what will work, but perhaps not as hoped


def warnings(wanted: StackSpec, info: Info, environ: Mapping[str, str]) -> Iterator[str]:
    """Each is a sentence for the person."""
    yield from ownership.warnings(wanted, info)
    if not ipaddress.ip_address(wanted.host).is_loopback:
        yield (
            f"the API is published on {wanted.host}: other machines reach it, with an API key, over a connection that "
            "is not encrypted; Docker goes around this machine's firewall"
        )
    yield from _of_the_network(wanted.environment)
    engine = _MACHINES.get(str(info.get("Architecture")), "")
    asked = environ.get("DOCKER_DEFAULT_PLATFORM")
    if asked and engine and engine not in asked:
        yield f"DOCKER_DEFAULT_PLATFORM is {asked}, and the engine's processor is {engine}: all would be emulated"
    elif engine == "amd64" and sys.platform == "darwin" and platform.machine() == "arm64":
        yield "the engine emulates another processor than this machine's: Claude Code may be slow, or not start at all"
    memory = int(info.get("MemTotal") or 0)
    if 0 < memory < _MEMORY:
        yield f"the engine's machine has {_size(memory)} of memory, and {_size(_MEMORY)} are needed"


def _of_the_network(environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in environment.items():
        if not name.isupper():
            continue
        url = urlsplit(value)
        if name.endswith("_PROXY") and url.password:
            yield f"{name} has a password in it, which `docker inspect` shows"
        if name != "NO_PROXY" and url.hostname in {"localhost", "127.0.0.1", "::1"}:
            yield f"{name} is {value}, which inside the container is the container itself"
