"""What a tool gave back, as far as it is worth to be seen: without what Claude Code says beside it to the model."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Mapping

from ccapi.cli.answer import panel
from ccapi.cli.answer.panel import CHANGE, Panel, note

_REFUSAL = re.compile(r"<tool_use_error>(.*)</tool_use_error>\s*", re.DOTALL)
_REMINDER = re.compile(r"\s*<system-reminder>(.*?)</system-reminder>\s*", re.DOTALL)
_NOTHING = ("", "(Bash completed with no output)")
# How the CLI frames the report of a subagent, each line of which it indents.
_REPORT = re.compile(
    r"(?:\s*<tools-used-before-summary>[^\n]*\s*)?\[Subagent hand-back\][^\n]*The report follows:\n"
    r"(?P<report>(?:  [^\n]*\n|\n)*)agentId: .*",
    re.DOTALL,
)
_NUMBERED = re.compile(r" *\d+(?:\t|→)")  # how Read begins each line of a file
_LONGEST_JSON = 200_000  # characters; a longer document is shown as it is


def panels(name: str, output: str, *, is_error: bool, full: bool) -> list[Panel]:
    """Of a call that ended with this output."""
    if refusal := _REFUSAL.fullmatch(output):
        output = refusal[1]
    if is_error:
        return [Panel(output, rows=CHANGE) if output.strip() else _nothing()]
    if full and name != "StructuredOutput":
        return _as_text(output) if name in _PANELS else _any(output)
    return _PANELS.get(name, _any)(output)


def _nothing() -> Panel:
    return note("(no output)")


def _as_text(output: str) -> list[Panel]:
    return [_nothing() if _is_empty(output) else Panel(output)]


def _is_empty(output: str) -> bool:
    return output.isspace() or output in _NOTHING


def _hidden(_output: str) -> list[Panel]:
    return []


def _read(output: str) -> list[Panel]:
    """How many lines, if that is what it is: it may be a picture."""
    if reminder := _REMINDER.fullmatch(output):
        return _as_text(reminder[1])
    if not _NUMBERED.match(output):
        return _as_text(output)
    file = output.partition("\n\n<system-reminder>")[0]
    last = file[file.rfind("\n") + 1 :]
    lines = file.count("\n") + (_NUMBERED.fullmatch(last) is None)
    return [note(f"{lines:,} line{'' if lines == 1 else 's'}")]


def _subagent(output: str) -> list[Panel]:
    report = _REPORT.fullmatch(output)
    return _as_text(textwrap.dedent(report["report"]) if report else output)


def _any(output: str) -> list[Panel]:
    """A JSON document is laid out anew, everything else is text."""
    if output[:1] in {"{", "["} and len(output) <= _LONGEST_JSON:
        try:
            laid_out = json.dumps(json.loads(output), indent=2, ensure_ascii=False)
        except (ValueError, RecursionError):
            return _as_text(output)
        return [Panel(laid_out, panel.code("json"))]
    return _as_text(output)


_PANELS: Mapping[str, Callable[[str], list[Panel]]] = {
    "Write": _hidden,
    "Edit": _hidden,
    "MultiEdit": _hidden,
    "NotebookEdit": _hidden,
    "TodoWrite": _hidden,
    "StructuredOutput": _hidden,
    "Read": _read,
    "Agent": _subagent,
    "Task": _subagent,
    **dict.fromkeys(("Bash", "BashOutput", "Grep", "Glob", "WebFetch", "WebSearch"), _as_text),
}
