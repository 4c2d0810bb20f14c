"""The real parts of a login: the container, the gateway in it, and the OAuth proxy on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from ccapi.client.internal import InternalClient
from ccapi.client.proxy import ProxyClient
from ccapi.commands import inside, secret
from ccapi.commands import proxy as proxy_commands
from ccapi.commands.login import Parts
from ccapi.errors import StackFailed
from ccapi.settings import Settings
from ccapi.stack import status as stack_status
from ccapi.stack.status import Status

_HEALTHY_WITHIN = 60.0  # seconds for a container that is just starting
_POLL = 0.5


def published_port(docker: Mapping[str, str], stack: str, waiting: Callable[[], None]) -> int | None:
    """The port of the healthy gateway, as Docker has it; the settings may say another by now.

    A container that is just starting is waited for, of which `waiting` is told. Raises `DockerUnavailable`,
    `StackFailed`.
    """
    deadline = time.monotonic() + _HEALTHY_WITHIN
    told = False
    while (found := stack_status.status(docker, stack)).state in {
        "starting",
        "restarting",
    } and time.monotonic() < deadline:
        if not told:
            waiting()
            told = True
        time.sleep(_POLL)
    _must_be_healthy(found)
    return found.container.port if found.container else None


@contextmanager
def connected(settings: Settings, docker: Mapping[str, str]) -> Iterator[Parts]:
    """Everything a login is made with. The proxy is started when it is first asked for.

    After that, one that somebody else has started anew is taken as it is.
    """
    key = secret.ensure(settings.home)
    clients: list[ProxyClient] = []
    with ExitStack() as stack:
        container = stack.enter_context(inside.opened(docker, settings.home.stack))
        gateway = stack.enter_context(InternalClient(settings.base_url, key))

        def proxy() -> ProxyClient:
            port = settings.oauth_port
            if clients:
                port = proxy_commands.resume(settings)
            else:
                proxy_commands.start(settings)
            clients.append(stack.enter_context(ProxyClient(f"http://127.0.0.1:{port}", key)))
            return clients[-1]

        yield Parts(container, gateway, proxy)


def _must_be_healthy(found: Status) -> None:
    if found.state == "healthy":
        return
    if found.state in {"absent", "stopped"}:
        raise StackFailed("the container is not running", hint="Start it: ccapi up")
    raise StackFailed(found.verdict, hint="Mend it: ccapi up\nSee what it says: ccapi logs")
