"""A doctor for each test, and the table that its findings are held against."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doctor.support import Doctor, Table


@pytest.fixture
def doctor(tmp_path: Path) -> Doctor:
    """Sees a home of its own, in which nothing is yet."""
    return Doctor(tmp_path)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """Of docs/troubleshooting.md, for this test's rows."""
    return Table(tmp_path)
