"""The order of a run on a terminal: what is written for good, and what is in the live area meanwhile."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccapi.cli.answer.paint import Paint
from ccapi.cli.answer.screen import ScreenView, Show
from ccapi.errors import UpstreamFailed
from ccapi.wire.events import (
    MessageFinished,
    MessageStarted,
    Notice,
    RunEvent,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ThinkingDelta,
    ToolCalled,
    ToolFinished,
    ToolInputDelta,
    ToolStarted,
)

Run = list[RunEvent]
SAID = MessageFinished("m1")
END = RunFinished("s", "stop")


class Area:
    """Where it is shown, as lists of lines."""

    def __init__(self, columns: int = 80, lines: int = 24) -> None:
        self.size = os.terminal_size((columns, lines))
        self.room = columns
        self.finished: list[str] = []
        self.live: list[str] = []
        self.closed = False

    def update(self, finished: Sequence[str], live: Sequence[str]) -> None:
        assert not self.closed
        self.finished += finished
        self.live = [line.strip() for line in live if line]

    def close(self) -> None:
        self.closed = True


def view(area: Area, *, show: Show = "full", thinking: bool = False, full: bool = False) -> ScreenView:
    """One whose clock stands still: a call takes no time."""
    return ScreenView(area, Paint(colour=False), show=show, thinking=thinking, full=full, clock=lambda: 0.0)


def shown(*events: RunEvent, show: Show = "full", thinking: bool = False) -> list[str]:
    """What stays of a run."""
    area = Area()
    with view(area, show=show, thinking=thinking) as screen:
        for event in events:
            screen.feed(event)
    assert area.closed
    assert area.live == []
    return area.finished


def feed(screen: ScreenView, *events: RunEvent) -> None:
    for event in events:
        screen.feed(event)


def call(number: int, parent: str | None = None, message: str = "m1", name: str = "Bash") -> ToolCalled:
    key = "description" if name == "Agent" else "command"
    return ToolCalled(f"t{number}", name, {key: f"do {number}"}, message, parent)


def result(number: int, output: str = "", *, parent: str | None = None, is_error: bool = False) -> ToolFinished:
    return ToolFinished(f"t{number}", output or f"out {number}", is_error, None, parent)


def text(said: str, message: str = "m1", parent: str | None = None) -> TextDelta:
    return TextDelta(message, said, parent)


def begun(message: str = "m1", parent: str | None = None) -> MessageStarted:
    return MessageStarted(message, parent)


RULE = "─" * 40


def test_steps_are_apart() -> None:
    """A rule between what two messages say and do; a call, its duration, and what it gave back in a gutter."""
    events: Run = [begun(), text("First."), call(1), SAID, result(1), begun("m2"), text("Second.", "m2"), END]
    assert shown(*events) == ["First.", "", "✓ Bash do 1  0.0 s", "  │ out 1", RULE, "Second."]


def test_a_message_that_says_nothing_leaves_no_rule() -> None:
    """Neither before the first step nor behind the last."""
    assert shown(begun(), SAID, begun("m2"), text("Only this.", "m2"), begun("m3"), END) == ["Only this."]


def test_calls_stand_in_the_order_in_which_they_were_made() -> None:
    """The second has ended first: it is in the live area until the first has, and nothing is written twice."""
    area = Area()
    with view(area) as screen:
        feed(screen, begun(), call(1), call(2), SAID, result(2))
        screen.tick()
        assert area.finished == []
        assert [line[:6] for line in area.live] == ["⠙ Bash", "✓ Bash"]
        screen.feed(result(1, is_error=True))
        screen.tick()
    assert area.finished == ["✗ Bash do 1  0.0 s", "  │ out 1", "✓ Bash do 2  0.0 s", "  │ out 2"]


def test_text_of_a_message_comes_before_its_calls() -> None:
    """As in the transcript, also where the model says something behind a call."""
    events: Run = [begun(), text("Before."), call(1), result(1), text(" Behind."), SAID, END]
    assert shown(*events) == ["Before.", "", "Behind.", "", "✓ Bash do 1  0.0 s", "  │ out 1"]


def test_a_call_is_seen_while_it_is_written() -> None:
    """As soon as the model begins with it, and with its argument as soon as that is there."""
    area = Area()
    with view(area) as screen:
        screen.feed(begun())
        screen.feed(ToolStarted("t1", "Bash"))
        screen.tick()
        assert area.live == ["⠙ Bash  0 s"]
        screen.feed(call(1))
        screen.tick()
        assert area.live == ["⠹ Bash do 1  0 s"]


def test_many_calls_take_few_lines() -> None:
    """What does not fit into the live area is counted."""
    area = Area()
    with view(area) as screen:
        feed(screen, begun(), *map(call, range(12)), SAID)
        screen.tick()
        assert len(area.live) == 8
        assert area.live[-1] == "… 5 more"


def test_a_call_is_named_while_it_is_written() -> None:
    """By what of its arguments is complete; a path that is still written would be another one."""
    area = Area()
    with view(area) as screen:
        feed(screen, begun(), ToolStarted("t1", "Write"), ToolInputDelta("t1", '{"file_path": "/workspace/a'))
        screen.tick()
        assert area.live == ["⠙ Write  0 s"]
        feed(screen, ToolInputDelta("t1", '\\"b.txt", "cont'), ToolInputDelta("t1", 'ent": "' + 10_000 * "x"))
        screen.tick()
        assert area.live == ['⠹ Write a"b.txt  0 s']


def test_what_runs_is_seen() -> None:
    """Of many calls those that have ended give way, so that nobody takes the terminal for dead."""
    area = Area()
    with view(area) as screen:
        feed(screen, begun(), *map(call, range(12)), *(result(number) for number in range(11)))
        screen.tick()
        assert area.live[-2].startswith("⠙ Bash do 11")
        assert area.live[-1] == "… 5 more"


def test_text_is_written_when_a_call_begins() -> None:
    """While the model writes the call, which may take long, all of the text is there, apart from the call."""
    area = Area()
    with view(area) as screen:
        feed(screen, begun(), text("| a |\n|---|\n" + "".join(f"| {n} |\n" for n in range(20))))
        feed(screen, ToolStarted("t1", "Write"))
        screen.tick()
        assert [line.strip() for line in area.finished] == ["a", "─" * 2, *map(str, range(20))]
        assert area.live == ["⠙ Write  0 s"]


@pytest.mark.parametrize("lines", [1, 2, 3, 5])
def test_a_low_terminal(lines: int) -> None:
    """The live area has fewer lines than the terminal, but always one."""
    area = Area(lines=lines)
    with view(area) as screen:
        feed(screen, begun(), text("one\ntwo\nthree\nfour"), call(1), call(2))
        screen.tick()
        assert 1 <= len(area.live) <= max(1, lines - 2)


def test_a_subagent() -> None:
    """Its steps are indented below its name, as they come; its report is not repeated when it has just said it."""
    area = Area()
    with view(area) as screen:
        feed(screen, begun(), call(1, name="Agent"), SAID, begun("n1", "t1"), text("I look.", "n1", "t1"))
        screen.tick()
        assert area.finished == []
        feed(screen, call(2, "t1", "n1"), MessageFinished("n1", "t1"))
        screen.tick()
        assert area.finished == ["● Agent do 1", "", "  I look."]
        assert area.live == ["⠹ Agent do 1  0 s", "⠹ Bash do 2  0 s"]
        feed(screen, result(2, parent="t1"), begun("n2", "t1"), text("Found it.", "n2", "t1"), result(1, "Found it."))
    assert area.finished[3:] == [
        "", "  ✓ Bash do 2  0.0 s", "    │ out 2", "", "  Found it.", "", "✓ Agent do 1  0.0 s"
    ]  # fmt: skip


def test_a_subagent_in_the_background() -> None:
    """Its call is over at once; what it does later stands below its name again."""
    events: Run = [begun(), call(1, name="Agent"), SAID, result(1, "It runs."), begun("m2"), text("Meanwhile.", "m2")]
    late: Run = [MessageFinished("m2"), begun("n1", "t1"), text("Late.", "n1", "t1"), MessageFinished("n1", "t1"), END]
    assert shown(*events, *late) == [
        "✓ Agent do 1  0.0 s", "  │ It runs.", RULE, "Meanwhile.", "", "● Agent do 1", "", "  Late."
    ]  # fmt: skip


def test_a_call_that_goes_on_while_the_next_message_comes() -> None:
    """It keeps nobody waiting, and is written when it has ended, but never into a block."""
    area = Area()
    with view(area) as screen:
        feed(screen, begun(), call(1), SAID, begun("m2"), text("Half ", "m2"), result(1), text("a line.", "m2"))
        assert area.finished == []
        screen.feed(MessageFinished("m2"))
    assert area.finished == ["Half a line.", "", "✓ Bash do 1  0.0 s", "  │ out 1"]


def test_what_has_not_ended_is_shown_as_it_is() -> None:
    """A run that is interrupted, or fails: half a line, a call without a result, a subagent's half sentence."""
    events: Run = [begun(), call(1, name="Agent"), SAID, begun("n1", "t1"), text("Half a sen", "n1", "t1")]
    assert shown(*events) == ["● Agent do 1", "", "  Half a sen", "", "○ Agent do 1"]
    assert shown(begun(), text("Half a li"), RunFailed(UpstreamFailed("gone"))) == ["Half a li"]
    assert shown(begun(), call(1), SAID) == ["○ Bash do 1"]


