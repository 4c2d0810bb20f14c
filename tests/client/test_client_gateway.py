"""The gateway's client against a real listener that says, and leaves out, whatever a test wants."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ccapi.client import gateway
from ccapi.client.question import BY_ITSELF, Question, text_part
from ccapi.errors import (
    Busy,
    CcapiError,
    ClaudeFailed,
    GatewayProtocol,
    GatewayStopping,
    GatewayUnreachable,
    KeyInvalid,
    ResponseNotFound,
    RunTimeout,
)
from ccapi.wire.events import Notice, RunEvent, RunFailed, RunFinished, RunStarted, TextDelta, Usage
from tests.cli.answers import STARTED, called, stream
from tests.cli.support import DEADLINE, FakeAnswer, FakeGateway
from tests.client.players import Part, closes, dribbles, falls_silent, playing, resets, sends, silent

AT_ONCE = (0.0, 0.0, 0.0)
SOON = 2.0  # seconds: what a listener of these tests takes at the very most, and no long time to wait for
HELLO = Question((text_part("hello"),), "sonnet")
TEXT = "Half of it, 世界 🎉, and the other half."


@pytest.fixture
def fake() -> Iterator[FakeGateway]:
    """Something at a port that says what the test lets it say."""
    listener = FakeGateway()
    yield listener
    listener.close()


def refuses(error: CcapiError) -> Part:
    """The status and the envelope of that error."""
    return sends(FakeGateway.refusal(error))


def ends(fake: FakeGateway) -> Part:
    """The request must be the cancellation, and succeeds."""

    def end(connection: socket.socket) -> None:
        assert fake.lines[-1] == f"POST /v1/responses/{FakeAnswer.ID}/cancel"
        connection.sendall(FakeGateway.document({"id": FakeAnswer.ID, "status": "cancelled"}))

    return end


def reads(fake: FakeGateway, **options: Any) -> tuple[str, list[str]]:
    """The text and the notices of an answer."""
    text, notices = "", []
    with gateway.ask(fake.url, HELLO, **{"pauses": AT_ONCE, **options}) as answer:
        for event in answer:
            if isinstance(event, TextDelta):
                text += event.text
            elif isinstance(event, Notice):
                notices.append(event.message)
    return text, notices


# --- what is asked


def test_the_question(fake: FakeGateway) -> None:
    """A background response, streamed, that is given up when nobody follows it; without a key no Authorization."""
    with playing(fake, sends(FakeAnswer().whole(TEXT))):
        assert reads(fake) == (TEXT, [])
    (received,) = fake.received
    assert received.line == "POST /v1/responses"
    assert received.document == HELLO.body()
    assert received.document["background"]
    assert received.document["stream"]
    assert received.document["abandon_after"] > gateway.SILENCE + sum(gateway.PAUSES)
    assert "authorization" not in received.headers


def test_a_key_is_a_bearer_token_of_every_request(fake: FakeGateway) -> None:
    """Of the question, of going on, and of the end."""
    answer = FakeAnswer()
    began = answer.begin()
    with (
        playing(fake, sends(began), sends(FakeAnswer.HEAD), ends(fake)),
        pytest.raises(GatewayProtocol),
    ):
        reads(fake, api_key="sk-ccapi-test", pauses=(0.0,))
    assert [received.headers["authorization"] for received in fake.received] == ["Bearer sk-ccapi-test"] * 3


def test_without_a_key_where_one_is_needed(fake: FakeGateway) -> None:
    """The gateway's own message, and where a key comes from and belongs to. Nothing is asked again."""
    with (
        playing(fake, refuses(KeyInvalid("An API key is needed", hint="Whatever"))),
        pytest.raises(KeyInvalid) as caught,
    ):
        reads(fake)
    assert caught.value.message == "An API key is needed"
    assert "ccapi key create" in (caught.value.hint or "")
    assert "CCAPI_API_KEY" in (caught.value.hint or "")
    assert len(fake.lines) == 1


