"""The transcript grammar of the design: segments, separators, each call followed by its own result, nothing cut."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccapi.errors import ClaudeFailed
from ccapi.wire import toolmarkdown
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
from ccapi.wire.transcript import SEPARATOR, Mode, Transcript
from tests.agent import streamjson as sj

END = RunFinished("s", "stop")
FAILED = RunFailed(ClaudeFailed("it died"))


def rendered(events: Sequence[RunEvent], mode: Mode = "full") -> str:
    transcript = Transcript(mode)
    return "".join(transcript.feed(event) for event in events)


def call(tool_use_id: str, command: str, message_id: str = "m1", parent: str | None = None) -> ToolCalled:
    return ToolCalled(tool_use_id, "Bash", {"command": command}, message_id, parent)


def head(command: str) -> str:
    return toolmarkdown.call("Bash", {"command": command})


def output(text: str) -> str:
    return toolmarkdown.result(text, is_error=False, full_size=None)


# --- the grammar on recordings of the real CLI


def test_the_fibonacci_run_is_plan_code_output_confirmation() -> None:
    """Three segments, two separators, every call followed by its result."""
    events, _ = sj.decode(sj.recorded("fibonacci"))
    plan, run, confirmation = rendered(events).split(SEPARATOR)
    assert plan.startswith("I'll do this in three steps")
    assert re.search(r"\n\n\*\*Write\*\* `[^`]+/fibonacci\.py`\n\n```python\ndef fibonacci\(count\):\n", plan)
    assert re.search(r"print\(fibonacci\(10\)\)\n```\n\n```\nFile created successfully at: .*\n```$", plan)
    assert run == (
        "The function is in `fibonacci.py`. Now I'll run it.\n\n"
        "**Bash** `python3 fibonacci.py`\n\n"
        "```\n[0, 1, 1, 2, 3, 5, 8, 13, 21, 34]\n```"
    )
    assert confirmation.startswith(
        "It works. The first ten Fibonacci numbers, as printed by the run:\n\n```\n[0, 1, 1,"
    )
    assert confirmation.endswith("Each number is the sum of the two before it, starting from 0 and 1.")


def test_parallel_calls_stand_in_the_order_of_the_model() -> None:
    """The fast call's result came first; the transcript still pairs each call with its own, the slow one first."""
    events, _ = sj.decode(sj.recorded("parallel"))
    first, second = rendered(events).split(SEPARATOR)
    slow, fast = head("sleep 2; echo slow"), head("echo fast")
    assert first == f"I'll run both at once.\n\n{slow}\n\n{output('slow')}\n\n{fast}\n\n{output('fast')}"
    assert second == "Both have answered: fast and slow."


def test_text_after_an_early_result_is_not_glued_to_its_fence() -> None:
    """The CLI ran the first tool while the model still wrote: the texts of the message, then its calls."""
    events, _ = sj.decode(sj.recorded("early-result"))
    first, last = rendered(events).split(SEPARATOR)
    assert last == "End: one two"
    assert "```Text" not in first
    assert "Text after the call." in first
    calls = f"{head('echo one')}\n\n{output('one')}\n\n{head('echo two')}\n\n{output('two')}"
    assert calls in first


def test_subagents_stand_between_their_call_and_its_result() -> None:
    """Everything that a subagent says and does is marked, and each stands under the call that started it."""
    events, _ = sj.decode(sj.recorded("subagents"))
    delegation, _ = rendered(events).split(SEPARATOR)
    text_a, text_b = delegation.split("**Task** `A`")[1].split("**Task** `B`")
    for name, text in (("A", text_a), ("B", text_b)):
        steps = [f"sub task {name}", "↳ Subagent speaks.", f"↳ **Bash** `echo from-sub-sub task {name}`"]
        steps += [f"```\nfrom-sub-sub task {name}\n```", f"↳ Subagent report: from-sub-sub task {name}", "agentId: "]
        places = [text.index(step) for step in steps]
        assert places == sorted(places)


