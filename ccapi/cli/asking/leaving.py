"""How a prompt ends when a signal ends the process: the terminal is given back first."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from ccapi.cli.boundary import ENDING


class Leaving:
    """`leave` has the prompt end with an exception.

    A handler of Python raises wherever the prompt is, also in the middle of a drawing, or where nobody hears of it. So
    the prompt's own loop is told instead, by `watch`, which has to be called in it.
    """

    def __init__(self, leave: Callable[[BaseException], None]) -> None:
        self._leave = leave
        self._handlers: dict[int, Any] = {}
        self._modes: list[Any] | None = None

    def __enter__(self) -> Self:
        if sys.platform != "win32":
            import termios

            with suppress(OSError, ValueError, termios.error):
                self._modes = termios.tcgetattr(sys.stdin.fileno())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if sys.platform != "win32" and self._modes is not None:
            import termios

            with suppress(OSError, ValueError, termios.error):
                termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, self._modes)

    def watch(self) -> None:
        if sys.platform == "win32":
            return
        for name in ENDING:  # SIGINT is a key here, and the editor's while there is one
            number = signal.Signals[name]
            handler = signal.getsignal(number)
            if handler is not signal.SIG_IGN:
                self._handlers[number] = handler
                asyncio.get_running_loop().add_signal_handler(number, self._end, number)

    def _end(self, number: int) -> None:
        with suppress(Exception):  # it is about to end anyhow
            self._leave(SystemExit(128 + number))
