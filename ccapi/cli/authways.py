"""The ways to sign in to an MCP server: in the browser, with a token, or with an OAuth app of one's own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import typer

from ccapi import settings as host_settings
from ccapi.cli import context, output, paste, prompt
from ccapi.cli.loginview import LoginView, Ways, tools
from ccapi.cli.prompt import Option
from ccapi.errors import LoginNeeded, NoRegistration, UsageError

if TYPE_CHECKING:
    from ccapi.commands.login import Parts, SignedIn, Wanted
    from ccapi.commands.loginadvice import Command
    from ccapi.commands.token import Target
    from ccapi.oauth.catalogue import Entry
    from ccapi.settings import Settings

Way = Literal["browser", "token", "gh", "client-id"]

_TITLES: dict[Way, str] = {
    "browser": "In the browser",
    "gh": "With the token that gh, GitHub's own command, has on this machine",
    "token": "With a token, made by you on the server's pages",
    "client-id": "With an OAuth app of your own, in the browser",
}


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked for on the command line."""

    name: str
    url: str | None = None
    trust_url: bool = False
    browser: bool = True
    paste: bool = False
    qr: bool = False
    timeout: float = 300.0
    replace: bool = False
    client_id: str | None = None
    callback_port: int | None = None
    with_token: bool = False
    from_gh: bool = False
    as_json: bool = False

    @property
    def way(self) -> Way | None:
        """The one that was named."""
        if self.from_gh:
            return "gh"
        if self.with_token:
            return "token"
        return "client-id" if self.client_id else None


# Opens what a login is made with, and gives the settings beside it.
Opened = Callable[[LoginView, Wishes], "AbstractContextManager[tuple[Parts, Settings]]"]


@contextmanager
def stack(view: LoginView, wishes: Wishes) -> Iterator[tuple[Parts, Settings]]:
    """The stack, healthy, and the settings with the port that it really has."""
    from ccapi.commands import loginparts

    docker = host_settings.docker_environment()
    port = loginparts.published_port(docker, context.home().stack, lambda: view.phase("healthy"))
    settings = context.settings({"gateway.port": port})
    if wishes.callback_port == settings.oauth_port:  # then the proxy must know that they come to its own port
        settings = context.settings({"gateway.port": port, "oauth.callback_port": wishes.callback_port})
    with loginparts.connected(settings, docker) as parts:
        yield parts, settings


def sign_in(wishes: Wishes, opened: Opened = stack) -> None:
    """Sign in, in the way that was asked for, or the best one that there is."""
    from ccapi.commands import mcpservers
    from ccapi.oauth import catalogue

    mcpservers.check_name(wishes.name)
    if wishes.url:
        mcpservers.check_url(wishes.url, trust=wishes.trust_url)
        if wishes.way in {"token", "gh"}:
            mcpservers.check_token_url(wishes.url)
    if wishes.from_gh and wishes.name != "github":
        raise UsageError("--from-gh is for github only")
    _SignIn(wishes, catalogue.load().get(wishes.name), opened).run()