@pytest.mark.parametrize("name", ["background", "flaky", "resumed", "token-limit", "overloaded", "cut-after-tool"])
def test_every_message_is_a_segment(name: str) -> None:
    """As many segments as messages that said or did anything; separators only between them."""
    events, _ = sj.decode(sj.recorded(name))
    transcript = Transcript()
    text = "".join(transcript.feed(event) for event in events)
    assert transcript.messages == sum(isinstance(e, MessageStarted) and e.parent is None for e in events)
    segments = text.split(SEPARATOR)
    assert len(segments) == transcript.messages
    assert all(segments)


# --- text


@given(st.lists(st.lists(st.text(min_size=1, max_size=10), max_size=4), max_size=5))
def test_text_is_never_rewritten(messages: list[list[str]]) -> None:
    """Not stripped, not escaped, not normalised: the texts of the messages and separators, nothing else."""
    events: list[RunEvent] = [RunStarted("s", "m")]
    for number, pieces in enumerate(messages):
        events.append(MessageStarted(f"m{number}"))
        events += [TextDelta(f"m{number}", piece) for piece in pieces]
        events.append(MessageFinished(f"m{number}"))
    assert rendered([*events, END]) == SEPARATOR.join("".join(pieces) for pieces in messages if pieces)


def test_text_is_passed_on_at_once() -> None:
    """Each delta is due when it comes; only the first of a segment has something in front of it."""
    transcript = Transcript()
    transcript.feed(MessageStarted("m1"))
    assert [transcript.feed(TextDelta("m1", piece)) for piece in ("Hel", "lo", "\n")] == ["Hel", "lo", "\n"]
    transcript.feed(MessageFinished("m1"))
    assert transcript.feed(MessageStarted("m2")) == ""
    assert transcript.feed(TextDelta("m2", "again")) == SEPARATOR + "again"


def test_a_message_that_says_nothing_leaves_no_separator() -> None:
    """Thinking alone is no segment: no separator at the start, at the end, or twice in a row."""
    events: list[RunEvent] = []
    for number, text in enumerate(["", "one", "", "", "two", ""]):
        events += [MessageStarted(f"m{number}"), ThinkingDelta(f"m{number}", "hm")]
        events += [TextDelta(f"m{number}", text)] if text else []
        events += [MessageFinished(f"m{number}")]
    assert rendered([*events, END]) == f"one{SEPARATOR}two"


def test_what_is_no_content_adds_nothing() -> None:
    """Thinking, notices, pieces of arguments and the end of the run."""
    events: list[RunEvent] = [
        RunStarted("s", "m"),
        MessageStarted("m1"),
        ThinkingDelta("m1", "hm"),
        Notice("api_retry", "failed"),
        ToolStarted("t1", "Bash"),
        ToolInputDelta("t1", '{"comm'),
        END,
    ]
    assert rendered(events) == ""


# --- tools


def test_a_call_and_its_result_stand_below_the_text() -> None:
    """Blocks of a segment are set apart by one blank line."""
    events: list[RunEvent] = [
        MessageStarted("m1"), TextDelta("m1", "Look:"), call("t1", "ls"), MessageFinished("m1"),
        ToolFinished("t1", "a"),
        MessageStarted("m2"), TextDelta("m2", "Done."), MessageFinished("m2"), END,
    ]  # fmt: skip
    assert rendered(events) == f"Look:\n\n{head('ls')}\n\n{output('a')}{SEPARATOR}Done."


def test_a_call_is_shown_before_its_result_comes() -> None:
    """Who waits for a slow tool sees what is being run."""
    transcript = Transcript()
    for event in (MessageStarted("m1"), call("t1", "sleep 60")):
        transcript.feed(event)
    assert transcript.feed(MessageFinished("m1")) == head("sleep 60") + "\n"  # a reader of lines sees it at once
    assert transcript.feed(ToolFinished("t1", "")) == "\n" + toolmarkdown.result("", is_error=False, full_size=None)


@pytest.mark.parametrize("end", [END, FAILED])
def test_a_call_without_a_result_stays_in_the_transcript(end: RunEvent) -> None:
    """The run ended first (a failure, a kill): what was begun is shown, no result is invented."""
    calls: list[RunEvent] = [call("t1", "one"), call("t2", "two"), ToolFinished("t2", "2")]
    assert rendered([MessageStarted("m1"), *calls, end]) == f"{head('one')}\n\n{head('two')}\n\n{output('2')}"


