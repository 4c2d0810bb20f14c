"""The catalogue of MCP servers: what each entry must hold, so that a person who follows it gets somewhere."""

from __future__ import annotations

import re
from typing import get_args
from urllib.parse import urlsplit

import pytest

from ccapi.commands import mcpservers
from ccapi.oauth import catalogue
from ccapi.oauth.catalogue import Entry, Grade, Way

FOUND = catalogue.load()
entries = pytest.mark.parametrize("entry", FOUND.entries, ids=lambda entry: entry.name)
# Those whose endpoint, or way in, is known to surprise people.
EXPECTED = {
    "github": ("https://api.githubcopilot.com/mcp/", ("token", "client-id")),
    "slack": ("https://mcp.slack.com/mcp", ("browser", "client-id")),
    "asana": ("https://mcp.asana.com/v2/mcp", ("client-id",)),
    "huggingface": ("https://huggingface.co/mcp?login", ("browser", "token")),
    "hubspot": ("https://mcp.hubspot.com/anthropic", ("browser", "client-id")),
    "gmail": ("https://gmailmcp.googleapis.com/mcp/v1", ("client-id",)),
    "notion": ("https://mcp.notion.com/mcp", ("browser",)),
}


def test_it_has_a_date() -> None:
    """Whoever reads it must see how old it is."""
    assert re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", FOUND.checked)


def test_each_name_is_there_once() -> None:
    """And there are as many as the vendors' pages gave."""
    names = [entry.name for entry in FOUND.entries]
    assert len(names) == len(set(names)) >= 30


@entries
def test_an_entry_is_complete(entry: Entry) -> None:
    """Names that the CLI takes, https endpoints, known ways, one line of what it is for."""
    mcpservers.check_name(entry.name)
    assert entry.name == entry.name.lower()
    assert entry.title
    assert entry.about
    assert "\n" not in entry.about
    assert entry.ways
    assert set(entry.ways) <= set(get_args(Way))
    assert len(set(entry.ways)) == len(entry.ways)
    assert entry.sure in get_args(Grade)
    assert all(mcpservers.check_url(entry.endpoint(way)) for way in entry.ways)
    assert entry.callback_port is None or 1024 <= entry.callback_port <= 65535


@entries
def test_there_is_help_for_each_way(entry: Entry) -> None:
    """A token, or an app of one's own, is never asked for without saying how to get one; and no help is left over."""
    assert bool(entry.token.how) == ("token" in entry.ways)
    assert bool(entry.client.how) == ("client-id" in entry.ways)
    assert "client-id" not in entry.ways or entry.client.page
    assert entry.ways[0] == "browser" or entry.guide


@entries
def test_pages_are_the_vendors_own(entry: Entry) -> None:
    """They are opened in the person's browser: https, a host name, no query and nobody's name in it."""
    for page in filter(None, [entry.token.page, entry.client.page, entry.revoke]):
        parts = urlsplit(page)
        assert (parts.scheme, parts.username, parts.query, parts.fragment) == ("https", None, "", "")
        assert "." in (parts.hostname or "")


@entries
def test_texts_are_plain(entry: Entry) -> None:
    """They are printed as they stand: nothing in them commands a terminal, and lines have a length."""
    for text in (entry.title, entry.about, entry.guide, entry.token.how, entry.client.how):
        assert text.replace("\n", "").isprintable()
        assert text == text.strip()


@pytest.mark.parametrize("name", EXPECTED)
def test_the_ones_that_surprise(name: str) -> None:
    """What the vendors' pages say, word for word."""
    entry = FOUND.get(name)
    assert entry
    assert (entry.url, entry.ways) == EXPECTED[name]


def test_endpoints_that_depend_on_the_way() -> None:
    """Hugging Face has one for tokens, HubSpot one for apps of one's own; Slack knows one port only."""
    huggingface, hubspot, slack = (FOUND.get(name) for name in ("huggingface", "hubspot", "slack"))
    assert huggingface
    assert hubspot
    assert slack
    assert huggingface.endpoint("token") == "https://huggingface.co/mcp"
    assert hubspot.endpoint("client-id") == "https://mcp.hubspot.com"
    assert slack.callback_port == 3118


def test_a_client_that_the_vendor_knows() -> None:
    """Slack registers none, and publishes the one of Claude Code; it is for the browser, and no secret is with it."""
    assert {entry.name: entry.client_id for entry in FOUND.entries if entry.client_id} == {
        "slack": "1601185624273.8899143856786"
    }
    assert all("browser" in entry.ways for entry in FOUND.entries if entry.client_id)


def test_github_says_what_to_choose() -> None:
    """The page for fine-grained tokens, and read-only before anything else."""
    entry = FOUND.get("github")
    assert entry
    assert entry.token.page == "https://github.com/settings/personal-access-tokens/new"
    assert entry.token.how.index("Read-only") < entry.token.how.index("Read and write")


def test_an_unknown_name() -> None:
    """Is no entry."""
    assert FOUND.get("nothing") is None


def test_a_field_that_is_no_field_is_refused() -> None:
    """A slip of the pen in the data does not pass in silence."""
    with pytest.raises(TypeError):
        catalogue.parse({"checked": "2026-10", "server": [{"name": "x", "ways": ["browser"], "endpiont": "y"}]})
