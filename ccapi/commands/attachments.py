"""Files as parts of a question: text, images and PDF; anything else, and too much of it, is refused before it is sent.

Text becomes a part of the question's own text, in a fence and with its name, so that there may be any number of such
files. What a file is, its first bytes say, as for the gateway.
"""

from __future__ import annotations

import base64
import codecs
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ccapi.client.question import Part, text_part
from ccapi.errors import UsageError
from ccapi.wire import media, toolmarkdown

_SENT = "text in UTF-8 or UTF-16, PNG, JPEG, GIF and WebP images, and PDF"
_HEAD = 8_192  # bytes that show whether it is text
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def from_file(path: str) -> Part:
    """The file as a part. A pipe that has a name, such as `<(command)` of a shell, is read to its end.

    Raises `UsageError`, which names the file.
    """
    return from_bytes(read(path), legible(path), shown=_shown(path))


def from_bytes(data: bytes, name: str, *, shown: str | None = None) -> Part:
    """`data` as a part. `name` is for the `UsageError` of what is none; for the model as well if nothing is `shown`."""
    kind, shown = media.media_type(data), shown or name
    if kind is None:
        fenced = toolmarkdown.fenced(text(data, name), toolmarkdown.language(shown))
        return text_part(f"{toolmarkdown.inline(shown)}:\n\n{fenced}")
    image = kind.startswith("image/")
    if image:
        _at_most(data, media.MAX_IMAGE, name, "an image")
    else:
        _at_most(data, media.MAX_DOCUMENT, name, "a PDF")
    url = f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
    if image:
        return {"type": "input_image", "image_url": url}
    return {"type": "input_file", "filename": shown, "file_data": url}


def text(data: bytes, name: str) -> str:
    """`data` as text, without a byte order mark, its line ends as they are. Raises `UsageError`, also for a blank."""
    utf_16 = data.startswith(_UTF_16)
    if b"\0" in data[:_HEAD] and not utf_16:
        raise UsageError(f"{name} cannot be sent: it is none of {_SENT}")
    _at_most(data, media.MAX_TEXT, name, "a text")
    try:
        found = data.decode("utf-16" if utf_16 else "utf-8-sig")
    except UnicodeDecodeError:
        found = "\0"
    if "\0" in found:
        hint = "Text in another encoding is made UTF-8 by, for example: iconv -f LATIN1 -t UTF-8"
        raise UsageError(f"{name} cannot be sent: it is none of {_SENT}", hint=hint)
    if not found.strip():
        raise UsageError(f"{name} is empty")
    return found


def in_order(names: Sequence[str]) -> Part:
    """Which image is which: the API sends images without names, and behind all text."""
    return text_part(f"The images are, in this order: {', '.join(toolmarkdown.inline(_shown(name)) for name in names)}")


def check(parts: Sequence[Part], most: int) -> None:
    """Whether all of it can be sent at once; `most` is what a request may have, in bytes. Raises `UsageError`."""
    attached = sum(part["type"] != "input_text" for part in parts)
    if attached > media.MAX_ATTACHMENTS:
        raise UsageError(f"{attached} images and PDFs are too many: a question may have {media.MAX_ATTACHMENTS}")
    size = sum(len(str(value).encode()) for part in parts for value in part.values())
    if size > most:
        raise UsageError(f"all of it together is {_mb(size)} in a request, which may have {_mb(most)}")


def legible(path: str) -> str:
    """A name that was given on the command line, as text: what is no letter in it is U+FFFD."""
    name = os.fsencode(path).decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)


def read(path: str) -> bytes:
    """The bytes of a file that a person named, `~` included; of a large one as many as show that it is too large.

    Raises `UsageError`.
    """
    file = Path(os.path.expanduser(path))  # noqa: PTH111 -- the method raises for a user who is not there
    path = legible(path)
    try:
        _refuse_what_has_no_end(file.stat().st_mode, path)
        with file.open("rb") as opened:
            return opened.read(media.MAX_FILE + 1)
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}") from None
    except (OSError, ValueError) as error:  # the latter for a name that no file can have
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{path} cannot be read: {reason}") from None


def _refuse_what_has_no_end(mode: int, path: str) -> None:
    if stat.S_ISDIR(mode):
        raise UsageError(f"{path} is a directory; only files can be sent")
    if not stat.S_ISREG(mode) and not stat.S_ISFIFO(mode):
        raise UsageError(f"{path} is neither a file nor a pipe")


def _shown(path: str) -> str:
    """The name that the model is told: as it was typed, but no more of this machine's directories than that takes."""
    name = legible(path)
    shown = Path(os.path.expanduser(name))  # noqa: PTH111 -- as above
    if not shown.is_absolute() or name.startswith(("/dev/", "/proc/")):
        return name
    with suppress(OSError, ValueError):  # the directory is gone, or the file lies elsewhere
        return str(shown.relative_to(Path.cwd()))
    return shown.name


def _at_most(data: bytes, most: int, name: str, what: str) -> None:
    if len(data) > most:
        raise UsageError(f"{name} is larger than {_mb(most)}, which is the most for {what}")


def _mb(size: int) -> str:
    return f"{size / 1_000_000:.3g} MB"
