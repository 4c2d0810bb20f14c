"""The answer to a question, as the events of its run; it goes on over another connection when one breaks."""

from __future__ import annotations

import json
import logging
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from typing import Any
from urllib.parse import quote

from ccapi.client import stream
from ccapi.client.endpoint import Endpoint
from ccapi.client.question import BY_ITSELF
from ccapi.client.stream import Clock, Exchange, Tick
from ccapi.errors import CcapiError, GatewayProtocol, GatewaySilent, RunTimeout
from ccapi.wire import envelope, sse, typed
from ccapi.wire.events import MessageStarted, Notice, RunEvent, RunFailed, RunFinished, RunStarted
from ccapi.wire.responsesdecoder import Decoder

log = logging.getLogger(__name__)

# Seconds, for all of it, which is more than a gateway needs for a run that resists, and of it for the connection. A
# second Ctrl-C is sooner.
_CANCEL, _CANCEL_CONNECT = 8.0, 1.0
_LONGEST_EVENT = 128 * 1024 * 1024  # bytes; the gateway reads no longer ones from Claude Code
_LONGEST_REFUSAL = 1024 * 1024  # bytes
_ENDED, _OVER, _PERHAPS = "the run was ended", "the run had come to its end", "the run may still go on"
_BY_THEMSELVES = {"completed", "incomplete", "failed"}  # how runs end that nobody has ended
_TOLD = "the gateway was told to end the run, and does not answer"


