"""A program of this machine, asked for its version and the like."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from typing import NamedTuple


class Said(NamedTuple):
    """`code` is None when it did not end in time, or could not be started."""

    code: int | None
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        return self.code == 0


def ask(*argv: str, environ: Mapping[str, str], timeout: float) -> Said:
    """What it printed. It is killed after `timeout` seconds, and reads nothing."""
    try:
        done = subprocess.run(
            argv,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Said(None, "", f"it did not answer within {timeout:g} s")
    except OSError as error:
        return Said(None, "", error.strerror or str(error))
    return Said(done.returncode, done.stdout.strip(), done.stderr.strip())