@dataclass(frozen=True)
class Step:
    """A message with parallel calls: `order` is that in which the results come, `early` how many before its end."""

    text: str
    calls: int
    order: tuple[int, ...]
    early: int


@st.composite
def steps(draw: st.DrawFn) -> Step:
    calls = draw(st.integers(min_value=0, max_value=4))
    order = tuple(draw(st.permutations(range(calls))))
    text = draw(st.sampled_from(["", "text", "line\n", "```\ncode\n```"]))
    return Step(text, calls, order, draw(st.integers(min_value=0, max_value=calls)))


def events_of(run: list[Step], *, in_order: bool) -> list[RunEvent]:
    events: list[RunEvent] = []
    for number, step in enumerate(run):
        message = f"m{number}"
        events += [MessageStarted(message)]
        events += [TextDelta(message, step.text)] if step.text else []
        events += [call(f"{message}-{i}", f"command {number}.{i}", message) for i in range(step.calls)]
        order = range(step.calls) if in_order else step.order
        results: list[RunEvent] = [ToolFinished(f"{message}-{i}", f"result of {number}.{i}") for i in order]
        early = 0 if in_order else step.early
        events += [*results[:early], MessageFinished(message), *results[early:]]
    return [*events, END]


@given(st.lists(steps(), max_size=4))
def test_any_interleaving_of_results_gives_the_same_text(run: list[Step]) -> None:
    """Parallel results in any order, before or after the end of their message: one transcript, by the grammar."""
    expected = []
    for number, step in enumerate(run):
        parts = [step.text] if step.text else []
        for i in range(step.calls):
            parts += [head(f"command {number}.{i}"), output(f"result of {number}.{i}")]
        if parts:
            expected.append("\n\n".join(parts))
    assert rendered(events_of(run, in_order=False)) == rendered(events_of(run, in_order=True))
    assert rendered(events_of(run, in_order=False)) == SEPARATOR.join(expected)


@given(st.lists(steps(), min_size=1, max_size=3), st.integers(min_value=0, max_value=40))
def test_what_was_written_is_never_taken_back(run: list[Step], place: int) -> None:
    """The transcript of a run that breaks off anywhere begins like that of the whole run, up to calls still open."""
    events = events_of(run, in_order=False)
    assert rendered(events).startswith(rendered(events[:place]))


# --- results that come late


def late(*, after: int) -> list[RunEvent]:
    """Two messages; the result of the first one's call comes when `after` pieces of the second were said."""
    second: list[RunEvent] = [TextDelta("m2", "Hel"), TextDelta("m2", "lo"), MessageFinished("m2")]
    return [
        MessageStarted("m1"), call("t1", "slow"), MessageFinished("m1"), MessageStarted("m2"),
        *second[:after], ToolFinished("t1", "late output"), *second[after:], END,
    ]  # fmt: skip


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_a_late_result_does_not_break_the_text_it_comes_into(after: int) -> None:
    """The text of the second message stays in one piece, on lines of its own; the result is there, named, once."""
    text = rendered(late(after=after))
    assert text.startswith(head("slow") + SEPARATOR)
    assert text.count(output("late output")) == 1
    assert re.search(r"(?m)^Hello$", text)
    assert "**Bash**" in text.split(SEPARATOR, 1)[1]


def test_a_result_that_nobody_asked_for_adds_nothing() -> None:
    """An id that no call had."""
    assert rendered([MessageStarted("m1"), TextDelta("m1", "a"), ToolFinished("t9", "x"), END]) == "a"


# --- subagents


def task(tool_use_id: str, name: str, message_id: str = "m1", parent: str | None = None) -> ToolCalled:
    return ToolCalled(tool_use_id, "Task", {"description": name, "prompt": f"do {name}"}, message_id, parent)


def task_head(name: str) -> str:
    return toolmarkdown.call("Task", {"description": name, "prompt": f"do {name}"})


def subagent(root: str, *events: RunEvent) -> list[RunEvent]:
    return [MessageStarted("m1"), task(root, "A"), MessageFinished("m1"), *events, ToolFinished(root, "report"), END]


