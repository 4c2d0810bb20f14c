"""What a question may bring along, and how much of it: the host looks before it sends, the gateway before it asks."""

from __future__ import annotations

import re

MAX_IMAGE = 10_000_000  # bytes, as are the following
MAX_DOCUMENT = 20_000_000
MAX_TEXT = 2_000_000
MAX_FILE = max(MAX_IMAGE, MAX_DOCUMENT, MAX_TEXT)
MAX_ATTACHMENTS = 20  # images and documents in one message

_SIGNATURES = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
    (re.compile(rb"%PDF-"), "application/pdf"),
)


def media_type(data: bytes) -> str | None:
    """What the first bytes say; None for none of the kinds that have a form of their own, such as text."""
    return next((kind for signature, kind in _SIGNATURES if signature.match(data)), None)