def test_thinking_only_for_those_who_want_it() -> None:
    """What the model thinks, and what a subagent does."""
    events: Run = [begun(), ThinkingDelta("m1", "Hm."), text("So."), SAID, END]
    assert shown(*events) == ["So."]
    assert shown(*events, thinking=True) == ["Hm.", "", "So."]


@pytest.mark.parametrize(("show", "expected"), [("text", ["One.", RULE, "Two."]), ("final", ["Two."]), ("nothing", [])])
def test_less_than_everything(show: Show, expected: list[str]) -> None:
    """Only what is said, only what is said last, or nothing: the calls are in the live area all the same."""
    area = Area()
    with view(area, show=show) as screen:
        feed(screen, begun(), text("One."), call(1), SAID)
        screen.tick()
        assert area.live == ["⠙ Bash do 1  0 s"]
        feed(screen, result(1), begun("m2"), text("Tw", "m2"), text("o.", "m2"), MessageFinished("m2"), END)
    assert area.finished == expected


def test_a_notice_is_a_line_of_its_own() -> None:
    """Also in the middle of a line that is being written, and without what could command the terminal."""
    events: Run = [begun(), text("Half "), Notice("retry", "again \x1b[2J\r\nin 1 s"), text("a line."), SAID, END]
    assert shown(*events) == ["again [2J", "in 1 s", "", "Half a line."]


