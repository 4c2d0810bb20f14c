"""An authorization URL, and what may be relayed of the login behind it.

The redirect URI in it says where the browser will come back to. That address becomes a listener on the person's own
machine, so only what Claude Code really uses is taken: plain http, exactly a loopback host, a port that no service has,
a path that ends in `callback`. Sources: RFC 6749 (4.1.1), RFC 8252 (7.3, 8.3), RFC 9700 (2.1).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from ccapi.errors import LoginRefused

MAX_URL = 8192  # characters
FIRST_PORT = 1024  # below are those of services
_URL = re.compile(r"https?://[!-~]+")
# What a browser takes for the host as well, and can be shown: no backslash, no quotes, no markup.
_SITE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|\[::1\])(?::[1-9]\d{0,4})?")
_REDIRECT = re.compile(
    r"http://(?P<host>localhost|127\.0\.0\.1|\[::1\]):(?P<port>[1-9]\d{3,4})(?P<path>(?:/[A-Za-z0-9_-]+)*/callback)"
)
_STATE = re.compile(r"[!-~]{1,512}")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Redirect:
    """Where the browser comes back to. `host` is as written: `localhost`, `127.0.0.1` or `[::1]`."""

    host: str
    port: int
    path: str

    def __str__(self) -> str:
        return f"http://{self.host}:{self.port}{self.path}"


@dataclass(frozen=True, slots=True)
class Authorization:
    """A login that waits for the browser. `site` is the host (and port) of the page that the person will see."""

    url: str
    site: str
    redirect: Redirect
    state: str


def parse(url: str, *, reserved: Collection[int] = (), longest: int = MAX_URL) -> Authorization:
    """Take an authorization URL apart. `reserved` are ports that no login may have. Raises `LoginRefused`.

    No message repeats any of the URL: it may come from anybody.
    """
    if len(url) > longest:
        raise LoginRefused(f"The authorization URL is longer than {longest} characters")
    if not _URL.fullmatch(url):
        raise LoginRefused("This is no authorization URL: expected https://… in plain ASCII")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise LoginRefused("The authorization URL is malformed") from None
    if not _SITE.fullmatch(parts.netloc) or "#" in url:
        raise LoginRefused("The authorization URL must have a plain host, and neither a user name nor a fragment")
    if parts.scheme != "https" and host not in _LOOPBACK:
        raise LoginRefused("The authorization URL must be https")
    query = parse_qsl(parts.query, keep_blank_values=True)
    return Authorization(
        url, parts.netloc, redirect(_only(query, "redirect_uri"), reserved), state(_only(query, "state"))
    )


def redirect(uri: str, reserved: Collection[int] = ()) -> Redirect:
    """A redirect URI that can be relayed. Raises `LoginRefused`."""
    if not (found := _REDIRECT.fullmatch(uri)):
        raise LoginRefused(
            "The redirect URI must be http://localhost:PORT/callback (or 127.0.0.1, [::1]) and nothing else"
        )
    return Redirect(found["host"], port(int(found["port"]), reserved), found["path"])


def port(number: int, reserved: Collection[int] = ()) -> int:
    """A port that a login may have. Raises `LoginRefused`."""
    if not FIRST_PORT <= number <= 65535 or number in reserved:
        raise LoginRefused(f"A login cannot be redirected to port {number}")
    return number


def state(text: str) -> str:
    """A state that identifies a login. Raises `LoginRefused`."""
    if not _STATE.fullmatch(text):
        raise LoginRefused("The state must be 1 to 512 visible ASCII characters")
    return text


def _only(query: list[tuple[str, str]], name: str) -> str:
    values = [value for key, value in query if key == name]
    if len(values) != 1:
        raise LoginRefused(f"The authorization URL must have exactly one {name}")
    return values[0]
