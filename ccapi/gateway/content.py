"""Content parts of both APIs as blocks of Anthropic's Messages API: text, images, documents.

What a file is, its first bytes say, and not the client: a media type that is claimed is not looked at. Claude Code
would answer without an image that it cannot read, so all that can be checked is checked here.

Source: OpenAI API reference, "Create chat completion", `messages`, and "Create a model response", `input`; Anthropic
API reference, "Create a Message", `messages`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Annotated, Any, TypeVar

from pydantic import Field

from ccapi.errors import InvalidRequest
from ccapi.gateway.fields import MANY, Lenient
from ccapi.gateway.question import Block
from ccapi.wire.media import MAX_ATTACHMENTS, MAX_DOCUMENT, MAX_FILE, MAX_IMAGE, MAX_TEXT, media_type

T = TypeVar("T")

MAX_URL = 8_192  # characters
_MAX_TITLE = 200

_TEXTS = ("text", "input_text", "output_text", "refusal")
_IMAGES = ("image_url", "input_image")
_FILES = ("file", "input_file")
TYPES = (*_TEXTS, *_IMAGES, *_FILES)

_DATA_URL = re.compile(r"(?i)data:[^,;]{0,200}(?:;[^,;]{0,200}){0,5};base64,")
_WHITE = re.compile(r"[ \t\r\n]+")


class ImageUrl(Lenient):
    url: str = Field(description="A data URL (base64), or an https URL, which the gateway fetches.")
    detail: Any = Field(None, description="Accepted, without effect.")


class FileData(Lenient):
    file_data: str | None = Field(None, description="A data URL (base64), or base64 alone.")
    filename: str | None = None
    file_id: str | None = Field(None, description="Refused: this gateway stores no files.")


class Part(Lenient):
    """A part of a message, of either API."""

    type: str = Field(json_schema_extra={"enum": list(TYPES)})
    text: str | None = None
    refusal: str | None = None
    image_url: ImageUrl | str | None = None
    file: FileData | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    file_id: str | None = None


Content = str | Annotated[list[Part], Field(max_length=MANY, fail_fast=True)]


class Remote(Block):
    """An image or a document that has yet to be fetched. `param` is the field of the request that named it."""

    def __init__(self, kind: str, url: str, param: str, title: str | None = None) -> None:
        titled = {"title": title} if title else {}
        super().__init__(type=kind, source={"type": "url", "url": url}, **titled)
        self.param = param

    @property
    def url(self) -> str:
        found: str = self["source"]["url"]
        return found


# --- messages


def turn(content: Content | None, where: str) -> str | list[Block]:
    """What a message says: a text, if it is nothing but text. `where` is its name in the request."""
    found = blocks(content, where)
    return found if attachments(found) else text(found)


def blocks(content: Content | None, where: str) -> list[Block]:
    """The blocks of a message, without blank texts. Raises `InvalidRequest`, which names the part at fault."""
    if content is None or isinstance(content, str):
        return [_text_block(content)] if content else []
    found = [_block(part, f"{where}[{number}]") for number, part in enumerate(content)]
    if len(attachments(found)) > MAX_ATTACHMENTS:
        raise InvalidRequest(f"'{where}': more than {MAX_ATTACHMENTS} images and files", param=where)
    return [block for block in found if block["type"] != "text" or block["text"].strip()]


def text(found: Iterable[Block]) -> str:
    """The texts of a message's blocks, set apart."""
    return "\n\n".join(block["text"] for block in found if block["type"] == "text")


def attachments(found: Iterable[Block]) -> tuple[Block, ...]:
    """All that is no text."""
    return tuple(block for block in found if block["type"] != "text")


# --- parts


def _block(part: Part, where: str) -> Block:
    if part.type in _TEXTS:
        name = "refusal" if part.type == "refusal" else "text"
        return _text_block(_required(part.refusal if name == "refusal" else part.text, f"{where}.{name}"))
    if part.type in _IMAGES:
        return _image(part, where)
    if part.type in _FILES:
        return _file(part, where)
    if part.type == "input_audio":
        raise _wrong(f"{where}.type", "audio is not supported")
    raise _wrong(f"{where}.type", f"must be one of {', '.join(TYPES)}")


