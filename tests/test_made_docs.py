"""What in docs/ is made from the program is as the program would make it now."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.support import DEADLINE
from tools.docs.markdown import table
from tools.docs.parts import PARTS, ROOT, Part, written


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_page_is_up_to_date(part: Part) -> None:
    """If not: `make docs`."""
    page = (ROOT / part.page).read_text("utf-8")
    assert written(part, page) == page


def test_only_what_is_between_the_marks_is_made_anew() -> None:
    """Whatever was there before; twice is as once."""
    part = Part("colours", "docs/colours.md", lambda: "red\n\nblue\n")
    before = "# Colours\n\n<!-- colours: made by make docs -->old<!-- colours: end -->\n\nThe end.\n"
    after = written(part, before)
    assert after == (
        "# Colours\n\n<!-- colours: made by make docs -->\n\nred\n\nblue\n\n<!-- colours: end -->\n\nThe end.\n"
    )
    assert written(part, after) == after


@pytest.mark.parametrize("page", ["", "<!-- a: made by make docs -->", "<!-- a: end --><!-- a: end -->"])
def test_a_page_without_a_place_for_it(page: str) -> None:
    """Nothing is guessed: the page and the marks are named."""
    with pytest.raises(ValueError, match=r"docs/a\.md: expected <!-- a: made by make docs -->"):
        written(Part("a", "docs/a.md", str), page)


def test_a_cell_cannot_break_its_table() -> None:
    """Bars and line ends are the table's own."""
    assert table(("a", "b"), [("x | y", "one\ntwo")]) == "| a | b |\n| --- | --- |\n| x \\| y | one two |\n"


def test_the_command_looks() -> None:
    """`--check` changes nothing and is content with what is in the repository."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.docs", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
