"""What a terminal would show of a line that others wrote, without letting it command the terminal."""

from __future__ import annotations

import re

from ccapi.cli import output
from ccapi.cli.answer.cells import cell_len

# ECMA-48: control sequences, strings (title, clipboard, link, ...) with their end, other escape sequences. A string
# that does not end is no sequence here, or it would swallow the text behind it; nor is one in which another begins, or
# the rest of a text of nothing but beginnings would be looked through from each of them.
_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x90\x98\x9c-\x9f\n]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b(?![\[\]PX^_])[ -/]*[0-~]"
)
_COMMANDS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_TAB = 8


def visible(line: str) -> str:
    """One line without its control sequences and characters, tabs as the spaces that a terminal shows for them.

    Of a progress bar that a program drew over and over with carriage returns only its last state is left.
    """
    if _COMMANDS.search(line):
        line = line.rstrip("\r")
        line = _SEQUENCES.sub("", line[line.rfind("\r") + 1 :])
    return _expanded(output.printable(line))


def _expanded(line: str) -> str:
    if line.isascii():
        return line.expandtabs(_TAB)
    *columns, last = line.split("\t")
    return "".join(column + " " * (_TAB - cell_len(column) % _TAB) for column in columns) + last
