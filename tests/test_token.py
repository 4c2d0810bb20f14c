"""A token of an MCP server: what becomes of it when Claude Code does not get along with what the server took."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ccapi.commands import mcpservers, token
from ccapi.commands.token import Target
from ccapi.errors import LoginFailed, UsageError
from ccapi.wire.internal import Probed
from tests.oauth.localcontainer import LocalContainer
from tests.oauth.servers import access_token, mcp_server

WRONG = "not-the-token-and-not-to-be-shown"


def takes_all(url: str, given: str | None) -> Probed:
    """A probe that sees no problem."""
    assert url
    assert given
    return Probed("ok", tools=("search",))


def forbids(url: str, given: str | None) -> Probed:
    """One for a token that is known, and may not enter."""
    assert url
    assert given
    return Probed("forbidden", detail="403")


@pytest.fixture
def container(tmp_path: Path) -> LocalContainer:
    return LocalContainer(tmp_path / "container")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mcp_server(tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.mark.parametrize("text", ["a-token", " a-token\n", "Bearer a-token", "bearer  a-token"])
def test_a_token(text: str) -> None:
    """As people copy it."""
    assert token.check(text) == "a-token"


@pytest.mark.parametrize("text", ["", "Bearer ", "a b", "a\nb", "é", "x" * 5000, "\x1b[A", "a\x00"])
def test_no_token(text: str) -> None:
    """Refused, and not repeated."""
    with pytest.raises(UsageError) as caught:
        token.check(text)
    assert not text.strip() or text not in caught.value.message


def test_a_new_server_is_taken_out_again(container: LocalContainer, url: str) -> None:
    """When Claude Code cannot connect: as if nothing had been."""
    with pytest.raises(LoginFailed, match="nothing was kept") as caught:
        token.sign_in(container, takes_all, Target("demo", url), WRONG)
    assert WRONG not in caught.value.message
    assert mcpservers.configured(container) == ()


def test_what_was_there_is_put_back(container: LocalContainer, url: str) -> None:
    """With the token that worked."""
    mcpservers.add(container, "demo", mcpservers.document(url, token=access_token(url)))
    with pytest.raises(LoginFailed):
        token.sign_in(container, takes_all, Target("demo", url), WRONG)
    assert [server.status for server in mcpservers.listed(container)] == ["connected"]


def test_a_token_that_may_not_enter(container: LocalContainer, url: str) -> None:
    """Is told from one that is wrong."""
    with pytest.raises(LoginFailed, match="knows this token, and does not let it in"):
        token.sign_in(container, forbids, Target("demo", url), WRONG)
    assert container.commands == []


def test_what_was_kept(container: LocalContainer, url: str) -> None:
    """Its kind only, and the tools."""
    kept = token.sign_in(container, takes_all, Target("demo", url), access_token(url))
    assert (kept.name, kept.shown, kept.tools) == ("demo", "…", ("search",))
