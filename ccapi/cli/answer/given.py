"""What a tool was given, as far as it is worth to be seen under its line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ccapi.cli.answer import panel
from ccapi.cli.answer.panel import CHANGE, Panel, note
from ccapi.wire import toolmarkdown

Arguments = Mapping[str, Any]

_BETWEEN = "⋮"  # two parts of a file
_TEXT = r'"(?:[^"\\]|\\.)*"'
_MEMBER = re.compile(rf"\s*[{{,]\s*({_TEXT})\s*:\s*({_TEXT})", re.DOTALL)
_CHECKS = {"pending": "☐", "in_progress": "▶", "completed": "☑"}


def drafted(beginning: str) -> dict[str, str]:
    """Those arguments of a call at the beginning of its JSON that are texts, and complete."""
    found: dict[str, str] = {}
    at = 0
    while member := _MEMBER.match(beginning, at):
        with suppress(ValueError):
            found[json.loads(member[1])] = json.loads(member[2])
        at = member.end()
    return found


def panels(name: str, arguments: Any, *, full: bool) -> list[Panel]:
    """Of a call with these arguments. One whose arguments have another shape than its tool's is like any other."""
    if not isinstance(arguments, Mapping):
        return _any({"arguments": arguments}, full)
    try:
        return _PANELS.get(name, _any)(arguments, full)
    except (LookupError, TypeError, AttributeError):
        return _any(arguments, full)


def done(arguments: Arguments) -> str:
    """How far a list of tasks is."""
    states = [task.get("status") for task in _tasks(arguments)]
    return f"{states.count('completed')} of {len(states)} done" if states else ""


def listed(arguments: Arguments) -> Iterator[str]:
    """Arguments of any kind, each with its name."""
    for key, value in arguments.items():
        yield f"{key}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"


def _write(arguments: Arguments, _full: bool) -> list[Panel]:
    content = _string(arguments["content"])
    look = panel.code(toolmarkdown.language(arguments["file_path"]))
    return [Panel(content, look) if content.strip() else note("(an empty file)")]


def _edit(arguments: Arguments, _full: bool) -> list[Panel]:
    return _changed([arguments])


def _edits(arguments: Arguments, _full: bool) -> list[Panel]:
    return _changed(arguments["edits"])


def _changed(edits: Sequence[Arguments]) -> list[Panel]:
    lines: list[str] = []
    for edit in edits:
        change = toolmarkdown.diff(edit["old_string"], edit["new_string"])
        # Their `@@` counts lines of the edit, not of the file: it says nothing but that there is more between.
        lines += [_BETWEEN if line.startswith("@@") else line for line in change]
        lines += ["(every occurrence)"] if edit.get("replace_all") is True else []
    if lines and lines[0] == _BETWEEN:
        del lines[0]
    return [Panel("\n".join(lines), panel.changes, CHANGE)] if lines else []


def _notebook(arguments: Arguments, _full: bool) -> list[Panel]:
    language = "markdown" if arguments.get("cell_type") == "markdown" else "python"
    return [Panel(_string(arguments["new_source"]), panel.code(language))]


def _todo(arguments: Arguments, _full: bool) -> list[Panel]:
    rows = [f"{_CHECKS.get(task.get('status', ''), '☐')} {_string(task['content'])}" for task in _tasks(arguments)]
    return [Panel("\n".join(rows), panel.checklist, CHANGE)] if rows else []


def _tasks(arguments: Arguments) -> list[Arguments]:
    tasks = arguments.get("todos")
    return [task for task in tasks if isinstance(task, Mapping)] if isinstance(tasks, list) else []


def _bash(arguments: Arguments, full: bool) -> list[Panel]:
    command = _string(arguments["command"]).strip("\n")
    return [_asked(command, panel.code("bash"), "$")] if full or "\n" in command else []


def _subagent(arguments: Arguments, full: bool) -> list[Panel]:
    return [_asked(_string(arguments["prompt"]), panel.plain)] if full else []


def _nothing(_arguments: Arguments, _full: bool) -> list[Panel]:
    return []


def _any(arguments: Arguments, full: bool) -> list[Panel]:
    return [_asked("\n".join(listed(arguments)), panel.plain)] if full and arguments else []


def _asked(text: str, look: panel.Look, mark: str = ">") -> Panel:
    """In the gutter of a shell's prompts, which tells it from output."""
    return Panel(text, look, marks=(mark, ">", " "))


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


_PANELS: Mapping[str, Callable[[Arguments, bool], list[Panel]]] = {
    "Write": _write,
    "Edit": _edit,
    "MultiEdit": _edits,
    "NotebookEdit": _notebook,
    "TodoWrite": _todo,
    "Bash": _bash,
    "Agent": _subagent,
    "Task": _subagent,
    "StructuredOutput": _nothing,
}