def test_the_steps_of_a_subagent_stand_between_call_and_result() -> None:
    """Text, call, result, text: in this order, marked as the subagent's."""
    inner: list[RunEvent] = [
        MessageStarted("s1", "A"), TextDelta("s1", "I ", "A"), TextDelta("s1", "look.", "A"),
        call("i1", "ls", "s1", "A"), MessageFinished("s1", "A"), ToolFinished("i1", "a", parent="A"),
        MessageStarted("s2", "A"), TextDelta("s2", "Found.", "A"), MessageFinished("s2", "A"),
    ]  # fmt: skip
    expected = [task_head("A"), "↳ I look.", f"↳ {head('ls')}", output("a"), "↳ Found.", output("report")]
    assert rendered(subagent("A", *inner)) == "\n\n".join(expected)


def test_a_call_of_a_subagent_without_a_result_is_not_dropped() -> None:
    """The subagent ended before its tool did: the call is shown all the same."""
    assert f"↳ {head('ls')}" in rendered(subagent("A", call("i1", "ls", "s1", "A")))


def test_a_subagent_of_a_subagent_stands_under_its_own_call() -> None:
    """Its call first, then its steps, then its result; all of it within the outer call."""
    inner: list[RunEvent] = [
        task("B", "B", "s1", "A"),
        TextDelta("b1", "Deep.", "B"),
        call("i1", "ls", "b1", "B"),
        ToolFinished("i1", "a", parent="B"),
        ToolFinished("B", "deep report", parent="A"),
    ]
    text = rendered(subagent("A", *inner))
    places = [text.index(part) for part in (task_head("B"), "Deep.", head("ls"), "\na\n", "deep report", "\nreport\n")]
    assert places == sorted(places)


@given(st.permutations(range(3)))
def test_parallel_calls_of_a_subagent_stand_in_the_order_of_the_model(order: list[int]) -> None:
    """In whatever order their results come."""
    calls = [call(f"i{i}", f"command {i}", "s1", "A") for i in range(3)]
    results = [ToolFinished(f"i{i}", f"result {i}", parent="A") for i in order]
    expected = [task_head("A")]
    for i in range(3):
        expected += [f"↳ {head(f'command {i}')}", output(f"result {i}")]
    assert rendered(subagent("A", *calls, *results)) == "\n\n".join([*expected, output("report")])


# --- subagents in the background: their call has its result before they begin


def in_the_background(*later: RunEvent) -> list[RunEvent]:
    """Two calls that return at once, what comes while the run goes on, and a last message."""
    calls: list[RunEvent] = [task("A", "look"), task("B", "search")]
    results: list[RunEvent] = [
        ToolFinished("A", "(runs in the background)"),
        ToolFinished("B", "(runs in the background)"),
    ]
    last: list[RunEvent] = [MessageStarted("m3"), TextDelta("m3", "Both are back."), MessageFinished("m3")]
    return [MessageStarted("m1"), *calls, MessageFinished("m1"), *results, *later, *last, END]


SAID_LATER: list[RunEvent] = [
    MessageStarted("a1", "A"),
    TextDelta("a1", "a speaks", "A"),
    MessageFinished("a1", "A"),
    MessageStarted("b1", "B"),
    TextDelta("b1", "b speaks", "B"),
    call("ib", "ls b", "b1", "B"),
    MessageFinished("b1", "B"),
    ToolFinished("ib", "files b", parent="B"),
]


def test_what_a_subagent_does_in_the_background_is_shown_under_its_own_name() -> None:
    """Two subagents of the same tool: a reader can tell whose step it is."""
    text = rendered(in_the_background(*SAID_LATER))
    of_a, of_b = text.index("a speaks"), text.index("b speaks")
    assert "`look`" in text[:of_a].rsplit("**Task**", 1)[1]
    assert "`search`" in text[of_a:of_b].rsplit("**Task**", 1)[1]
    assert f"↳ {head('ls b')}\n\n{output('files b')}" in text


