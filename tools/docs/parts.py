"""Which part of which page is made by which function, and how it gets there.

In the page, the part NAME stands between `<!-- NAME: made by make docs -->` and `<!-- NAME: end -->`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tools.docs import checks, errors, reference, settings

ROOT = Path(__file__).resolve().parent.parent.parent


class Part(NamedTuple):
    """`text` makes it, from the program alone: the same on every machine."""

    name: str
    page: str
    text: Callable[[], str]


PARTS = (
    Part("options", "docs/cli.md", errors.options),
    Part("codes", "docs/cli.md", errors.codes),
    Part("reference", "docs/reference.md", reference.text),
    Part("checks", "docs/troubleshooting.md", checks.sections),
    Part("settings", "docs/settings.md", settings.table),
    Part("variables", "docs/settings.md", settings.variables),
)  # fmt: skip


def written(part: Part, page: str) -> str:
    """The page with this part made anew. Raises `ValueError` if the page has no place for it, or several."""
    begin, end = f"<!-- {part.name}: made by make docs -->", f"<!-- {part.name}: end -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        raise ValueError(f"{part.page}: expected {begin} and {end}, once each")
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n\n{part.text().strip()}\n\n{end}{after}"
