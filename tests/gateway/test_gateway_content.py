"""Content parts: texts, images and files of both APIs, and what they are as blocks of the Messages API."""

from __future__ import annotations

import base64
import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccapi.errors import InvalidRequest
from ccapi.gateway import content
from ccapi.gateway.content import Part, Remote
from ccapi.gateway.question import Block
from ccapi.wire import media

IMAGES = {
    "image/png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "image/jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF",
    "image/gif": b"GIF89a\1\0\1\0",
    "image/webp": b"RIFF\x1a\0\0\0WEBPVP8 ",
}
PDF = b"%PDF-1.7\n%\xe2\xe3"
WHERE = "messages[0].content"


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def data_url(data: bytes, kind: str = "application/octet-stream") -> str:
    return f"data:{kind};base64,{encoded(data)}"


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, "detail": "high"}}


def file(data: str | None, **members: Any) -> dict[str, Any]:
    return {"type": "file", "file": {"file_data": data, **members}}


def blocks(*parts: dict[str, Any]) -> list[Block]:
    return content.blocks([Part.model_validate(part) for part in parts], WHERE)


def refused(*parts: dict[str, Any]) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        blocks(*parts)
    assert caught.value.status == 400
    assert f"'{caught.value.param}'" in caught.value.message
    return caught.value


# --- texts


@pytest.mark.parametrize("kind", ["text", "input_text", "output_text"])
def test_texts_of_both_apis(kind: str) -> None:
    """As they are."""
    assert blocks({"type": kind, "text": " a\n"}) == [{"type": "text", "text": " a\n"}]


def test_a_refusal_is_a_text() -> None:
    """Of another model's, in the history."""
    assert blocks({"type": "refusal", "refusal": "No."}) == [{"type": "text", "text": "No."}]


def test_blank_texts_are_left_out() -> None:
    """The model's API refuses them."""
    assert blocks({"type": "text", "text": ""}, {"type": "text", "text": " \n"}) == []
    assert content.blocks("", WHERE) == content.blocks(None, WHERE) == []


def test_a_message_of_texts_is_a_text() -> None:
    """Anything else makes it blocks."""
    parts = [Part(type="text", text="a"), Part(type="text", text="b")]
    assert content.turn(parts, WHERE) == "a\n\nb"
    assert content.turn("a", WHERE) == "a"
    assert content.turn(None, WHERE) == ""
    both = content.turn([*parts, Part(type="input_image", image_url=data_url(IMAGES["image/png"]))], WHERE)
    assert [block["type"] for block in both if isinstance(block, dict)] == ["text", "text", "image"]


# --- images


@pytest.mark.parametrize("kind", IMAGES)
@pytest.mark.parametrize("claimed", ["image/png", "text/html", "", "image/svg+xml;charset=utf-8"])
def test_what_an_image_is_its_first_bytes_say(kind: str, claimed: str) -> None:
    """Whatever the client claims."""
    url = data_url(IMAGES[kind], claimed)
    expected = {"type": "image", "source": {"type": "base64", "media_type": kind, "data": encoded(IMAGES[kind])}}
    assert blocks(image(url)) == [expected]
    assert blocks({"type": "input_image", "image_url": url}) == [expected]
    assert blocks({"type": "image_url", "image_url": url}) == [expected]
    assert blocks(file(url)) == [expected]


def test_white_space_in_base64_is_no_fault() -> None:
    """Some encoders break lines; the scheme may be in capitals."""
    data = IMAGES["image/png"] * 20
    lines = base64.encodebytes(data).decode()
    (block,) = blocks(image(f"DATA:image/png;Base64,{lines}"))
    assert block["source"]["data"] == encoded(data)


@pytest.mark.parametrize(
    "data",
    [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"BM1234", PDF, b"text", b"\x89PNG", b"RIFF1234WAVE", b"\0" * 20],
)
def test_what_is_no_image_that_claude_sees_is_refused(data: bytes) -> None:
    """Claude Code would drop it without a word, and the answer would be about nothing."""
    error = refused({"type": "text", "text": "What is this?"}, image(data_url(data, "image/png")))
    assert error.param == f"{WHERE}[1].image_url.url"


@pytest.mark.parametrize(
    "url",
    [
        *("", "data:", "data:image/png,abc", "data:image/png;base64", "data:;base64,", "data:image/png;base64,****"),
        *(
            "data:image/png;base64,iVBORw0KGgo",
            "data:image/png;base64,iVBORw0KGg==o",
            "data:image/png;base64,iVBORw0KGgo==",
        ),
        *("data:image/png;base64,iVBORw0KGg-_", "data:image/png;base64,é", "data:image/png;base64,\ud83d\ude00", "x"),
        *(
            "http://example.com/a.png",
            "ftp://example.com/a",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "//example.com/a",
        ),
        *("/etc/passwd", "blob:https://example.com/1", " https://example.com", "https:/example.com", "gopher://x/1"),
        f"https://example.com/{'a' * 9000}",
        f"data:{'a' * 5000};base64,iVBORw0KGgoAAAA=",
    ],
)
def test_only_data_urls_and_https_urls_are_taken(url: str) -> None:
    """Whole and valid ones; the message does not repeat what came."""
    error = refused(image(url))
    assert error.param == f"{WHERE}[0].image_url.url"
    assert len(url) < 10 or url not in error.message


