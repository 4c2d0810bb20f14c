"""The gateway's HTTP client: one question, as the events of its run.

It is asked as a background response, which no connection holds: when one breaks, another takes over behind the last
event, and nothing is run twice. So a run has to be ended by saying so, and who could not say it (a killed process, a
network that is gone) has told the gateway beforehand after how long to give the run up.

What counts as silence rests on the gateway's heartbeats. Proxies of the environment are not used: the gateway is on
this machine. Nothing here takes long to import: it is on the way to the answer's first word.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ccapi.client import stream
from ccapi.client.question import Question
from ccapi.client.service import CONNECT, Service
from ccapi.client.stream import Clock, Exchange, Tick
from ccapi.errors import CcapiError, GatewayProtocol, GatewaySilent, GatewayUnreachable, KeyInvalid, RunTimeout
from ccapi.wire import envelope, sse
from ccapi.wire.events import Notice, RunEvent, RunFailed, RunFinished, RunStarted
from ccapi.wire.responsesdecoder import Decoder

__all__ = ["NEW_KEY", "PAUSES", "SERVICE", "SILENCE", "Answer", "Tick", "ask"]

PAUSES = (0.1, 0.4, 1.0, 2.0, 4.0)  # seconds, before each attempt to go on behind a broken connection
SILENCE = 60.0  # seconds; several heartbeats
_CANCEL, _CANCEL_CONNECT = 4.0, 1.0  # seconds, for all of it, and of it for the connection; a second Ctrl-C is sooner
_LONGEST_EVENT = 128 * 1024 * 1024  # bytes; the gateway reads no longer ones from Claude Code
_LONGEST_REFUSAL = 1024 * 1024  # bytes
NEW_KEY = "Make a key with: ccapi key create   and put it into the environment: export CCAPI_API_KEY=..."


@contextmanager
def ask(
    base_url: str,
    question: Question,
    *,
    api_key: str | None = None,
    tick: float | None = None,
    timeout: float | None = None,
    pauses: Sequence[float] = PAUSES,
    silence: float = SILENCE,
    on_sent: Callable[[], None] | None = None,
) -> Iterator[Answer]:
    """Ask, and follow the run. Leaving the block before its end ends it on the server.

    `tick`, `timeout`, `pauses` and `silence` are in seconds. `tick`: how long nothing may come before the answer has a
    `Tick`; None for never. `timeout`: after which the run is ended if it goes on. `on_sent` is called once the question
    is on its way: the time until the answer begins is there for whatever takes some.

    Raises what the error envelope says, `GatewayUnreachable`, `GatewayProtocol` when the answer breaks off for good, or
    `RunTimeout`. An exception that leaves the block takes along a note of what is known about the run, unless that has
    ended.
    """
    clock = Clock(tick=tick, timeout=timeout)
    answer = Answer(_Gateway(base_url, api_key), clock, timeout=timeout, pauses=pauses, silence=silence)
    try:
        answer.send(question)
        if on_sent:
            on_sent()
        yield answer
    except BaseException as error:
        if known := answer.leave():
            error.add_note(known)
        raise
    else:
        answer.leave()


@dataclass(frozen=True, slots=True)
class _Gateway:
    """Where it is, and who asks."""

    base_url: str
    api_key: str | None

    def request(self, method: str, target: str, document: Any = None) -> stream.Request:
        headers = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        if document is None:
            return stream.request(self.base_url, method, target, headers=headers)
        headers["Content-Type"] = "application/json"
        return stream.request(self.base_url, method, target, headers=headers, body=json.dumps(document).encode())

    def told(self, error: stream.StreamError) -> CcapiError:
        """What went wrong on the way, as one of ours."""
        match error:
            case stream.Absent():
                return _absent(self.base_url)
            case stream.Silent():
                return _silent(self.base_url)
            case stream.NotHttp():
                return _no_gateway(self.base_url)
            case _:
                return _broken(self.base_url, error)


class Answer:
    """The events of a run, to be gone through once; what the gateway says beside it comes as `Notice`s.

    Exactly one `RunFinished` or `RunFailed` is the last of them.
    """

    def __init__(
        self, gateway: _Gateway, clock: Clock, *, timeout: float | None, pauses: Sequence[float], silence: float
    ) -> None:
        """`timeout` is what the clock was given."""
        self.session_id = ""
        self.ended = False
        self._gateway = gateway
        self._clock = clock
        self._timeout = timeout
        self._pauses = pauses
        self._silence = silence
        self._exchange: Exchange | None = None
        self._attempts = 0  # to go on, since the last event
        self._decoder = Decoder()
        self._error: CcapiError | None = None  # that was reported before the end
        self._left = False

    @property
    def response_id(self) -> str:
        """Empty as long as it is not known."""
        return self._decoder.response_id

    def send(self, question: Question) -> None:
        """Ask; returns as soon as the question is on its way."""
        self._exchange = self._made(self._gateway.request("POST", "/v1/responses", question.body()))
        try:
            stream.finish(self._exchange.send())
        except stream.StreamError as error:
            raise self._gateway.told(error) from None
        except stream.TimeUp:
            raise self._overdue() from None

    def __iter__(self) -> Iterator[RunEvent | Tick]:
        try:
            for event in self._events():
                yield event
                self._clock.restart()
        except stream.TimeUp:
            raise self._overdue() from None

    def leave(self) -> str:
        """End the run, if it has not ended and it is known which one it is. Says in a few words how that went."""
        if self._exchange:
            self._exchange.close()
        if self.ended or self._left or not self.response_id:
            return ""
        self._left = True
        request = self._gateway.request("POST", f"{self._path}/cancel")
        with closing(Exchange(request, Clock(timeout=_CANCEL), silence=_CANCEL, connect=_CANCEL_CONNECT)) as exchange:
            try:
                stream.finish(exchange.send())
            except (stream.StreamError, stream.TimeUp):
                return f"the run may still go on: {self._name}"
            try:
                status = stream.finish(exchange.head()).status
            except (stream.Silent, stream.TimeUp):
                return f"the gateway was told to end the run, and does not answer: {self._name}"
            except stream.StreamError:
                status = 0
        return "the run was ended" if 200 <= status < 300 else f"the run may still go on: {self._name}"

    # --- what comes

    def _events(self) -> Iterator[RunEvent | Tick]:
        broke: stream.StreamError | None = None
        try:
            yield from self._accepted()
        except stream.StreamError as error:
            raise self._gateway.told(error) from None
        while True:
            try:
                yield from self._received()
            except stream.StreamError as error:
                broke = error
            if self.ended:
                return
            if self._error:
                raise self._error
            if not self.response_id:
                raise self._gateway.told(broke) if broke else _broken_off()
            if not self._attempts:
                yield Notice("connection", "The connection broke; the answer is asked for from there on")
            yield from self._resume(broke)
            broke = None

    def _accepted(self) -> Iterator[Tick]:
        """Returns at the beginning of a streamed answer. Raises what is said in its place."""
        assert self._exchange
        head = yield from self._exchange.head()
        if head.status != 200:
            raise (yield from self._refusal())
        if not head.headers.get("content-type", "").startswith("text/event-stream"):
            raise _no_gateway(self._gateway.base_url)
        self.session_id = head.headers.get("x-session-id", self.session_id)

    def _refusal(self) -> Generator[Tick, None, CcapiError]:
        assert self._exchange
        body = b""
        for piece in self._exchange.body():
            if isinstance(piece, Tick):
                yield piece
                continue
            body += piece
            if len(body) > _LONGEST_REFUSAL:
                break
        error = SERVICE.refusal(self._gateway.base_url, body)
        return KeyInvalid(error.message, hint=NEW_KEY) if isinstance(error, KeyInvalid) else error

    def _received(self) -> Iterator[RunEvent | Tick]:
        """What one connection brings, up to the end of it or of the run."""
        assert self._exchange
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
        known, decoded = self._decoder.sequence_number, self._decoder.feed(event)
        if self._decoder.sequence_number != known + 1:
            raise GatewayProtocol("The gateway left out a part of the answer, or sent it twice")
        self._attempts = 0
        for one in decoded:
            if isinstance(one, RunStarted | RunFinished) and one.session_id:
                self.session_id = one.session_id
            self.ended = self.ended or isinstance(one, RunFinished | RunFailed)
        return decoded

    # --- going on

    def _resume(self, broke: stream.StreamError | None) -> Iterator[Tick]:
        """Another connection, behind the last event. Raises what the last attempt failed with."""
        problem: CcapiError = _broken_off()
        if self._attempts and isinstance(broke, stream.Silent):  # there is somebody, who says nothing
            raise self._lost(_silent(self._gateway.base_url))
        target = f"{self._path}?stream=true&starting_after={self._decoder.sequence_number}"
        while self._attempts < len(self._pauses):
            yield from self._clock.sleep(self._pauses[self._attempts])
            self._attempts += 1
            self._exchange = self._made(self._gateway.request("GET", target))
            try:
                yield from self._exchange.send()
                yield from self._accepted()
            except stream.StreamError as error:
                problem = self._gateway.told(error)
            except CcapiError as error:
                problem = error
            else:
                return
            self._exchange.close()
            if not _may_pass(problem):
                break
        raise self._lost(problem)

    def _made(self, request: stream.Request) -> Exchange:
        return Exchange(request, self._clock, silence=self._silence, connect=CONNECT)

    # --- what is known, when it ends too soon

    def _lost(self, problem: CcapiError) -> CcapiError:
        message = f"The connection broke, and the answer cannot be resumed: {problem.message}"
        hints = [f"Known of it: {self._name}", *self._ways_on()]
        return type(problem)(message, hint="\n".join([*hints, problem.hint] if problem.hint else hints))

    def _overdue(self) -> RunTimeout:
        message = f"The answer was not complete after {self._timeout:g} s"
        known = self.leave()
        return RunTimeout(f"{message}; {known}" if known else message, hint="\n".join(self._ways_on()) or None)

    def _ways_on(self) -> list[str]:
        import shlex

        if not self.session_id:
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


def _no_gateway(base_url: str) -> GatewayProtocol:
    hint = "Another program uses that port: name the gateway's with --port or the setting gateway.port."
    return GatewayProtocol(f"What answers at {base_url} is no ccapi gateway", hint=hint)


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


def _silent(base_url: str) -> GatewaySilent:
    return GatewaySilent(f"The gateway at {base_url} is silent", hint="Look at: ccapi logs")


def _broken_off() -> GatewayProtocol:
    return GatewayProtocol("The answer broke off: the gateway closed the connection before it was complete")


def _absent(base_url: str) -> GatewayUnreachable:
    hint = "Start it with: ccapi up   (or without Docker: ccapi gateway)"
    return GatewayUnreachable(f"No gateway answers at {base_url}", hint=hint)


def _broken(base_url: str, error: Exception) -> GatewayProtocol:
    return GatewayProtocol(f"The connection to the gateway at {base_url} broke: {error}")


SERVICE = Service(_absent, _silent, _no_gateway, _broken)