class Answer:
    """The events of a run, to be gone through once; what the gateway says beside it comes as `Notice`s.

    Exactly one `RunFinished` or `RunFailed` is the last of them.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        exchange: Exchange,
        clock: Clock,
        *,
        timeout: float | None,
        pauses: Sequence[float],
        silence: float,
    ) -> None:
        """`exchange` has sent the question; `timeout` is what the clock was given."""
        self.session_id = ""
        self.ended = False
        self._endpoint = endpoint
        self._clock = clock
        self._timeout = timeout
        self._pauses = pauses
        self._silence = silence
        self._exchange = exchange
        self._attempts = 0  # to go on, since the last event
        self._decoder = Decoder()
        self._error: CcapiError | None = None  # that was reported before the end
        self._left = False
        self._refused = False  # there is no run
        self.begun = False  # something was said: only from then on the session can be gone on with

    @property
    def response_id(self) -> str:
        """Empty as long as it is not known."""
        return self._decoder.response_id

    def __iter__(self) -> Iterator[RunEvent | Tick]:
        try:
            yield from self._paced(self._events())
        except stream.TimeUp:
            if (known := self.leave()) != _OVER:
                raise self._overdue(known) from None
            self._clock.forget()  # the run was in time: what took so long is the reading
        if not self.ended:
            yield from self._paced(self._rest())

    def _paced(self, events: Iterator[RunEvent | Tick]) -> Iterator[RunEvent | Tick]:
        for event in events:
            yield event
            self._clock.restart()

    def leave(self) -> str:
        """End the run, if it has not ended and it is known which one it is. Says in a few words how that went.

        Who does not wait for that (a second Ctrl-C) takes along a note of what is known.
        """
        self._exchange.close()
        if self.ended or self._left or self._refused:
            return ""
        self._left = True
        if not self.response_id:
            return BY_ITSELF
        try:
            how = self._cancel()
        except BaseException as error:
            error.add_note(f"{_PERHAPS}: {self._name}")
            raise
        return how if how in {_ENDED, _OVER} else f"{how}: {self._name}"

    def _cancel(self) -> str:
        clock = Clock(timeout=_CANCEL)
        cancel = self._endpoint.exchange(
            "POST", f"{self._path}/cancel", clock, silence=_CANCEL, connect=_CANCEL_CONNECT
        )
        with closing(cancel) as exchange:
            try:
                stream.finish(exchange.send())
            except (stream.StreamError, stream.TimeUp):
                return _PERHAPS
            try:
                head, body = stream.finish(exchange.head()), stream.finish(exchange.whole(_LONGEST_EVENT))
            except (stream.Silent, stream.TimeUp):
                return _TOLD
            except stream.StreamError:
                return _PERHAPS
        if not 200 <= head.status < 300:
            return _PERHAPS
        with suppress(CcapiError, LookupError, TypeError):
            return _OVER if _json(body)["status"] in _BY_THEMSELVES else _ENDED
        return _ENDED

    # --- what comes

    def _events(self) -> Iterator[RunEvent | Tick]:
        try:
            yield from self._accepted()
        except stream.StreamError as error:
            self._refused = self._refused or isinstance(error, stream.NotHttp)
            raise self._endpoint.failure(error) from None
        yield from self._followed()

    def _followed(self) -> Iterator[RunEvent | Tick]:
        """To the end of the run, over as many connections as it takes."""
        while True:
            broke: stream.StreamError | None = None
            try:
                yield from self._received()
            except stream.StreamError as error:
                broke = error
            if self.ended:
                return
            if self._error:
                raise self._error
            if not self.response_id:
                raise self._endpoint.failure(broke) if broke else _broken_off()
            if not self._attempts:
                what = "The gateway is silent" if isinstance(broke, stream.Silent) else "The connection broke"
                yield Notice("connection", f"{what}; the answer is asked for from there on")
            yield from self._resume(broke)

    def _rest(self) -> Iterator[RunEvent | Tick]:
        """What a run that is over had still to say when its connection was left."""
        yield from self._resume(None)
        yield from self._followed()

    def _accepted(self) -> Iterator[Tick]:
        """Returns at the beginning of a streamed answer. Raises what is said in its place."""
        head = yield from self._exchange.head()
        log.info('HTTP Request: %s "HTTP/1.1 %d"', self._exchange.request.name, head.status)
        streamed = head.headers.get("content-type", "").startswith("text/event-stream")
        self._refused = not self.response_id and not (head.status == 200 and streamed)
        if head.status != 200:
            raise (yield from self._refusal())
        if not streamed:
            raise self._endpoint.foreign()
        self.session_id = head.headers.get("x-session-id", self.session_id)

    def _refusal(self) -> Generator[Tick, None, CcapiError]:
        return self._endpoint.refusal((yield from self._exchange.whole(_LONGEST_REFUSAL)))

    def _received(self) -> Iterator[RunEvent | Tick]:
        """What one connection brings, up to the end of it or of the run."""
        reader = sse.Reader(_LONGEST_EVENT)
        with closing(self._exchange):
            for piece in self._exchange.body():
                if isinstance(piece, Tick):
                    yield piece
                    continue
                for frame in _frames(reader, piece):
                    if frame.data:
                        yield from self._decoded(frame.data)
                    elif frame.comment != sse.KEEP_ALIVE:
                        yield Notice("comment", frame.comment)
                    if self.ended:
                        return

    def _decoded(self, data: bytes) -> list[RunEvent]:
        """Raises `GatewayProtocol` for what is no event, or not the next one."""
        event = _json(data)
        if isinstance(event, dict) and event.get("type") == "error":
            self._error = envelope.load(event.get("ccapi") or {"error": event})
            if "sequence_number" not in event:
                return []
        known = self._decoder.sequence_number
        try:
            if "response" in event:
                typed.text(event["response"], "id")  # first: the decoder keeps it
            decoded = [typed.checked(one) for one in self._decoder.feed(event)]
        except (LookupError, ValueError, TypeError, RecursionError):
            raise GatewayProtocol("The gateway sent an event in a form that ccapi does not know") from None
        if self._decoder.sequence_number != known + 1:
            raise GatewayProtocol("The gateway left out a part of the answer, or sent it twice")
        self._attempts = 0
        for one in decoded:
            if isinstance(one, RunStarted | RunFinished) and one.session_id:
                self.session_id = one.session_id
            self.begun = self.begun or isinstance(one, MessageStarted)
            self.ended = self.ended or isinstance(one, RunFinished | RunFailed)
        return decoded

    # --- going on

    def _resume(self, broke: stream.StreamError | None) -> Iterator[Tick]:
        """Another connection, behind the last event. Raises what the last attempt failed with."""
        problem: CcapiError = _broken_off()
        if self._attempts and isinstance(broke, stream.Silent):  # there is somebody, who says nothing
            raise self._lost(self._endpoint.silent())
        target = f"{self._path}?stream=true&starting_after={self._decoder.sequence_number}"
        while self._attempts < len(self._pauses):
            yield from self._clock.sleep(self._pauses[self._attempts])
            self._attempts += 1
            self._exchange = self._endpoint.exchange("GET", target, self._clock, silence=self._silence)
            try:
                yield from self._exchange.send()
                yield from self._accepted()
            except stream.StreamError as error:
                problem = self._endpoint.failure(error)
            except CcapiError as error:
                problem = error
            else:
                return
            self._exchange.close()
            if not _may_pass(problem):
                break
        raise self._lost(problem)

    # --- what is known, when it ends too soon

    def _lost(self, problem: CcapiError) -> CcapiError:
        message = f"The answer cannot be resumed: {problem.message}"
        return type(problem)(message, hint="\n".join([*filter(None, [problem.hint]), *self._ways_on()]) or None)

    def _overdue(self, known: str) -> RunTimeout:
        message = f"The answer was not complete after {self._timeout:g} s"
        return RunTimeout(f"{message}; {known}" if known else message, hint="\n".join(self._ways_on()) or None)

    def _ways_on(self) -> list[str]:
        import shlex

        if not (self.session_id and self.begun):
            return []
        session = shlex.quote(self.session_id)
        return [f"Look at it: ccapi sessions show {session}", f'Go on: ccapi ask --session {session} "..."']

    @property
    def _path(self) -> str:
        return f"/v1/responses/{quote(self.response_id, safe='')}"

    @property
    def _name(self) -> str:
        session = f", session {self.session_id}" if self.session_id else ""
        return f"response {self.response_id}{session}"


def _may_pass(problem: CcapiError) -> bool:
    """Whether another attempt is worth it: it says nothing of the response that was asked for."""
    return not isinstance(problem, GatewaySilent) and (problem.status >= 500 or problem.status == 429)


def _frames(reader: sse.Reader, piece: bytes) -> Iterator[sse.Frame]:
    try:
        yield from reader.feed(piece)
    except ValueError as error:
        raise GatewayProtocol(f"The gateway sent {error}") from None


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise GatewayProtocol("The gateway answered with something that is not JSON") from None


def _broken_off() -> GatewayProtocol:
    return GatewayProtocol("The answer broke off: the gateway closed the connection before it was complete")