def _image(part: Part, where: str) -> Block:
    if part.image_url is None and part.file_id is not None:
        raise _no_files(f"{where}.file_id")
    where, image = f"{where}.image_url", part.image_url
    if image is None:
        raise _wrong(where, "field required")
    url, where = (image, where) if isinstance(image, str) else (image.url, f"{where}.url")
    if _is_data_url(url):
        return image_block(_decoded(url, where, MAX_IMAGE), where)
    return Remote("image", _remote(url, where), where)


def _file(part: Part, where: str) -> Block:
    if part.type == "file":
        data, name, file_id = _fields(part.file, f"{where}.file")
        where, url = f"{where}.file", None
    else:
        data, name, file_id, url = part.file_data, part.filename, part.file_id, part.file_url
    if data is not None:
        return file_block(_decoded(data, f"{where}.file_data", MAX_FILE), f"{where}.file_data", _title(name))
    if url is not None:
        return Remote("document", _remote(url, f"{where}.file_url"), f"{where}.file_url", _title(name))
    if file_id is not None:
        raise _no_files(f"{where}.file_id")
    raise _wrong(f"{where}.file_data", "field required")


def _fields(file: FileData | None, where: str) -> tuple[str | None, str | None, str | None]:
    found = _required(file, where)
    return found.file_data, found.filename, found.file_id


def _title(name: str | None) -> str | None:
    """A file's name for the model: one line, and not too long."""
    return " ".join("".join(c if c.isprintable() else " " for c in name or "").split())[:_MAX_TITLE] or None


def _remote(url: str, where: str) -> str:
    if not url[:8].lower() == "https://" or len(url) > MAX_URL:
        raise _wrong(where, f"must be a data URL or an https URL of at most {MAX_URL:,} characters")
    return url


# --- what bytes are


def image_block(data: bytes, where: str) -> Block:
    """Raises `InvalidRequest` for what is no image of a kind that Claude sees."""
    kind = media_type(data)
    if not kind or not kind.startswith("image/"):
        raise _wrong(where, "is not a PNG, JPEG, GIF or WebP image")
    if len(data) > MAX_IMAGE:
        raise _too_large(where, MAX_IMAGE)
    return {"type": "image", "source": _base64(kind, data)}


def file_block(data: bytes, where: str, title: str | None) -> Block:
    """An image or a document: a PDF, or any text. Raises `InvalidRequest` for anything else."""
    kind = media_type(data)
    if kind and kind.startswith("image/"):
        return image_block(data, where)
    titled = {"title": title} if title else {}
    if kind:
        if len(data) > MAX_DOCUMENT:
            raise _too_large(where, MAX_DOCUMENT)
        return {"type": "document", "source": _base64(kind, data), **titled}
    content = _utf8(data, where)
    if len(data) > MAX_TEXT:
        raise _too_large(where, MAX_TEXT)
    return {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": content}, **titled}


def _utf8(data: bytes, where: str) -> str:
    try:
        content = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        content = "\0"
    if "\0" in content:
        raise _wrong(where, "is neither an image, nor a PDF, nor text in UTF-8")
    if not content.strip():
        raise _wrong(where, "is empty")
    return content


def _base64(kind: str, data: bytes) -> dict[str, str]:
    return {"type": "base64", "media_type": kind, "data": base64.b64encode(data).decode("ascii")}


def _is_data_url(url: str) -> bool:
    return url[:5].lower() == "data:"


def _decoded(url: str, where: str, limit: int) -> bytes:
    """The bytes of a data URL, or of base64 without one."""
    encoded = url
    if _is_data_url(url):
        if not (head := _DATA_URL.match(url)):
            raise _wrong(where, "must be a data URL in base64: data:TYPE;base64,DATA")
        encoded = url[head.end() :]
    encoded = _WHITE.sub("", encoded)
    if len(encoded) // 4 * 3 > limit + 3:
        raise _too_large(where, limit)
    try:
        data = binascii.a2b_base64(encoded, strict_mode=True)
    except ValueError:  # also for what is not ASCII
        raise _wrong(where, "is not valid base64") from None
    if not data:
        raise _wrong(where, "is empty")
    return data


def _text_block(value: str) -> Block:
    return {"type": "text", "text": value}


def _required(value: T | None, where: str) -> T:
    if value is None:
        raise _wrong(where, "field required")
    return value


def _wrong(where: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"'{where}': {what}", param=where)


def _too_large(where: str, limit: int) -> InvalidRequest:
    return _wrong(where, f"is larger than {limit // 1_000_000} MB")


def _no_files(where: str) -> InvalidRequest:
    return _wrong(where, "this gateway stores no files; send the file itself, as file_data or as a data URL")