def test_a_refusal_is_the_error_that_it_was(fake: FakeGateway) -> None:
    """Class, message, and when to come again."""
    with playing(fake, refuses(Busy("64 wait", retry_after=3))), pytest.raises(Busy, match="64 wait") as caught:
        reads(fake)
    assert caught.value.retry_after == 3


def test_when_the_question_is_out(fake: FakeGateway) -> None:
    """That is told once, when all of it is there to be read, and nothing was waited for."""
    answer, calls = FakeAnswer(), []

    def sent() -> None:
        calls.append(1)
        with fake.request() as connection:
            connection.sendall(answer.begin())

    with gateway.ask(fake.url, HELLO, pauses=AT_ONCE, on_sent=sent) as asked:
        assert fake.received[0].document == HELLO.body()
        with playing(fake, sends(FakeAnswer.HEAD, answer.text(TEXT), answer.end())):
            assert TextDelta("msg_1", TEXT) in list(asked)
    assert len(calls) == 1


def test_nobody_to_ask(fake: FakeGateway) -> None:
    """It is said where; that the question was out is not."""
    fake.close()
    calls: list[int] = []
    with pytest.raises(GatewayUnreachable, match=f"No gateway answers at {fake.url}") as caught:
        reads(fake, on_sent=lambda: calls.append(1))
    assert "ccapi up" in (caught.value.hint or "")
    assert not calls


# --- what is known of the run


def test_what_is_known_of_the_run(fake: FakeGateway) -> None:
    """The ids as soon as the run has begun; at the end tokens, cost and time, for whoever asked."""
    with playing(fake, sends(FakeAnswer().whole(TEXT))), gateway.ask(fake.url, HELLO) as answer:
        assert (answer.response_id, answer.session_id, answer.ended) == ("", "", False)
        events = iter(answer)
        next(events)
        assert (answer.response_id, answer.session_id) == (FakeAnswer.ID, FakeAnswer.SESSION)
        rest = list(events)
        assert answer.ended
    assert rest[-1] == RunFinished(FakeAnswer.SESSION, "stop", Usage(3, 4), 0.25, 1, 99)


def test_the_session_in_a_header(fake: FakeGateway) -> None:
    """It is known before the first event if the gateway can say it so soon."""
    head = FakeAnswer.HEAD.replace(b"OK\r\n", b"OK\r\nX-Session-Id: abc\r\n")
    with playing(fake, falls_silent(head)), gateway.ask(fake.url, HELLO, tick=0.01) as answer:
        known = (answer.session_id for _ in answer)
        assert next(session for session in known if session) == "abc"


# --- notices


def test_comments(fake: FakeGateway) -> None:
    """What only keeps the connection open is not shown; what says more is."""
    answer = FakeAnswer()
    stream = [answer.begin(), b": keep-alive\n\n: retry 1 of 4\n\n", answer.text(TEXT), answer.end()]
    with playing(fake, sends(*stream)):
        assert reads(fake) == (TEXT, ["retry 1 of 4"])


# --- a connection that breaks


def whole() -> tuple[FakeAnswer, bytes]:
    answer = FakeAnswer()
    return answer, answer.begin() + answer.text(TEXT[:10]) + answer.text(TEXT[10:]) + answer.end()


def cuts() -> list[int]:
    """Many places in the stream, and those around the end of each frame."""
    answer, stream = whole()
    ends = [len(FakeAnswer.HEAD)]
    for frame in answer.frames:
        ends.append(ends[-1] + len(frame))
    near = {end + step for end in ends for step in (-2, -1, 0, 1)}
    return sorted(position for position in near | set(range(1, len(stream), 61)) if 0 < position < len(stream))


