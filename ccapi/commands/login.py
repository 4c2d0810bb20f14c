"""The guided login to an MCP server: what must hold before, the login itself, and the truth after it.

Whatever ends it (success, failure, time limit, Ctrl-C), nothing of it is left: no process in the container, no listener
on this machine, and no server in Claude Code's configuration that was put there in vain.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Protocol

from ccapi.commands import loginadvice, mcpservers
from ccapi.commands.inside import Inside
from ccapi.commands.loginadvice import Command
from ccapi.commands.logindialogue import EXCHANGE, URL_WITHIN, Dialogue, Invitation, Phase, Proxy, View
from ccapi.commands.mcpservers import Configured
from ccapi.errors import CcapiError, LoginFailed, UsageError
from ccapi.oauth.catalogue import OWN_APP_PORT, Entry
from ccapi.wire.internal import Probed, Server

__all__ = ["Invitation", "Parts", "Phase", "SignedIn", "View", "Wanted", "login"]

_MARGIN = 60.0  # seconds by which the process in the container may outlive the time limit, if this one is killed
_BACK_WITHIN = 20.0  # seconds for a container that was restarted in the middle
_SETTLED_WITHIN = 4.0  # seconds after a login, for Claude Code to say that it is connected
_POLL = 0.5


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asked for. `timeout` is in seconds, from the moment the URL is shown.

    `url` None: the one that is configured, else the catalogue's. `trust_url`: one that `check_url` would not take.
    `replace`: a login that works may be given up. `callback_port` is for this login, `usual_port` for any.
    """

    name: str
    url: str | None = None
    trust_url: bool = False
    timeout: float = 300.0
    replace: bool = False
    client_id: str | None = None
    client_secret: str | None = None
    callback_port: int | None = None
    usual_port: int | None = None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """How it ended. `already`: the server works, and was left as it is. `open`: it wants no login at all.

    `tools` None: they are not known.
    """

    name: str
    tools: tuple[str, ...] | None
    already: bool = False
    open: bool = False


