"""What the checks look at. Each fact is found out once, when the first check asks for it; the others wait for it.

Nothing here changes anything: no directory is made, no secret, no container. Everything may be missing or broken, which
raises the `CcapiError` that says so, each time anew. (The runner turns that into a finding.)
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from ccapi import __version__, paths
from ccapi import settings as host_settings
from ccapi.commands import secret as stack_secret
from ccapi.errors import CcapiError, SettingInvalid, StackFailed
from ccapi.paths import Home
from ccapi.settings import Settings

if TYPE_CHECKING:
    from ccapi.client.outside import Seen
    from ccapi.client.status import Answer
    from ccapi.stack.container import Ran
    from ccapi.stack.engine import Container
    from ccapi.stack.inspection import Document, Inspector

_T = TypeVar("_T")
_P = ParamSpec("_P")
_API = "https://api.anthropic.com"
_SHARE = 0.6  # of a check's time: who does not answer is told of by the check, which knows more than the runner


def once(fact: Callable[Concatenate[Facts, _P], _T]) -> Callable[Concatenate[Facts, _P], _T]:
    """A fact that is found out by the first thread that asks, and then known: its value, or its error."""

    def known(self: Facts, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        key = (fact.__name__, args)
        with self._guard:
            lock = self._locks[key]
        with lock:
            if key not in self._known:
                self._known[key] = _outcome(lambda: fact(self, *args, **kwargs))
        value, error = self._known[key]
        if error is not None:
            raise error
        found: _T = value
        return found

    known.__doc__ = fact.__doc__
    return known


def _outcome(find: Callable[[], object]) -> tuple[Any, CcapiError | None]:
    try:
        return find(), None
    except CcapiError as error:
        return None, error


class Facts:
    """For one run of checks. `timeout` is what a check may take, in seconds; `say` shows what a deep check does."""

    def __init__(
        self,
        home: Home,
        *,
        environ: Mapping[str, str] | None = None,
        directory: Path | None = None,
        offline: bool = False,
        timeout: float = 5.0,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`directory`: in which ccapi runs; None is the working directory."""
        self.home = home
        self.environ: Mapping[str, str] = dict(host_settings.environment.own(environ))
        self.directory = directory
        self.offline = offline
        self.timeout = timeout
        self.say = say
        self.version = __version__
        self._guard = threading.Lock()
        self._locks: dict[object, threading.Lock] = defaultdict(threading.Lock)
        self._known: dict[object, tuple[Any, CcapiError | None]] = {}

    def again(self) -> Facts:
        """The same, with nothing known yet: after something was mended."""
        return Facts(
            self.home,
            environ=self.environ,
            directory=self.directory,
            offline=self.offline,
            timeout=self.timeout,
            say=self.say,
        )

    @property
    def share(self) -> float:
        """Seconds that one of the things may take that a check asks."""
        return self.timeout * _SHARE

    @property
    def rest(self) -> float:
        """Seconds of a check's time that are left when one of the things took its share."""
        return self.timeout - self.share

    # --- this machine

    @property
    def stack(self) -> str:
        """The name of the container, of the compose project, of the label's value."""
        return self.home.stack

    @property
    def state_dir(self) -> Path:
        """It need not exist."""
        return paths.state_dir(self.home)

    @property
    def docker_environment(self) -> dict[str, str]:
        """What `docker` and the SDK get of the environment."""
        return host_settings.docker_environment(self.environ)

    @property
    def network_environment(self) -> dict[str, str]:
        """What the container gets of it."""
        return host_settings.network_environment(self.environ)

    @once
    def settings(self) -> Settings:
        """Raises `SettingInvalid`."""
        return host_settings.load(home=self.home, environ=self.environ, directory=self.directory)

    @once
    def secret(self) -> str | None:
        """The stack's secret; None when there is none yet. Raises `SettingInvalid` when it cannot be read."""
        file = stack_secret.path(self.home)
        try:
            return file.read_text("ascii", errors="replace").strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SettingInvalid(f"{file}: {error.strerror}") from None

    # --- the engine

    def engine(self) -> Inspector:
        """A connection of one's own, to be closed: `with facts.engine() as engine`. Raises `DockerUnavailable`."""
        from ccapi.stack.inspection import Inspector

        return Inspector(self.docker_environment, self.stack, timeout=self.share)

    @once
    def engine_info(self) -> Document:
        """`docker info`."""
        with self.engine() as engine:
            return engine.info()

    @once
    def engine_version(self) -> Document:
        """`docker version`, the server's half."""
        with self.engine() as engine:
            return engine.version()

    @once
    def container(self) -> Container | None:
        """The stack's container, or whatever else has its name; see `Container.ours`."""
        with self.engine() as engine:
            return engine.container()

    @once
    def inspected(self) -> Document | None:
        """`docker inspect` of it."""
        with self.engine() as engine:
            return engine.inspected()

    @once
    def image(self, reference: str) -> Document | None:
        """`docker image inspect`."""
        with self.engine() as engine:
            return engine.image(reference)

    def own_container(self) -> Container:
        """The stack's container, running or not. Raises `StackFailed` when there is none."""
        container = self.container()
        if container is None or not container.ours:
            raise StackFailed("there is no container", hint="Start it: ccapi up")
        return container

    def running_container(self) -> Container:
        """The stack's container. Raises `StackFailed` when it does not run."""
        container = self.own_container()
        if container.state != "running":
            raise StackFailed(f"the container is not running: {container.state}", hint="Start it: ccapi up")
        return container

    def run_inside(self, *argv: str, stdin: bytes = b"", timeout: float | None = None) -> Ran:
        """Run a program in the container; what is secret belongs in `stdin`. Raises `StackFailed`, `StackTimeout`."""
        from ccapi.stack.container import Container as Inside

        with self.engine() as engine:
            return Inside(engine).run(*argv, stdin=stdin, timeout=timeout or self.share)

    # --- the model's API, and the machines that a build needs

    @property
    def api_url(self) -> str:
        """Where Claude Code asks its model."""
        return self.environ.get("ANTHROPIC_BASE_URL") or _API

    @once
    def outside(self, url: str) -> Seen:
        """What a machine on the internet says to this one."""
        from ccapi.client.outside import look

        with suppress(SettingInvalid):
            return look(url, environ=self.environ, extra_ca=self.settings().ca_file, timeout=self.share)
        return look(url, environ=self.environ, extra_ca=None, timeout=self.share)

    # --- the gateway

    @once
    def base_url(self) -> str:
        """Where the gateway answers: where Docker has published it, else where the settings say."""
        container = _outcome(self.container)[0]
        if container is not None and container.ours and container.port:
            return host_settings.load({"gateway.port": container.port}, home=self.home, environ=self.environ).base_url
        return self.settings().base_url

    @once
    def health(self) -> Answer:
        """`/health`. Raises `GatewayUnreachable` and the like."""
        return self._ask("/health")

    @once
    def ready(self) -> Answer:
        """`/ready`, which may want an API key: that of the environment is shown. Raises `KeyInvalid` when it does."""
        return self._ask("/ready", bearer=host_settings.api_key(self.environ))

    def _ask(self, path: str, bearer: str | None = None) -> Answer:
        from ccapi.client.status import ask

        return ask(self.base_url(), path, bearer=bearer, timeout=self.share)
