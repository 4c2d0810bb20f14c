"""What a person sees of a login: the address, what is being waited for, and how it ended."""

from __future__ import annotations

import contextlib
import getpass
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ccapi.cli import browser, output, paste, prompt
from ccapi.cli.progress import ProgressView
from ccapi.errors import InputNeeded
from ccapi.stack.progress import Progress

if TYPE_CHECKING:
    from ccapi.commands.login import Invitation, Phase
    from ccapi.settings import Seat

_PHASES: dict[Phase, str] = {
    "healthy": "Waiting for the container to be healthy",
    "looking": "Looking at the server",
    "starting": "Claude Code asks the server for a login",
    "waiting": "Waiting for you to allow access in the browser",
    "received": "Callback received",
    "exchanging": "Signing in",
    "checking": "Checking the tools",
}


@dataclass(frozen=True, slots=True)
class Ways:
    """How the person wants it. `paste`: the answer comes by standard input, whatever that is."""

    browser: bool = True
    paste: bool = False
    qr: bool = False
    as_json: bool = False


class LoginView:
    """A context manager, so that the cursor and the terminal's mode are back whatever happens.

    `again`: what the person types to try again.
    """

    def __init__(self, name: str, ways: Ways, seat: Seat, *, again: str) -> None:
        self.name = name
        self._again = again
        self._ways = ways
        self._seat = seat
        self._progress = ProgressView()
        self._phase: Phase | None = None
        self._person = output.interactive()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        phase = self._phase
        self.pause()
        if kind is KeyboardInterrupt:
            left = "the login itself is done" if phase == "checking" else "nothing of this login is left"
            output.note(f"Interrupted; {left}")

    def pause(self) -> None:
        """Take the live line away, for what is asked or shown next."""
        self._progress.pause()
        self._phase = None

    # --- what a login asks for

    @property
    def can_paste(self) -> bool:
        return self._ways.paste or (self._person and paste.possible())

    def phase(self, phase: Phase) -> None:
        if phase != self._phase:
            self._progress(Progress("phase", _PHASES[phase]))
        self._phase = phase

    def warn(self, text: str) -> None:
        self._progress(Progress("warning", output.printable(text)))

    def may_replace(self, working: tuple[str, ...] | None) -> bool:
        self.pause()
        if not self._person:
            raise InputNeeded(
                f"{self.name} is signed in to already, and works",
                hint=f"To sign in again, which ends that login at once: {self._again} --force",
            )
        output.say(f"You are signed in to {self.name}, and it works{tools(working)}.")
        output.say("A new login ends that one at once, even if you do not finish it.")
        return prompt.confirm("Sign in again?")

    def invite(self, invitation: Invitation) -> None:
        self.pause()
        if self._ways.as_json:
            output.write_line_json(_document(invitation))
        elif not output.terminal(sys.stderr):
            output.write(f"{invitation.login.url}\n")
        if output.terminal(sys.stderr):
            self._explain(invitation)
        elif self._seat.remote:
            self._explain_ssh(invitation)

    def pasting(self, took: Callable[[str], None]) -> contextlib.AbstractContextManager[object]:
        return paste.lines(took) if self.can_paste else contextlib.nullcontext()

    # --- the words

    def _explain(self, invitation: Invitation) -> None:
        url = invitation.login.url
        if self._ways.qr:
            output.say(_qr(url))
        opens = browser.opens(wanted=self._ways.browser)
        what = "Your browser opens this page" if opens else "Open this page in a browser"
        output.say(f"{what}, to sign in to {self.name} ({output.printable(invitation.login.site)}):\n")
        output.say(f"{output.link(url)}\n")
        if self._seat.remote:
            self._explain_ssh(invitation)
        if self.can_paste:
            begin = "If the browser shows an error at the end" if invitation.relayed else "When you have allowed access"
            output.say(f"{begin}, copy the address of that page and paste it here, then press Enter.")
        if opens:
            browser.open_(url, lambda: self.warn("no browser could be opened: open the page yourself"))

    def _explain_ssh(self, invitation: Invitation) -> None:
        if not invitation.relayed:
            return
        port = invitation.login.redirect.port
        output.say("You are here over SSH. For the browser's answer to arrive, run this on your own machine first:\n")
        output.say(f"ssh -L {port}:localhost:{port} {_user()}@{self._seat.remote}\n")


def tools(names: tuple[str, ...] | None) -> str:
    """How many there are, and the first of them, to be put behind something else; nothing if they are not known."""
    if names is None:
        return ""
    if not names:
        return " · no tools"
    shown = ", ".join(output.printable(name) for name in names[:8]) + (", ..." if len(names) > 8 else "")
    return f" · {len(names)} {'tool' if len(names) == 1 else 'tools'}: {shown}"


def _document(invitation: Invitation) -> dict[str, Any]:
    return {
        "type": "authorization",
        "url": invitation.login.url,
        "redirect_uri": str(invitation.login.redirect),
        "relayed": invitation.relayed,
        "expires_in": invitation.expires_in,
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # nobody by that number
        return "USER"


def _qr(text: str) -> str:
    """A QR code of half blocks, or why there is none."""
    import io

    import segno

    code = segno.make(text, error="l", micro=False)
    with contextlib.suppress(OSError):
        if code.symbol_size(border=2)[0] > os.get_terminal_size(sys.stderr.fileno()).columns:
            return "(This window is too narrow for the QR code.)\n"
    drawn = io.StringIO()
    code.terminal(out=drawn, compact=True, border=2)
    return "".join(f"{output.styled(line, '97;40')}\n" for line in drawn.getvalue().splitlines())
