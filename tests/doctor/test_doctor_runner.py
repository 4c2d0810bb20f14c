"""How checks are run: at the same time, each by itself and within its time, and what is said of those that cannot."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ccapi.doctor import registry, runner
from ccapi.doctor.check import CATEGORIES, Check, Finding, Fix, fail, info, ok, skip, warn
from ccapi.doctor.facts import Facts, once
from ccapi.doctor.runner import Progress, Result
from ccapi.errors import OutputFailed, StackFailed, UsageError
from ccapi.paths import Home
from tests.cli.support import DEADLINE


def check(name: str, find: Callable[[Facts], Finding], *needs: str, **more: bool | float) -> Check:
    return Check(name, "A title", find, needs=needs, **more)  # type: ignore[arg-type] # a test's shorthand


def run(*checks: Check, facts: Facts | None = None, timeout: float = DEADLINE) -> dict[str, Result]:
    results = runner.run(checks, checks, facts or Facts(Home()), timeout=timeout)
    assert [result.check for result in results] == list(checks), "not in the order of the checks"
    return {result.check.id: result for result in results}


def find(*checks: Check, facts: Facts | None = None, timeout: float = DEADLINE) -> dict[str, Finding]:
    return {name: result.finding for name, result in run(*checks, facts=facts, timeout=timeout).items()}


def test_all_run_at_the_same_time() -> None:
    """Each of them waits until all have begun."""
    together = threading.Barrier(8)

    def look(_: Facts) -> Finding:
        together.wait(DEADLINE)
        return ok("met")

    found = find(*(check(f"cli.{number}", look) for number in range(8)))
    assert {finding.summary for finding in found.values()} == {"met"}


def test_what_hangs_is_left_behind() -> None:
    """It fails after its time, the others are seen, and the thread keeps nothing from ending."""
    release = threading.Event()

    def hang(_: Facts) -> Finding:
        release.wait()
        return ok("too late")

    try:
        found = find(check("cli.hangs", hang), check("cli.other", lambda _: ok("fine")), timeout=2)
        (thread,) = [thread for thread in threading.enumerate() if thread.name == "cli.hangs"]
        assert thread.daemon
    finally:
        release.set()
    assert found["cli.hangs"] == fail("did not answer within 2 s")
    assert found["cli.other"] == ok("fine")
    thread.join(DEADLINE)


def test_a_limit_of_its_own() -> None:
    """Counts instead of the usual one, whichever is longer."""

    release = threading.Event()

    def slow(_: Facts) -> Finding:
        time.sleep(0.3)
        return ok("done")

    def hang(_: Facts) -> Finding:
        release.wait()
        return ok("too late")

    try:
        found = find(check("cli.patient", slow, limit=DEADLINE), check("cli.usual", hang), timeout=0.05)
    finally:
        release.set()
    assert found["cli.patient"] == ok("done")
    assert found["cli.usual"] == fail("did not answer within 0.05 s")


def test_errors_are_findings() -> None:
    """Ours say what they always say; what nobody expected is told as the check's own failure, and hurts no other."""

    def ours(_: Facts) -> Finding:
        raise StackFailed("it does not run", hint="Start it: ccapi up")

    def defect(_: Facts) -> Finding:
        raise KeyError("gone")

    found = find(check("cli.ours", ours), check("cli.defect", defect), check("cli.fine", lambda _: ok("fine")))
    assert found["cli.ours"] == fail("it does not run", fix=Fix("Start it: ccapi up"))
    assert found["cli.defect"] == fail("the check itself failed: KeyError: 'gone'")
    assert found["cli.fine"].status == "ok"


def test_what_needs_a_failed_check_is_left_out() -> None:
    """With the reason, which is the first one of a row; a warning is good enough to go on."""
    found = find(
        check("docker.engine", lambda _: fail("it does not run")),
        check("stack.container", lambda _: ok("never"), "docker.engine"),
        check("claude.login", lambda _: ok("never"), "stack.container", "cli.warns"),
        check("cli.warns", lambda _: warn("hm")),
        check("cli.goes_on", lambda _: info("seen"), "cli.warns"),
    )
    reason = "docker.engine: it does not run"
    assert found["stack.container"] == skip(reason)
    assert found["claude.login"] == skip(reason)
    assert found["cli.goes_on"].status == "info"


def test_a_check_that_skips_itself_takes_others_along() -> None:
    """What cannot be looked at is no ground to look at more."""
    found = find(check("proxy.running", lambda _: skip("not wanted")), check("proxy.log", ok_, "proxy.running"))
    assert found["proxy.log"] == skip("proxy.running: not wanted")


def ok_(_: Facts) -> Finding:
    return ok("fine")


def test_needs_are_run_unseen() -> None:
    """Who asks for one check gets one result, and what it needs was looked at all the same."""
    seen: list[str] = []

    def engine(_: Facts) -> Finding:
        seen.append("engine")
        return ok("runs")

    known = (check("docker.engine", engine), check("docker.memory", ok_, "docker.engine"))
    results = runner.run(known[1:], known, Facts(Home()), timeout=DEADLINE)
    assert [result.check.id for result in results] == ["docker.memory"]
    assert seen == ["engine"]


def test_offline_asks_nobody() -> None:
    """What would ask a machine on the internet is not even begun."""

    def never(_: Facts) -> Finding:
        raise AssertionError

    found = find(check("network.api", never, online=True), facts=Facts(Home(), offline=True))
    assert found["network.api"] == skip("no machine on the internet is asked (--offline)")


