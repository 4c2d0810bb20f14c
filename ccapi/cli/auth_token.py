"""Signing in to an MCP server with a token: where it comes from, what is asked before, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from ccapi import settings as host_settings
from ccapi.cli import browser, output, prompt
from ccapi.errors import InputNeeded, LoginNeeded, UsageError

if TYPE_CHECKING:
    from ccapi.client.github import Account
    from ccapi.commands.inside import Inside
    from ccapi.commands.token import Kept, Probe, Target

_GITHUB = "https://api.githubcopilot.com/"
_VARIABLES = ("GITHUB_PERSONAL_ACCESS_TOKEN", "GH_TOKEN", "GITHUB_TOKEN")
_WRITING = (
    "repo",
    "public_repo",
    "workflow",
    "gist",
    "user",
    "delete_repo",
    "project",
    "codespace",
    "admin:",
    "write:",
)


@dataclass(frozen=True, slots=True)
class Given:
    """What was said on the command line. `force`: without asking, also where something works; `browser`: may open."""

    with_token: bool = False
    from_gh: bool = False
    force: bool = False
    browser: bool = True


def beforehand(given: Given, name: str) -> str | None:
    """The token that is there without asking for it: piped in, or gh's. Raises `InputNeeded`, `LoginNeeded`."""
    from ccapi.commands import gh, token

    if given.from_gh and given.with_token:
        raise UsageError("--from-gh and --with-token exclude each other")
    if given.with_token:
        return token.check(prompt.piped("token"))
    if not given.from_gh:
        return None
    found = token.check(gh.token())
    if not given.force:
        question = "Give gh's token to the container? Claude may then do all that gh may, writing included."
        _agreed(question, hint=f"If that is all right: ccapi auth {name} --from-gh --yes")
    return found


def sign_in(container: Inside, probe: Probe, target: Target, given: Given, found: str | None = None) -> Kept:
    """Try a token, keep it, and say what it is. `found` is what `beforehand` gave; without it the person is asked.

    The target's address must have been checked. Raises `UsageError` for one that a token is not sent to.
    """
    from ccapi.commands import mcpservers, token

    mcpservers.check_token_url(target.url)
    if given.from_gh and not is_github(target):
        raise UsageError(f"--from-gh is for GitHub's own server, and {target.name} is another one")
    if not found and not output.interactive():
        raise LoginNeeded(f"{target.title} needs a token, and nobody can be asked for it", hint=script(target))
    if not given.force:
        _may_replace(container, target)
    found = found or token.check(_typed(target, given))
    output.note(f"Trying the token with {target.title} ...")
    kept = token.sign_in(container, probe, target, found)
    if is_github(target):
        _say_whose(found)
    output.note(
        "The token is kept on the container's volume, in Claude's own configuration, which nobody else there can read."
    )
    return kept


def script(target: Target) -> str:
    """The commands for where nobody can be asked."""
    lines = [f"From standard input: ccapi auth {target.name} --with-token < FILE"]
    if is_github(target):
        if given := host_settings.given(_VARIABLES):
            lines.append(f"This shell's: printenv {given[0]} | ccapi auth {target.name} --with-token")
        lines.append(f"The one that gh has: ccapi auth {target.name} --from-gh --yes")
    if target.entry and target.entry.token.page:
        lines.append(f"Made at: {target.entry.token.page}")
    return "\n".join(lines)


def is_github(target: Target) -> bool:
    """Whether it is GitHub's own server: the only one that a GitHub token goes to without being typed for it."""
    return target.url.startswith(_GITHUB)


def _typed(target: Target, given: Given) -> str:
    """From a hidden prompt, beside the page where such a token is made."""
    guide = target.entry.token if target.entry else None
    if guide and guide.how:
        output.say(f"{guide.how}\n")
    if guide and guide.page:
        opens = browser.opens(wanted=given.browser)
        what = "Your browser opens the page where tokens are made" if opens else "Tokens are made on this page"
        output.say(f"{what}:\n\n{output.link(guide.page)}\n")
        if opens:
            browser.open_(guide.page, lambda: output.say("No browser could be opened: open the page yourself"))
    return prompt.hidden(f"Token for {target.title} (it does not show)")


def _may_replace(container: Inside, target: Target) -> None:
    """Ask before something that works is given up. Raises `InputNeeded` when nobody can be asked."""
    from ccapi.commands import mcpservers

    there = mcpservers.get(container, target.name)
    if there is None:
        return
    if not any(one.name == there.name and one.status == "connected" for one in mcpservers.listed(container)):
        return
    with_what = f" with the token {there.token}" if there.token else ""
    _agreed(
        f"You are signed in to {target.title}{with_what}, and it works. Replace it?",
        hint=f"To replace what works: ccapi auth {target.name} --force, and the rest as before",
    )


def _agreed(question: str, *, hint: str) -> None:
    if not output.interactive():
        raise InputNeeded(f"this needs a yes: {question}", hint=hint)
    if not prompt.confirm(question):
        output.note("Nothing was changed")
        raise typer.Exit(1)


def _say_whose(token: str) -> None:
    from ccapi.client import github

    if account := github.account(token):
        output.note(f"It is a token of {output.printable(account.login)}. {_limits(account)}")
    else:
        output.note("GitHub's API did not say whose it is; its MCP server takes it.")


def _limits(account: Account) -> str:
    until = f"It expires {output.printable(account.expires)}." if account.expires else "It does not expire."
    if account.scopes is None:
        return until
    scopes = output.printable(", ".join(account.scopes)) or "none"
    writes = any(scope.startswith(_WRITING) for scope in account.scopes)
    return f"{until} Scopes: {scopes}." + (" A fine-grained token could be limited to reading." if writes else "")
