"""`/docs`: one page, of everything in the document, that a browser shows without fetching anything."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from html.parser import HTMLParser

import pytest

from ccapi.gateway import docs, openapi
from tests.gateway.harness import Gateway

DOCUMENT = openapi.document()
VOID = {"meta", "br", "link", "img", "input", "hr", "wbr"}


class Page(HTMLParser):
    """What the page consists of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.words = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name == "id":
                self.ids.append(value or "")
            if name in {"href", "src"}:
                self.links.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


PAGE = Page(docs.page())


def test_it_is_whole() -> None:
    """Every element is closed, every link leads to a place on the page or to the document."""
    assert PAGE.open == []
    assert len(set(PAGE.ids)) == len(PAGE.ids)
    assert {link.removeprefix("#") for link in PAGE.links} - {"/openapi.json"} <= set(PAGE.ids)


def test_it_needs_nothing_from_elsewhere() -> None:
    """No script, no image, no font, no style but its own; no attribute that a policy would have to allow."""
    assert not {"script", "img", "link", "iframe", "object", "form", "base", "input"} & set(PAGE.tags)
    assert not [link for link in PAGE.links if not link.startswith(("#", "/openapi.json"))]
    assert not [name for name in PAGE.attributes if name == "style" or name.startswith("on")]
    assert not re.search(r"url\(|@import", docs.page())


def test_everything_is_on_it() -> None:
    """Every route with its curl line and its statuses, every type with its fields."""
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            assert path in PAGE.words
            assert operation["operationId"] in PAGE.ids
            assert operation["x-codeSamples"][0]["source"] in PAGE.words
            assert all(status in PAGE.words for status in operation["responses"])
    for name, described in DOCUMENT["components"]["schemas"].items():
        assert f"type-{name}" in PAGE.ids
        assert all(field in PAGE.words for field in described.get("properties", {}))


def test_words_are_never_markup() -> None:
    """Whatever a description holds."""
    evil = "<script>alert(1)</script>\"'&"
    operation = {
        "operationId": evil,
        "tags": [evil],
        "summary": evil,
        "description": evil,
        "parameters": [{"name": evil, "in": evil, "required": True, "description": evil, "schema": {"enum": [evil]}}],
        "requestBody": {"content": {"application/json": {"schema": {"$ref": f"#/{evil}"}}}},
        "responses": {"200": {"description": evil, "content": {evil: {"schema": {"type": evil}}}}},
        "x-codeSamples": [{"source": evil}],
    }
    page = docs.render(
        {
            "info": {"title": evil, "summary": evil, "version": evil, "description": evil},
            "tags": [{"name": evil}],
            "paths": {evil: {"get": operation}},
            "components": {"schemas": {evil: {"description": evil, "properties": {evil: {"const": evil}}}}},
        }
    )
    assert "<script" not in page
    assert html.escape(evil) in page


def test_code_is_marked() -> None:
    """What stands in backticks, once it is harmless."""
    assert docs._marked("a `<b>` c") == "a <code>&lt;b&gt;</code> c"


def test_it_is_served_under_a_policy_for_its_style_alone(stubbed: Gateway) -> None:
    """Everything else is forbidden, and the policy of other answers stays as it is."""
    with stubbed.client() as client:
        response = client.get("/docs")
        other = client.get("/openapi.json")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.text == docs.page()
    policies = response.headers.get_list("Content-Security-Policy")
    assert policies == [docs.POLICY]
    (style,) = re.findall(r"<style>(.*?)</style>", response.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policies[0].split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert "style-src" not in other.headers["Content-Security-Policy"]
    assert response.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "string"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Model"}}, 'list of <a href="#type-Model">Model</a>'),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string or null"),
        ({"enum": ["a", "b"]}, "<code>a</code> or <code>b</code>"),
        ({"const": False, "type": "boolean"}, "<code>false</code>"),
        ({"type": "integer", "minimum": 1, "maximum": 9}, "integer (≥ 1, ≤ 9)"),
        ({}, "anything"),
    ],
)
def test_a_schema_in_words(schema: dict[str, object], words: str) -> None:
    """As short as a table's cell."""
    assert docs._kind(schema) == words