def test_a_stream_cut_at_any_byte(fake: FakeGateway) -> None:
    """All of the answer comes, once, and it is asked for once; unless nothing was known of it when it broke."""
    resumed = 0
    for position in cuts():
        answer, stream = whole()
        cut = stream[:position]
        complete = cut.removeprefix(FakeAnswer.HEAD).count(b"\n\n") if cut.startswith(FakeAnswer.HEAD) else 0

        def rest(connection: socket.socket, answer: FakeAnswer = answer) -> None:
            connection.sendall(answer.after(fake.received[-1].starting_after))

        fake.received.clear()
        if complete == 0:
            with playing(fake, sends(cut)), pytest.raises(GatewayProtocol, match="broke"):
                reads(fake)
        elif complete == len(answer.frames):
            with playing(fake, sends(cut)):
                assert reads(fake)[0] == TEXT
        else:
            resumed += 1
            with playing(fake, sends(cut), rest):
                assert reads(fake)[0] == TEXT
            again = f"/v1/responses/{FakeAnswer.ID}?stream=true&starting_after={complete - 1}"
            assert fake.lines == ["POST /v1/responses", f"GET {again}"]
    assert resumed > 20


def test_a_broken_connection_is_told(fake: FakeGateway) -> None:
    """A person who waits may know it."""
    answer = FakeAnswer()
    began, rest = answer.begin(), FakeAnswer.HEAD + answer.text(TEXT) + answer.end()
    with playing(fake, sends(began), sends(rest)):
        text, (notice,) = reads(fake)
    assert text == TEXT
    assert "broke" in notice


def test_attempts_that_fail_for_now(fake: FakeGateway) -> None:
    """Closed, busy, stopping: the next attempt may do."""
    answer = FakeAnswer()
    began, rest = answer.begin(), FakeAnswer.HEAD + answer.text(TEXT) + answer.end()
    refused = [refuses(Busy("full")), refuses(GatewayStopping("stopping"))]
    with playing(fake, sends(began), closes, *refused, sends(rest)):
        assert reads(fake, pauses=(0.0,) * 4)[0] == TEXT


def test_a_connection_that_breaks_again_and_again(fake: FakeGateway) -> None:
    """As long as it goes on a little each time, there is no limit; when it does not, there is one."""
    answer = FakeAnswer()
    began = answer.begin()
    pieces = [sends(FakeAnswer.HEAD, answer.text(letter)) for letter in "abcdefgh"]
    with (
        playing(fake, sends(began), *pieces, sends(FakeAnswer.HEAD, b": nothing new\n\n"), closes, closes, ends(fake)),
        pytest.raises(GatewayProtocol) as caught,
    ):
        reads(fake)
    assert caught.value.message.startswith("The answer cannot be resumed: ")


def begun() -> bytes:
    """An answer in which something was said: its session can be gone on with."""
    answer = FakeAnswer()
    return answer.begin() + answer.text("Yes, ")


def test_an_answer_that_cannot_be_resumed(fake: FakeGateway) -> None:
    """The error says why, what became of the run, which one it is if it may go on, and how to look at it."""
    gone = refuses(ResponseNotFound("It is gone"))
    went_on = f"The run may still go on: response {FakeAnswer.ID}, session {FakeAnswer.SESSION}"
    for end, known in ((ends(fake), "The run was ended"), (gone, went_on)):
        with (
            playing(fake, sends(begun()), gone, end),
            pytest.raises(ResponseNotFound, match="It is gone") as caught,
        ):
            reads(fake)
        assert (caught.value.hint or "").splitlines() == [
            known,
            f"Look at it: ccapi sessions show {FakeAnswer.SESSION}",
            f'Go on: ccapi ask --session {FakeAnswer.SESSION} "..."',
        ]


def test_a_gateway_that_is_gone(fake: FakeGateway) -> None:
    """Nothing listens there any more: that is said, and it does not take long."""

    def dies(connection: socket.socket) -> None:
        fake.close()
        connection.sendall(FakeAnswer().begin())

    with playing(fake, dies), pytest.raises(GatewayUnreachable, match="No gateway answers at http://127") as caught:
        reads(fake)
    assert (caught.value.hint or "").startswith(f"The run may still go on: response {FakeAnswer.ID}")


def test_another_program_took_its_place(fake: FakeGateway) -> None:
    """Whatever it answers is not taken for the rest of the answer."""
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<html>data: hello\n\n"
    with (
        playing(fake, sends(FakeAnswer().begin()), sends(page), sends(page), sends(page), sends(page)),
        pytest.raises(GatewayProtocol, match="no ccapi gateway"),
    ):
        reads(fake)


