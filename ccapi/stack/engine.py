"""Reads the Docker engine through its SDK: state, health, logs, volumes, images. The only importer of `docker`.

Every exception of the SDK, of requests below it and of the system leaves here as one of ours. (Without a daemon, calls
raise `requests.exceptions.ConnectionError`, which is no `DockerException`.)
"""

from __future__ import annotations

import errno
import io
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from ccapi.errors import CcapiError, DockerUnavailable, StackFailed
from ccapi.stack import spec
from ccapi.stack.attached import Attached
from ccapi.stack.state import Container, knows_start_interval, only_file, parsed

if TYPE_CHECKING:
    from docker import APIClient

__all__ = ["Container", "Engine", "Execution", "Image", "Stray", "Volume", "endpoint"]

_OWN_IMAGES = {"label": f"{spec.IMAGE_LABEL}={spec.REPOSITORY}"}
_IMAGE_OF_OURS = re.compile(rf"{spec.REPOSITORY}:[0-9a-f]{{12}}")
# What `up` does not tidy away: a release that `ccapi upgrade` may go back to. (Of `claude-code-api-web`: before-web.)
_KEPT = re.compile(rf"{spec.REPOSITORY}:{spec.BEFORE}(-[a-z0-9][a-z0-9_-]*)?")
_CHUNK = 64 * 1024  # bytes
_STOP = 10  # seconds; what Docker takes for a container that says nothing of it
_ONCE = 600  # seconds that preparing a volume may take: it may hold a great many files
_TAR_HEADERS = 8 * 1024  # bytes; of one file, however long its name

_DEFAULT = "the default socket"
_INSTALL = "Install Docker Engine with the compose plugin: https://docs.docker.com/engine/install/"
_STARTS = {"darwin": "open -a Docker", "win32": "docker desktop start"}
_START = _STARTS.get(sys.platform, "sudo systemctl start docker")


@dataclass(frozen=True, slots=True)
class Volume:
    """`role` is the name in docker-compose.yml, `name` the one that Docker knows."""

    name: str
    role: str


@dataclass(frozen=True, slots=True)
class Image:
    """One that `up` built, for whatever stack. `size` is in bytes, with what it shares with others."""

    name: str
    size: int
    used: bool  # by a container, running or not


@dataclass(frozen=True, slots=True)
class Stray:
    """What carries our label and belongs to no stack that is there. `running`: a container that runs."""

    kind: Literal["container", "network"]
    name: str
    running: bool = False


@dataclass(frozen=True, slots=True)
class Execution:
    """A process that was started in a container, and its input and output."""

    id: str
    stream: Attached