def test_what_a_subagent_said_stands_before_the_answer_that_followed_it() -> None:
    """The last message was given in reaction to it, and nothing of the background comes after it."""
    text = rendered(in_the_background(*SAID_LATER))
    assert text.endswith(f"{SEPARATOR}Both are back.")


def test_the_background_does_not_break_into_a_text() -> None:
    """A subagent speaks while the model does: the model's text stays in one piece."""
    speaking: list[RunEvent] = [
        MessageStarted("m2"),
        TextDelta("m2", "I am "),
        *SAID_LATER,
        TextDelta("m2", "waiting."),
    ]
    text = rendered(in_the_background(*speaking, MessageFinished("m2")))
    assert "I am waiting." in text


def test_the_recorded_subagents_in_the_background() -> None:
    """The same with what the real CLI printed: the final answer is the end of the transcript."""
    events, _ = sj.decode(sj.recorded("background-subagents"))
    text = rendered(events)
    assert text.count("Subagent speaks.") == 2
    for name in ("A", "B"):
        report = f"Subagent report: from-sub-sub task {name}"
        assert text.count(report) == 1
        assert text.index(report) < text.rindex(SEPARATOR)
    assert "internal metadata" not in text.split("All over")[0]


STEPS_A: list[RunEvent] = [
    TextDelta("a1", "a speaks", "A"),
    call("ia", "ls a", "a1", "A"),
    ToolFinished("ia", "files a", parent="A"),
    TextDelta("a2", "a ends", "A"),
    ToolFinished("A", "report a"),
]
STEPS_B: list[RunEvent] = [
    TextDelta("b1", "b speaks", "B"),
    call("ib", "ls b", "b1", "B"),
    ToolFinished("ib", "files b", parent="B"),
    TextDelta("b2", "b ends", "B"),
    ToolFinished("B", "report b"),
]


@given(st.permutations([0] * len(STEPS_A) + [1] * len(STEPS_B)))
def test_any_interleaving_of_two_subagents_gives_the_same_text(choice: list[int]) -> None:
    """Each one's steps stay together under its own call."""
    queues = [list(STEPS_A), list(STEPS_B)]
    mixed = [queues[which].pop(0) for which in choice]
    start: list[RunEvent] = [MessageStarted("m1"), task("A", "A"), task("B", "B"), MessageFinished("m1")]
    expected = []
    for name, one in (("A", "a"), ("B", "b")):
        expected += [task_head(name), f"↳ {one} speaks", f"↳ {head(f'ls {one}')}", output(f"files {one}")]
        expected += [f"↳ {one} ends", output(f"report {one}")]
    assert rendered([*start, *mixed, END]) == "\n\n".join(expected)


def test_interleaved_texts_of_nested_subagents_do_not_mix() -> None:
    """Two subagents under one call speak in turns: each text is whole, neither runs into the other."""
    inner: list[RunEvent] = [
        task("B", "B", "s1", "A"),
        TextDelta("s2", "outer ", "A"), TextDelta("b1", "inner ", "B"),
        TextDelta("s2", "speaks", "A"), TextDelta("b1", "whispers", "B"),
        ToolFinished("B", "deep", parent="A"),
    ]  # fmt: skip
    text = rendered(subagent("A", *inner))
    assert "outer speaks" in text
    assert "inner whispers" in text


@given(st.text(min_size=1, max_size=40))
def test_the_text_of_a_subagent_is_whole(said: str) -> None:
    """However it is chunked, it is there as it was said."""
    inner: list[RunEvent] = [TextDelta("s1", character, "A") for character in said]
    text = rendered(subagent("A", *inner))
    assert text.startswith(f"{task_head('A')}\n\n↳ ")
    assert text.endswith(f"{said}\n\n{output('report')}")


# --- less than everything: the modes `text` and `final`


@st.composite
def messages(draw: st.DrawFn) -> list[list[str]]:
    """For each message the texts that it says; several are set apart by something between them, a call say."""
    return draw(st.lists(st.lists(st.text(min_size=1, max_size=8), max_size=3), max_size=5))


