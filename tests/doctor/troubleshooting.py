"""docs/troubleshooting.md: made from the checks, and from what the tests of broken conditions have found.

`python -m tests.doctor.troubleshooting` writes what comes from the checks and keeps the rows; `make docs` lets the
tests write the rows before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass

from ccapi.doctor import registry
from ccapi.doctor.check import CATEGORIES, Check
from tests.cli.support import ROOT

FILE = ROOT / "docs" / "troubleshooting.md"
_HEAD = ("Check", "What is broken", "What doctor says", "What it says to do", "After that")
_BEGIN, _END = "<!-- rows -->", "<!-- end of rows -->"

_INTRODUCTION = """\
# Troubleshooting

```console
$ ccapi doctor
```

looks at everything that can be wrong and says what to do about it. `ccapi doctor --fix` does what is safe, and asks
before each; `ccapi doctor docker` and `ccapi doctor ports.gateway` look at one category or one check; `--list` names
them all. Without a network: `--offline`. To try the whole path, down to a login: `--deep`. For a bug report:
`ccapi doctor --report FILE` writes down versions, results, settings and the last lines of the logs, without secrets.

Everything below is made from doctor's own checks.
"""

_TABLE = """\
## Broken, found, mended

Each of these conditions was made for real by a test, looked at by doctor, mended as doctor says, and looked at again.
(Paths, ports, process ids and versions stand for those of the run.)
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One broken condition."""

    check: str
    condition: str
    says: str
    fix: str
    then: str

    def __str__(self) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in astuple(self)) + " |"


def rows() -> list[Row]:
    """Those of the file as it is."""
    text = FILE.read_text("utf-8") if FILE.exists() else ""
    _, _, table = text.partition(_BEGIN)
    lines = [line for line in table.partition(_END)[0].splitlines() if line.startswith("| ")]
    return [Row(*_cells(line)) for line in lines if _cells(line)[0] not in {_HEAD[0], "---"}]


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def write(row: Row) -> None:
    """Put it into the file, in the place of the row for the same condition."""
    kept = [one for one in rows() if (one.check, one.condition) != (row.check, row.condition)]
    FILE.write_text(document([*kept, row]), "utf-8")


def document(known: Sequence[Row]) -> str:
    """The whole file."""
    checks = registry.every()
    parts = [_INTRODUCTION, _TABLE, "\n".join(_table(known, checks)), *_categories(checks)]
    return "\n".join(parts)


def _table(known: Sequence[Row], checks: Sequence[Check]) -> Iterator[str]:
    """In the order of the checks; rows of a check that is no more are gone."""
    yield _BEGIN
    yield "| " + " | ".join(_HEAD) + " |"
    yield "| " + " | ".join("---" for _ in _HEAD) + " |"
    for check in checks:
        yield from sorted(str(row) for row in known if row.check == check.id)
    yield f"{_END}\n"


def _categories(checks: Sequence[Check]) -> Iterator[str]:
    for category, title in CATEGORIES.items():
        if found := [check for check in checks if check.category == category]:
            yield f"## {title}\n"
            yield from (_section(check) for check in found)


def _section(check: Check) -> str:
    lines = [f"### {check.id}", "", f"{check.title}.", ""]
    for trouble in check.trouble:
        lines += [f"- **{trouble.condition}** {trouble.remedy}"]
    return "\n".join([*lines, ""] if check.trouble else lines)


if __name__ == "__main__":
    FILE.write_text(document(rows()), "utf-8")
