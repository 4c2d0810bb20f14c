"""Signals that come while something is drawn."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ccapi.cli.boundary import ENDING

_PATIENCE = 2.0  # seconds that a signal waits: a terminal that takes nothing for so long is not waited for
_NUMBERS = [getattr(signal, name) for name in ("SIGINT", *ENDING, "SIGTSTP") if hasattr(signal, name)]


@contextmanager
def undisturbed() -> Iterator[None]:
    """A signal that ends or stops the process waits until the block is over: nothing is drawn by half, or twice.

    It does not wait long, and a second one does not at all: then the block is left by what the handler raises. Hence
    handlers of Python, and no mask, which a write that waits would not be woken through.
    """
    if sys.platform == "win32":
        yield
        return
    deferral = _Deferral()
    try:
        yield
    finally:
        deferral.end()


class _Deferral:
    def __init__(self) -> None:
        self._came: int | None = None
        self._before: dict[int, Any] = {}
        for number in _NUMBERS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._take(number)

    def end(self) -> None:
        self._give_back()
        if self._came is not None:
            signal.raise_signal(self._came)

    def _take(self, number: int) -> None:
        self._before[number] = signal.signal(number, self._handle)

    def _handle(self, number: int, _frame: object) -> None:
        if self._came is None:
            self._came = number
            self._take(signal.SIGALRM)
            signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
            return
        self._give_back()
        first, self._came = self._came, None
        signal.raise_signal(first if number == signal.SIGALRM else number)

    def _give_back(self) -> None:
        for number in _NUMBERS:
            self._restore(number)
        if self._came is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._restore(signal.SIGALRM)

    def _restore(self, number: int) -> None:
        if number in self._before:
            handler = self._before[number]
            if signal.getsignal(number) == self._handle:  # whoever has set another one meanwhile meant it
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
