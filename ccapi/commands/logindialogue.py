"""One run of `claude mcp login` in the container, from its start to its end, with the browser on this machine.

Three things are followed at once, and all come through one queue: what Claude Code prints, what the OAuth proxy hears
from the browser, and what the person pastes. However it ends, no listener is left.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Literal, Protocol

from ccapi.client.proxy import Session
from ccapi.commands import loginadvice, pasted
from ccapi.commands.inside import Terminal
from ccapi.commands.loginadvice import Command
from ccapi.commands.loginscreen import LoginScreen
from ccapi.errors import CcapiError, LoginFailed, LoginTimeout, PortBusy, StackFailed, UsageError
from ccapi.wire import authorization
from ccapi.wire.authorization import Authorization

Phase = Literal["healthy", "looking", "starting", "waiting", "received", "exchanging", "checking"]

URL_WITHIN = 60.0  # seconds until Claude Code has printed the URL: it asks the server first, maybe several times
EXCHANGE = 60.0  # seconds from the browser's answer to the end of the login
_LAST_WORDS = 5.0  # seconds for the CLI to end, once it has said how
_PROMPT_WITHIN = 2.0  # seconds from the URL until the CLI asks for what is pasted, and reads its terminal for it
_BACK_WITHIN = 5.0  # seconds for a proxy that is being started anew
_POLL = 0.25


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a person needs to go on in the browser. `relayed`: the answer comes back by itself; else it is pasted."""

    login: Authorization
    relayed: bool
    expires_in: float


class View(Protocol):
    """What is shown to the person, and asked of them."""

    @property
    def can_paste(self) -> bool:
        """Whether anything could be pasted at all."""

    def phase(self, phase: Phase) -> None: ...

    def warn(self, text: str) -> None: ...

    def may_replace(self, tools: tuple[str, ...] | None) -> bool:
        """Ask whether to give up a login that works, with these tools. Raises `InputNeeded` if nobody can be asked."""

    def invite(self, invitation: Invitation) -> None:
        """Show the URL, and open the browser if that is wanted."""

    def pasting(self, took: Callable[[str], None]) -> AbstractContextManager[object]:
        """Within the block, whatever is pasted is handed to `took`, from another thread."""


class Proxy(Protocol):
    """The OAuth proxy; see `ccapi.client.proxy.ProxyClient`."""

    def register(self, authorization_url: str, *, expires_in: float, callback_port: int | None = None) -> Session: ...

    def wait(self, session: Session, seconds: float = ...) -> Session: ...

    def cancel(self, session: Session) -> None: ...


@dataclass(frozen=True, slots=True)
class _Printed:
    data: bytes


