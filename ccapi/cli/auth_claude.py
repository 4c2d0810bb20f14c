"""`ccapi auth claude`: signs Claude Code itself in, and says who pays from then on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ccapi import settings as host_settings
from ccapi.cli import browser, context, output, prompt
from ccapi.cli.prompt import Option
from ccapi.errors import CodeIncomplete, LoginFailed, LoginNeeded, UsageError

if TYPE_CHECKING:
    from ccapi.commands.claudeauth import Credential, State, Variable
    from ccapi.commands.inside import Inside

Way = Literal["subscription", "console", "token", "api-key"]

_WAYS: dict[Way, str] = {
    "subscription": "Claude subscription (Pro, Max, Team, Enterprise), in the browser",
    "console": "Anthropic Console account (API usage billing), in the browser",
    "token": "A long-lived token of the subscription (claude setup-token)",
    "api-key": "An API key (API usage billing)",
}
_VARIABLES: dict[Way, Variable] = {"token": "CLAUDE_CODE_OAUTH_TOKEN", "api-key": "ANTHROPIC_API_KEY"}
_NAMES: dict[Way, str] = {"token": "long-lived token", "api-key": "API key"}
_SCRIPT = """From a script, with an API key or a long-lived token on standard input:
ccapi auth claude --api-key --with-token < FILE
ccapi auth claude --token --with-token < FILE"""


def register(group: typer.Typer) -> None:
    group.command()(claude)


def claude(
    *,
    subscription: Annotated[
        bool, typer.Option("--subscription", help="With a Claude subscription, in the browser.")
    ] = False,
    console: Annotated[
        bool, typer.Option("--console", help="With an Anthropic Console account, in the browser.")
    ] = False,
    token: Annotated[bool, typer.Option("--token", help="With a long-lived token of a subscription.")] = False,
    api_key: Annotated[bool, typer.Option("--api-key", help="With an API key.")] = False,
    with_token: Annotated[
        bool, typer.Option("--with-token", help="Read the token or key from standard input.")
    ] = False,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only show the address, open nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a sign-in that works without asking.")] = False,
) -> None:
    """Sign Claude Code itself in.

    It stays signed in on the container's volume, through `ccapi down`, new images and upgrades. What is secret is never
    shown, and is in no file of this machine, no command line and no `docker inspect`.
    """
    from ccapi.commands import inside

    flags: dict[Way, bool] = {"subscription": subscription, "console": console, "token": token, "api-key": api_key}
    way = _chosen(flags, with_token=with_token)
    typed = with_token and output.terminal(sys.stdin)
    secret = _piped(way) if with_token and not typed else None
    with inside.opened(host_settings.docker_environment(), context.home().stack) as container:
        if typed:  # only now: nobody need type a secret that has nowhere to go
            secret = _piped(way)
        sign_in(container, way or _guessed(secret), secret, open_browser=not no_browser, force=force)


def _chosen(flags: dict[Way, bool], *, with_token: bool) -> Way | None:
    ways = [way for way, given in flags.items() if given]
    if len(ways) > 1:
        raise UsageError(f"--{ways[0]} and --{ways[1]} exclude each other")
    if with_token and ways and ways[0] not in _VARIABLES:
        raise UsageError(f"--with-token and --{ways[0]} exclude each other", hint=_SCRIPT)
    return ways[0] if ways else None


def _piped(way: Way | None) -> str:
    return prompt.piped(_NAMES[way] if way else "token or key")


def _guessed(secret: str | None) -> Way | None:
    """Which of the two was piped in, by how it begins."""
    if secret is None:
        return None
    if secret.startswith("sk-ant-oat"):
        return "token"
    if secret.startswith("sk-ant-api"):
        return "api-key"
    raise UsageError("what was piped in does not say which it is", hint=_SCRIPT)


def sign_in(
    container: Inside, way: Way | None, secret: str | None = None, *, open_browser: bool = True, force: bool = False
) -> None:
    """Sign in this way, or in the one that the person chooses. `secret`: a token or key that is there already."""
    from ccapi.commands import claudeauth

    if secret is None and not output.interactive():
        raise LoginNeeded("signing Claude in needs somebody at a terminal", hint=_SCRIPT)
    if secret is not None and way in _VARIABLES:
        secret = claudeauth.check(_VARIABLES[way], secret)
    before = claudeauth.state(container)
    if before.signed_in and not force and not _may_replace(before):
        output.note("Nothing was changed")
        raise typer.Exit(1)
    way = way or _asked()
    if way in _VARIABLES:
        claudeauth.keep(container, _VARIABLES[way], secret or _secret(container, way))
    else:
        _browser(container, console=way == "console", open_browser=open_browser)
    _report(container, way, force=force)


def _may_replace(before: State) -> bool:
    who = f" ({output.printable(before.account)})" if before.account else ""
    said = f"Claude is signed in already: {before.billing}{who}"
    return prompt.agreed("replacing a sign-in", said, "Replace it?", hint=f"{said}\nIf it may go, say so: --force")


def _asked() -> Way:
    way = prompt.select("How shall Claude be signed in?", [Option(way, title) for way, title in _WAYS.items()])
    return next(known for known in _WAYS if known == way)


# --- a token or key


def _secret(container: Inside, way: Way) -> str:
    from ccapi.commands import claudeauth

    if way == "token":
        _offer_setup(container)
    else:
        output.say(f"Make a key: {output.link('https://platform.claude.com/settings/keys')}")
    return claudeauth.check(_VARIABLES[way], prompt.hidden(f"Your {_NAMES[way]} (it does not show)"))


def _offer_setup(container: Inside) -> None:
    if not prompt.confirm("Have a new token made now (claude setup-token)?", default=True):
        return
    from ccapi.cli import attach
    from ccapi.commands.claudeauth import NO_BROWSER

    code = attach.run(container, *NO_BROWSER, "setup-token")
    if code:
        raise LoginFailed("no token was made", hint="Try again: ccapi auth claude --token")
    output.say("Now give the token that is shown above to ccapi; then clear the terminal, as it stays in its history.")


# --- a login in the browser


def _browser(container: Inside, *, console: bool, open_browser: bool) -> None:
    from ccapi.commands import claudeauth

    opens = browser.opens(wanted=open_browser)
    with claudeauth.login(container, console=console) as login:
        url = login.url()
        what = "Your browser opens this page" if opens else "Open this page in a browser"
        output.say(f"{what}, to sign Claude in; it then shows a code:\n\n{output.link(url)}\n")
        if opens:
            browser.open_(url, lambda: output.say("No browser could be opened: open the page yourself"))
        while True:
            code = prompt.hidden("Code (it does not show)")
            output.note("Signing in …")
            try:
                return login.submit(code)
            except CodeIncomplete as problem:
                output.say(f"Once more: {problem.message}")


# --- what came of it


def _report(container: Inside, way: Way, *, force: bool) -> None:
    from ccapi.commands import claudeauth

    now = claudeauth.state(container)
    expected = now.login if way not in _VARIABLES else claudeauth.METHODS[_VARIABLES[way]]
    if expected == "none":
        raise LoginFailed("Claude Code says that it is not signed in", hint="Try again: ccapi auth claude")
    for credential in now.over(expected):
        _overridden(container, credential, force=force)
    if now.login == "helper":
        output.warn(
            "an apiKeyHelper in Claude's settings.json wins over a subscription. Look at it:\n"
            f"  docker exec {context.home().stack} sh -c 'cat $CLAUDE_CONFIG_DIR/settings.json'"
        )
    now = claudeauth.state(container)
    who = f" as {output.printable(now.account)}" if now.account and now.method == now.login else ""
    output.note(f"Claude is signed in{who}. Billing: {now.billing}.")
    if now.rehearsal:
        output.note("The scripted model answers at the moment, without any account. For Claude itself: ccapi up")
    else:
        output.note('Try it: ccapi ask "hello"')


def _overridden(container: Inside, credential: Credential, *, force: bool) -> None:
    """Something else would be used instead, without a word."""
    from ccapi.commands import claudeauth

    paid = claudeauth.BILLING[credential.method]
    output.warn(f"{credential.name} in the {_where(credential)} wins over this sign-in. Billing: {paid}.")
    if credential.place == "environment":
        output.say("  It comes from the compose file that started the container: take it out there.")
    elif force or (output.interactive() and prompt.confirm(f"Remove {credential.name}?", default=True)):
        claudeauth.forget(container, credential.name)
        output.note(f"Removed {credential.name}")
    else:
        output.say("  Remove it: ccapi auth claude --force, or ccapi auth logout claude")


def _where(credential: Credential) -> str:
    return "container's environment" if credential.place == "environment" else "file credentials.env"
