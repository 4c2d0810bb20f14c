"""The command `ccapi`: the one boundary where exceptions become a line on stderr and an exit code."""

from __future__ import annotations

import signal
import sys

from ccapi import __version__
from ccapi.cli import output
from ccapi.errors import CcapiError


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    args = sys.argv[1:] if argv is None else argv
    if args in (["--version"], ["-V"]):  # the fast path: no typer
        output.write(f"ccapi {__version__}\n")
        return 0
    output.prepare()
    _end_in_order()
    options = args[: args.index("--")] if "--" in args else args
    debug = "--debug" in options
    try:
        from ccapi.cli.app import run

        return run([arg for arg in options if arg != "--debug"] + args[len(options) :])
    except CcapiError as error:
        if debug:
            raise
        output.failure(error)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        # The boundary: a defect of ours is one line too, unless the traceback was asked for.
        if debug:
            raise
        output.note(f"error: ccapi failed unexpectedly: {type(error).__name__}: {error}")
        output.note("  Run it again with --debug to see where.")
        return 1


def _end_in_order() -> None:
    """A terminated command cleans up like an interrupted one (and exits with 128 + the signal, as shells expect)."""

    def leave(number: int, _: object) -> None:
        sys.exit(128 + number)

    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), leave)