class Gateway(Protocol):
    """The gateway's internal API; see `ccapi.client.internal.InternalClient`."""

    def server(self, name: str) -> Server | None: ...

    def probe(self, url: str, token: str | None = None) -> Probed: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What a login is made with. `proxy` starts it if need be, and raises why there is none."""

    container: Inside
    gateway: Gateway
    proxy: Callable[[], Proxy]


def login(wanted: Wanted, entry: Entry | None, parts: Parts, view: View) -> SignedIn:
    """Sign in. `entry` is the catalogue's, if it has one of that name.

    Raises `LoginFailed`, `LoginTimeout`, `LoginNeeded` (a client id or a token is needed), `PortBusy` (of the redirect
    URI), `InputNeeded`, `UsageError`, and what the parts raise.
    """
    mcpservers.check_name(wanted.name)
    if wanted.url:
        mcpservers.check_url(wanted.url, trust=wanted.trust_url)
    return _Login(wanted, entry, parts, view).run()


class _Login:
    def __init__(self, wanted: Wanted, entry: Entry | None, parts: Parts, view: View) -> None:
        self._wanted = wanted
        self._name = wanted.name
        self._entry = entry
        self._parts = parts
        self._view = view

    def run(self) -> SignedIn:
        self._view.phase("looking")
        configured = mcpservers.get(self._parts.container, self._name)
        url = self._url(configured)
        free = self._probe(url, configured)
        differs = self._differs(configured, url)
        works = configured is not None and self._connected() is None
        if works and not self._may_go_on(settled=free and not differs):
            return SignedIn(self._name, self._tools(), already=True, open=free)
        with ExitStack() as undo:
            if differs:
                self._put(url, undo)
            if not free:
                self._sign_in(replaces=works)
            undo.pop_all()
        return SignedIn(self._name, self._checked(), open=free)

    def _may_go_on(self, *, settled: bool) -> bool:
        """Of a server that works: whether what works is to be replaced. `settled`: there is nothing to do anyway."""
        return not settled and (self._wanted.replace or self._view.may_replace(self._tools()))

    @property
    def _command(self) -> Command:
        wanted = self._wanted
        return Command(wanted.name, wanted.url, wanted.trust_url, wanted.client_id, wanted.callback_port)

    # --- before the browser

    def _url(self, configured: Configured | None) -> str:
        if configured and configured.kind == "other":
            raise UsageError(f"{self._name} is a program in the container: there is nothing to sign in to")
        known = configured.url if configured else None
        if known is None and self._entry:
            known = self._entry.endpoint("client-id" if self._wanted.client_id else "browser")
        if url := self._wanted.url or known:
            return url
        raise loginadvice.unknown(self._name)

    def _probe(self, url: str, configured: Configured | None) -> bool:
        """Whether the server wants no login. Raises when it is known that there is no way in."""
        probed = self._parts.gateway.probe(url)
        if configured is None and probed.outcome in {"unreachable", "no_mcp"}:
            raise loginadvice.unusable(url, probed, typed=self._wanted.url is not None)
        registers = probed.registration or probed.client_id_metadata or not probed.issuer
        has_client = self._client_id(url) or (configured and configured.kind == "client-id")
        if probed.outcome == "unauthorized" and not registers and not has_client:
            raise loginadvice.no_registration(self._command, self._entry)
        return probed.outcome == "ok"

    def _differs(self, configured: Configured | None, url: str) -> bool:
        """Whether the configuration must change before the login."""
        if configured is None or configured.url != url:
            return True
        if configured.kind == "client-id":
            return self._wanted.client_id is not None
        return configured.kind == "token" or self._client_id(url) is not None

    def _client_id(self, url: str) -> str | None:
        """The person's, else the one that the vendor gave Claude Code for this address."""
        known = self._entry if self._entry and self._entry.endpoint("browser") == url else None
        return self._wanted.client_id or (known.client_id if known else None)

    def _put(self, url: str, undo: ExitStack) -> None:
        """Configure the server; `undo` then knows how to take that back."""
        wanted, container = self._wanted, self._parts.container
        before = mcpservers.entry(container, self._name)
        undo.callback(self._restore, before)
        entry = mcpservers.document(url, client_id=self._client_id(url), callback_port=self._port)
        mcpservers.put(container, self._name, entry, client_secret=wanted.client_secret)

    def _restore(self, before: str | None) -> None:
        """As it was before. A container that is being restarted, which may be what ended the login, is waited for."""
        deadline = time.monotonic() + _BACK_WITHIN
        while True:
            try:
                return mcpservers.restore(self._parts.container, self._name, before)
            except CcapiError as error:
                if time.monotonic() > deadline:
                    left = "is still in Claude Code's configuration, without a login"
                    return self._view.warn(f"{self._name} {left}: {error.message}")
            time.sleep(_POLL)

    # --- the login

    @property
    def _port(self) -> int | None:
        """The port that the login must come back to; None: any."""
        vendors = self._entry.callback_port if self._entry else None
        own_app = OWN_APP_PORT if self._wanted.client_id else None
        return self._wanted.callback_port or vendors or self._wanted.usual_port or own_app

    def _sign_in(self, *, replaces: bool) -> None:
        self._view.phase("starting")
        timeout, proxy = self._wanted.timeout, self._parts.proxy
        variables = [f"MCP_OAUTH_CALLBACK_PORT={self._port}"] if self._port else []
        argv = ("env", "--chdir=/", *variables, "claude", "mcp", "login", self._name, "--no-browser")
        limit = URL_WITHIN + timeout + EXCHANGE + _MARGIN
        try:
            with self._parts.container.terminal(*argv, timeout=limit) as terminal:
                Dialogue(self._command, terminal, proxy, self._view, timeout=timeout).run()
        except BaseException:
            if replaces:
                self._view.warn("The login that worked before is gone: Claude Code dropped it when the new one began")
            raise

    # --- after it

    def _checked(self) -> tuple[str, ...] | None:
        """The tools, when Claude Code itself says that it is connected. Raises `LoginFailed`.

        It is asked more than once: another process of it may just be writing the file that the login is in.
        """
        self._view.phase("checking")
        deadline = time.monotonic() + _SETTLED_WITHIN
        while reason := self._connected():
            if time.monotonic() > deadline:
                raise LoginFailed(
                    f"Signed in to {self._name}, but Claude Code is not connected to it: {reason}",
                    hint=f"Try again: {self._command}",
                )
            time.sleep(_POLL)
        return self._tools()

    def _connected(self) -> str | None:
        """What `claude mcp list` says of the server: None if it is connected, else why it is not."""
        found = next((one for one in mcpservers.listed(self._parts.container) if one.name == self._name), None)
        if found is None:
            return "Claude Code does not list it"
        return None if found.status == "connected" else found.reason or found.status

    def _tools(self) -> tuple[str, ...] | None:
        with suppress(CcapiError):  # what they are is good to know, and no more
            found = self._parts.gateway.server(self._name)
            if found and found.status == "connected":
                return found.tools
        return None
