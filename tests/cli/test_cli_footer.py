"""The line below an answer: what it was, what it took, who pays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccapi.cli.answer import figures, footer
from ccapi.commands.ask import Summary
from ccapi.wire.events import Billing, MessageStarted, RunFinished, RunStarted, TextDelta, Usage
from tests.cli.answers import END, ask, run, said
from tests.cli.support import Cli, FakeAnswer, FakeGateway

SESSION = FakeAnswer.SESSION


def summary(**changes: object) -> Summary:
    known = Summary(
        "sonnet",
        "claude-sonnet-5-5",
        SESSION,
        "resp_1",
        3,
        Usage(300, 56, 900, 34),
        0.0123,
        "api",
        "stop",
        first_text=0.31,
        duration=4.2,
    )
    for name, value in changes.items():
        setattr(known, name, value)
    return known


def line(known: Summary) -> str:
    """As it is where there is room for all of it."""
    (found,) = footer.lines(known, 10_000)
    return found


def test_all_that_is_known() -> None:
    """In one line."""
    assert line(summary()) == (
        "sonnet (claude-sonnet-5-5) · 3 turns · 4.2 s, first text 0.3 s · 1,234 in (900 cached), 56 out · $0.0123 · "
        f"session {SESSION}"
    )


def test_what_is_not_known_is_left_out() -> None:
    """A run that never began has next to nothing."""
    assert line(Summary("sonnet", duration=0.2)) == "sonnet · 0.2 s"
    known = summary(turns=1, answered_by="sonnet", usage=Usage(3, 0), first_text=None, cost_usd=0.0)
    assert line(known) == f"sonnet · 1 turn · 4.2 s · 3 in, 0 out · session {SESSION}"


@pytest.mark.parametrize(
    ("billing", "cost", "expected"),
    [
        ("api", 0.0123, "$0.0123"),
        ("subscription", 0.0123, "subscription (API value ≈ $0.0123)"),
        ("subscription", 0.0, "subscription"),
        ("cloud", 1.5, "cloud (API value ≈ $1.50)"),
        ("none", 0.0123, "scripted model"),
        ("", 0.0123, "API value ≈ $0.0123"),
    ],
)
def test_who_pays(billing: Billing, cost: float, expected: str) -> None:
    """A subscriber does not take the API's price for a bill, and nobody takes a script for a model."""
    assert line(summary(billing=billing, cost_usd=cost)).split(" · ")[-2] == expected


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0"), (1234, "1,234"), (9999, "9,999"), (10_000, "10.0k"), (12_345, "12.3k"), (999_949, "999.9k"),
     (999_950, "1.00M"), (1_234_567, "1.23M")],
)  # fmt: skip
def test_tokens(count: int, expected: str) -> None:
    """As a person reads them."""
    assert figures.tokens(count) == expected


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (0.00004, "less than $0.0001"),
        (0.0123, "$0.0123"),
        (0.99999, "$1.00"),
        (12.345, "$12.35"),
        (1234.5, "$1,234.50"),
    ],
)
def test_dollars(amount: float, expected: str) -> None:
    """Parts of a cent count while it is less than a dollar."""
    assert figures.dollars(amount) == expected


@pytest.mark.parametrize("width", [200, 80, 40, 24])
def test_lines_fit(width: int) -> None:
    """They are parted between the parts, and within one only where it is too long for a line."""
    known = summary(billing="subscription")
    found = footer.lines(known, width)
    assert " ".join(found).replace(" · ", " ").split() == line(known).replace(" · ", " ").split()
    assert all(len(line) <= max(width, len(SESSION)) for line in found)
    assert not any(line.endswith("·") or line.startswith("·") for line in found)


def test_forty_columns() -> None:
    """As it looks there."""
    assert footer.lines(summary(billing="subscription"), 40) == [
        "sonnet (claude-sonnet-5-5) · 3 turns",
        "4.2 s, first text 0.3 s",
        "1,234 in (900 cached), 56 out",
        "subscription (API value ≈ $0.0123)",
        "session",
        SESSION,
    ]


def test_wide_letters_fit() -> None:
    """What counts is the cells that a terminal takes for them."""
    found = footer.lines(summary(model="漢字" * 8, answered_by=""), 40)
    assert found[:2] == ["漢字" * 8, "3 turns · 4.2 s, first text 0.3 s"]
    assert footer.lines(summary(model=" ".join(["漢字"] * 5), answered_by=""), 14)[:2] == [
        "漢字 漢字 漢字",
        "漢字 漢字",
    ]


@given(st.integers(1, 300), st.text(max_size=60), st.text(max_size=60))
def test_any_width_does(width: int, model: str, session: str) -> None:
    """And any name: nothing of it is lost."""
    known = summary(model=model, session_id=session)
    joined = "".join(footer.lines(known, width)).replace(" ", "").replace("·", "")
    assert joined == line(known).replace(" ", "").replace("·", "")


def test_the_summary_learns_from_the_run() -> None:
    """The first text is the assistant's own; the end says the rest."""
    known, first_texts = Summary("sonnet"), []
    begun = MessageStarted("m"), MessageStarted("n", parent="t")
    said = TextDelta("n", "hers", parent="t"), TextDelta("m", "text")
    for event in (RunStarted("s", "claude-sonnet-5-5"), *begun, *said):
        known.feed(event)
        first_texts.append(known.first_text is not None)
    assert first_texts == [False, False, False, False, True]
    known.feed(RunFinished("s", "stop", Usage(1, 2), 0.5, 3, 99, billing="subscription"))
    assert (known.usage, known.cost_usd, known.billing) == (Usage(1, 2), 0.5, "subscription")
    assert known.turns == 1, "as --max-turns counts: neither calls, nor what a subagent says"


# --- where it is seen


def test_it_is_on_stderr_with_verbose_only(cli: Cli, fake: FakeGateway) -> None:
    """In a pipe nothing is said unless somebody asks for it, and never with --quiet."""
    for args, shown in ((["-v"], True), ([], False), (["-q"], False), (["-v", "-q"], False)):
        done = ask(cli, fake, run(*said("Done."), end=END), *args, "hello")
        assert done.stdout == b"Done.\n"
        assert (f"session {SESSION}" in done.stderr.decode().replace("\n", " ")) is shown
