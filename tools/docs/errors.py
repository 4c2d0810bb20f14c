"""docs/cli.md: what can go wrong, as a program reads it; and the options that every command has."""

from __future__ import annotations

from typer import Context

from ccapi import errors
from ccapi.cli.app import root
from ccapi.cli.frame import global_options
from ccapi.errors import CcapiError
from tools.docs.markdown import table as markdown


def codes() -> str:
    """One line a code, in the order of `ccapi.errors`, the base last."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, CcapiError)]
    rows = [
        (f"`{kind.code}`", kind.category, str(kind.exit_code), "yes" if kind.retryable else "", _meaning(kind))
        for kind in [*kinds[1:], kinds[0]]
    ]
    return markdown(("code", "category", "exit code", "retry", ""), rows)


def options() -> str:
    """One line an option."""
    context = Context(root())
    rows = []
    for option in global_options():
        names, text = option.record(context) or ("", "")
        rows.append((f"`{names}`", text))
    return markdown(("option", ""), rows)


def _meaning(kind: type[CcapiError]) -> str:
    if kind is CcapiError:
        return "Whatever a gateway of another version says that this one does not know."
    return (kind.__doc__ or "").partition("\n\n")[0]
