"""Widths of text on a terminal, and how it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccapi.cli.answer.cells import cell_len, chop, fit, graphemes, take
from ccapi.cli.output import columns, printable

FAMILY, SWISS, THUMB, HEART = "👩‍👩‍👧‍👦", "🇨🇭", "👍🏽", "❤\ufe0f"
HARD = st.sampled_from(
    ["a", "漢", "e\u0301", FAMILY, SWISS, THUMB, HEART, "\u0301", "\u200d", "\ufe0f", "🇨", "1\ufe0f\u20e3"]
)
TEXT = (
    st.one_of(st.text(max_size=30), st.lists(HARD, max_size=15).map("".join))
    .map(printable)
    .map(lambda text: text.replace("\n", "").replace("\t", ""))
)


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("", 0),
        ("abc", 3),
        ("─│✓●⠋…", 6),
        ("漢字", 4),
        ("e\u0301", 1),
        ("각", 2),
        (FAMILY, 2),
        (SWISS, 2),
        (THUMB, 2),
        (HEART, 2),
        ("1\ufe0f\u20e3", 2),
        ("a\u200bb\u2060\ufeff", 2),
        ("a\u200db", 2),
        ("漢\u200da", 3),
    ],
)
def test_how_many_cells_a_text_takes(text: str, cells: int) -> None:
    """CJK and emoji take two, marks none; what is joined counts once, but a letter is never swallowed."""
    assert cell_len(text) == cells


def test_what_a_reader_sees_as_one_is_one() -> None:
    """Marks, joined emoji, flags and variation selectors stay with what they belong to."""
    parts = ["a", "e\u0301", FAMILY, SWISS, SWISS, THUMB, HEART, "1\ufe0f\u20e3", "漢"]
    assert [grapheme for grapheme, _ in graphemes("".join(parts))] == parts


@given(TEXT)
def test_graphemes_are_the_text(text: str) -> None:
    """Nothing is lost, and the cells are those of the whole."""
    found = list(graphemes(text))
    assert "".join(grapheme for grapheme, _ in found) == text
    assert sum(cells for _, cells in found) == cell_len(text)
    assert all(cells <= 2 for _, cells in found)


@given(TEXT, st.integers(2, 12))
def test_text_is_chopped_without_loss(text: str, width: int) -> None:
    """Each piece fits, and together they are the text."""
    pieces = chop(text, width)
    assert "".join(pieces) == text
    assert pieces
    assert all(cell_len(piece) <= width for piece in pieces)


@given(TEXT, st.integers(0, 12))
def test_text_is_fitted(text: str, width: int) -> None:
    """It fits; what was cut ends with an ellipsis."""
    fitted = fit(text, width)
    assert cell_len(fitted) <= width
    assert fitted == text or not width or fitted.endswith("…")


@given(TEXT, st.integers(0, 12))
def test_what_fits_is_taken(text: str, width: int) -> None:
    """As much of the beginning as fits, in whole graphemes."""
    head, rest = take(text, width)
    assert head + rest == text
    assert cell_len(head) <= width
    assert not rest or cell_len(head) + next(graphemes(rest))[1] > width


@given(TEXT, TEXT)
def test_parts_are_never_narrower_than_the_whole(one: str, other: str) -> None:
    """A line that is put together from parts that fit, fits."""
    assert cell_len(one + other) <= cell_len(one) + cell_len(other)


def test_a_grapheme_that_cannot_fit_is_shown_as_cut() -> None:
    """On a terminal of one cell there is no place for a wide character."""
    assert chop("a漢b", 1) == ["a", "…", "b"]


def test_what_commands_or_reorders_is_gone() -> None:
    """Control characters and direction overrides go, separators of lines are spaces; newlines and tabs stay."""
    assert printable("a\x1b[31m\x9b\x07\r\n\tb\u2028c\u2029d\x85e") == "a[31m\n\tb c d e"
    assert printable("x\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069y") == "xy"
    assert printable(f"{FAMILY} שלום \u200e") == f"{FAMILY} שלום \u200e"


def test_columns_stand_below_each_other_whatever_is_in_them() -> None:
    """A workspace or a title of wide letters does not push aside what stands behind it."""
    assert columns([("ID", "WORKSPACE", "TITLE"), ("1", "漢字漢字漢字", "x"), ("2", "e\u0301t\u0301", "y")]) == (
        "ID  WORKSPACE     TITLE\n1   漢字漢字漢字  x\n2   e\u0301t\u0301            y\n"
    )