def spoken(run: list[list[str]]) -> list[RunEvent]:
    """A run that says these texts, each character by itself, with calls, results, thoughts and subagents between."""
    events: list[RunEvent] = [RunStarted("s", "m")]
    for number, texts in enumerate(run):
        message = f"m{number}"
        events += [MessageStarted(message), ThinkingDelta(message, "hm", block=0), TextDelta(message, "", block=1)]
        for place, text in enumerate(texts):
            events += [TextDelta(message, character, block=1 + 2 * place) for character in text]
            events += [task(f"{message}-{place}", "A", message)]
            events += [TextDelta("s1", "a subagent speaks", f"{message}-{place}")]
        events += [MessageFinished(message)]
        events += [ToolFinished(f"{message}-{place}", "report") for place in range(len(texts))]
    return [*events, END]


@given(messages())
def test_text_is_what_the_assistant_said_in_every_step(run: list[list[str]]) -> None:
    """No calls, no results, no subagents; separators only between messages that said something."""
    expected = SEPARATOR.join("\n\n".join(texts) for texts in run if texts)
    assert rendered(spoken(run), "text") == expected


@given(messages())
def test_final_is_what_the_last_message_said(run: list[list[str]]) -> None:
    """Of the last that said something: a run that a limit stopped right after a call still has an answer."""
    last = next((texts for texts in reversed(run) if texts), [])
    assert rendered(spoken(run), "final") == "\n\n".join(last)


@given(st.lists(steps(), max_size=4))
def test_each_mode_shows_a_part_of_the_one_before(run: list[Step]) -> None:
    """What `final` shows stands in `text`, at its end, and every text of `text` in `full`."""
    events = events_of(run, in_order=False)
    full, text, final = (rendered(events, mode) for mode in ("full", "text", "final"))
    assert text.endswith(final)
    assert all(piece in full for piece in text.split(SEPARATOR))


def test_text_is_passed_on_at_once_in_mode_text_as_well() -> None:
    """Nothing is held back but what stands before the next message's text."""
    transcript = Transcript("text")
    transcript.feed(MessageStarted("m1"))
    assert [transcript.feed(TextDelta("m1", piece)) for piece in ("Hel", "lo")] == ["Hel", "lo"]
    for event in (call("t1", "ls"), MessageFinished("m1"), ToolFinished("t1", "a"), MessageStarted("m2")):
        assert transcript.feed(event) == ""
    assert transcript.feed(TextDelta("m2", "again")) == SEPARATOR + "again"
    assert transcript.feed(END) == ""


@pytest.mark.parametrize("end", [END, FAILED])
def test_final_waits_for_the_end_of_the_run(end: RunEvent) -> None:
    """Any message may turn out not to be the last, and what was sent cannot be taken back."""
    transcript = Transcript("final")
    before: list[RunEvent] = [
        MessageStarted("m1"), TextDelta("m1", "I look."), call("t1", "ls"), MessageFinished("m1"),
        ToolFinished("t1", "a"), MessageStarted("m2"), TextDelta("m2", "Do"), TextDelta("m2", "ne."),
        MessageFinished("m2"),
    ]  # fmt: skip
    assert [transcript.feed(event) for event in before] == [""] * len(before)
    assert transcript.feed(end) == "Done."
    assert transcript.messages == 2


@pytest.mark.parametrize("mode", ["full", "text", "final"])
@pytest.mark.parametrize("name", ["fibonacci", "parallel", "subagents", "background-subagents"])
def test_recordings_in_each_mode(name: str, mode: Mode) -> None:
    """All modes end with the same words, and count the same messages."""
    events, _ = sj.decode(sj.recorded(name))
    transcript, full = Transcript(mode), Transcript()
    text = "".join(transcript.feed(event) for event in events)
    assert "".join(full.feed(event) for event in events).endswith(text.split(SEPARATOR)[-1])
    assert transcript.messages == full.messages
    assert mode == "full" or "**" not in text


def test_the_modes_of_the_fibonacci_run() -> None:
    """Three texts, and the last of them."""
    events, _ = sj.decode(sj.recorded("fibonacci"))
    plan, run, confirmation = rendered(events, "text").split(SEPARATOR)
    assert plan.startswith("I'll do this in three steps")
    assert run == "The function is in `fibonacci.py`. Now I'll run it."
    assert rendered(events, "final") == confirmation
