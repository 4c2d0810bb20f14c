"""What a browser is shown: pages that were written beforehand. No value of any request is ever in one.

They have no script, no link and nothing that would be fetched, not even an icon of the site. The style is allowed by
its hash.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from html import escape
from string import Template
from typing import Literal

from aiohttp import web

from ccapi.web.headers import HEADERS
from ccapi.web.runner import Nameless

Mark = Literal["good", "bad", "note"]


@dataclass(frozen=True, slots=True)
class Page:
    """`text` says what has happened, `then` what to do next."""

    status: int
    mark: Mark
    title: str
    text: str
    then: str = ""


_AGAIN = "Start the login again in the terminal."

RECEIVED = Page(
    200,
    "good",
    "Sign-in received",
    "Claude Code is completing it now.",
    "You can close this tab and go back to the terminal.",
)
DENIED = Page(
    200,
    "bad",
    "Sign-in was not completed",
    "Nothing has been signed in.",
    "You can close this tab. To try again, start the login again in the terminal.",
)
UNDELIVERED = Page(
    502,
    "bad",
    "Sign-in could not be delivered",
    "The OAuth proxy did not get through to the container.",
    "See why: ccapi proxy status. Then start the login again in the terminal.",
)
FAILED = Page(502, "bad", "Sign-in could not be delivered", "Claude Code is no longer waiting for it.", _AGAIN)
REJECTED = Page(502, "bad", "Sign-in was not accepted", "Claude Code turned the response down.", _AGAIN)
EXPIRED = Page(410, "bad", "This sign-in has ended", "It took too long, or it was cancelled in the terminal.", _AGAIN)
USED = Page(
    410,
    "note",
    "This sign-in was already received",
    "Each one works only once, so nothing was done now.",
    "You can close this tab and go back to the terminal.",
)
UNKNOWN = Page(400, "bad", "Unknown sign-in", "No login is waiting for it. It may have ended.", _AGAIN)
INVALID = Page(400, "bad", "Not a sign-in response", "It was refused, and nothing was passed on.", _AGAIN)
TOO_MANY = Page(
    429,
    "bad",
    "Too many attempts",
    "No login is waiting for any of them.",
    "Wait a minute, then start the login again in the terminal.",
)
SELF_TEST = Page(
    200,
    "good",
    "The OAuth proxy works",
    "This was a test: nothing was forwarded.",
    "You can close this tab. Real sign-ins will arrive here in the same way.",
)
LANDING = Page(
    200,
    "note",
    "OAuth proxy is running",
    "It passes a sign-in from this browser on to Claude Code in its container.",
    "To sign in to an MCP server, run:",
)
NOT_FOUND = Page(404, "note", "Nothing is here", "The OAuth proxy has no page at this address.")
_REFUSED = {
    400: Page(400, "bad", "This request was refused", "No browser sends such a request after a sign-in."),
    403: Page(403, "bad", "This request was refused", "It was made by another web page, not by a sign-in."),
    404: NOT_FOUND,
    405: Page(405, "bad", "This request was refused", "Only a plain visit to this address is answered."),
    414: Page(414, "bad", "This request was refused", "The address is longer than that of any sign-in.", _AGAIN),
    421: Page(421, "bad", "This request was refused", "It was meant for another host than this machine."),
    500: Page(500, "bad", "Something went wrong", "The proxy's log says more: ccapi proxy logs", _AGAIN),
}
ALL = (
    RECEIVED, DENIED, UNDELIVERED, FAILED, REJECTED, EXPIRED, USED, UNKNOWN, INVALID, TOO_MANY, SELF_TEST, LANDING,
    *_REFUSED.values(),
)  # fmt: skip


def refused(status: int) -> Page:
    """The page of an error that is not a callback's own."""
    return _REFUSED.get(status) or _REFUSED[500 if status >= 500 else 400]