class Engine:
    """A connection to the engine that `docker` itself would use: DOCKER_HOST, else the current context.

    `stack` is the one that is asked about: `paths.Home.stack`. `timeout` is in seconds and holds for each call.
    Opening it dials the engine and raises `DockerUnavailable`.
    """

    def __init__(self, environ: Mapping[str, str], stack: str, *, timeout: float = 10.0) -> None:
        self.stack = stack
        self._environ = environ
        self._label = {spec.LABEL: stack}
        self._own = {"label": f"{spec.LABEL}={stack}"}
        with self._mapped():
            import docker

            # `timeout` is annotated as int, and requests takes a float.
            self._api: APIClient = docker.from_env(environment=dict(environ), timeout=timeout).api  # type: ignore[arg-type]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._api.close()

    @property
    def knows_start_interval(self) -> bool:
        """Whether a health check may be more frequent while the container starts."""
        return knows_start_interval(self._api.api_version)

    def container(self) -> Container | None:
        """The stack's container, or whatever else has its name; see `Container.ours`."""
        from docker.errors import NotFound

        with self._mapped():
            try:
                return parsed(self._api.inspect_container(self.stack))
            except NotFound:
                return None

    def own(self) -> Container | None:
        """The stack's container; None when there is none, or something else has its name."""
        found = self.container()
        return found if found and found.ours else None

    def present(self) -> Container:
        """The stack's container, running or not. Raises `StackFailed` when there is none."""
        if found := self.own():
            return found
        raise StackFailed("there is no container", hint="Start it: ccapi up")

    def running(self) -> Container:
        """The stack's container. Raises `StackFailed` when it does not run."""
        found = self.own()
        if found is None or found.state != "running":
            raise StackFailed("the container is not running", hint="Start it: ccapi up")
        return found

    def restart(self, *, grace: int) -> None:
        """Stop the container, by force after `grace` seconds, and start it again."""
        with self._mapped():
            self._api.restart(self.stack, timeout=grace)

    def stop(self) -> None:
        """Stop the container, which stays so until somebody starts it."""
        with self._mapped():
            self._api.stop(self.stack)

    def unpause(self) -> None:
        with self._mapped():
            self._api.unpause(self.stack)

    def logs(self, tail: int, *, timestamps: bool = False) -> bytes:
        with self._mapped():
            return bytes(self._api.logs(self.stack, tail=tail, timestamps=timestamps))

    def start(
        self,
        container: str,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        stdin: bool = False,
        tty: bool = False,
    ) -> Execution:
        """Run a program in a running container, as its user. Without `tty` the output is in Docker's frames.

        It may begin a moment later. Raises `StackFailed` when the container is not running.
        """
        from docker.errors import APIError

        with self._mapped():
            try:
                made = self._api.exec_create(container, list(argv), environment=dict(environment), stdin=stdin, tty=tty)
            except APIError as error:
                if error.status_code in {404, 409}:  # none of that name; stopped, paused or restarting
                    raise StackFailed("the container is not running", hint="Start it: ccapi up") from error
                raise
            return Execution(made["Id"], Attached(self._api.exec_start(made["Id"], tty=tty, socket=True)))

    def exit_code(self, execution: str) -> int | None:
        """Of a program that `start` started; None before it has begun and while it runs."""
        with self._mapped():
            found = self._api.exec_inspect(execution)
        return None if found["Running"] else found["ExitCode"]

    def signal(self, container: str, name: str) -> None:
        """Send a signal to the container's first process. Raises `StackFailed` when it does not run."""
        with self._mapped():
            self._api.kill(container, name)

    def file(self, path: str, *, most: int = 1024 * 1024) -> bytes | None:
        """What is in a file of the container, running or not, on one of its volumes or in its image.

        None when there is none, when it is no regular file, and when it has more than `most` bytes.
        """
        archive = self._archive(path, most + _TAR_HEADERS)
        return None if archive is None else only_file(archive, most)

    def owner(self, path: str) -> tuple[int, int] | None:
        """User and group of a file or directory of the container, running or not; None when there is none."""
        archive = self._archive(path, _TAR_HEADERS)
        if archive is None:
            return None
        import tarfile

        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as files:
            found = files.next()
        return (found.uid, found.gid) if found else None

    def _archive(self, path: str, most: int) -> bytes | None:
        """The beginning of the tar archive that the engine makes of a path; None when there is nothing."""
        url = f"{self._api.base_url}/v{self._api.api_version}/containers/{self.stack}/archive"
        # Not `get_archive`: it has no time limit, and does not close what was read in part.
        ask: dict[str, Any] = {"params": {"path": path}, "stream": True, "timeout": self._api.timeout}
        with self._mapped(), self._api.get(url, **ask) as answer:
            if answer.status_code == 404:
                return None
            if not answer.ok:
                raise StackFailed(f"Docker refused to read {path} of the container: HTTP {answer.status_code}")
            archive = b""
            for chunk in answer.iter_content(_CHUNK):
                archive += chunk
                if len(archive) > most:
                    break
        return archive

    def run_as_root(self, image: str, script: str, volumes: Mapping[str, str], *, capabilities: Sequence[str]) -> None:
        """Run a shell script once, as root with these capabilities and no more, without a network, on these volumes.

        `volumes`: where each is mounted, by its name. Raises `StackFailed` with what the script said.
        """
        with self._mapped():
            confined = self._api.create_host_config(
                binds={name: {"bind": place, "mode": "rw"} for name, place in volumes.items()},
                cap_drop=["ALL"],
                cap_add=list(capabilities),
                network_mode="none",
                read_only=True,
                security_opt=["no-new-privileges"],
            )
            made = self._api.create_container(
                image,
                entrypoint=["sh", "-euc", script],
                command=[],
                user="0:0",
                labels=self._label,
                host_config=confined,
            )
            try:
                self._api.start(made["Id"])
                code = self._api.wait(made["Id"], timeout=_ONCE)["StatusCode"]
                said = self._api.logs(made["Id"]).decode("utf-8", "replace").strip()
            finally:
                self._api.remove_container(made["Id"], force=True)
        if code:
            raise StackFailed(f"preparing the volumes failed: {said.splitlines()[-1] if said else f'exit code {code}'}")

    def has_image(self, reference: str) -> bool:
        with self._mapped():
            return bool(self._api.images(name=reference))

    def image_id(self, reference: str) -> str | None:
        """None when there is no such image here."""
        with self._mapped():
            found = self._api.images(name=reference)
        return str(found[0]["Id"]) if found else None

    def newest_image(self, user: str) -> str | None:
        """The name of the image of ours that was built last for this user; None when there is none."""
        with self._mapped():
            found = sorted(self._api.images(filters=_OWN_IMAGES), key=lambda image: -int(image["Created"]))
            for image in found:
                for name in image["RepoTags"] or []:
                    config = self._api.inspect_image(name)["Config"]  # type: ignore[no-untyped-call]
                    if _IMAGE_OF_OURS.fullmatch(name) and config["User"] == user:
                        return str(name)
        return None

    def volumes(self) -> list[Volume]:
        with self._mapped():
            found = self._api.volumes(filters=self._own)["Volumes"] or []
        return sorted(
            (Volume(v["Name"], v["Labels"].get("com.docker.compose.volume", v["Name"])) for v in found),
            key=lambda volume: volume.role,
        )

    def publisher(self, port: int) -> str | None:
        """The name of the container that has this port of the host."""
        with self._mapped():
            for found in self._api.containers():
                if any(p.get("PublicPort") == port for p in found["Ports"]):
                    return str(found["Names"][0]).lstrip("/")
        return None

    def published(self) -> dict[int, str]:
        """The ports of the host that our containers have, of whatever stack, running or not; and the stack's name."""
        with self._mapped():
            found = self._api.containers(all=True, filters={"label": spec.LABEL})
            documents = [self._api.inspect_container(one["Id"]) for one in found]
        there = [parsed(document) for document in documents]
        return {one.port: one.labels[spec.LABEL] for one in there if one.port}

    def images(self) -> list[Image]:
        """Those that `up` built, for this stack and others; not one that somebody gave a name of their own."""
        with self._mapped():
            used = {found["ImageID"] for found in self._api.containers(all=True)}
            found = self._api.images(filters=_OWN_IMAGES)
        return [
            Image(name, image["Size"], image["Id"] in used) for image in found for name in _ours(image, keep="")[:1]
        ]

    def image_names(self) -> list[str]:
        """All that those have: one that was built twice, and came out the same, has two."""
        with self._mapped():
            return [name for image in self._api.images(filters=_OWN_IMAGES) for name in _ours(image, keep="")]

    def strays(self) -> list[Stray]:
        """Containers with our label and another name, and networks whose stack has no container.

        The first are what is left when compose was interrupted while it replaced a container.
        """
        anybodys = {"label": spec.LABEL}
        with self._mapped():
            containers = self._api.containers(all=True, filters=anybodys)
            networks = self._api.networks(filters=anybodys)
        named = [(found["Names"][0].lstrip("/"), found["Labels"][spec.LABEL], found["State"]) for found in containers]
        there = {name for name, stack, _ in named if name == stack}
        return [
            *(Stray("container", name, state == "running") for name, stack, state in named if name != stack),
            *(Stray("network", found["Name"]) for found in networks if found["Labels"][spec.LABEL] not in there),
        ]

    def leftovers(self) -> list[str]:
        """The stack's containers that compose has made to take the place of another one, and that never did."""
        with self._mapped():
            found = self._api.containers(all=True, filters=self._own)
        names = [str(one["Names"][0]).lstrip("/") for one in found]
        return sorted(name for name in names if spec.is_provisional(name, self.stack))

    def take_away(self, container: str, grace: int | None = None) -> None:
        """Stop it, by force after `grace` seconds, and remove it, unless somebody else is quicker.

        `grace`: None for what the container itself was made with.
        """
        from docker.errors import NotFound

        with self._mapped(), suppress(NotFound):
            if grace is None:
                grace = self._api.inspect_container(container)["Config"].get("StopTimeout") or _STOP
            self._api.stop(container, timeout=grace)
            self._api.remove_container(container, force=True)

    def remove(self, stray: Stray) -> None:
        """Remove it; a container that runs refuses, as does a network that something is attached to."""
        with self._mapped():
            if stray.kind == "container":
                self._api.remove_container(stray.name)
            else:
                self._api.remove_network(stray.name)

    def remove_image(self, name: str) -> None:
        """Take the name away, and the image with its last one. Raises `StackFailed` for one that is used."""
        with self._mapped():
            self._api.remove_image(name)

    def remove_old_images(self, keep: str) -> int:
        """Remove the images that earlier runs of `up` built. One that something still uses stays. How many went."""
        from docker.errors import APIError

        removed = 0
        with self._mapped():
            # Of an image with several names Docker would take any of them, also that by which a container has it.
            used = {found["Image"] for found in self._api.containers(all=True)}
            for image in self._api.images(filters=_OWN_IMAGES):
                for reference in _ours(image, keep):
                    if reference in used:
                        continue
                    with suppress(APIError):
                        self._api.remove_image(reference)
                        removed += 1
        return removed

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        """The one edge where foreign exceptions become ours."""
        from docker.errors import DockerException
        from requests.exceptions import RequestException
        from urllib3.exceptions import HTTPError

        try:
            yield
        except (DockerException, RequestException, HTTPError, OSError) as error:
            raise _translate(error, self._environ) from error


