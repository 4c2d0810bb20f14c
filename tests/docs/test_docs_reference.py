"""docs/reference.md has all of the gateway's OpenAPI document. (That it is up to date: tests/test_made_docs.py.)"""

from __future__ import annotations

import re

from ccapi.gateway.openapi import document
from tests.cli.readme import Page

PAGE = Page("docs/reference.md")


def test_nothing_is_left_out() -> None:
    """Every endpoint, every type, and in the type's table every field."""
    described = document()
    paths = described["paths"]
    endpoints = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert endpoints <= set(PAGE.headings)
    for name, schema in described["components"]["schemas"].items():
        if fields := schema.get("properties"):
            assert [row[0] for row in PAGE.table(name)] == [f"`{field}`" for field in fields]


def test_every_link_within_the_page_leads_somewhere() -> None:
    """Types are linked by the anchors that GitHub makes, of which each is there once."""
    anchors = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in PAGE.headings]
    assert len(set(anchors)) == len(anchors)
    assert {link.removeprefix("#") for link in PAGE.links if link.startswith("#")} <= set(anchors)
