"""What `claude mcp login` prints on its terminal, read as it comes: the authorization URL, and how the login ended."""

from __future__ import annotations

import re

from ccapi.redact import redact

_MOST = 256 * 1024  # bytes that are kept; more than any login prints
_LINK = re.compile(r"\x1b\]8;[^;\x07\x1b]*;([^\x07\x1b]+)(?:\x07|\x1b\\)")  # OSC 8: a link, and where it leads
_SEQUENCE = re.compile(r"\x1b(?:\][^\x07\x1b]*(?:\x07|\x1b\\)|\[[0-?]*[ -/]*[@-~]|[@-Z\\^_])")
_URL = re.compile(r"https?://[!-~]+(?=\s)")  # what follows says that it is whole
_AUTHORIZATION = "redirect_uri="  # tells the URL to visit from those in remarks
_SIGNED_IN = re.compile(r'(?m)^Authenticated with "[^"\n]*"')
_FAILED = re.compile(r'Couldn\'t complete authentication for "[^"\n]*": *([^\n]*)')
_PROMPT = "paste the redirect URL"
_WRONG_PASTE = "doesn't look like a redirect URL"


class LoginScreen:
    """Feed it the bytes, cut anywhere."""

    def __init__(self) -> None:
        self._raw = bytearray()

    def feed(self, data: bytes) -> None:
        self._raw += data
        del self._raw[:-_MOST]

    @property
    def url(self) -> str | None:
        """The URL to visit, once all of it was printed."""
        printed = self._raw.decode("utf-8", "replace")
        for candidate in [*_LINK.findall(printed), *_URL.findall(self._text)]:
            if _AUTHORIZATION in candidate:
                return str(candidate)
        return None

    @property
    def signed_in(self) -> bool:
        return bool(_SIGNED_IN.search(self._text))

    @property
    def reason(self) -> str:
        """Why it failed, in the CLI's own words: what it says of it, else its last line."""
        if found := _FAILED.search(self._text):
            return redact(found[1].strip())
        lines = [line.strip() for line in self._text.splitlines() if line.strip()]
        return redact(lines[-1]) if lines else ""

    @property
    def takes_pastes(self) -> bool:
        """Whether it asks for the redirect URL: before that, its terminal is not yet set up to be pasted into."""
        return _PROMPT in self._text

    @property
    def refused_pastes(self) -> int:
        """How often it did not take what was pasted."""
        return self._text.count(_WRONG_PASTE)

    @property
    def _text(self) -> str:
        printed = _SEQUENCE.sub("", self._raw.decode("utf-8", "replace"))
        return printed.replace("\r\n", "\n").replace("\r", "\n")
