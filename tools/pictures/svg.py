"""The screen of a terminal as an SVG: text in its colours, each character at its place, without fonts of its own.

Nothing in it is fetched from anywhere. Whatever monospace font the reader has, the characters stand in their columns.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from html import escape
from typing import NamedTuple
from xml.etree import ElementTree as ET

from rich.color import blend_rgb
from rich.color_triplet import ColorTriplet
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from ccapi.cli.answer.cells import graphemes

_COLUMN, _ROW, _SIZE = 8.4, 18.0, 14  # pixels: a cell, and the font in it
_MARGIN, _BAR = 16, 40  # pixels around the text, and of the bar with the title above it
_FONTS = (
    "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Noto Sans Mono CJK SC', 'Noto Sans CJK SC', "
    "'PingFang SC', 'Microsoft YaHei', 'Apple Color Emoji', 'Segoe UI Emoji', 'Noto Color Emoji', monospace"
)
_BUTTONS = ("#ff5f57", "#febc2e", "#28c840")
_DIM = 0.4  # how far dim text is on its way to the background
_THEME = TerminalTheme(
    background=(22, 27, 34),
    foreground=(214, 221, 229),
    normal=[
        (72, 79, 88), (255, 123, 114), (86, 211, 100), (227, 179, 65),
        (121, 192, 255), (210, 168, 255), (86, 212, 221), (177, 186, 196),
    ],
)  # fmt: skip
_NAMESPACE = "{http://www.w3.org/2000/svg}"


class _Run(NamedTuple):
    """Characters of one style, all of them one cell wide; or one that is wider."""

    column: int
    cells: int
    text: str
    style: Style
    is_wide: bool = False


def picture(screen: str, title: str, columns: int) -> str:
    """`screen`: its rows with their SGR sequences. `title` stands in the bar of the window."""
    lines = Text.from_ansi(screen).split("\n")
    width = columns * _COLUMN + 2 * _MARGIN
    height = _BAR + len(lines) * _ROW + _MARGIN
    rows = [_row(list(_runs(line)), _BAR + number * _ROW + _SIZE) for number, line in enumerate(lines)]
    size = f'width="{width:g}" height="{height:g}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" {size}'
    place = f'x="{(width + 60) / 2:g}" y="23" text-anchor="middle"'
    return "\n".join([
        f'{head} font-family="{_FONTS}" font-size="{_SIZE}">',
        f'<rect {size} rx="8" fill="{_THEME.background_color.hex}"/>',
        *(f'<circle cx="{20 + 20 * number}" cy="18" r="6" fill="{fill}"/>' for number, fill in enumerate(_BUTTONS)),
        f'<text {place} fill="{_colour(Style(dim=True))}">{escape(title)}</text>',
        *rows,
        "</svg>\n",
    ])  # fmt: skip


def text_of(svg: str) -> str:
    """What a picture says: its title, and below it the rows."""
    root = ET.fromstring(svg)  # noqa: S314 -- it is ours
    title = root.findtext(f"{_NAMESPACE}text") or ""
    rows = ["".join(part.text or "" for part in row) for row in root.iter(f"{_NAMESPACE}g")]
    return "\n".join([title, *rows]).replace("\N{NO-BREAK SPACE}", " ")


def _runs(line: Text) -> Iterator[_Run]:
    column = 0
    for segment in line.render(Console(color_system="truecolor", force_terminal=True)):
        style = segment.style or Style()
        for is_wide, found in itertools.groupby(graphemes(segment.text), key=lambda one: one[1] > 1):
            pieces = list(found)
            runs = [[piece] for piece in pieces] if is_wide else [pieces]
            for run in runs:
                cells = sum(cells for _, cells in run)
                yield _Run(column, cells, "".join(text for text, _ in run), style, is_wide)
                column += cells


def _row(runs: list[_Run], y: float) -> str:
    return f"<g>{''.join(_text(run, y) for run in runs)}</g>"


def _text(run: _Run, y: float) -> str:
    x, width = run.column * _COLUMN, run.cells * _COLUMN
    if run.is_wide:  # in the middle of its cells, and not stretched: fonts do not agree on how wide it is
        place = f'x="{_MARGIN + x + width / 2:g}" text-anchor="middle"'
    else:
        place = f'x="{_MARGIN + x:g}" textLength="{width:g}" lengthAdjust="spacingAndGlyphs"'
    text = escape(run.text).replace(" ", "&#160;")  # several of the other kind count as one
    return f'<text {place} y="{y:g}"{_attributes(run.style)}>{text}</text>'


def _attributes(style: Style) -> str:
    found = {
        "fill": _colour(style),
        "font-weight": "bold" if style.bold else "",
        "font-style": "italic" if style.italic else "",
        "text-decoration": " ".join(
            name for name, is_on in (("underline", style.underline), ("line-through", style.strike)) if is_on
        ),
    }
    return "".join(f' {name}="{value}"' for name, value in found.items() if value)


def _colour(style: Style) -> str:
    plain = style.color is None or style.color.is_default
    found = _THEME.foreground_color if plain or style.color is None else style.color.get_truecolor(_THEME)
    return (blend_rgb(found, ColorTriplet(*_THEME.background_color), _DIM) if style.dim else found).hex
