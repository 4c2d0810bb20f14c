"""`uninstall`: everything that ccapi has made on this machine is found, and removed. Needs no valid settings.

Found by our label in Docker, by name in ccapi's directories and in the shells' files; what is anybody else's stays.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ccapi.commands import completion, ownfiles, proxy, stacks, teardown
from ccapi.errors import CcapiError, DockerUnavailable, ProxyFailed
from ccapi.oauth import daemon
from ccapi.paths import Home
from ccapi.settings import environment
from ccapi.stack import census, spec
from ccapi.stack.inventory import Holdings, Inventory
from ccapi.stack.progress import Progress, Report
from ccapi.stack.teardown import Losses

Kind = Literal["unit", "proxy", "container", "network", "volume", "image", "completion", "files"]

_METHODS = {
    "subscription": "the sign-in of Claude Code with a subscription",
    "console": "the API key that Claude Code's sign-in has made",
    "token": "the long-lived token CLAUDE_CODE_OAUTH_TOKEN",
    "bearer": "the token ANTHROPIC_AUTH_TOKEN",
    "api-key": "the API key ANTHROPIC_API_KEY",
}


@dataclass(frozen=True, slots=True)
class Artefact:
    """One thing that ccapi has made. `command` removes it by hand; `stack` None: it is of all stacks, or of none."""

    kind: Kind
    name: str
    stack: str | None = None
    detail: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """`kept`: files of others in ccapi's directories. `volumes`: those that stay because the person says so.

    `revoke`: what stays valid at vendors, in words. `unseen`: why Docker, or a shell's file, could not be looked at.
    """

    artefacts: list[Artefact] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    revoke: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    unseen: list[CcapiError] = field(default_factory=list)

    @property
    def docker(self) -> DockerUnavailable | None:
        """Why nothing is known of what Docker has."""
        return next((error for error in self.unseen if isinstance(error, DockerUnavailable)), None)


@dataclass(frozen=True, slots=True)
class Scope:
    """What is meant: every stack of this machine, or with `every` False only that of `home`.

    `keep_volumes`: they stay, and are no part of what is found.
    """

    home: Home
    docker: Mapping[str, str]
    every: bool
    keep_volumes: bool = False

    @property
    def by_hand(self) -> list[str]:
        """How what Docker has is removed without ccapi, by label, in this order."""
        label = spec.LABEL if self.every else f"{spec.LABEL}={self.home.stack}"
        commands = [
            f"docker rm --force $(docker ps --all --quiet --filter label={label})",
            f"docker network rm $(docker network ls --quiet --filter label={label})",
        ]
        if not self.keep_volumes:
            commands.append(f"docker volume rm $(docker volume ls --quiet --filter label={label})")
        images = f"docker rmi $(docker images --quiet --filter label={spec.IMAGE_LABEL}={spec.REPOSITORY})"
        return [*commands, images] if self.every else commands


def look(scope: Scope) -> Found:
    """All of it. Nothing is started or changed."""
    found = Found()
    for home in _homes(scope, found):
        found.artefacts.extend(_of_system(home))
        if not found.docker:
            with _seen(found):
                found.artefacts.extend(_of_docker(home, scope, found))
    if not found.docker:
        with _seen(found):
            found.artefacts.extend(_images(scope))
    if scope.every:
        with _seen(found):
            found.artefacts.extend(map(_completion, completion.installed(environment.own(), scope.home)))
    files = ownfiles.look(scope.home, every=scope.every)
    found.artefacts.extend(_files(scope, files))
    found.kept.extend(files.kept)
    return found


def remove(scope: Scope, report: Report) -> None:
    """Remove it: of each stack what the system starts, the proxy, container, network and volumes; images; files.

    What cannot be removed is told as a warning, and the rest goes on; `look` says what is left.
    """
    found = Found()
    homes = _homes(scope, found)
    for home in homes:
        with _told(report):  # first, or the system would start the proxy again
            _unit(home)
        with _told(report):
            proxy.stop(home)
        if not found.docker:
            with _told(report):
                _take_down(home, scope, report)
    if not found.docker:
        with _told(report), Inventory(scope.docker, scope.home.stack) as engine:
            _remove_images(engine, scope, report)
    if scope.every:
        with _told(report):
            completion.uninstall(environment.own(), scope.home)
    for file, why in ownfiles.remove(scope.home, every=scope.every).items():
        report(Progress("warning", f"{file} cannot be removed: {why}"))


@contextmanager
def _seen(found: Found) -> Iterator[None]:
    try:
        yield
    except CcapiError as error:
        found.unseen.append(error)


@contextmanager
def _told(report: Report) -> Iterator[None]:
    try:
        yield
    except CcapiError as error:
        report(Progress("warning", error.message))


def _homes(scope: Scope, found: Found) -> list[Home]:
    if not scope.every:
        with _seen(found), Inventory(scope.docker, scope.home.stack):
            pass  # can it be asked?
        return [scope.home]
    homes = {scope.home, *(scope.home._replace(project=name) for name in ownfiles.stacks(scope.home))}
    homes |= set(_with_unit(scope.home))
    with _seen(found):
        homes |= set(stacks.homes(scope.home, scope.docker))
    return sorted(homes, key=lambda home: home.stack)


# --- what there is


def _of_system(home: Home) -> Iterator[Artefact]:
    """What starts the proxy, and the proxy."""
    with suppress(ProxyFailed):  # on this system there is no such thing
        if (file := proxy.unit_file(home)).exists():
            yield Artefact("unit", str(file), home.stack, "starts the OAuth proxy", f"rm {shlex.quote(str(file))}")
    for port in daemon.ports(home):
        instance = daemon.found(home, port)
        by_hand = f"kill {instance.pid}" if instance else ""
        yield Artefact("proxy", f"http://localhost:{port}", home.stack, "the OAuth proxy, which runs", by_hand)


def _with_unit(home: Home) -> Iterator[Home]:
    """The stacks whose proxy the system starts."""
    with suppress(ProxyFailed):
        plain = proxy.unit_file(home)
        for file in plain.parent.glob(f"{plain.stem}-*{plain.suffix}"):
            named = home._replace(project=file.stem.removeprefix(f"{plain.stem}-"))
            with suppress(ValueError):
                census.project(named.stack)
                yield named


def _of_docker(home: Home, scope: Scope, found: Found) -> Iterator[Artefact]:
    with Inventory(scope.docker, home.stack) as engine:
        there = engine.holdings()
    if scope.keep_volumes:
        found.volumes.extend(volume.name for volume in there.volumes)
    else:
        found.revoke.extend(_to_revoke(home.stack, there))
    for name in there.containers:
        yield Artefact("container", name, home.stack, command=f"docker rm --force {name}")
    for name in there.networks:
        yield Artefact("network", name, home.stack, command=f"docker network rm {name}")
    for volume in [] if scope.keep_volumes else there.volumes:
        holds = teardown.HOLDS.get(volume.role, "")
        yield Artefact("volume", volume.name, home.stack, holds, f"docker volume rm {volume.name}")


def _to_revoke(stack: str, there: Holdings) -> Iterator[str]:
    if there.servers is None:
        for volume in there.volumes:
            if volume.role == "claude-config":
                yield f"{stack}: whatever is signed in to on {volume.name}; without a container nobody can look"
        return
    if method := _METHODS.get(there.method or ""):
        yield f"{stack}: {method}"
    for server in there.servers:
        yield f"{stack}: the sign-in to the MCP server {server}"


def _images(scope: Scope) -> list[Artefact]:
    with Inventory(scope.docker, scope.home.stack) as engine:
        return [Artefact("image", name, command=f"docker rmi {name}") for name in _of_images(engine, scope)]


def _of_images(engine: Inventory, scope: Scope) -> list[str]:
    """Those that go: other stacks need what `up` built as well."""
    if scope.every or engine.alone():
        return sorted(image.name for image in engine.images())
    return engine.kept_for_going_back()


def _completion(file: Path) -> Artefact:
    if file.stem == "ccapi":
        return Artefact("completion", str(file), command=f"rm {shlex.quote(str(file))}")
    return Artefact("completion", str(file), None, "one line in it", f"remove the line with ccapi in {file}")


def _files(scope: Scope, files: ownfiles.Found) -> Iterator[Artefact]:
    """One for each directory that they lie in."""
    what: dict[ownfiles.Kind, str] = {
        "config": "settings",
        "state": "the stacks' secrets, API keys, logs",
        "cache": "what can be made again",
    }
    for kind, holds in what.items():
        directory = scope.home.below(kind)
        if not scope.every and scope.home.project:
            name = f"{scope.home.project}.toml" if kind == "config" else scope.home.project
            directory = directory / "projects" / name
        own = [file for file in files.own if file.is_relative_to(directory) and file.parent.name != "completion"]
        if own:
            detail = f"{holds}: {len(own)} file{'s' if len(own) > 1 else ''}"
            mixed = any(file.is_relative_to(directory) for file in files.kept)
            by_hand = ["rm", *map(str, own)] if mixed else ["rm", "-r", str(directory)]
            yield Artefact("files", str(directory), None, detail, shlex.join(by_hand))


# --- how it goes


def _unit(home: Home) -> None:
    try:
        file = proxy.unit_file(home)
    except ProxyFailed:  # on this system there is no such thing
        return
    if file.exists():
        proxy.uninstall(home)


def _take_down(home: Home, scope: Scope, report: Report) -> None:
    losses = Losses(grace=False, again="ccapi uninstall")
    with Inventory(scope.docker, home.stack) as engine:
        there = engine.holdings()
        if there.containers or there.networks:
            with _told(report):
                teardown.end(home, docker=scope.docker, losses=losses, report=report)
        for volume in [] if scope.keep_volumes else there.volumes:
            with _told(report):
                engine.remove_volume(volume.name)


def _remove_images(engine: Inventory, scope: Scope, report: Report) -> None:
    if scope.every or engine.alone():
        engine.remove_images()
        return
    for name in engine.kept_for_going_back():
        with _told(report):
            engine.remove_image(name)