@pytest.mark.parametrize(
    ("events", "phase"),
    [
        ([], "Sending"),
        ([RunStarted("s", "m")], "Waiting for Claude"),
        ([begun(), ThinkingDelta("m1", "Hm.")], "Thinking"),
        ([begun(), text("Yes"), SAID], "Waiting for Claude"),
    ],
)
def test_there_is_always_a_sign_of_life(events: list[RunEvent], phase: str) -> None:
    """What is waited for, and for how long, from the first moment on."""
    area = Area()
    with view(area) as screen:
        assert area.live == ["⠋ Sending  0 s"]
        for event in events:
            screen.feed(event)
        screen.tick()
        assert area.live[-1] == f"⠙ {phase}  0 s"


PIECES = st.lists(
    st.sampled_from(["word ", "*em* ", "\n\n", "\n- item", "```\n", "| a | b |\n", "世界 ", "🎉", "`x` "])
)


@given(PIECES, st.lists(st.integers(0, 200), max_size=12), st.sampled_from([12, 40, 80]))
def test_how_text_is_cut_makes_no_difference(pieces: list[str], cuts: list[int], columns: int) -> None:
    """A stream that comes token by token looks like the same answer in one piece."""
    whole = "".join(pieces)
    edges = [0, *sorted(cut % (len(whole) + 1) for cut in cuts), len(whole)]
    found = []
    for parts in ([whole], [whole[a:b] for a, b in itertools.pairwise(edges)]):
        area = Area(columns)
        with view(area) as screen:
            for part in parts:
                feed(screen, text(part))
                screen.tick()
            feed(screen, call(1), SAID, result(1), END)
        found.append(area.finished)
    assert found[0] == found[1]
