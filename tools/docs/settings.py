"""docs/settings.md: the table of settings."""

from __future__ import annotations

from ccapi.settings import TABLE, Setting
from tools.docs.markdown import table as markdown


def table() -> str:
    """One line a setting, in the order of the program's table."""
    rows = [(f"`{row.key}`", f"`{row.env}`", _default(row.default), _meaning(row)) for row in TABLE]
    return markdown(("setting", "environment", "default", ""), rows)


def _default(value: object) -> str:
    if value is None or value == {}:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _meaning(row: Setting) -> str:
    return f"{row.help} One of {row.expected[7:]}." if row.expected.startswith("one of ") else row.help
