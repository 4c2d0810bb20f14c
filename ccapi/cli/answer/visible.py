"""What a terminal would show of a line that others wrote, without letting it command the terminal."""

from __future__ import annotations

import re

from ccapi.cli import output

# ECMA-48: control sequences, strings (title, clipboard, link, ...) with their end, other escape sequences. A string
# that does not end is no sequence here, or it would swallow the text behind it.
_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b(?![\[\]PX^_])[ -/]*[0-~]"
)
_COMMANDS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_TAB = 8


def visible(line: str) -> str:
    """One line without its control sequences and characters, tabs as spaces.

    Of a progress bar that a program drew over and over with carriage returns only its last state is left.
    """
    if _COMMANDS.search(line):
        line = line.rstrip("\r")
        line = _SEQUENCES.sub("", line[line.rfind("\r") + 1 :])
    return output.printable(line).expandtabs(_TAB)
