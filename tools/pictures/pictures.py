"""Which pictures there are."""

from __future__ import annotations

from pathlib import Path

from ccapi.commands import demo
from tools.pictures import svg
from tools.pictures.run import COLUMNS, Picture, screen

DIRECTORY = Path(__file__).resolve().parent.parent.parent / "docs" / "pictures"

_SLUG = '''\
import re


def slug(title):
    """A title as it stands in a URL."""
    return re.sub(r"[^a-z0-9]", "-", title.lower())
'''
_CHECK = """\
import sys

from slug import slug

wanted = {"Hello, World!": "hello-world", "Tea & cake": "tea-cake", "one": "one"}
for title, right in wanted.items():
    print("ok   " if slug(title) == right else "WRONG", repr(title), "->", repr(slug(title)))
sys.exit(any(slug(title) != right for title, right in wanted.items()))
"""

PICTURES = (
    Picture("fibonacci", demo.QUESTION, "fibonacci"),
    Picture("repair", "check.py fails. Mend it.", "repair", {"slug.py": _SLUG, "check.py": _CHECK}),
    Picture("showcase", "How do I compute Fibonacci numbers, and at what cost?", "showcase"),
)


def made(picture: Picture) -> str:
    """The SVG, from a run of now. Raises `RuntimeError` if that failed."""
    return svg.picture(screen(picture), picture.command, COLUMNS)


def file(picture: Picture) -> Path:
    """Where it is kept."""
    return DIRECTORY / f"{picture.name}.svg"
