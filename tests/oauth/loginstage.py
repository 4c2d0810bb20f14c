"""Where the guided login is tried out: a container that is none, a CLI that is scripted, and the real OAuth proxy."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ccapi.client.proxy import ProxyClient
from ccapi.commands.login import Invitation, Parts, Phase, SignedIn, Wanted, login
from ccapi.errors import CcapiError, ProxyFailed
from ccapi.oauth.catalogue import Entry
from ccapi.wire.internal import Probed, Server
from tests.cli.support import free_port
from tests.oauth.localcontainer import LocalContainer
from tests.oauth.support import SECRET, Running, new_state

URL = "https://mcp.example/mcp"
LOGIN_WANTED = Probed("unauthorized", issuer="https://as.example", registration=True)
TOOLS = ("read_page", "search")


@dataclass
class Gateway:
    """What the internal API would say."""

    container: LocalContainer
    probed: Probed = LOGIN_WANTED

    def probe(self, _: str, token: str | None = None) -> Probed:
        """A token is never good; with `unregistered` in the script no program is that the server does not know."""
        unknown = json.loads((self.container.config / "script.json").read_text("utf-8")).get("unregistered")
        return Probed("unauthorized", issuer="https://as.example") if token or unknown else self.probed

    def server(self, name: str) -> Server | None:
        signed_in = (self.container.config / "signed-in" / name).exists()
        return Server(name, "connected" if signed_in else "needs-auth", TOOLS if signed_in else ())


@dataclass
class Stage:
    """`script` is what the CLI does; see `scripted_claude.py`."""

    container: LocalContainer
    script: dict[str, Any]
    gateway: Gateway
    proxy_url: str | None = None
    secret: str = SECRET
    clients: ExitStack = field(default_factory=ExitStack)

    @property
    def parts(self) -> Parts:
        return Parts(self.container, self.gateway, self._proxy)

    @property
    def port(self) -> int:
        return int(self.script["port"])

    @property
    def answer(self) -> str:
        """The address that the browser ends on."""
        return f"http://localhost:{self.port}/callback?code=C0DE&state={self.script['state']}&iss=https%3A%2F%2Fas"

    @property
    def typed(self) -> str:
        """What the CLI was sent last."""
        return (self.container.config / "typed").read_bytes().decode("ascii")

    @property
    def configured(self) -> dict[str, Any]:
        file = self.container.config / ".claude.json"
        found: dict[str, Any] = json.loads(file.read_text("utf-8"))["mcpServers"] if file.exists() else {}
        return found

    def plays(self, **script: Any) -> None:
        self.script |= script
        (self.container.config / "script.json").write_text(json.dumps(self.script), "utf-8")

    def has(self, name: str, *, signed_in: bool, url: str = URL) -> None:
        """A server that is configured already."""
        servers = {**self.configured, name: {"type": "http", "url": url}}
        (self.container.config / ".claude.json").write_text(json.dumps({"mcpServers": servers}), "utf-8")
        (self.container.config / "signed-in").mkdir(exist_ok=True)
        if signed_in:
            (self.container.config / "signed-in" / name).touch()

    def delivered(self) -> None:
        """A callback has reached the CLI's listener."""
        (self.container.config / "delivered").touch()

    def login(self, view: RecordingView, entry: Entry | None = None, **wanted: Any) -> SignedIn:
        asked = Wanted(**{"name": "demo", "url": URL, "timeout": 30.0, **wanted})
        with self.clients:
            return login(asked, entry, self.parts, view)

    def _proxy(self) -> ProxyClient:
        if self.proxy_url is None:
            raise ProxyFailed("Port 8888 is in use by jupyter (PID 7)")
        return self.clients.enter_context(ProxyClient(self.proxy_url, self.secret))


def found(directory: Path, proxy_url: str | None = None, secret: str = SECRET) -> Stage:
    """The stage that is there already."""
    container = LocalContainer(directory / "container")
    return Stage(container, {}, Gateway(container), proxy_url, secret)


def staged(directory: Path, proxy: Running | None = None) -> Stage:
    """A stage for one login, which ends well if nothing else is said."""
    stage = found(directory)
    program = stage.container.directory / "bin" / "claude"
    program.unlink()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).parent / "scripted_claude.py"} "$@"\n')
    program.chmod(0o755)
    stage.plays(port=free_port(), state=f"{new_state()}_1", end="signed-in")
    if proxy:
        proxy.gateway.during = stage.delivered
        stage.proxy_url = f"http://127.0.0.1:{proxy.port}"
    return stage


@dataclass
class RecordingView:
    """`act` is called when the person is invited; `pastes` is what is pasted then. `interrupt`: Ctrl-C in a phase."""

    act: Callable[[Invitation], None] = lambda _: None
    pastes: Sequence[str] = ()
    can_paste: bool = True
    agrees: bool | CcapiError = True
    interrupt: Phase | None = None
    phases: list[Phase] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    invitations: list[Invitation] = field(default_factory=list)
    asked: list[tuple[str, ...] | None] = field(default_factory=list)

    def phase(self, phase: Phase) -> None:
        if phase not in self.phases[-1:]:
            self.phases.append(phase)
        if phase == self.interrupt:
            raise KeyboardInterrupt

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def may_replace(self, tools: tuple[str, ...] | None) -> bool:
        self.asked.append(tools)
        if isinstance(self.agrees, CcapiError):
            raise self.agrees
        return self.agrees

    def invite(self, invitation: Invitation) -> None:
        self.invitations.append(invitation)
        self.act(invitation)

    @contextmanager
    def pasting(self, took: Callable[[str], None]) -> Iterator[None]:
        for text in self.pastes:
            took(text)
        yield
