"""What fixes and findings are worded with."""

from __future__ import annotations

from collections.abc import Iterable

from ccapi.doctor.facts import Facts
from ccapi.redact import redact

_LOG_LINES = 5
_LONGEST = 300  # characters of a line


def ccapi(facts: Facts, words: str) -> str:
    """A command of ccapi, for the stack that was looked at, whatever the next shell has in its environment."""
    project = f" --project {facts.home.project}" if facts.home.project else ""
    return f"ccapi {words}{project}"


def quoted(output: bytes | str, *, lines: int = _LOG_LINES) -> list[str]:
    """The last lines that a program printed, for a finding's detail: without credentials and control characters."""
    text = output.decode("utf-8", "replace") if isinstance(output, bytes) else output
    last = [line.rstrip() for line in text.splitlines() if line.strip()][-lines:]
    return [redact("".join(letter if letter.isprintable() else " " for letter in line))[:_LONGEST] for line in last]


def listed(names: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def size(number: int) -> str:
    """Bytes, for a person."""
    return f"{number / 1e6:.0f} MB" if number < 1e9 else f"{number / 1e9:.1f} GB"