def test_an_https_url_is_left_for_later() -> None:
    """Reading a request reaches out to nobody: it is fetched once it is known that it may be asked."""
    (found,) = blocks(image("https://example.com/a.png"))
    assert isinstance(found, Remote)
    assert found == {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    assert (found.url, found.param) == ("https://example.com/a.png", f"{WHERE}[0].image_url.url")
    (found,) = blocks({"type": "input_file", "file_url": "HTTPS://example.com/a.pdf", "filename": "a.pdf"})
    assert isinstance(found, Remote)
    assert found == {
        "type": "document",
        "source": {"type": "url", "url": "HTTPS://example.com/a.pdf"},
        "title": "a.pdf",
    }
    assert found.param == f"{WHERE}[0].file_url"


@pytest.mark.parametrize("size", [0, 1])
def test_the_size_of_images_is_limited(size: int) -> None:
    """To 10 MB, decoded."""
    data = IMAGES["image/png"].ljust(media.MAX_IMAGE + size, b"\0")
    if size:
        assert "10 MB" in refused(image(data_url(data))).message
        assert "10 MB" in refused(file(data_url(data))).message
    else:
        assert len(blocks(image(data_url(data)))) == 1


# --- files


@pytest.mark.parametrize("url", [data_url(PDF), encoded(PDF), data_url(PDF, "text/plain")])
def test_a_pdf_is_a_document(url: str) -> None:
    """As a data URL or as base64 alone, in both APIs' forms; its name is the document's title."""
    expected: Block = {
        "type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": encoded(PDF)},
    }
    assert blocks(file(url)) == [expected]
    assert blocks({"type": "input_file", "file_data": url}) == [expected]
    assert blocks(file(url, filename="report.pdf")) == [{**expected, "title": "report.pdf"}]


@pytest.mark.parametrize("data", [b"a,b\n1,2\n", "é 日本".encode(), b"\xef\xbb\xbfwith a mark", b"#!/bin/sh\n\x1b[0m"])
def test_any_text_is_a_document(data: bytes) -> None:
    """Source code, CSV, HTML: whatever is UTF-8."""
    (found,) = blocks(file(data_url(data), filename="x.csv"))
    text = data.decode("utf-8-sig")
    assert found == {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": text},
        "title": "x.csv",
    }


@pytest.mark.parametrize("data", [b"PK\3\4\x14\0", b"\xff\xfea\0", b"\xe9", b"a\0b", b"", b" \n", b"\x7fELF\2\1\1\0"])
def test_other_files_are_refused(data: bytes) -> None:
    """Archives, programs, other encodings; and what holds nothing."""
    assert refused(file(data_url(data))).param == f"{WHERE}[0].file.file_data"


@pytest.mark.parametrize(
    ("name", "title"), [("a\nb\x00.pdf", "a b .pdf"), ("\u202efdp.exe", "fdp.exe"), ("", None), (None, None)]
)
def test_a_files_name_is_one_short_line(name: str | None, title: str | None) -> None:
    """It is the client's word, and the model reads it."""
    (found,) = blocks(file(encoded(PDF), filename=name))
    assert found.get("title") == title
    (found,) = blocks(file(encoded(PDF), filename="x" * 1000))
    assert len(found["title"]) == 200


def test_the_size_of_files_is_limited() -> None:
    """Texts to 2 MB, PDFs to 20 MB."""
    assert "2 MB" in refused(file(data_url(b"a" * (media.MAX_TEXT + 1)))).message
    assert "20 MB" in refused(file(data_url(PDF.ljust(media.MAX_DOCUMENT + 1)))).message


@pytest.mark.parametrize(
    ("part", "param"),
    [
        (file(None, file_id="file-1"), "file.file_id"),
        ({"type": "input_file", "file_id": "file-1"}, "file_id"),
        ({"type": "input_image", "file_id": "file-1"}, "file_id"),
        (file(None), "file.file_data"),
        ({"type": "file"}, "file"),
        ({"type": "input_file", "filename": "x"}, "file_data"),
        ({"type": "image_url"}, "image_url"),
        ({"type": "text"}, "text"),
        ({"type": "refusal", "text": "x"}, "refusal"),
        ({"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}}, "type"),
        ({"type": "tool_result"}, "type"),
        ({"type": ""}, "type"),
    ],
)
def test_what_is_missing_or_unknown_is_named(part: dict[str, Any], param: str) -> None:
    """By its place in the request."""
    assert refused(part).param == f"{WHERE}[0].{param}"


def test_stored_files_are_refused_with_a_way_out() -> None:
    """There is no files API here."""
    assert "send the file itself" in refused(file(None, file_id="file-1")).message


def test_the_number_of_images_and_files_is_limited() -> None:
    """To 20 in one message."""
    one = image(data_url(IMAGES["image/gif"]))
    assert len(blocks(*[one] * 20)) == 20
    assert refused(*[one] * 21).param == WHERE


@given(st.binary(max_size=40), st.sampled_from(["image_url", "file"]))
def test_any_bytes_are_a_block_or_refused(data: bytes, kind: str) -> None:
    """Nothing else happens, and nothing of them is lost."""
    with contextlib.suppress(InvalidRequest):
        (found,) = blocks(image(data_url(data)) if kind == "image_url" else file(data_url(data)))
        source = found["source"]
        held = base64.b64decode(source["data"]) if source["type"] == "base64" else source["data"].encode()
        assert held == data.removeprefix(b"\xef\xbb\xbf" if source["type"] == "text" else b"")


@given(st.text(max_size=40), st.sampled_from(["", "data:", "data:image/png;base64,"]))
def test_any_text_is_a_url_or_refused(text: str, prefix: str) -> None:
    """Nothing else happens."""
    with contextlib.suppress(InvalidRequest):
        blocks(image(prefix + text))
