"""What the completion scripts ask: `ccapi __complete =WORD ARGUMENT...` (see `ccapi.commands.completion`).

typer's own parser finds out. Its own scripts are not used: for what they show behind each possibility they load rich,
and fish's asks twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from typer._click.shell_completion import _resolve_context, _resolve_incomplete

from ccapi.cli import output
from ccapi.cli.app import root


def answer(args: Sequence[str]) -> None:
    """A line for each possibility; nothing where only a file's name can stand."""
    typed, *before = args or ["="]
    *before, word = _joined([*before, typed.removeprefix("=")])
    option, equals, _ = word.partition("=")
    prefix = option + equals if equals and option.startswith("--") else ""
    context = _resolve_context(root(), {}, "ccapi", before)
    asked, incomplete = _resolve_incomplete(context, before, word)
    for item in asked.shell_complete(context, incomplete):
        if item.type == "plain":
            text = " ".join((item.help or "").split())
            output.write(output.printable(f"{prefix}{item.value}\t{text}" if text else f"{prefix}{item.value}") + "\n")


def _joined(words: Sequence[str]) -> list[str]:
    """bash makes three words of `--color=always`."""
    whole: list[str] = []
    for word in words:
        if whole and whole[-1].startswith("--") and (word == "=" or whole[-1].endswith("=")):
            whole[-1] += word
        else:
            whole.append(word)
    return whole
