"""What a question may bring along, and how much of it: the host looks before it sends, the gateway before it asks."""

from __future__ import annotations

MAX_IMAGE = 10_000_000  # bytes, as are the following
MAX_DOCUMENT = 20_000_000
MAX_TEXT = 2_000_000
MAX_FILE = max(MAX_IMAGE, MAX_DOCUMENT, MAX_TEXT)
MAX_ATTACHMENTS = 20  # images and documents in one message

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
)


def media_type(data: bytes) -> str | None:
    """What the first bytes say; None for none of the kinds that have a form of their own, such as text."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":  # between them its size
        return "image/webp"
    return next((kind for signature, kind in _SIGNATURES if data.startswith(signature)), None)
