"""A redirect URL that a person copied from the browser, checked before Claude Code sees any of it.

It is typed into a terminal, so nothing but the address of this very login may get there: no control character, no other
host, port, path or state. What is percent-encoded stays so.
"""

from __future__ import annotations

import hmac
import re
from urllib.parse import parse_qsl

from ccapi.errors import UsageError
from ccapi.wire.authorization import Authorization

MAX_LENGTH = 16 * 1024  # characters
_ADDRESS = re.compile(
    r"(?:http://)?(?:localhost|127\.0\.0\.1|\[::1\]):(?P<port>\d{1,5})(?P<path>/[!-\"$->@-~]*)"
    r"(?:\?(?P<query>[!-\"$-~]*))?(?:#[!-~]*)?"
)
_WANTED = "Paste the whole address of the page that the browser ended on"


def redirect_url(text: str, login: Authorization) -> str:
    """The redirect URL of this login, fit to be typed. Raises `UsageError`, which repeats nothing of `text`."""
    text = text.strip(" \t\r\n")
    if not text:
        raise UsageError(f"Nothing was pasted. {_WANTED}")
    if len(text) > MAX_LENGTH:
        raise UsageError(f"That is too long for an address. {_WANTED}")
    if not all("!" <= character <= "~" for character in text):
        raise UsageError(f"An address has no spaces, line breaks or special characters. {_WANTED}")
    if text.startswith((login.url, f"https://{login.site}/", f"http://{login.site}/")):
        raise UsageError(
            "That is still the page of the server. Allow access there, then paste the address that follows"
        )
    found = _ADDRESS.fullmatch(text)
    expected = login.redirect
    if not found or (found["port"], found["path"]) != (str(expected.port), expected.path):
        raise UsageError(f"The address must begin with {expected}. {_WANTED}")
    _check(found["query"] or "", login)
    return f"{expected}?{found['query']}"


def _check(query: str, login: Authorization) -> None:
    pairs = parse_qsl(query, keep_blank_values=True)
    states = [value for name, value in pairs if name == "state"]
    answers = [name for name, value in pairs if name in {"code", "error"} and value]
    if not states and not answers:
        raise UsageError(f"The address has no answer in it: it seems to be cut off. {_WANTED}")
    if len(states) != 1 or not hmac.compare_digest(states[0].encode(), login.state.encode()):
        raise UsageError("That address belongs to another login. Paste the one of the page that was opened just now")
    if len(answers) != 1:
        raise UsageError(f"The address has no answer in it, or several. {_WANTED}")
