"""The ways to sign in to an MCP server: in the browser, with a token, or with an OAuth app of one's own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import typer

from ccapi import settings as host_settings
from ccapi.cli import output, paste, prompt
from ccapi.cli.loginview import LoginView, Ways, tools
from ccapi.cli.prompt import Option
from ccapi.errors import LoginNeeded, UsageError

if TYPE_CHECKING:
    from ccapi.commands.login import Parts, SignedIn
    from ccapi.commands.token import Target
    from ccapi.oauth.catalogue import Entry, Help
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


def sign_in(wishes: Wishes) -> None:
    """Sign in, in the way that was asked for, or the best one that there is."""
    from ccapi.commands import mcpservers
    from ccapi.oauth import catalogue

    mcpservers.check_name(wishes.name)
    if wishes.url:
        mcpservers.check_url(wishes.url, trust=wishes.trust_url)
    if wishes.from_gh and wishes.name != "github":
        raise UsageError("--from-gh is for github only")
    entry = catalogue.load().get(wishes.name)
    _take(wishes.way or _best(wishes, entry), wishes, entry)


def _take(way: Way, wishes: Wishes, entry: Entry | None) -> None:
    match way:
        case "browser":
            _by_browser(wishes, entry)
        case "client-id":
            _by_client_id(wishes, entry)
        case "token" | "gh":
            _by_token(wishes, entry, from_gh=way == "gh")


def _best(wishes: Wishes, entry: Entry | None) -> Way:
    """The browser, unless the server is known to let nobody in by it."""
    if entry is None or "browser" in entry.ways:
        return "browser"
    return _asked(wishes, entry)


def _asked(wishes: Wishes, entry: Entry | None) -> Way:
    """The guided choice, for a server that registers nobody."""
    from ccapi.commands import loginadvice

    if not output.interactive():
        raise loginadvice.no_registration(wishes.name, loginadvice.command(wishes.name, entry, wishes.url), entry)
    if entry and entry.guide:
        output.note(f"{entry.guide}\n")
    ways = [way for way in ("token", "client-id") if entry is None or way in entry.ways]
    if wishes.name == "github" and _gh():
        ways.insert(0, "gh")
    if len(ways) == 1:
        return ways[0]  # type: ignore[return-value] # mypy widens what a list of literals holds
    options = [Option(way, _TITLES[way]) for way in ways]  # type: ignore[index] # as above
    return prompt.select(f"How do you want to sign in to {wishes.name}?", options)  # type: ignore[return-value]


def _gh() -> bool:
    from ccapi.commands import gh

    return gh.available()


# --- in the browser


def _by_browser(wishes: Wishes, entry: Entry | None, client_secret: str | None = None) -> None:
    from ccapi.commands import login, loginadvice

    if not output.interactive() and wishes.browser and not wishes.paste:
        name = wishes.name
        command = loginadvice.command(name, entry, wishes.url)
        hint = f"On a terminal: {command}\nFrom a script, which shows somebody the page: {command} --no-browser"
        raise LoginNeeded(f"signing in to {name} needs somebody at a terminal", hint=hint)
    ways = Ways(_may_open(wishes), wishes.paste, wishes.qr, wishes.as_json)
    try:
        with LoginView(wishes.name, ways, host_settings.seat()) as view, _parts(view, wishes) as (parts, settings):
            wanted = _wanted(wishes, settings, client_secret)
            done = login.login(wanted, entry, parts, view)
    except loginadvice.NoRegistration:
        if not output.interactive():
            raise
        output.note(f"{wishes.name} lets no program in that it does not know.\n")
        _take(_asked(wishes, entry), wishes, entry)
    else:
        _report(done, wishes)


def _may_open(wishes: Wishes) -> bool:
    return wishes.browser and host_settings.load().value("oauth.open_browser") != "never"


def _wanted(wishes: Wishes, settings: Settings, client_secret: str | None) -> Any:
    from ccapi.commands.login import Wanted

    return Wanted(
        name=wishes.name,
        url=wishes.url,
        trust_url=wishes.trust_url,
        timeout=wishes.timeout,
        replace=wishes.replace,
        client_id=wishes.client_id,
        client_secret=client_secret,
        callback_port=wishes.callback_port,
        usual_port=settings.callback_port,
    )


@contextmanager
def _parts(view: LoginView, wishes: Wishes) -> Iterator[tuple[Parts, Settings]]:
    """The stack, healthy, and the settings with the port that it really has."""
    from ccapi.commands import loginparts

    docker = host_settings.docker_environment()
    port = loginparts.published_port(docker, lambda: view.phase("healthy"))
    settings = host_settings.load({"gateway.port": port})
    if wishes.callback_port == settings.oauth_port:  # then the proxy must know that they come to its own port
        settings = host_settings.load({"gateway.port": port, "oauth.callback_port": wishes.callback_port})
    with loginparts.connected(settings, docker) as parts:
        yield parts, settings


def _report(done: SignedIn, wishes: Wishes) -> None:
    if wishes.as_json:
        _write_result(done.name, done.tools, already=done.already)
    elif done.open:
        output.note(f"{_tick()} {done.name} wants no login{tools(done.tools)}")
    elif done.already:
        output.note("Nothing was changed")
        raise typer.Exit(1)
    else:
        output.note(f"{_tick()} Signed in to {done.name}{tools(done.tools)}")


def _tick() -> str:
    return output.styled("✓", "32")


def _write_result(name: str, found: tuple[str, ...] | None, **more: Any) -> None:
    known = None if found is None else list(found)
    document = {"type": "result", "name": name, "status": "connected", "tools": known, **more}
    output.write(json.dumps(document) + "\n")


# --- with an OAuth app of one's own


def _by_client_id(wishes: Wishes, entry: Entry | None) -> None:
    """The client's id from the command line or a question; its secret from a hidden one, or standard input."""
    if not wishes.client_id:
        port = wishes.callback_port or (entry.callback_port if entry else None) or host_settings.load().callback_port
        _explain_app(entry, port)
        wishes = replace(wishes, client_id=prompt.text("Client ID"))
    if not wishes.client_id or not wishes.client_id.isascii() or not wishes.client_id.isprintable():
        raise UsageError("that is no client id")
    _by_browser(wishes, entry, _client_secret())


