"""The pictures of `ccapi ask`: what they show is what it looks like now."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from tests.cli.readme import README, Page
from tests.cli.support import DEADLINE, ROOT
from tools.pictures import svg
from tools.pictures.pictures import DIRECTORY, PICTURES, file, made
from tools.pictures.run import Picture

RED, BOLD, OFF = "\x1b[31m", "\x1b[1m", "\x1b[0m"


@pytest.mark.skipif(not os.environ.get("CI") and not shutil.which("tmux"), reason="there is no tmux")
@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_a_picture_is_up_to_date(picture: Picture) -> None:
    """A run of now gives the same text. If not: `make pictures`, and look at them."""
    assert svg.text_of(made(picture)) == svg.text_of(file(picture).read_text("utf-8"))


def test_make_pictures() -> None:
    """The target that the README names makes them."""
    done = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "--directory", str(ROOT), "pictures"],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == ".venv/bin/python -m tools.pictures"
    assert "`make pictures`" in README.prose


def test_each_is_shown() -> None:
    """No picture is left over, and each is in the README or in the page of the command."""
    there = {path.name for path in DIRECTORY.iterdir()}
    assert there == {file(picture).name for picture in PICTURES}
    shown = [link for page in (README, Page("docs/ask.md")) for link in page.links if link.endswith(".svg")]
    assert {link.rpartition("/")[2] for link in shown} == there


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_nothing_is_fetched_for_it(picture: Picture) -> None:
    """No font, script or image of others: a picture is a file."""
    text = file(picture).read_text("utf-8")
    assert re.findall(r"\w+://[^\"]+", text) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"<(?:script|style|image|use|foreignObject)|url\(|href", text)


def test_each_character_stands_in_its_column() -> None:
    """Whatever the font: runs have their place and their width, a wide character is in the middle of its two cells."""
    made = svg.picture(f"ab{RED}世{BOLD}c{OFF}", "title", 80)
    (row,) = re.findall("<g>(.*)</g>", made)
    width = r'textLength="([\d.]+)" lengthAdjust="spacingAndGlyphs"'
    places = re.findall(rf'x="([\d.]+)" (?:{width}|text-anchor="middle")', row)
    assert places == [("16", "16.8"), ("41.2", ""), ("49.6", "8.4")]


def test_colours_and_styles() -> None:
    """Of the terminal, as attributes that need no style sheet."""
    made = svg.picture(f"{RED}{BOLD}a{OFF}\x1b[2mb{OFF}\x1b[3;4;9mc{OFF}", "title", 80)
    one, dim, marked = re.findall(r"<text [^>]*>[abc]</text>", made)
    assert 'fill="#ff7b72" font-weight="bold"' in one
    assert 'fill="#898f97"' in dim
    assert 'font-style="italic" text-decoration="underline line-through"' in marked


def test_the_text_of_a_picture() -> None:
    """The title and the rows, empty ones and spaces too; what would be markup is text."""
    assert svg.text_of(svg.picture("  a  <b>\n\n& c", "x < y", 80)) == "x < y\n  a  <b>\n\n& c"
