"""The table in docs/troubleshooting.md: what the tests of broken conditions have found.

`CCAPI_WRITE_DOCS=1 pytest tests/doctor` writes it; without that, each test holds its row against it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import astuple, dataclass

from ccapi.doctor import registry
from tests.cli.support import ROOT
from tools.docs.markdown import table

FILE = ROOT / "docs" / "troubleshooting.md"
_HEAD = ("Check", "What is broken", "What doctor says", "What it says to do", "After that")
_BEGIN, _END = "<!-- rows: made by a run of tests/doctor -->", "<!-- rows: end -->"


@dataclass(frozen=True, slots=True)
class Row:
    """One broken condition."""

    check: str
    condition: str
    says: str
    fix: str
    then: str


def rows() -> list[Row]:
    """Those of the file as it is."""
    between = FILE.read_text("utf-8").partition(_BEGIN)[2].partition(_END)[0]
    return [Row(*_cells(line)) for line in between.strip().splitlines()[2:]]


def write(row: Row) -> None:
    """Put it into the file, in the place of the row for the same condition."""
    kept = [one for one in rows() if (one.check, one.condition) != (row.check, row.condition)]
    text = FILE.read_text("utf-8")
    before, after = text.partition(_BEGIN)[0], text.partition(_END)[2]
    FILE.write_text(f"{before}{_BEGIN}\n\n{_table([*kept, row])}\n{_END}{after}", "utf-8")


def _table(found: Iterable[Row]) -> str:
    """In the order of the checks. Rows of a check that is no more are gone."""
    ids = [check.id for check in registry.every()]
    known = sorted((row for row in found if row.check in ids), key=lambda row: (ids.index(row.check), row.condition))
    return table(_HEAD, map(astuple, known))


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
