"""The answer on the way to standard output: untouched in a pipe, lightly styled on a terminal.

Text is shown token by token. Only a line that starts like a fence, a separator or a tool call waits for its end,
because its look depends on it. Control sequences in what a model or a tool says never reach the terminal.
"""

from __future__ import annotations

import re
import sys
from types import TracebackType
from typing import Self

from ccapi.cli import output

_FENCE = re.compile(r"(`{3,})[^`]*")
# A tool call, not a model's own bold line: Claude Code's tools by name, MCP tools by their prefix.
_TOOL_NAMES = (
    r"mcp__\w+|Agent|Bash|Edit|ExitPlanMode|Glob|Grep|Monitor|MultiEdit|NotebookEdit|Read|Skill|Task\w*|Todo\w+|"
    r"ToolSearch|Web\w+|Workflow|Write"
)
_TOOL = re.compile(rf"((?:↳ )*)\*\*((?:{_TOOL_NAMES})(?: \([^)]*\))?)\*\*(?: (`+)(.+?)\3)?")
_DECIDES_AT_END = "`*-↳"  # first characters of lines whose look depends on the whole line
_DIM, _BOLD, _TOOL_STYLE = "2", "1", "1;36"


class AnswerPrinter:
    """Feed it the pieces of an answer; leaving the block ends the last line and says what is missing."""

    def __init__(self) -> None:
        self._terminal = output.terminal(sys.stdout)
        self._line = ""  # the unfinished line, as far as it is held back
        self._at_start = True  # nothing of the current line was shown yet
        self._fence = ""  # the fence that the current code block was opened with
        self._wrote = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._line:
            self._show_line(ended=False)
        unfinished = not self._at_start if self._terminal else error is None
        if self._wrote and unfinished:
            output.write("\n")
        if kind is KeyboardInterrupt:
            if output.terminal(sys.stderr):
                output.note("")  # the terminal has just shown ^C
            known = getattr(error, "__notes__", ())  # of the run, if one had begun
            output.note(output.styled(output.printable("; ".join(["interrupted", *known])), _DIM))

    def text(self, text: str) -> None:
        """The next piece of the answer, cut anywhere."""
        self._wrote = True
        if not self._terminal:
            output.write(text)
            return
        first, *rest = output.printable(text).split("\n")
        self._piece(first)
        for piece in rest:
            self._newline()
            self._piece(piece)

    def comment(self, text: str) -> None:
        """What the gateway says beside the answer, for a person who waits for it."""
        if not output.terminal(sys.stderr):
            return
        if self._terminal and not self._at_start:
            self._newline()
        output.note(output.styled(output.printable(text), _DIM))

    def _piece(self, text: str) -> None:
        """A part of a line."""
        if not text:
            return
        if self._at_start:
            self._line += text
            if self._waits():
                return
            text, self._line = self._line, ""
            self._gutter()
            self._at_start = False
        output.write(self._style(text, _DIM) if self._fence else text)

    def _waits(self) -> bool:
        """Whether the line's look depends on how it goes on."""
        return self._line[0] in ("`" if self._fence else _DECIDES_AT_END)

    def _newline(self) -> None:
        if self._at_start:
            self._show_line(ended=True)
        else:
            output.write("\n")
        self._at_start = True

    def _show_line(self, *, ended: bool) -> None:
        """Show the line that was held back, in the look that it turned out to need."""
        line, self._line = self._line, ""
        if self._toggles_fence(line):
            return
        self._gutter()
        output.write(self._styled_line(line) + ("\n" if ended else ""))
        self._at_start = ended

    def _toggles_fence(self, line: str) -> bool:
        match = _FENCE.fullmatch(line.rstrip())
        if not match:
            return False
        if not self._fence:
            self._fence = match[1]
            return True
        if line.rstrip() == match[1] and len(match[1]) >= len(self._fence):
            self._fence = ""
            return True
        return False

    def _styled_line(self, line: str) -> str:
        if self._fence:
            return self._style(line, _DIM)
        if line == "---":
            return self._style("─" * 40, _DIM)
        if tool := _TOOL.fullmatch(line):
            argument = f" {_code(tool[4])}" if tool[4] else ""
            return f"{tool[1]}{self._style('● ' + tool[2], _TOOL_STYLE)}{argument}"
        return line

    def _gutter(self) -> None:
        if self._fence:
            output.write(self._style("  │ ", _DIM))

    @staticmethod
    def _style(text: str, sgr: str) -> str:
        return output.styled(text, sgr, sys.stdout)


def _code(span: str) -> str:
    """What a code span says: one space on each side belongs to its delimiters (CommonMark, code spans)."""
    padded = span.startswith(" ") and span.endswith(" ") and span.strip()
    return span[1:-1] if padded else span
