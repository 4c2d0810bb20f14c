"""How a tool call and its result look as Markdown. Nothing is cut, and no output can break out of its fence."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

_INLINE_LIMIT = 120  # characters: a longer argument gets a block of its own
_BACKTICKS = re.compile(r"`+")
_LANGUAGES = {
    ".py": "python",
    ".js": "javascript",
    ".ts": "typescript",
    ".tsx": "tsx",
    ".sh": "bash",
    ".md": "markdown",
    ".json": "json",
    ".toml": "toml",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".html": "html",
    ".css": "css",
    ".go": "go",
    ".rs": "rust",
    ".c": "c",
    ".h": "c",
    ".cpp": "cpp",
    ".java": "java",
    ".rb": "ruby",
    ".sql": "sql",
}
# The one argument that says most about a call: the first of these that there is, unless the tool has its own.
_SALIENT = ("command", "file_path", "notebook_path", "path", "pattern", "query", "url", "description", "skill", "name")
_OWN_SALIENT = {"Glob": "pattern", "Grep": "pattern", "Task": "description", "Agent": "description"}
_MOST_LINES = 10_000  # of an edit: to compare more of them may take seconds


def fenced(text: str, language: str = "") -> str:
    """`text` in a code block whose fence is longer than any run of backticks inside."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}{language}\n{text}{'' if text.endswith(chr(10)) else chr(10)}{fence}"


def inline(text: str) -> str:
    """`text` as inline code, whatever backticks it holds (CommonMark, code spans)."""
    if "`" not in text:
        return f"`{text}`"
    fence = "`" * (_longest_run(text) + 1)
    return f"{fence} {text} {fence}"


def call(name: str, arguments: Any) -> str:
    """A bold tool name with its salient argument, and below it the rest of what it was given."""
    salient, blocks = _formed(_FORMS.get(name, _any), arguments)
    return "\n\n".join([f"**{name}**{_argument(salient)}", *blocks])


def result(output: str, *, is_error: bool, full_size: int | None) -> str:
    """What the tool gave back, and a line with the full size when the CLI kept only a part."""
    parts = ["Error:"] if is_error else []
    parts.append(fenced(output) if output else "(no output)")
    if full_size is not None:
        size = f"The full output has {full_size:,} bytes; its" if full_size else "The"
        parts.append(f"*{size} first {len(output):,} characters are shown.*")
    return "\n\n".join(parts)


def salient(name: str, arguments: Mapping[str, Any]) -> str | None:
    """The name of the argument that says most about a call of this tool; its value is a string."""
    keys = (_OWN_SALIENT.get(name, ""), *_SALIENT)
    return next((key for key in keys if isinstance(arguments.get(key), str)), None)


def diff(old: str, new: str) -> list[str]:
    """What an edit changes: lines with `-`, `+`, a space or `@@` in front. Only `\n` ends a line here."""
    if old.endswith("\n") and new.endswith("\n"):
        old, new = old[:-1], new[:-1]
    before, after = old.split("\n"), new.split("\n")  # other separators are part of the text
    if len(before) + len(after) > _MOST_LINES:
        return [*(f"-{line}" for line in before), *(f"+{line}" for line in after)]
    return list(difflib.unified_diff(before, after, n=3, lineterm=""))[2:]


def _formed(form: _Form, arguments: Any) -> tuple[str, list[str]]:
    if not isinstance(arguments, Mapping):
        return "", [_json(arguments)]
    try:
        salient, blocks = form(arguments)
    except (LookupError, TypeError, AttributeError):  # arguments of another shape than this tool's
        return _any(arguments)
    return (salient, blocks) if isinstance(salient, str) else _any(arguments)


def _longest_run(text: str) -> int:
    return max((len(run) for run in _BACKTICKS.findall(text)), default=0)


def _argument(salient: str) -> str:
    if not salient:
        return ""
    if "\n" in salient or len(salient) > _INLINE_LIMIT:
        return "\n\n" + fenced(salient)
    return " " + inline(salient)


_Form = Callable[[Mapping[str, Any]], tuple[str, list[str]]]


def _bash(arguments: Mapping[str, Any]) -> tuple[str, list[str]]:
    command = arguments["command"]
    if "\n" in command or len(command) > _INLINE_LIMIT:
        return "", [fenced(command, "bash")]
    return command, []


def _write(arguments: Mapping[str, Any]) -> tuple[str, list[str]]:
    path = arguments["file_path"]
    return path, [fenced(arguments["content"], language(path))]


def _edit(arguments: Mapping[str, Any]) -> tuple[str, list[str]]:
    lines = diff(arguments["old_string"], arguments["new_string"])
    blocks = ["Every occurrence:"] if arguments.get("replace_all") else []
    return arguments["file_path"], [*blocks, fenced("\n".join(lines), "diff")]


def _read(arguments: Mapping[str, Any]) -> tuple[str, list[str]]:
    start, count = arguments.get("offset"), arguments.get("limit")
    rows = [f"from line {start}"] if start else []
    rows += [f"{count} lines"] if count else []
    return arguments["file_path"], [", ".join(rows)] if rows else []


def _search(arguments: Mapping[str, Any]) -> tuple[str, list[str]]:
    rest = {key: value for key, value in arguments.items() if key != "pattern"}
    return arguments["pattern"], [_json(rest)] if rest else []


def _subagent(arguments: Mapping[str, Any]) -> tuple[str, list[str]]:
    return arguments["description"], [fenced(arguments["prompt"])]


def _any(arguments: Mapping[str, Any]) -> tuple[str, list[str]]:
    key = salient("", arguments)
    rest = {name: value for name, value in arguments.items() if name != key}
    return str(arguments[key]) if key else "", [_json(rest)] if rest else []


def _json(value: Any) -> str:
    return fenced(json.dumps(value, indent=2, ensure_ascii=False), "json")


def language(path: str) -> str:
    """What the code in a file of this name is called behind a fence; empty if the name does not tell."""
    return _LANGUAGES.get(PurePosixPath(path).suffix.lower(), "")


_FORMS: Mapping[str, _Form] = {
    "Bash": _bash,
    "Write": _write,
    "Edit": _edit,
    "Read": _read,
    "Glob": _search,
    "Grep": _search,
    "Task": _subagent,
    "Agent": _subagent,
}
