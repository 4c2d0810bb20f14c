"""Option forms that typer does not know, and options that several commands have."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperCommand

REHEARSAL_DEFAULT = "default"
JSON = "One JSON document on standard output."
JSON_LINES = "JSON on standard output, one document a line."

Json = Annotated[bool, typer.Option("--json", help=JSON)]
JsonLines = Annotated[bool, typer.Option("--json", help=JSON_LINES)]


class OptionalScenario(TyperCommand):
    """Lets `--rehearsal` stand without a value: click's `flag_value` has no way through typer."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """`--rehearsal` at the end or before another option becomes `--rehearsal=default`."""
        following = [*args, "-"][1:]
        args = [
            f"{arg}={REHEARSAL_DEFAULT}" if arg == "--rehearsal" and after.startswith("-") else arg
            for arg, after in zip(args, following, strict=True)
        ]
        return super().parse_args(ctx, args)