def test_events_that_were_left_out(fake: FakeGateway) -> None:
    """An answer with a hole is not shown as if it were whole."""
    answer = FakeAnswer()
    began = answer.begin()
    answer.text("lost")
    with (
        playing(fake, sends(began, answer.text(TEXT)), ends(fake)),
        pytest.raises(GatewayProtocol, match="left out"),
    ):
        reads(fake)


def test_a_gateway_that_falls_silent(fake: FakeGateway) -> None:
    """Not even a heartbeat: the connection counts as broken. When the next is as silent, that is the end."""
    answer = FakeAnswer()
    began, rest = answer.begin(), FakeAnswer.HEAD + answer.text(TEXT) + answer.end()
    with playing(fake, falls_silent(began), sends(rest)):
        text, (notice,) = reads(fake, silence=SOON)
    assert text == TEXT
    assert "silent" in notice
    for dead in (silent, falls_silent(FakeAnswer.HEAD)):
        with playing(fake, falls_silent(began), dead, ends(fake)), pytest.raises(GatewayUnreachable, match="is silent"):
            reads(fake, silence=SOON)


def test_a_gateway_that_never_says_anything(fake: FakeGateway) -> None:
    """The question itself is not asked twice."""
    with playing(fake, silent), pytest.raises(GatewayUnreachable, match="is silent") as caught:
        reads(fake, silence=0.3)
    assert len(fake.lines) == 1
    assert (caught.value.hint or "").splitlines()[0] == "If the run has begun, the gateway ends it by itself in 90 s"


@pytest.mark.parametrize("sent", [b"", FakeAnswer.HEAD[:20], FakeAnswer.HEAD])
def test_a_gateway_that_resets_before_it_begins(fake: FakeGateway, sent: bytes) -> None:
    """Nothing is known of the run, so the question is not asked again."""
    with playing(fake, resets(sent)), pytest.raises(GatewayProtocol, match=f"The connection to .*{fake.port} broke"):
        reads(fake)
    assert len(fake.lines) == 1


def test_what_is_no_gateway_at_all(fake: FakeGateway) -> None:
    """A server of another kind is known by its first bytes."""
    with playing(fake, falls_silent(b"SSH-2.0-OpenSSH_9.6\r\n")), pytest.raises(GatewayProtocol, match="no ccapi gate"):
        reads(fake)


def test_a_refusal_without_an_end(fake: FakeGateway) -> None:
    """It is not read for ever."""

    def part(connection: socket.socket) -> None:
        connection.sendall(b'HTTP/1.1 500 No\r\nContent-Type: application/json\r\n\r\n{"error": {"message": "')
        dribbles(b"x" * 100_000)(connection)

    with playing(fake, part), pytest.raises(GatewayProtocol):
        reads(fake)


