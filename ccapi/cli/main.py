"""The command `ccapi`. Light, so that `ccapi --version` takes hardly longer than Python itself."""

from __future__ import annotations

import signal
import sys

from ccapi import __version__


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    if argv is None and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # until it can be handled: see `boundary.end_in_order`
    args = sys.argv[1:] if argv is None else argv
    if args in (["--version"], ["-V"]) and _said_version():
        return 0
    import gc

    gc.disable()  # until the command begins (`ccapi.cli.frame`): what is imported until then is no garbage
    try:
        from ccapi.cli import boundary

        return boundary.run(args)
    finally:
        gc.enable()
        if argv is None:
            gc.freeze()  # the process ends: nothing need be looked through once more


def _said_version() -> bool:
    """False if nobody can read it: the way that all others go knows what to say then."""
    try:
        sys.stdout.write(f"ccapi {__version__}\n")
        sys.stdout.flush()
    except (AttributeError, OSError):
        return False
    return True