@dataclass(frozen=True, slots=True)
class _Ended:
    """The CLI's terminal is at its end."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """The session has another status; None: the proxy is gone, and does not come back."""

    session: Session | None


@dataclass(frozen=True, slots=True)
class _Pasted:
    text: str


_Event = _Printed | _Ended | _Heard | _Pasted


class Dialogue:
    """`terminal` runs the CLI. `proxy` starts the proxy if need be, and raises why there is none; also once more.

    `timeout` is in seconds, from the moment the URL is shown. `command` names the server, and is for trying again.
    """

    def __init__(
        self,
        command: Command,
        terminal: Terminal,
        proxy: Callable[[], Proxy],
        view: View,
        *,
        timeout: float,
        url_within: float = URL_WITHIN,
    ) -> None:
        self._command = command
        self._terminal = terminal
        self._proxy = proxy
        self._view = view
        self._timeout = timeout
        self._screen = LoginScreen()
        self._events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self._over = threading.Event()
        self._registering = threading.Lock()  # a login is registered only while this one is not over
        self._registered_with: tuple[Proxy, Session] | None = None
        self._deadline = time.monotonic() + url_within
        self._answered = False  # an answer of the browser is with the CLI
        self._refused_pastes = 0

    def run(self) -> None:
        """Returns when Claude Code says that it is signed in.

        Raises `LoginFailed`, `LoginTimeout`, `LoginRefused` (for the URL), `PortBusy` (of the redirect URI), and why
        there is no proxy when nothing can be pasted either.
        """
        with self._reading(), ExitStack() as listening:
            login = self._authorization()
            relayed = self._register(login, listening)
            self._deadline = time.monotonic() + self._timeout
            with self._view.pasting(lambda text: self._events.put(_Pasted(text))):
                self._view.invite(Invitation(login, relayed, self._timeout))
                self._view.phase("waiting")
                self._follow(login)
            self._see_end()

    # --- what is followed

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Within the block, what the CLI prints becomes events."""
        reader = threading.Thread(target=self._read, daemon=True)
        reader.start()
        try:
            yield
        finally:
            self._over.set()
            reader.join(_LAST_WORDS)

    def _read(self) -> None:
        with suppress(CcapiError):
            while not self._over.is_set() and (data := self._terminal.read(_POLL)) != b"":
                if data:
                    self._events.put(_Printed(data))
        self._events.put(_Ended())

    def _listen(self, login: Authorization, proxy: Proxy, session: Session) -> None:
        if self._hear(proxy, session):
            return
        if (found := self._registered_again(login)) and self._hear(*found):
            return
        self._events.put(_Heard(None))

    def _hear(self, proxy: Proxy, session: Session) -> bool:
        """Until this session is over, or the login; False when the proxy went away before that."""
        while not session.over and not self._over.is_set():
            try:
                changed = proxy.wait(session)
            except CcapiError:
                return False
            if changed.status == "cancelled":  # which a proxy that is being stopped does
                return False
            if changed.status != session.status:
                self._events.put(_Heard(changed))
            session = changed
        return True

    def _registered_again(self, login: Authorization) -> tuple[Proxy, Session] | None:
        """With the proxy that was started anew; None if there is none in time, or it does not want this login."""
        deadline = time.monotonic() + _BACK_WITHIN
        while not self._over.wait(_POLL) and time.monotonic() < deadline:
            with self._registering, suppress(CcapiError):  # the old one may still be about to end
                if not self._over.is_set():
                    proxy = self._proxy()
                    self._registered_with = proxy, proxy.register(login.url, expires_in=self._left())
                    return self._registered_with
        return None

    def _left(self) -> float:
        """Seconds until nobody waits any more."""
        return max(self._deadline - time.monotonic(), 1.0)

    def _unregister(self) -> None:
        self._over.set()
        with self._registering:  # whoever is at it comes to its end first
            if self._registered_with:
                _cancel(*self._registered_with)

    def _next(self) -> _Event:
        """The next event, of which the screen knows already. Raises when there is none before the deadline."""
        while (rest := self._deadline - time.monotonic()) > 0:
            with suppress(queue.Empty):
                event = self._events.get(timeout=min(rest, _POLL))  # short, or Windows would see no Ctrl-C
                if isinstance(event, _Printed):
                    self._screen.feed(event.data)
                return event
        raise self._late()

    # --- from one step to the next

    def _authorization(self) -> Authorization:
        while self._screen.url is None:
            self._go_on()
        login = authorization.parse(self._screen.url)
        self._deadline = time.monotonic() + _PROMPT_WITHIN
        with suppress(LoginTimeout):  # another version may ask in other words
            while not self._screen.takes_pastes:
                self._go_on()
        return login

    def _go_on(self) -> None:
        if isinstance(self._next(), _Ended):
            raise self._failure()

    def _register(self, login: Authorization, listening: ExitStack) -> bool:
        """Have the proxy listen; whether it does. Raises `PortBusy`."""
        try:
            proxy = self._proxy()
            session = self._registered(proxy, login)
        except CcapiError as error:
            self._must_paste(error)
            return False
        if isinstance(session, PortBusy):  # no port but this one will do, so the browser need not be opened
            raise PortBusy(session.message, hint=f"Stop that program first. {self._again}")
        self._registered_with = proxy, session
        listening.callback(self._unregister)
        threading.Thread(target=self._listen, args=(login, proxy, session), daemon=True).start()
        return True

    def _registered(self, proxy: Proxy, login: Authorization) -> Session | PortBusy:
        try:
            return proxy.register(login.url, expires_in=self._timeout)
        except PortBusy as error:
            return error

    def _must_paste(self, error: CcapiError) -> None:
        if not self._view.can_paste:
            raise error
        self._view.warn(f"The browser's answer cannot be received here, only pasted: {error.message}")

    def _follow(self, login: Authorization) -> None:
        """To the moment at which the CLI says that it is signed in."""
        while not self._screen.signed_in:
            match self._next():
                case _Printed():
                    self._look()
                case _Ended():
                    raise self._failure()
                case _Heard(session):
                    self._heard(session)
                case _Pasted(text):
                    self._paste(text, login)

    def _see_end(self) -> None:
        """Let the CLI end by itself: it may still be writing down what it got."""
        self._deadline = time.monotonic() + _LAST_WORDS
        with suppress(LoginFailed):
            while not isinstance(self._next(), _Ended):
                pass

    # --- what has happened

    def _look(self) -> None:
        if self._screen.refused_pastes > self._refused_pastes:
            self._refused_pastes = self._screen.refused_pastes
            self._answered = False
            self._deadline = time.monotonic() + self._timeout
            self._view.warn("Claude Code did not take that address. Paste the one of the page that follows “Allow”")
            self._view.phase("waiting")

    def _heard(self, session: Session | None) -> None:
        if self._answered:  # by a paste: then it does not matter what the proxy makes of it
            return
        match session.status if session else None:
            case None:
                self._must_paste(LoginFailed("the OAuth proxy has ended", hint=self._again))
            case "delivering" | "denied":
                self._view.phase("received")
            case "delivered":
                self._view.phase("received")
                self._answer()
            case "refused" | "failed":
                raise LoginFailed("the browser's answer came, but Claude Code did not take it", hint=self._again)
            case "expired":
                raise self._late()

    def _paste(self, text: str, login: Authorization) -> None:
        if self._answered:
            return
        try:
            url = pasted.redirect_url(text, login)
        except UsageError as error:
            self._view.warn(error.message)
            return
        with suppress(StackFailed):  # it has ended, as the next event says
            self._terminal.write(url.encode("ascii") + b"\r")
            self._answer()

    def _answer(self) -> None:
        self._answered = True
        self._view.phase("exchanging")
        self._deadline = time.monotonic() + EXCHANGE

    # --- why it failed

    def _late(self) -> LoginFailed:
        if self._screen.url is None:
            return LoginFailed("Claude Code shows no address to sign in at", hint=self._again)
        if self._answered:
            return LoginFailed("the browser's answer came, but Claude Code does not get ahead", hint=self._again)
        hint = f"More time: {self._command} --timeout SECONDS"
        return LoginTimeout(f"nobody signed in within {self._timeout:g} seconds", hint=hint)

    def _failure(self) -> LoginFailed:
        """Why the CLI ended."""
        try:
            code = self._terminal.exit_code()
        except StackFailed:  # Docker knows nothing of it any more: the container was started anew
            code = None
        if code is None or code > 128:
            return LoginFailed("Claude Code was ended in the middle of the login", hint=self._again)
        return loginadvice.failed(self._command, self._screen.reason)

    @property
    def _again(self) -> str:
        return f"Start again: {self._command}"


def _cancel(proxy: Proxy, session: Session) -> None:
    """End the session, but not while the browser is being answered: it shall get its page."""
    with suppress(CcapiError):  # the proxy is gone, and its listeners with it
        session = proxy.wait(session, 0)
        if session.status == "delivering":
            session = proxy.wait(session, _LAST_WORDS)
        if not session.over:
            proxy.cancel(session)
