"""docs/settings.md: the table of settings, and that of the variables that are none."""

from __future__ import annotations

from ccapi.settings import TABLE, VARIABLES, Setting
from tools.docs.markdown import table as markdown


def table() -> str:
    """One line a setting, in the order of the program's table."""
    rows = [
        (f"`{row.key}`", f"`{row.env}`", _default(row.default), _APPLIED[row.takes], _meaning(row)) for row in TABLE
    ]
    return markdown(("setting", "environment", "default", "applied by", ""), rows)


def variables() -> str:
    """One line a variable."""
    rows = [(f"`{variable.name}`", variable.reader, variable.help) for variable in VARIABLES]
    return markdown(("environment", "who reads it", ""), rows)


_APPLIED = {"up": "`ccapi up`", "proxy": "`ccapi proxy restart`", "next": "the next command"}


def _default(value: object) -> str:
    if value is None or value == {}:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _meaning(row: Setting) -> str:
    return f"{row.help} One of {row.expected[7:]}." if row.expected.startswith("one of ") else row.help
