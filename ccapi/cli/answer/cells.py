"""How many cells of a terminal plain text takes, and how to cut it.

The widths of characters are rich's table: `rich.cells` is imported in a quarter of the time that wcwidth takes, and
both agree on what terminals draw (CJK, combining marks, emoji). How characters join is decided here, because rich lets
a zero width joiner swallow any letter after it. Where terminals differ, the larger width is taken: a line that turns
out shorter is harmless, a longer one wraps.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import get_character_cell_size as _cells_of

_JOINER, _EMOJI_LOOK = "\u200d", "\ufe0f"  # ZWJ; variation selector 16, which makes an emoji of a narrow symbol
_FLAG_LETTERS = range(0x1F1E6, 0x1F200)  # two of them are a flag


def cell_len(text: str) -> int:
    """The cells of plain text: no SGR, no control characters. Never more than the sum over its parts."""
    if text.isascii():
        return len(text)
    if _JOINER not in text and _EMOJI_LOOK not in text:
        return sum(map(_cells_of, text))
    return sum(cells for _, cells in graphemes(text))


def graphemes(text: str) -> Iterator[tuple[str, int]]:
    """What a reader sees as one character, with its cells: marks, joined emoji and flags in one piece."""
    start, cells = 0, 0  # of the grapheme that is read
    joined = False  # the last character asks for the next one
    for index, character in enumerate(text):
        own = _cells_of(character)
        if character == _EMOJI_LOOK:
            cells += cells < 2 and ord(text[start]) not in _FLAG_LETTERS  # half a flag has no such look
        elif index > start and own and not (joined and own == 2) and not _ends_flag(text, start, index):
            yield text[start:index], cells
            start, cells = index, own
        else:
            cells = _together(cells, own)
        joined = character == _JOINER and cells == 2
    if text:
        yield text[start:], cells


def _together(cells: int, own: int) -> int:
    """A narrow letter after marks that have none before them is as wide as it is; a flag is two wide."""
    return min(cells + own, 2)


def _ends_flag(text: str, start: int, index: int) -> bool:
    return index == start + 1 and ord(text[start]) in _FLAG_LETTERS and ord(text[index]) in _FLAG_LETTERS


def fit(text: str, width: int) -> str:
    """`text` in at most `width` cells, cut with "…"."""
    if cell_len(text) <= width:
        return text
    if width < 1:
        return ""
    return (chop(text, width - 1)[0] if width > 1 else "") + "…"


def take(text: str, width: int) -> tuple[str, str]:
    """What of `text` fits into `width` cells, perhaps nothing, and the rest."""
    if text.isascii():
        return text[:width], text[width:]
    used = at = 0
    for grapheme, cells in graphemes(text):
        if used + cells > width:
            break
        used += cells
        at += len(grapheme)
    return text[:at], text[at:]


def chop(text: str, width: int) -> list[str]:
    """`text` cut into pieces of at most `width` cells, never within a grapheme; at least one piece.

    A grapheme that is wider than `width` is shown as "…".
    """
    if text.isascii():
        return [text[at : at + width] for at in range(0, len(text), width)] or [""]
    pieces: list[str] = []
    piece, used = "", 0
    for grapheme, cells in graphemes(text):
        shown, size = (grapheme, cells) if cells <= width else ("…", 1)
        if used + size > width:
            pieces.append(piece)
            piece, used = "", 0
        piece += shown
        used += size
    return [*pieces, piece]
