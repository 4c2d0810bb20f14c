"""The guided login with the real Claude Code and a real MCP server; the answer is pasted, as no proxy runs."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from ccapi.commands import mcpservers
from ccapi.commands.login import Invitation, Parts, Wanted, login
from ccapi.errors import CcapiError, LoginFailed, ProxyFailed
from ccapi.gateway import probe
from ccapi.wire.internal import Probed, Server
from tests.cli.support import DEADLINE
from tests.oauth.localcontainer import LocalContainer
from tests.oauth.loginstage import RecordingView
from tests.oauth.servers import mcp_server


class Gateway:
    """The gateway's own probe; which tools there are is not asked."""

    def probe(self, url: str, token: str | None = None) -> Probed:
        return asyncio.run(probe.probe(url, token))

    def server(self, _: str) -> Server | None:
        return None


class Person(RecordingView):
    """Clicks in the browser, and pastes the address that it ends on."""

    def __init__(self, click: str, *, first: str = "") -> None:
        super().__init__(self._visit)
        self._click = click
        self._first = first
        self._took: Callable[[str], None] = print

    @contextmanager
    def pasting(self, took: Callable[[str], None]) -> Iterator[None]:
        self._took = took
        yield

    def _visit(self, invitation: Invitation) -> None:
        threading.Thread(target=self._answer, args=(invitation.login.url,), daemon=True).start()

    def _answer(self, url: str) -> None:
        with httpx.Client(trust_env=False, timeout=DEADLINE) as client:
            page = client.get(url, follow_redirects=True)
            ticket = re.search(r"name=ticket value=([\w-]+)", page.text)
            assert ticket
            answer = client.post(page.url, data={"ticket": ticket[1], "answer": self._click})
        if self._first:
            self._took(self._first)
        self._took(answer.headers["location"])


def no_proxy() -> object:
    raise ProxyFailed("Port 8888 is in use")


@pytest.fixture
def container(tmp_path: Path) -> LocalContainer:
    return LocalContainer(tmp_path / "container")


def sign_in(container: LocalContainer, url: str, person: Person) -> None:
    login(Wanted("demo", url, timeout=DEADLINE), None, Parts(container, Gateway(), no_proxy), person)  # type: ignore[arg-type] # it only raises


def test_pasting_signs_in(container: LocalContainer, tmp_path: Path) -> None:
    """Claude Code is connected afterwards; what was wrong first did no harm."""
    with mcp_server(tmp_path) as url:
        person = Person("allow", first="http://localhost:1/callback?code=1&state=2")
        sign_in(container, url, person)
        assert [(one.name, one.status) for one in mcpservers.listed(container)] == [("demo", "connected")]
    assert person.phases == ["looking", "starting", "waiting", "exchanging", "checking"]
    assert len(person.warnings) == 2


@pytest.mark.parametrize(
    ("click", "options", "said"),
    [("deny", [], "was told not to allow access"), ("allow", ["--wrong-issuer"], "may be an attack")],
)
def test_it_fails(container: LocalContainer, tmp_path: Path, click: str, options: list[str], said: str) -> None:
    """The reason is known by what the CLI says of it, and the server is not kept."""
    with mcp_server(tmp_path, *options) as url, pytest.raises(LoginFailed, match=said):
        sign_in(container, url, Person(click))
    assert mcpservers.configured(container) == ()


def test_no_registration(container: LocalContainer, tmp_path: Path) -> None:
    """It is known before the CLI is started."""
    with mcp_server(tmp_path, "--no-registration") as url, pytest.raises(CcapiError, match="does not know"):
        sign_in(container, url, Person("allow"))
    assert mcpservers.configured(container) == ()