class _SignIn:
    def __init__(self, wishes: Wishes, entry: Entry | None, opened: Opened) -> None:
        self._wishes = wishes
        self._name = wishes.name
        self._entry = entry
        self._opened = opened
        self._told = False  # what must be known beforehand
        self._runs = False  # the container, as far as it was looked for

    def run(self) -> None:
        self._take(self._wishes.way or self._best())

    def _take(self, way: Way) -> None:
        match way:
            case "browser":
                self._by_browser()
            case "client-id":
                self._by_client_id()
            case "token" | "gh":
                self._by_token(from_gh=way == "gh")

    def _best(self) -> Way:
        """The browser, unless the server is known to let nobody in by it."""
        return "browser" if self._entry is None or "browser" in self._entry.ways else self._asked()

    def _asked(self) -> Way:
        """The guided choice, for a server that takes no program that it does not know."""
        from ccapi.commands import loginadvice

        if not output.interactive():
            raise loginadvice.no_registration(self._command, self._entry)
        self._must_run()
        self._tell(dim=False)
        ways = list(self._other_ways())
        if len(ways) == 1:
            return ways[0]
        chosen = prompt.select(
            f"How do you want to sign in to {self._name}?", [Option(way, _TITLES[way]) for way in ways]
        )
        return next(way for way in ways if way == chosen)

    def _must_run(self) -> None:
        """Before a person is asked: without the container every answer would be in vain."""
        if output.interactive() and not self._runs:
            with self._view(Ways()) as view, self._opened(view, self._wishes):
                self._runs = True

    def _tell(self, *, dim: bool) -> None:
        """What a person must know beforehand, once."""
        if self._entry and self._entry.guide and output.interactive() and not self._told:
            output.say(output.styled(self._entry.guide, "2") if dim else f"{self._entry.guide}\n")
        self._told = True

    def _other_ways(self) -> Iterator[Way]:
        from ccapi.commands import gh, loginadvice

        if self._name == "github" and gh.available():
            yield "gh"
        yield from loginadvice.other_ways(self._entry)

    @property
    def _command(self) -> Command:
        from ccapi.commands.loginadvice import Command

        wishes = self._wishes
        return Command(wishes.name, wishes.url, wishes.trust_url, wishes.client_id, wishes.callback_port)

    def _view(self, ways: Ways) -> LoginView:
        return LoginView(self._name, ways, host_settings.seat(), again=str(self._command))

    # --- in the browser

    def _by_browser(self, client_id: str | None = None, client_secret: str | None = None) -> None:
        from ccapi.commands import login

        wishes = self._wishes
        if not output.interactive() and wishes.browser and not wishes.paste:
            self._must_be_known()
            hint = f"On a terminal: {self._command}\nFrom a script, which shows somebody the page: {self._command}"
            raise LoginNeeded(f"signing in to {self._name} needs somebody at a terminal", hint=f"{hint} --no-browser")
        self._tell(dim=True)
        ways = Ways(wishes.browser, wishes.paste, wishes.qr, wishes.as_json)
        try:
            with self._view(ways) as view, self._opened(view, wishes) as found:
                self._runs = True
                parts, settings = found
                wanted = self._wanted(client_id, client_secret, settings)
                done = login.login(wanted, self._entry, parts, view)
        except NoRegistration:
            if not output.interactive():
                raise
            output.say(f"{self._name} lets no program in that it does not know.\n")
            self._take(self._asked())
        else:
            self._report(done)

    def _must_be_known(self) -> None:
        """A name that stands for no address is a mistake, whoever is there; only the container has all of them."""
        from ccapi.commands import loginadvice, mcpservers

        if self._entry or self._wishes.url:
            return
        with self._view(Ways()) as view, self._opened(view, self._wishes) as (parts, _):
            if mcpservers.get(parts.container, self._name) is None:
                raise loginadvice.unknown(self._name)

    def _wanted(self, client_id: str | None, client_secret: str | None, settings: Settings) -> Wanted:
        from ccapi.commands.login import Wanted

        wishes = self._wishes
        return Wanted(
            name=self._name,
            url=wishes.url,
            trust_url=wishes.trust_url,
            timeout=wishes.timeout,
            replace=wishes.replace,
            client_id=client_id,
            client_secret=client_secret,
            callback_port=wishes.callback_port,
            usual_port=settings.callback_port,
        )

    def _report(self, done: SignedIn) -> None:
        if self._wishes.as_json:
            _write_result(done.name, done.tools, already=done.already)
        elif done.open:
            output.note(f"{_tick()} {done.name} wants no login{tools(done.tools)}")
        elif done.already:
            output.note("Nothing was changed")
            raise typer.Exit(1)
        else:
            output.note(f"{_tick()} Signed in to {done.name}{tools(done.tools)}")

    # --- with an OAuth app of one's own

    def _by_client_id(self) -> None:
        """The client's id from the command line or a question; its secret from a hidden one, or standard input."""
        self._must_run()
        client_id = self._wishes.client_id
        if not client_id:
            self._explain_app()
            client_id = prompt.text("Client ID")
        elif output.interactive():
            self._tell(dim=True)
            output.say(output.styled(f"Redirect URI that the app must have: {self._redirect_uri}", "2"))
        if not client_id or not client_id.isascii() or not client_id.isprintable():
            raise UsageError("that is no client id")
        self._by_browser(client_id, _client_secret())

    def _explain_app(self) -> None:
        guide = self._entry.client if self._entry else None
        if guide and guide.page:
            output.say(f"{output.link(guide.page)}\n")
        if guide and guide.how:
            output.say(f"{guide.how}\n")
        output.say(f"Redirect URI (or callback URL) to register: {self._redirect_uri}\n")

    @property
    def _redirect_uri(self) -> str:
        from ccapi.oauth.catalogue import OWN_APP_PORT

        vendors = self._entry.callback_port if self._entry else None
        port = self._wishes.callback_port or vendors or context.settings().callback_port or OWN_APP_PORT
        return f"http://localhost:{port}/callback"

    # --- with a token

    def _by_token(self, *, from_gh: bool) -> None:
        """Where it comes from, and what is asked before, is in `auth_token`."""
        from ccapi.cli import auth_token
        from ccapi.cli.auth_token import Given

        self._must_run()
        wishes = self._wishes
        given = Given(wishes.with_token, from_gh, force=wishes.replace, browser=wishes.browser)
        found = auth_token.beforehand(given, self._name)
        with self._view(Ways()) as view, self._opened(view, wishes) as (parts, _):
            view.pause()
            kept = auth_token.sign_in(parts.container, parts.gateway.probe, self._target(parts), given, found)
        if wishes.as_json:
            _write_result(kept.name, kept.tools, token=kept.shown)
        else:
            output.note(f"{_tick()} Signed in to {kept.name} with the token {kept.shown}{tools(kept.tools)}")

    def _target(self, parts: Parts) -> Target:
        from ccapi.commands import loginadvice, mcpservers, token

        there, known = mcpservers.get(parts.container, self._name), self._entry
        url = self._wishes.url or (there.url if there else None) or (known.endpoint("token") if known else None)
        if url is None:
            raise loginadvice.unknown(self._name)
        return token.Target(self._name, url, known, typed=self._wishes.url is not None)


def _client_secret() -> str | None:
    """None for an app that has none."""
    if output.interactive():
        return prompt.hidden("Client secret (empty if the app has none)") or None
    return None if output.terminal(sys.stdin) else paste.one_line() or None


def _tick() -> str:
    return output.styled("✓", "32")


def _write_result(name: str, found: tuple[str, ...] | None, **more: Any) -> None:
    known = None if found is None else list(found)
    output.write_result({"name": name, "status": "connected", "tools": known, **more})
