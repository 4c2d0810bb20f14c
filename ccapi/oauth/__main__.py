"""`python -m ccapi.oauth`: the OAuth proxy in the foreground, as a service runs it, without the command line.

`--log-file FILE` logs to a file, which is kept small, and not to standard error.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ccapi import settings
from ccapi.errors import CcapiError
from ccapi.oauth import daemon


def main(arguments: list[str]) -> int:
    """The exit code of what kept it from starting."""
    match arguments:
        case []:
            log_file = None
        case ["--log-file", name]:
            log_file = Path(name)
        case _:
            return _fail("usage: python -m ccapi.oauth [--log-file FILE]", 2)
    try:
        daemon.run(settings.load(), log_file=log_file)
    except CcapiError as error:
        return _fail("\n  ".join([f"error: {error}", *(error.hint or "").splitlines()]), error.exit_code)


def _fail(text: str, code: int) -> int:
    os.write(2, f"{text}\n".encode())
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
