"""How the results of `ccapi doctor` look: a line for each category where all is well, more where it is not."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Self

from ccapi.cli import output
from ccapi.cli.context import mode

if TYPE_CHECKING:
    from ccapi.doctor.check import Check, Fix
    from ccapi.doctor.runner import Progress, Result

_MARKS = {"ok": ("✓", "32"), "warn": ("!", "33"), "fail": ("✗", "31"), "skip": ("-", "2"), "info": ("·", "36")}
_WORST = ("fail", "warn", "ok", "info", "skip")
_WIDEST = 110  # columns; longer lines are hard to read
_NAMED = 3  # checks at work that the live line names


class Looking:
    """One live line on standard error, on a terminal only: what is still being looked at."""

    def __init__(self) -> None:
        self.took = 0.0  # seconds
        self._live = output.terminal(sys.stderr) and not mode.quiet and not output.dumb()
        self._said = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._show("")

    def __call__(self, progress: Progress) -> None:
        names = [check.id for check in progress.running]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        self._show(f"{progress.done}/{progress.total}  {', '.join(names[:_NAMED])}{more}" if names else "")

    def say(self, text: str) -> None:
        """What a check that takes its time is doing."""
        self._show(text)

    def _show(self, text: str) -> None:
        if not self._live or text == self._said:
            return
        self._said = text
        line = output.printable(text)[: shutil.get_terminal_size().columns - 1]
        sys.stderr.write(f"\r\x1b[K{output.styled(line, '2') if line else ''}")
        sys.stderr.flush()


def listing(checks: Sequence[Check]) -> str:
    """Ids and titles, by category."""
    from ccapi.doctor.check import CATEGORIES

    width = max((len(check.id) for check in checks), default=0)
    lines = []
    for category, members in groupby(checks, lambda check: check.category):
        lines.append(_bold(f"{CATEGORIES[category]} ({category})"))
        lines += [f"  {check.id:<{width}}  {check.title}" for check in members]
    return "\n".join(lines) + "\n"


def results_text(results: Sequence[Result], *, every: bool) -> str:
    """All categories. `every`: also each check that is as it should be."""
    lines: list[str] = []
    for category, members in groupby(results, lambda result: result.check.category):
        lines += _category(category, list(members), every=every)
    if not every:
        lines += _skipped([result for result in results if result.finding.status == "skip"])
    return "\n".join(lines) + "\n\n" if lines else ""


def verdict(results: Sequence[Result], seconds: float) -> str:
    """The line that says it all, and what to do next."""
    from ccapi.doctor.check import CATEGORIES

    counted = Counter(result.finding.status for result in results)
    told = [_counted(counted["fail"], "problem")] if counted["fail"] else []
    told += [_counted(counted["warn"], "warning")] if counted["warn"] else []
    if not told:
        looked = len(results) - counted["skip"]
        return f"{_mark('ok')} No problems found ({_counted(looked, 'check')}, {seconds:.1f} s)"
    bad = [result for result in results if result.finding.status in {"fail", "warn"}]
    where = ", ".join(CATEGORIES[name] for name in dict.fromkeys(result.check.category for result in bad))
    safe = any(result.finding.fix and result.finding.fix.safe for result in bad)
    mark = _mark("fail" if counted["fail"] else "warn")
    return f"{mark} {', '.join(told)} in {where}{': run ccapi doctor --fix' if safe else ''}"


def _category(category: str, results: list[Result], *, every: bool) -> Iterator[str]:
    from ccapi.doctor.check import CATEGORIES

    statuses = {result.finding.status for result in results}
    worst = next(status for status in _WORST if status in statuses)
    yield f"{_mark(worst)} {_bold(CATEGORIES[category])}"
    for result in results:
        if every or result.finding.status in {"fail", "warn"}:
            yield from _result(result)


def _result(result: Result) -> Iterator[str]:
    finding = result.finding
    yield from _wrapped(f"{result.check.id}: {finding.summary}", f"  {_mark(finding.status)} ", "    ")
    if finding.status == "ok" and not finding.detail:
        return
    for line in finding.detail.splitlines():
        yield from _wrapped(line, "    ", "    ")
    if finding.fix:
        yield from _fix(finding.fix)


def _fix(fix: Fix) -> Iterator[str]:
    """A command is never wrapped: it is there to be copied."""
    for line in fix.text.splitlines():
        yield from _wrapped(line, "    → ", "      ")
    for line in (fix.command or "").splitlines():
        yield f"        {output.tinted(output.printable(line), '1')}"


def _skipped(results: Sequence[Result]) -> Iterator[str]:
    """By reason, which is mostly one."""
    reasons = Counter(result.finding.summary for result in results)
    for reason, count in reasons.items():
        yield from _wrapped(f"{_counted(count, 'check')} left out: {reason}", f"{_mark('skip')} ", "  ")


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    """On a terminal within its width, with what follows the first line below it; else as it is."""
    text = output.printable(text)
    if not output.on_screen():
        return [first + text]
    width = min(shutil.get_terminal_size().columns, _WIDEST) - len(rest)
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
    return [(rest if number else first) + line for number, line in enumerate(lines)]


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _mark(status: str) -> str:
    return output.tinted(*_MARKS[status])


def _bold(text: str) -> str:
    return output.tinted(text, "1")
