"""Questions to the person at the terminal: menus, hidden input, what is piped in instead. Asked on standard error.

The only importer of questionary. Each question raises `InputNeeded` where nobody can be asked; Ctrl-C ends the command.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from ccapi.cli import output
from ccapi.errors import InputNeeded, UsageError

if TYPE_CHECKING:
    from questionary import Choice

_MOST = 64 * 1024  # characters


@dataclass(frozen=True, slots=True)
class Option:
    """One line of a menu. `section`: a heading above it, and above those that follow."""

    value: str
    title: str
    section: str | None = None


def select(question: str, options: Sequence[Option], *, hint: str | None = None) -> str:
    """The value of what was chosen; typing narrows a long menu down. `hint` is for where nobody can be asked."""
    _somebody(question, hint)
    import questionary

    long = len(options) > 9
    asked = questionary.select(
        output.printable(question),
        choices=_choices(options),
        use_search_filter=long,
        use_jk_keys=not long,
        instruction="(arrow keys, or type to search)" if long else None,
        output=_on_stderr(),
        **_colours(),
    )
    return str(asked.unsafe_ask())


def _choices(options: Sequence[Option]) -> list[Choice]:
    import questionary

    found: list[Any] = []
    for option in options:
        if option.section:
            found.append(questionary.Separator(output.printable(option.section)))
        found.append(questionary.Choice(output.printable(option.title), value=option.value))
    return found


def _on_stderr() -> Any:
    from prompt_toolkit.output import create_output

    return create_output(stdout=sys.stderr)


def _colours() -> dict[str, Any]:
    from prompt_toolkit.output import ColorDepth

    return {} if output.colour(sys.stderr) else {"color_depth": ColorDepth.MONOCHROME}


def confirm(question: str, *, default: bool = False, hint: str | None = None) -> bool:
    """Yes or no. Ctrl-D is no."""
    _somebody(question, hint)
    with suppress(EOFError), _own_line():
        return typer.confirm(output.printable(question), default=default, err=True)
    return False


def agreed(what: str, shown: str, question: str, *, hint: str) -> bool:
    """Yes or no to what cannot be taken back, once `shown` has been said.

    Where nobody can be asked, `what` is said to need a yes, and `hint` how to give it: `InputNeeded`.
    """
    if not output.interactive():
        raise InputNeeded(f"{what} needs a yes", hint=hint)
    output.say(shown)
    return confirm(question)


def text(question: str, *, hint: str | None = None) -> str:
    """A line that may be seen; empty if nothing was typed."""
    _somebody(question, hint)
    with suppress(EOFError), _own_line():
        return str(typer.prompt(output.printable(question), default="", show_default=False, err=True)).strip()
    return ""


def hidden(question: str, *, hint: str | None = None) -> str:
    """A line that does not show as it is typed or pasted; empty if nothing was."""
    _somebody(question, hint)
    with suppress(EOFError), _own_line():
        return getpass.getpass(f"{output.printable(question)}: ", stream=sys.stderr).strip()
    return ""


@contextmanager
def _own_line() -> Iterator[None]:
    """What follows a question that was not answered stands on a line of its own. Ctrl-D raises `EOFError`.

    The libraries leave the cursor behind the question, and typer has one exception for Ctrl-C and Ctrl-D.
    """
    try:
        yield
    except (KeyboardInterrupt, EOFError):
        output.say("")
        raise
    except typer.Abort as abort:
        output.say("")
        raise abort.__context__ or abort from None


def piped(what: str) -> str:
    """What standard input holds: one line. On a terminal it is asked for, hidden. Raises `UsageError`."""
    if output.terminal(sys.stdin):
        return hidden(what)
    found = sys.stdin.read(_MOST).strip() if sys.stdin else ""
    if not found or len(found.splitlines()) > 1:
        raise UsageError(f"standard input must hold the {what}, in one line")
    return found


def _somebody(question: str, hint: str | None) -> None:
    if not output.interactive():
        raise InputNeeded(f"somebody would have to answer: {question}", hint=hint)
