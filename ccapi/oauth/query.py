"""The query of a callback: what is looked at, and what is refused. All else is opaque and passes byte for byte.

Source: RFC 6749 (4.1.2), RFC 9207 (iss). Parameters "MUST NOT be included more than once" (RFC 6749, 3.1): who reads
the first of two and who reads the last would not speak of the same login.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from ccapi.errors import LoginRefused

LONGEST = 8192  # bytes; a code may have 4 KiB
_ONCE = frozenset({b"state", b"code", b"iss", b"error"})
_VISIBLE = re.compile(r"[!-\"$-~]+")  # ASCII without the space, and without what would begin a fragment


@dataclass(frozen=True, slots=True)
class Answer:
    """What the authorization server said. `denied`: an error instead of a code. Neither field is ever shown."""

    query: str = field(repr=False)
    state: bytes = field(repr=False)
    denied: bool


def read(query: str) -> Answer:
    """Raises `LoginRefused` for what no authorization server sends, or what could be read in two ways."""
    if not _VISIBLE.fullmatch(query):
        raise LoginRefused("The callback has no query, or one that is not visible ASCII")
    found: dict[bytes, bytes] = {}
    for pair in query.split("&"):
        name, _, value = (unquote_to_bytes(part.replace("+", " ")) for part in pair.partition("="))
        if _plain(name) not in _ONCE:
            continue
        if name in found or name not in _ONCE:
            raise LoginRefused("The callback has a parameter twice, or as a list")
        found[name] = value
    answers = [found[name] for name in (b"code", b"error") if name in found]
    if not found.get(b"state") or len(answers) != 1 or not answers[0]:
        raise LoginRefused("The callback must have a state, and either a code or an error")
    return Answer(query, found[b"state"], b"error" in found)


def _plain(name: bytes) -> bytes:
    """The name that a lenient reader would see: `state` for `state[]` and ` state`."""
    return name.partition(b"[")[0].strip()