def _explain_app(entry: Entry | None, port: int | None) -> None:
    from ccapi.oauth.catalogue import OWN_APP_PORT

    if entry:
        _explain(entry.client)
    output.note(f"Redirect URI (or callback URL) to register: http://localhost:{port or OWN_APP_PORT}/callback\n")


def _client_secret() -> str | None:
    """None for an app that has none."""
    if output.interactive():
        return prompt.hidden("Client secret (empty if the app has none)") or None
    return None if output.terminal(sys.stdin) else paste.one_line() or None


def _explain(guide: Help) -> None:
    if guide.page:
        output.note(f"{output.link(guide.page)}\n")
    if guide.how:
        output.note(f"{guide.how}\n")


# --- with a token


def _by_token(wishes: Wishes, entry: Entry | None, *, from_gh: bool) -> None:
    """Where it comes from, and what is asked before, is in `auth_token`."""
    from ccapi.cli import auth_token
    from ccapi.cli.auth_token import Given

    given = Given(wishes.with_token, from_gh, force=wishes.replace, browser=_may_open(wishes))
    found = auth_token.beforehand(given, wishes.name)
    with LoginView(wishes.name, Ways(), host_settings.seat()) as view, _parts(view, wishes) as (parts, _):
        view.pause()
        target = _target(wishes, entry, parts)
        kept = auth_token.sign_in(parts.container, parts.gateway.probe, target, given, found)
    if wishes.as_json:
        _write_result(kept.name, kept.tools, token=kept.shown)
    else:
        output.note(f"{_tick()} Signed in to {kept.name} with the token {kept.shown}{tools(kept.tools)}")


def _target(wishes: Wishes, entry: Entry | None, parts: Parts) -> Target:
    from ccapi.commands import loginadvice, mcpservers, token

    there = mcpservers.get(parts.container, wishes.name)
    url = wishes.url or (there.url if there else None) or (entry.endpoint("token") if entry else None)
    if url is None:
        raise loginadvice.unknown(wishes.name)
    return token.Target(wishes.name, url, entry)
