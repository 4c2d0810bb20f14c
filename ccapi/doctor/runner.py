"""Runs checks: all at the same time, each by itself and within its time, and the results in the order of the checks.

A check that hangs is left behind in a daemon thread: it can keep neither the others nor the process from ending.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ccapi.doctor import check as checks
from ccapi.doctor.check import Check, Finding, Fix
from ccapi.doctor.facts import Facts
from ccapi.errors import CcapiError
from ccapi.redact import redact

_PASSES = ("ok", "warn", "info")


@dataclass(frozen=True, slots=True)
class Result:
    """What a check found, and how long that took, in seconds. No text in it has a secret.

    `fixed`: doctor has just mended it; the finding is what was seen after that.
    """

    check: Check
    finding: Finding
    seconds: float
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """`running`: the checks at work, the longest first. `done`: how many are through, of `total`."""

    running: tuple[Check, ...]
    done: int
    total: int


OnProgress = Callable[[Progress], None]


def run(
    wanted: Sequence[Check],
    known: Sequence[Check],
    facts: Facts,
    *,
    timeout: float,
    on_progress: OnProgress = lambda _: None,
) -> list[Result]:
    """The results of `wanted`, in its order. What they need is taken from `known` and run as well, unseen.

    `timeout`: seconds for each check that has no limit of its own.
    """
    needed = _with_needs(wanted, known)
    results: dict[str, Result] = {}
    total = len(needed)

    def tell(running: tuple[Check, ...]) -> None:
        on_progress(Progress(running, len(results), total))

    _Group([check for check in needed if not check.deep], results, facts, timeout, tell).run()
    for check in (check for check in needed if check.deep):
        _alone(check, results, facts, tell)
    return [results[check.id] for check in wanted]


def mend(
    result: Result,
    known: Sequence[Check],
    facts: Facts,
    *,
    timeout: float,
) -> Result:
    """Apply the fix, which must be a safe one, and look again. What keeps it from being applied becomes the finding."""
    fix = result.finding.fix
    assert fix is not None
    assert fix.apply is not None
    try:
        fix.apply()
    except CcapiError as error:
        return replace(result, finding=_without_secrets(failed(error)))
    (after,) = run([result.check], known, facts.again(), timeout=timeout)
    return replace(after, fixed=after.finding.status in _PASSES and after.finding.status != "warn")


def _with_needs(wanted: Sequence[Check], known: Sequence[Check]) -> list[Check]:
    """Also what is needed by what is needed; each once, in the order of `known`."""
    by_id = {check.id: check for check in known} | {check.id: check for check in wanted}
    found: set[str] = set()
    pending = [check.id for check in wanted]
    while pending:
        if (name := pending.pop()) not in found:
            found.add(name)
            pending += by_id[name].needs
    return [check for name, check in by_id.items() if name in found]


def _alone(check: Check, results: dict[str, Result], facts: Facts, tell: Callable[[tuple[Check, ...]], None]) -> None:
    """In this thread, so that Ctrl-C ends it in order: a deep check makes things, and takes them away again.

    Its steps have limits of their own.
    """
    tell((check,))
    began = time.monotonic()
    finding = _not_run(check, results, facts) or _without_secrets(_finding(check, facts))
    results[check.id] = Result(check, finding, time.monotonic() - began)
    tell(())


def _not_run(check: Check, results: dict[str, Result], facts: Facts) -> Finding | None:
    """Why it makes no sense, given what ran before; None if it does."""
    if check.online and facts.offline:
        return checks.skip("no machine on the internet is asked (--offline)")
    for need in check.needs:
        finding = results[need].finding
        if finding.status == "skip" and results[need].check.needs:
            return finding  # the reason behind the reason
        if finding.status not in _PASSES:
            return checks.skip(f"{need}: {finding.summary}")
    return None


class _Group:
    """Checks that run at the same time. `results` has what ran before, and gets what these find."""

    def __init__(
        self,
        group: Sequence[Check],
        results: dict[str, Result],
        facts: Facts,
        timeout: float,
        tell: Callable[[tuple[Check, ...]], None],
    ) -> None:
        self._waiting = list(group)
        self._running: dict[str, tuple[Check, float]] = {}  # since when
        self._results = results
        self._facts = facts
        self._timeout = timeout
        self._tell = tell
        self._found: queue.Queue[Result] = queue.Queue()

    def run(self) -> None:
        while self._waiting or self._running:
            self._begin()
            self._tell(tuple(check for check, _ in self._running.values()))
            if self._running:
                self._collect()
        self._tell(())

    def _begin(self) -> None:
        """Start, or skip, what waits for nothing any more; one that is skipped may settle others."""
        while ready := [check for check in self._waiting if all(need in self._results for need in check.needs)]:
            for check in ready:
                self._waiting.remove(check)
                if finding := _not_run(check, self._results, self._facts):
                    self._results[check.id] = Result(check, finding, 0.0)
                else:
                    self._running[check.id] = (check, time.monotonic())
                    threading.Thread(target=self._look, args=(check,), name=check.id, daemon=True).start()
        if self._waiting and not self._running:
            raise AssertionError(f"checks that need each other: {[check.id for check in self._waiting]}")

    def _look(self, check: Check) -> None:
        began = time.monotonic()
        finding = _without_secrets(_finding(check, self._facts))
        self._found.put(Result(check, finding, time.monotonic() - began))

    def _collect(self) -> None:
        """Wait for the next result, or until the time of one is up."""
        ends = {name: since + self._limit(check) for name, (check, since) in self._running.items()}
        try:
            result = self._found.get(timeout=max(0.0, min(ends.values()) - time.monotonic()))
        except queue.Empty:
            now = time.monotonic()
            for name in [name for name, end in ends.items() if end <= now]:
                check, since = self._running.pop(name)
                summary = f"did not answer within {self._limit(check):g} s"
                self._results[name] = Result(check, checks.fail(summary), now - since)
        else:
            if self._running.pop(result.check.id, None):  # else it is too late
                self._results[result.check.id] = result

    def _limit(self, check: Check) -> float:
        return check.limit or self._timeout


def _finding(check: Check, facts: Facts) -> Finding:
    try:
        return check.run(facts)
    except CcapiError as error:
        return failed(error)
    except Exception as error:  # noqa: BLE001 -- one check that is broken must not keep the others from being seen
        return checks.fail(f"the check itself failed: {type(error).__name__}: {error}")


def failed(error: CcapiError) -> Finding:
    """What an error of ours says, as a finding; of its hint the first line is the fix."""
    return checks.fail(error.message, fix=Fix(error.hint) if error.hint else None)


def _without_secrets(finding: Finding) -> Finding:
    fix = finding.fix
    if fix is not None:
        fix = replace(fix, text=redact(fix.text), command=None if fix.command is None else redact(fix.command))
    return replace(finding, summary=redact(finding.summary), detail=redact(finding.detail), fix=fix)
