"""How an address is opened in the person's browser: as Python's `webbrowser` does, so that `$BROWSER` counts.

By a program of its own, since some browsers end only when the person closes them. A leaf: the command line opens logins
that the person started with it, the OAuth proxy those of the container, after a question.
"""

from __future__ import annotations

import sys

# The address comes through standard input: it is nobody's business who lists our processes.
COMMAND = (
    sys.executable,
    "-P",
    "-c",
    "import sys, webbrowser; sys.exit(not webbrowser.open(sys.stdin.read()))",
)
