"""How a tool call and its result look on a terminal: one compact line, and below it what is worth to be seen."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any, Literal

from ccapi.cli.answer import given, results
from ccapi.cli.answer.cells import cell_len, fit, graphemes
from ccapi.cli.answer.figures import duration
from ccapi.cli.answer.paint import Paint
from ccapi.cli.answer.panel import DIM, note
from ccapi.cli.answer.visible import visible
from ccapi.wire import toolmarkdown
from ccapi.wire.responseitems import OWN_LABEL, server_and_name

State = Literal["running", "ok", "failed", "unfinished"]

_MARKS = {"ok": ("✓", "32"), "failed": ("✗", "31"), "unfinished": ("○", DIM)}
_BOLD, _CYAN = "1", "36"
_WORKSPACE = "/workspace/"  # of the container; elsewhere a path may lie anywhere
_PATHS = frozenset({"file_path", "notebook_path", "path"})
_LONGEST = 4_000  # characters of an argument that are looked at; no terminal is that wide
_MOST = 20  # arguments of a call that are named on its line


class ToolView:
    """For all calls of one answer. `full`: nothing is folded or left out."""

    def __init__(self, paint: Paint, *, full: bool = False) -> None:
        self._paint = paint
        self._full = full

    def line(
        self,
        name: str,
        arguments: Mapping[str, Any] | None,
        width: int,
        *,
        state: State,
        seconds: float | None,
        spinner: str = "⠋",
    ) -> str:
        """One line of at most `width` cells; what is too long is cut in the argument.

        `arguments` None: the model is still writing them; what is no object is not shown. `seconds` None: not known.
        """
        mark, sgr = (spinner, _CYAN) if state == "running" else _MARKS[state]
        time = "" if seconds is None else f"  {duration(seconds, whole=state == 'running')}"
        room = width - cell_len(mark) - 1
        title = fit(_title(name), max(1, room - len(time)) if room > len(time) else room)
        room -= cell_len(title)
        if room < len(time):
            time = ""
        argument = _argument(name, arguments, room - len(time) - 1) if isinstance(arguments, Mapping) else ""
        if width < 3:
            return self._paint(fit(mark, width), sgr)
        shown = f" {argument}" if argument else ""
        return f"{self._paint(mark, sgr)} {self._paint(title, _BOLD)}{shown}{self._paint(time, DIM)}"

    def details(
        self,
        name: str,
        arguments: Mapping[str, Any],
        output: str,
        width: int,
        *,
        is_error: bool,
        full_size: int | None = None,
    ) -> list[str]:
        """What stands below the line of a call that has ended, each line at most `width` cells.

        `full_size` (bytes): the CLI kept only the beginning of the output.
        """
        panels = given.panels(name, arguments, full=self._full)
        panels += results.panels(name, output, is_error=is_error, full=self._full)
        if full_size is not None:
            of = f" of {full_size:,} bytes" if full_size else ""
            panels.append(note(f"the first {len(output):,} characters{of}"))
        return [line for panel in panels for line in panel.lines(self._paint, width, full=self._full)]


def _title(name: str) -> str:
    server, tool = server_and_name(name)
    return _on_one_line(tool if server == OWN_LABEL else f"{server}: {tool}")


def _argument(name: str, arguments: Mapping[str, Any], width: int) -> str:
    """The argument that says most, or where no single one does all of them, in at most `width` cells."""
    if name == "StructuredOutput" or width < 2:
        return ""
    if name == "TodoWrite":
        return fit(given.done(arguments), width)
    key = toolmarkdown.salient(name, arguments)
    if key is None:
        return fit(_on_one_line(", ".join(islice(given.listed(arguments), _MOST))), width)
    text = _on_one_line(arguments[key])
    if key not in _PATHS:
        return fit(text + _where(arguments, key), width)
    return _fit_end(text.removeprefix(_WORKSPACE) + _lines(arguments), width)


def _where(arguments: Mapping[str, Any], key: str) -> str:
    """A pattern is looked for in a place."""
    place = arguments.get("path")
    return f" in {_on_one_line(place).removeprefix(_WORKSPACE)}" if key == "pattern" and isinstance(place, str) else ""


def _lines(arguments: Mapping[str, Any]) -> str:
    """The part of a file that is read."""
    start, count = arguments.get("offset"), arguments.get("limit")
    first = start if isinstance(start, int) and start > 0 else 1
    if isinstance(count, int) and count > 0:
        return f":{first}-{first + count - 1}"
    return f":{first}-" if first > 1 else ""


def _on_one_line(text: str) -> str:
    """The first line of it that says anything."""
    text = text.strip("\r\n")
    first, newline, _ = text[:_LONGEST].partition("\n")
    more = newline or len(text) > _LONGEST
    return visible(first).strip() + (" …" if more else "")


def _fit_end(text: str, width: int) -> str:
    """As `fit`, for a path: its end says more than its beginning, and whole names say more than parts of them."""
    if cell_len(text) <= width:
        return text
    kept, room = "", width - 1
    for grapheme, cells in reversed(list(graphemes(text))):
        if cells > room:
            break
        kept, room = grapheme + kept, room - cells
    return f"…{kept[max(kept.find('/'), 0) :]}"
