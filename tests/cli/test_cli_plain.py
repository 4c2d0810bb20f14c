"""An answer in a pipe is the API's content: however it was cut, whatever it holds, wherever the pipe leads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccapi.cli.answer.plain import PlainView
from ccapi.gateway.chat import Completion
from ccapi.wire import sse
from ccapi.wire.events import RunEvent, RunFailed, RunFinished, RunStarted
from ccapi.wire.responsesdecoder import Decoder
from ccapi.wire.transcript import Mode, Transcript
from tests.cli.answers import END, STARTED, ask, called, run, said, stream
from tests.cli.support import DEADLINE, Cli, FakeAnswer, FakeGateway, Gateway, read_line
from tests.wire.test_wire_transcript import FAILED, Step, events_of, in_the_background, steps, subagent

MODES: tuple[Mode, ...] = ("full", "text", "final")
_RUNS = st.one_of(
    st.builds(events_of, st.lists(steps(), max_size=4), in_order=st.booleans()),
    st.lists(st.text(max_size=30), max_size=4).map(
        lambda texts: [event for number, text in enumerate(texts) for event in said(text, f"m{number}")]
    ),
    st.text(max_size=30).map(lambda text: in_the_background(*subagent("t1", *said(text, "s1")))),
)


def content(events: Sequence[RunEvent], mode: Mode) -> str:
    """What the Chat Completions API has as the content of this run."""
    question = SimpleNamespace(json_schema=None)
    answer = cast("Any", SimpleNamespace(question=question, transcript=mode, model="m", asked_model="m", api_model="m"))
    completion = Completion("chatcmpl-1", "m", answer)
    for event in events:
        completion.feed([event])
    return completion.content


def pieces(draw: st.DataObject, data: bytes) -> Iterator[bytes]:
    """The bytes, cut at any places."""
    cuts = draw.draw(st.lists(st.integers(0, len(data)), max_size=12), label="cuts")
    return (data[begin:end] for begin, end in pairwise([0, *sorted(cuts), len(data)]))


def batches(draw: st.DataObject, events: Sequence[RunEvent]) -> list[Sequence[RunEvent]]:
    """The events, as many at once as it comes: what comes at once is sent as one."""
    cuts = draw.draw(st.lists(st.integers(0, len(events)), max_size=6), label="batches")
    return [events[begin:end] for begin, end in pairwise([0, *sorted(cuts), len(events)])]


@settings(deadline=None)
@given(body=_RUNS, end=st.sampled_from([END, FAILED]), mode=st.sampled_from(MODES), data=st.data())
def test_any_run_in_any_pieces_is_the_apis_content(
    body: list[RunEvent], end: RunEvent, mode: Mode, data: st.DataObject
) -> None:
    """From the gateway's events over bytes that are cut anywhere to what is written: not a character differs."""
    events = [STARTED, *(event for event in body if not isinstance(event, RunStarted | RunFinished | RunFailed)), end]
    reader, decoder, written = sse.Reader(1 << 20), Decoder(), list[str]()
    view = PlainView(mode, written.append)
    for piece in pieces(data, stream(batches(data, events))):
        for frame in reader.feed(piece):
            for event in decoder.feed(json.loads(frame.data)):
                view.feed(event)
    transcript = Transcript(mode)
    assert "".join(written) == "".join(transcript.feed(event) for event in events) == content(events, mode)
    with view:
        pass
    assert "".join(written) == content(events, mode) + ("\n" if content(events, mode) else "")


@settings(deadline=None)
@given(run_=st.lists(steps(), max_size=3), mode=st.sampled_from(MODES), data=st.data())
def test_what_was_said_when_it_broke_off_is_all_written(run_: list[Step], mode: Mode, data: st.DataObject) -> None:
    """Wherever that was: the same as of a run that failed there. What a mode holds back is not lost."""
    events = [STARTED, *events_of(run_, in_order=False)]
    events = events[: data.draw(st.integers(0, len(events)))]
    events = [event for event in events if not isinstance(event, RunFinished | RunFailed)]
    written: list[str] = []
    view = PlainView(mode, written.append)
    for event in events:
        view.feed(event)
    view.close()
    assert "".join(written) == content([*events, FAILED], mode)
    view.close()
    with pytest.raises(KeyboardInterrupt), view:
        raise KeyboardInterrupt
    whole = content([*events, FAILED], mode)
    assert "".join(written) == (whole if whole.endswith("\n") or not whole else whole + "\n"), "what is said of it then"


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_is_the_apis(cli: Cli, scripted: Gateway, mode: Mode) -> None:
    """With the real Claude Code: what `--transcript` names is what the API gives under that name."""
    done = cli.run("ask", "--port", str(scripted.port), "--transcript", mode, "print controls")
    assert (done.returncode, done.stderr) == (0, "")
    with_mode = scripted.chat("print controls") if mode == "full" else chat(scripted, "print controls", mode)
    assert done.stdout == with_mode + "\n"


def chat(gateway: Gateway, prompt: str, mode: Mode) -> str:
    import httpx

    body = {"model": "sonnet", "transcript": mode, "messages": [{"role": "user", "content": prompt}]}
    with httpx.Client(trust_env=False, timeout=DEADLINE) as client:
        document = client.post(f"{gateway.url}/v1/chat/completions", json=body).raise_for_status().json()
    return str(document["choices"][0]["message"]["content"])


def test_line_ends_stay_as_they_are(cli: Cli, fake: FakeGateway) -> None:
    """Windows' in a text and in a tool's output, and a lone carriage return."""
    events = run(*called("type a.txt", "one\r\ntwo\r\n"), *said("a\r\nb\rc\n", "msg_2"))
    done = ask(cli, fake, events, "hello")
    assert done.stdout == (content(events, "full") + "\n").encode()
    assert b"one\r\ntwo\r\n" in done.stdout
    assert done.stdout.endswith(b"a\r\nb\rc\n\n")


@pytest.mark.parametrize(
    "environ",
    [
        {"LANG": "C", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"LANG": "en_US.ISO-8859-1", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"LANG": "", "NO_COLOR": "1", "TERM": "dumb"},
    ],
    ids=["C", "latin-1", "dumb"],
)
def test_no_locale_and_no_terminal_changes_it(cli: Cli, fake: FakeGateway, environ: dict[str, str]) -> None:
    """A pipe is UTF-8, and has no colours anyway."""
    text = "Grüße 世界 🎉 → `x`"
    done = ask(cli, fake, run(*said(text)), "hello", environ=environ)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == f"{text}\n".encode()


def test_a_reader_that_leaves(cli: Cli, fake: FakeGateway) -> None:
    """`| head -1`: the run is ended on the server, nothing is said on stderr, and the exit code is no success."""
    answer = FakeAnswer()
    with cli.start("ask", "--port", str(fake.port), "hello") as process:
        with fake.request() as connection:
            connection.sendall(answer.begin() + answer.text("one\ntwo\n"))
            assert read_line(process.stdout, "the first line") == "one"
            assert process.stdout is not None
            process.stdout.close()
            connection.sendall(answer.text("three\n"))
            fake.cancelled()
        assert process.wait(DEADLINE) == 1
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_an_answer_without_a_word_is_nothing(cli: Cli, fake: FakeGateway) -> None:
    """Not even a newline."""
    done = ask(cli, fake, run(), "hello")
    assert (done.returncode, done.stdout) == (0, b"")