def response(page: Page, *, allow: str | None = None) -> web.Response:
    """The page, with all headers; the connection ends with it."""
    headers = {**HEADERS, "Content-Security-Policy": _policy()}
    if allow:
        headers["Allow"] = allow
    answer = Nameless(body=render(page), status=page.status, headers=headers, content_type="text/html", charset="utf-8")
    answer.force_close()
    return answer


@cache
def render(page: Page) -> bytes:
    command = "<p><code>ccapi auth NAME</code></p>" if page is LANDING else ""
    then = f'<p class="then">{escape(page.then)}</p>' if page.then else ""
    return (
        _HTML.substitute(
            style=_STYLE,
            mark=page.mark,
            icon=_ICONS[page.mark],
            title=escape(page.title),
            text=escape(page.text),
            then=then + command,
        )
        .strip()
        .encode()
    )


@cache
def _policy() -> str:
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    return f"{HEADERS['Content-Security-Policy']}; style-src 'sha256-{digest}'"


_ICONS: dict[Mark, str] = {
    "good": '<path d="M15 24.5l6.2 6.2L33.5 18"/>',
    "bad": '<path d="M24 14v12.5M24 33.4v.1"/>',
    "note": '<path d="M24 34V21.5M24 14.6v-.1"/>',
}

_STYLE = """
:root { color-scheme: light dark;
  --page: #f4f3f0; --card: #ffffff; --edge: #e4e1da; --text: #1f1e1b; --soft: #66625a;
  --good: #1d7f52; --good-back: #e2f4ea; --bad: #b4451f; --bad-back: #fcebe3; --note: #4a5a8a; --note-back: #e8ecf7; }
@media (prefers-color-scheme: dark) { :root {
  --page: #171614; --card: #211f1c; --edge: #35322d; --text: #f1eee8; --soft: #a8a297;
  --good: #63d29b; --good-back: #173527; --bad: #f19a76; --bad-back: #40241a; --note: #a9b8ec; --note-back: #262c43; } }
* { box-sizing: border-box; margin: 0; }
body { min-height: 100vh; min-height: 100dvh; display: grid; grid-template-rows: 1fr auto; justify-items: center;
  padding: 1.5rem 1.25rem; background: var(--page); color: var(--text);
  font: 1.0625rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { align-self: center; width: 100%; max-width: 27rem; padding: 2.75rem 2.25rem 2.5rem; text-align: center;
  background: var(--card); border: 1px solid var(--edge); border-radius: 1.125rem;
  box-shadow: 0 1px 2px rgb(0 0 0 / .04), 0 12px 32px -12px rgb(0 0 0 / .12); }
svg { display: block; width: 4rem; height: 4rem; margin: 0 auto 1.5rem; border-radius: 50%;
  fill: none; stroke: currentColor; stroke-width: 3.25; stroke-linecap: round; stroke-linejoin: round; }
.good { color: var(--good); background: var(--good-back); }
.bad { color: var(--bad); background: var(--bad-back); }
.note { color: var(--note); background: var(--note-back); }
h1 { font-size: 1.5rem; line-height: 1.25; font-weight: 650; letter-spacing: -.012em; text-wrap: balance; }
p { margin-top: .75rem; color: var(--soft); text-wrap: balance; }
p.then { margin-top: 1.5rem; padding-top: 1.5rem; border-top: 1px solid var(--edge); color: var(--text); }
code { display: inline-block; padding: .5rem .875rem; border: 1px solid var(--edge); border-radius: .5rem;
  background: var(--page); color: var(--text);
  font: .9375rem/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
footer { padding-top: 1.25rem; font-size: .8125rem; color: var(--soft); }
@media (max-width: 26rem) { main { padding: 2.25rem 1.5rem 2rem; } h1 { font-size: 1.375rem; } }
"""

_HTML = Template("""
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<link rel="icon" href="data:,">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
<svg class="$mark" viewBox="0 0 48 48" aria-hidden="true">$icon</svg>
<h1>$title</h1>
<p>$text</p>
$then
</main>
<footer>ccapi OAuth proxy</footer>
</body>
</html>
""")