def _ours(image: Mapping[str, Any], keep: str) -> list[str]:
    """What to remove of an image with our label: nothing if it also has a tag that somebody else gave it.

    Nor if it is kept for going back, unless nothing at all is to be kept.
    """
    tags = [tag for tag in image["RepoTags"] or [] if tag != "<none>:<none>"]
    if not tags:
        return [image["Id"]]
    ours = [tag for tag in tags if _IMAGE_OF_OURS.fullmatch(tag)]
    ours += [tag for tag in tags if not keep and _KEPT.fullmatch(tag)]
    return ours if keep not in tags and len(ours) == len(tags) else []


def endpoint(environ: Mapping[str, str]) -> str:
    """Which engine is meant, for messages."""
    if host := environ.get("DOCKER_HOST"):
        return host
    if context := environ.get("DOCKER_CONTEXT"):
        return f"context {context}"
    return _DEFAULT


def _translate(error: BaseException, environ: Mapping[str, str]) -> CcapiError:
    from docker.errors import APIError

    if isinstance(error, APIError):
        return StackFailed(f"Docker refused: {error.explanation or error}", detail=repr(error))
    message, hint = _why(error, environ)
    return DockerUnavailable(message, hint=hint, detail=repr(error))


def _why(error: BaseException, environ: Mapping[str, str]) -> tuple[str, str]:
    import shutil

    from requests.exceptions import Timeout

    where = endpoint(environ)
    causes = list(_chain(error))
    numbers = {cause.errno for cause in causes if isinstance(cause, OSError)}
    if any(isinstance(cause, Timeout | TimeoutError) for cause in causes):
        return f"the Docker engine does not answer ({where})", "See what it does: docker info"
    if errno.EACCES in numbers or errno.EPERM in numbers:
        hint = "Let your account use it, then sign in again: sudo usermod -aG docker $USER\nOr use rootless Docker."
        return f"no permission to use the Docker engine ({where})", hint
    if shutil.which("docker", path=environ.get("PATH")) is None:
        return "Docker is not installed", _INSTALL
    if where.startswith("ssh:"):
        return f"an engine on another machine cannot be used ({where})", "Run ccapi there, or unset DOCKER_HOST."
    if errno.ENOENT in numbers or errno.ECONNREFUSED in numbers:
        hint = f"Is {where} right?" if where != _DEFAULT else f"Start it: {_START}\nOther engines: docker context ls"
        return f"the Docker engine is not running ({where})", hint
    return f"no Docker engine can be reached ({where}): {error}", "See what it says: docker info"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and everything below it: requests and urllib3 keep the cause in `args`."""
    while error is not None:
        yield error
        for argument in error.args:
            if isinstance(argument, BaseException):
                yield from _chain(argument)
        error = error.__cause__ or error.__context__