def test_a_refusal_that_is_never_whole(fake: FakeGateway) -> None:
    """A body that goes on all the time, and never ends, is as silent as a head that does; no run was begun."""

    def part(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 500 No\r\nContent-Type: application/json\r\n\r\n")
        dribbles(b" ", 0.05)(connection)

    with playing(fake, part), pytest.raises(GatewayUnreachable, match="is silent") as caught:
        reads(fake, silence=SOON)
    assert "run has begun" not in (caught.value.hint or "")


# --- waiting


def wait_for(events: Iterator[RunEvent | gateway.Tick], wanted: type) -> list[RunEvent | gateway.Tick]:
    """All that comes up to the next of that kind."""
    found = []
    for event in events:
        found.append(event)
        if isinstance(event, wanted):
            break
    return found


def test_ticks_while_nothing_comes(fake: FakeGateway) -> None:
    """Before the answer begins, in it, and between two connections; events come as they would without."""
    answer, go_on = FakeAnswer(), threading.Semaphore(0)

    def waits(*pieces: bytes) -> Part:
        def part(connection: socket.socket) -> None:
            for piece in pieces:
                assert go_on.acquire(timeout=DEADLINE)
                connection.sendall(piece)

        return part

    began, one, two = answer.begin(), answer.text("one"), answer.text("two") + answer.end()
    with (
        playing(fake, waits(began, one), waits(FakeAnswer.HEAD, two)),
        gateway.ask(fake.url, HELLO, tick=0.01, pauses=(0.2,)) as asked,
    ):
        events, found = iter(asked), []
        for wanted in (RunStarted, TextDelta, Notice, TextDelta):
            found += wait_for(events, wanted) if wanted is Notice else []
            assert isinstance(wait_for(events, gateway.Tick)[-1], gateway.Tick)
            go_on.release()
            found += wait_for(events, wanted) if wanted is not Notice else []
        found += events
    texts = [event.text for event in found if isinstance(event, TextDelta)]
    assert (texts, asked.ended) == (["one", "two"], True)


def test_no_ticks_unless_asked_for(fake: FakeGateway) -> None:
    """Whoever does not draw has only events."""

    def slow(connection: socket.socket) -> None:
        answer = FakeAnswer()
        connection.sendall(answer.begin())
        time.sleep(0.3)
        connection.sendall(answer.text(TEXT) + answer.end())

    with playing(fake, slow), gateway.ask(fake.url, HELLO) as asked:
        assert not any(isinstance(event, gateway.Tick) for event in asked)


@pytest.mark.parametrize("when", ["before it begins", "in the answer", "between two connections"])
def test_a_deadline(fake: FakeGateway, when: str) -> None:
    """The run is ended on the server, and it is said how long it had, what became of it, and how to go on."""
    part = {
        "before it begins": silent,
        "in the answer": falls_silent(begun()),
        "between two connections": sends(begun()),
    }
    end = [] if when == "before it begins" else [ends(fake)]
    with playing(fake, part[when], *end), pytest.raises(RunTimeout) as caught:
        reads(fake, timeout=SOON, pauses=(60.0,))
    assert caught.value.exit_code == 124
    message = "The answer was not complete after 2 s"
    hint = f"Look at it: ccapi sessions show {FakeAnswer.SESSION}\n"
    hint += f'Go on: ccapi ask --session {FakeAnswer.SESSION} "..."'
    known = (f"{message}; {BY_ITSELF}", None) if not end else (f"{message}; the run was ended", hint)
    assert (caught.value.message, caught.value.hint) == known
    assert not getattr(caught.value, "__notes__", [])


def test_a_deadline_before_the_question_is_out() -> None:
    """A peer that does not read: nothing is known of the run, as there is none."""
    long = Question((text_part("x" * 20_000_000),), "sonnet")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(RunTimeout, match=r"not sent after 0\.3 s"), gateway.ask(url, long, timeout=0.3):
            pass


def test_a_deadline_in_a_stream_that_never_stops(fake: FakeGateway) -> None:
    """Also when there is always something to read."""
    answer = FakeAnswer()

    def part(connection: socket.socket) -> None:
        connection.sendall(answer.begin())
        dribbles(b": keep-alive\n\n")(connection)

    with playing(fake, part, ends(fake)), pytest.raises(RunTimeout):
        reads(fake, timeout=SOON)


@pytest.mark.parametrize("end", ["completed", "failed"])
def test_a_run_that_ended_before_its_deadline(fake: FakeGateway, end: str) -> None:
    """Its answer was not read in time, as whoever reads it was slow: all of it comes, and nothing else is said."""
    answer = FakeAnswer()
    sent = answer.begin() + answer.text("half")
    rest = answer.text(" and half") + (answer.end() if end == "completed" else answer.fail(ClaudeFailed("It died")))
    parts = [
        falls_silent(sent),
        sends(FakeGateway.document({"id": FakeAnswer.ID, "status": end})),
        sends(FakeAnswer.HEAD, rest),
    ]
    with playing(fake, *parts), gateway.ask(fake.url, HELLO, timeout=SOON, pauses=AT_ONCE) as asked:
        events = list(asked)
    texts = [event.text for event in events if isinstance(event, TextDelta)]
    assert texts == ["half", " and half"]
    assert isinstance(events[-1], RunFinished if end == "completed" else RunFailed)
    assert not any(isinstance(event, Notice) for event in events)
    assert [line.split("?")[0] for line in fake.lines] == [
        "POST /v1/responses",
        f"POST /v1/responses/{FakeAnswer.ID}/cancel",
        f"GET /v1/responses/{FakeAnswer.ID}",
    ]


def test_a_deadline_that_is_kept(fake: FakeGateway) -> None:
    """An answer that is complete in time has nothing to do with it."""
    with playing(fake, sends(FakeAnswer().whole(TEXT))):
        assert reads(fake, timeout=60.0) == (TEXT, [])


# --- failures of the run


def test_a_run_that_fails(fake: FakeGateway) -> None:
    """What was said comes first, then the end, with the error as the class it was; there is nothing to cancel."""
    answer = FakeAnswer()
    stream = answer.begin() + answer.text("half") + answer.fail(RunTimeout("No sign of life"))
    with playing(fake, sends(stream)), gateway.ask(fake.url, HELLO) as asked:
        *_, text, failed = asked
    assert text == TextDelta("msg_1", "half")
    assert isinstance(failed, RunFailed)
    assert isinstance(failed.error, RunTimeout)
    assert failed.error.message == "No sign of life"
    assert len(fake.lines) == 1


def test_an_error_without_an_end(fake: FakeGateway) -> None:
    """A gateway that only managed to say what is wrong: that is the error, not that the stream broke off."""
    answer = FakeAnswer()
    began = answer.begin()
    answer.fail(ClaudeFailed("It died", hint="Look at: ccapi logs"))
    (error,) = (frame for frame in answer.frames if frame.startswith(b"event: error"))
    with playing(fake, sends(began, error), ends(fake)), pytest.raises(ClaudeFailed, match="It died") as caught:
        reads(fake)
    assert caught.value.hint == "The run was ended\nLook at: ccapi logs"


@pytest.mark.parametrize("event", [b"5", b"{", b"[]", b"{}", b'{"sequence_number": 0}', b'{"choices": [{}]}'])
def test_events_that_are_none(fake: FakeGateway, event: bytes) -> None:
    """A stream of another form is a clear failure, not an empty answer."""
    with playing(fake, sends(FakeAnswer.HEAD, b"data: ", event, b"\n\n")), pytest.raises(GatewayProtocol):
        reads(fake)


@pytest.mark.parametrize("value", [None, 5, ["x"], {"a": 1}])
@pytest.mark.parametrize("field", ["delta", "id", "session_id", "model"])
def test_events_with_a_wrong_value(fake: FakeGateway, field: str, value: Any) -> None:
    """One field of another type: a clear failure, and not a defect of whoever shows it."""
    answer = FakeAnswer()
    answer.begin()
    answer.text("hello")
    events = [json.loads(frame.split(b"data: ", 1)[1]) for frame in answer.frames]
    for event in events:
        response = event.get("response", {})
        for owner in (event, response, response.get("ccapi") or {}):
            if field in owner and owner is not (response if field == "model" else None):
                owner[field] = value
    sent = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    with (
        playing(fake, sends(FakeAnswer.HEAD, sent), *([] if field == "id" else [ends(fake)])),
        pytest.raises(GatewayProtocol, match="in a form that ccapi does not know"),
    ):
        reads(fake)


def test_arguments_without_an_end(fake: FakeGateway) -> None:
    """JSON that is deeper than any parser goes."""
    run = [STARTED, *called("true", "out")]
    sent = stream([run]).replace(b'{\\"command\\": \\"true\\"}', b"[" * 50_000)
    with (
        playing(fake, sends(FakeAnswer.HEAD, sent), ends(fake)),
        pytest.raises(GatewayProtocol, match="in a form that ccapi does not know"),
    ):
        reads(fake)


# --- leaving


def leave(fake: FakeGateway, *, after: int | None) -> None:
    """Have enough of it after so many events (None: all), for a reason of one's own."""
    with gateway.ask(fake.url, HELLO) as answer:
        list(itertools.islice(answer, after))
        raise ZeroDivisionError


def notes(fake: FakeGateway, *, after: int | None = 1) -> list[str]:
    """Those that the exception has which left the block."""
    with pytest.raises(ZeroDivisionError) as caught:
        leave(fake, after=after)
    return getattr(caught.value, "__notes__", [])


def test_leaving_ends_the_run(fake: FakeGateway) -> None:
    """An exception of whoever reads it passes through, and says what is known of the run."""
    with playing(fake, falls_silent(FakeAnswer().begin()), ends(fake)):
        assert notes(fake) == ["the run was ended"]


def test_leaving_a_run_that_had_ended(fake: FakeGateway) -> None:
    """What nobody has ended is not said to be ended by this."""
    over = sends(FakeGateway.document({"id": FakeAnswer.ID, "status": "completed"}))
    with playing(fake, falls_silent(FakeAnswer().begin()), over):
        assert notes(fake) == ["the run had come to its end"]


def test_leaving_without_an_exception_ends_it_too(fake: FakeGateway) -> None:
    """Whoever has read enough leaves nothing running."""
    with (
        playing(fake, falls_silent(FakeAnswer().begin()), ends(fake)),
        gateway.ask(fake.url, HELLO) as answer,
    ):
        next(iter(answer))


def test_leaving_before_anything_is_known(fake: FakeGateway) -> None:
    """The connection is closed, which is all that can be done: the gateway has not said yet which run it is.

    It was told with the question how long to wait for somebody who listens.
    """
    with playing(fake, falls_silent(FakeAnswer.HEAD)):
        assert notes(fake, after=0) == [BY_ITSELF]
    assert len(fake.lines) == 1


@pytest.mark.parametrize(
    "answer",
    [
        FakeGateway.refusal(Busy("64 wait")),
        FakeGateway.document({}),
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"220 mail.example.org ESMTP\r\n",
    ],
    ids=["refusal", "other API", "page", "no HTTP"],
)
def test_nothing_is_said_of_a_run_that_there_is_not(fake: FakeGateway, answer: bytes) -> None:
    """Who refuses the question, or is no gateway, has begun nothing."""
    with playing(fake, sends(answer)), pytest.raises(CcapiError) as caught:
        reads(fake)
    assert "run has begun" not in (caught.value.hint or "")


def test_a_second_reason_to_leave(fake: FakeGateway) -> None:
    """Who does not wait for the cancellation's end is told which run may still go on."""
    interrupted = threading.Event()

    def part(connection: socket.socket) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupted.wait(DEADLINE)
        silent(connection)

    with playing(fake, falls_silent(FakeAnswer().begin()), part):
        with pytest.raises(KeyboardInterrupt) as caught:
            leave(fake, after=1)
        interrupted.set()
    assert caught.value.__notes__ == [
        f"the run may still go on: response {FakeAnswer.ID}, session {FakeAnswer.SESSION}"
    ]


def test_leaving_a_whole_answer_cancels_nothing(fake: FakeGateway) -> None:
    """It has ended; and there is no note to an exception that has nothing to do with it."""
    with playing(fake, sends(FakeAnswer().whole(TEXT))):
        assert notes(fake, after=None) == []
    assert len(fake.lines) == 1


def test_a_cancellation_that_is_never_answered(fake: FakeGateway) -> None:
    """Leaving does not take as long as an answer may be silent, and the note does not say more than is known."""
    began = time.monotonic()
    with playing(fake, falls_silent(FakeAnswer().begin()), silent):
        (note,) = notes(fake)
    assert time.monotonic() - began < gateway.SILENCE / 2
    assert note.startswith("the gateway was told to end the run, and does not answer: response resp_")


@pytest.mark.parametrize("how", ["refused", "closed"])
def test_a_cancellation_that_fails(fake: FakeGateway, how: str) -> None:
    """The original exception is the one that is raised; its note says that the run may go on."""
    with playing(fake, sends(FakeAnswer().begin()), closes if how == "closed" else refuses(CcapiError("broken"))):
        (note,) = notes(fake)
    assert note == f"the run may still go on: response {FakeAnswer.ID}, session {FakeAnswer.SESSION}"