def test_deep_checks_come_last_and_alone() -> None:
    """One after the other, when all others are through; and they can say what they do."""
    working: list[str] = []
    said: list[str] = []
    most = 0

    def deep(name: str) -> Callable[[Facts], Finding]:
        def look(facts: Facts) -> Finding:
            nonlocal most
            working.append(name)
            most = max(most, len(working))
            facts.say(f"{name} at work")
            time.sleep(0.05)
            working.remove(name)
            return ok(name)

        return look

    def quick(_: Facts) -> Finding:
        assert not said, "a deep one was before it"
        return ok("quick")

    found = find(
        check("deep.one", deep("one"), deep=True),
        check("cli.quick", quick),
        check("deep.two", deep("two"), "deep.one", deep=True),
        facts=Facts(Home(), say=said.append),
    )
    assert {finding.status for finding in found.values()} == {"ok"}
    assert most == 1
    assert said == ["one at work", "two at work"]


def test_progress_names_what_is_still_at_work() -> None:
    """And how far it is; at the end nothing is."""
    told: list[Progress] = []
    checks = (check("cli.one", ok_), check("cli.two", ok_, "cli.one"))
    runner.run(checks, checks, Facts(Home()), timeout=DEADLINE, on_progress=told.append)
    assert [check.id for check in told[0].running] == ["cli.one"]
    assert told[-1] == Progress((), 2, 2)


def test_no_secret_leaves_a_check() -> None:
    """Whatever text it stands in."""
    token = "sk-ant-api03-abcdefghijklmnop"

    def leaky(_: Facts) -> Finding:
        return fail(f"summary {token}", f"detail {token}", Fix(f"text {token}", f"command {token}"))

    assert token not in repr(find(check("cli.leaky", leaky)))


def test_mending_looks_again() -> None:
    """With nothing known from before; `fixed` only if it is well now."""
    broken = [True]

    class Facts2(Facts):
        @once
        def state(self: Facts) -> bool:
            return broken[0]

        def again(self) -> Facts2:
            return Facts2(self.home)

    def look(facts: Facts) -> Finding:
        assert isinstance(facts, Facts2)
        return (
            fail("broken", fix=Fix("Mend it", apply=lambda: broken.__setitem__(0, False)))
            if facts.state()
            else ok("well")
        )

    checks, facts = (check("cli.it", look),), Facts2(Home())
    (before,) = runner.run(checks, checks, facts, timeout=DEADLINE)
    after = runner.mend(before, checks, facts, timeout=DEADLINE)
    assert (after.finding, after.fixed) == (ok("well"), True)


def test_mending_that_fails_says_why() -> None:
    """And is not called fixed."""

    def cannot() -> None:
        raise OutputFailed("the disk is read-only")

    checks = (check("cli.it", lambda _: fail("broken", fix=Fix("Mend it", apply=cannot))),)
    (before,) = runner.run(checks, checks, Facts(Home()), timeout=DEADLINE)
    after = runner.mend(before, checks, Facts(Home()), timeout=DEADLINE)
    assert (after.finding.summary, after.fixed) == ("the disk is read-only", False)


def test_a_fact_is_found_out_once() -> None:
    """However many threads ask at once; and an error is as good as a value."""
    asked: list[str] = []

    class Slow(Facts):
        @once
        def value(self: Facts) -> int:
            asked.append("value")
            time.sleep(0.05)
            return 7

        @once
        def broken(self: Facts) -> int:
            asked.append("broken")
            raise StackFailed("no")

    facts = Slow(Home())
    results: list[object] = []

    def ask() -> None:
        results.append(facts.value())
        with pytest.raises(StackFailed):
            facts.broken()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert results == [7] * 8
    assert sorted(asked) == ["broken", "value"]


# --- the registry


def test_every_check_is_well_formed() -> None:
    """Its id is of its category and its own, and what it needs is there; deep ones are in a category by themselves."""
    known = registry.every()
    ids = [check.id for check in known]
    assert len(set(ids)) == len(ids)
    for one in known:
        assert one.category in CATEGORIES
        assert one.title
        assert not one.title.endswith(".")
        assert set(one.needs) <= set(ids)
        assert one.deep == (one.category == "deep")
    order = list(CATEGORIES)
    assert [order.index(one.category) for one in known] == sorted(order.index(one.category) for one in known)


def test_every_category_has_checks() -> None:
    """None is a heading only."""
    assert {check.category for check in registry.every()} == set(CATEGORIES)


def test_selecting() -> None:
    """By id and by category, in the checks' own order; deep ones only if they are meant."""
    known = registry.every()
    chosen = registry.select(["docker.engine", "cli"], known)
    assert [check.category for check in chosen] == ["cli"] * (len(chosen) - 1) + ["docker"]
    assert not any(check.deep for check in registry.select([], known))
    assert any(check.deep for check in registry.select([], known, deep=True))


@pytest.mark.parametrize(("typed", "meant"), [("docker.engin", "docker.engine"), ("networks", "network")])
def test_what_was_probably_meant(typed: str, meant: str) -> None:
    """A slip of the finger is no riddle."""
    with pytest.raises(UsageError, match=f"no check or category is called '{typed}'") as raised:
        registry.select([typed], registry.every())
    assert raised.value.hint == f"Did you mean {meant}?"


def test_facts_change_nothing(tmp_path: Path) -> None:
    """Looking at all of it makes no file, no directory, no secret."""
    environ = {"HOME": str(tmp_path), "CCAPI_HOME": str(tmp_path / "ccapi"), "PATH": ""}
    facts = Facts(Home(str(tmp_path / "ccapi")), environ=environ, directory=tmp_path, offline=True)
    before = sorted(tmp_path.rglob("*"))
    known = registry.every()
    runner.run(registry.select([], known), known, facts, timeout=DEADLINE)
    assert sorted(tmp_path.rglob("*")) == before
