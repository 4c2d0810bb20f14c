"""The gateway's HTTP client: one question, as the events of its run.

It is asked as a background response, which no connection holds: when one breaks, another takes over behind the last
event, and nothing is run twice. So a run has to be ended by saying so, and who could not say it (a killed process, a
network that is gone) has told the gateway beforehand after how long to give the run up.

The read timeout rests on the gateway's heartbeats. Proxies of the environment are not used: the gateway is on this
machine.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import quote

import httpx

from ccapi.client.http import CONNECT, Service, connect, mapped, refusal
from ccapi.errors import CcapiError, GatewayProtocol, GatewaySilent, GatewayUnreachable, KeyInvalid
from ccapi.wire import envelope, sse
from ccapi.wire.events import Notice, RunEvent, RunFailed, RunFinished, RunStarted
from ccapi.wire.responsesdecoder import Decoder

ABANDON_AFTER = 30  # seconds without anybody who follows the run; more than all of PAUSES
PAUSES = (0.1, 0.4, 1.0, 2.0, 4.0)  # seconds, before each attempt to go on behind a broken connection
SILENCE = 60.0  # seconds; several heartbeats
_CANCEL_TIMEOUT = httpx.Timeout(4.0, connect=1.0)  # a second Ctrl-C is sooner
_NEW_KEY = "Make a key with: ccapi key create   and put it into the environment: export CCAPI_API_KEY=..."


@contextmanager
def ask(
    base_url: str,
    prompt: str,
    *,
    model: str,
    api_key: str | None = None,
    pauses: Sequence[float] = PAUSES,
    silence: float = SILENCE,
) -> Iterator[Answer]:
    """Ask, and follow the run. Leaving the block before its end ends it on the server.

    Raises what the error envelope says, `GatewayUnreachable`, or `GatewayProtocol` when the answer breaks off for good.
    An exception that leaves the block takes along a note of what is known about the run, unless that has ended.
    """
    timeout = httpx.Timeout(silence, connect=CONNECT)
    body = {"model": model, "input": prompt, "stream": True, "background": True, "abandon_after": ABANDON_AFTER}
    with (
        mapped(SERVICE, base_url),
        connect(base_url, bearer=api_key, timeout=timeout) as client,
    ):
        response = client.send(client.build_request("POST", "/v1/responses", json=body), stream=True)
        _check(response, base_url)
        answer = Answer(client, response, pauses)
        try:
            yield answer
        except BaseException as error:
            if known := answer.leave():
                error.add_note(known)
            raise
        else:
            answer.leave()


class Answer:
    """The events of a run, to be gone through once; what the gateway says beside it comes as `Notice`s.

    Exactly one `RunFinished` or `RunFailed` is the last of them.
    """

    def __init__(self, client: httpx.Client, response: httpx.Response, pauses: Sequence[float]) -> None:
        """`response` is the beginning of its stream."""
        self.session_id = response.headers.get("X-Session-Id", "")
        self.ended = False
        self._client = client
        self._response = response
        self._pauses = pauses
        self._attempts = 0  # to go on, since the last event
        self._decoder = Decoder()
        self._error: CcapiError | None = None  # that was reported before the end

    @property
    def response_id(self) -> str:
        """Empty as long as it is not known."""
        return self._decoder.response_id

    def __iter__(self) -> Iterator[RunEvent]:
        while True:
            broke: httpx.HTTPError | None = None
            try:
                yield from self._received()
            except httpx.HTTPError as error:
                broke = error
            if self.ended:
                return
            if self._error:
                raise self._error
            if not self.response_id:
                raise broke or _broken_off()
            if not self._attempts:
                yield Notice("connection", "The connection broke; the answer is asked for from there on")
            self._resume(broke)

    def leave(self) -> str:
        """End the run, if it has not ended and it is known which one it is. Says in a few words how that went."""
        self._response.close()
        if self.ended or not self.response_id:
            return ""
        try:
            with self._client.stream("POST", f"{self._path}/cancel", timeout=_CANCEL_TIMEOUT) as response:
                done = response.is_success
        except httpx.TimeoutException:
            return f"the gateway was told to end the run, and does not answer: {self._name}"
        except httpx.HTTPError:
            done = False
        return "the run was ended" if done else f"the run may still go on: {self._name}"

    def _received(self) -> Iterator[RunEvent]:
        """What one connection brings, up to the end of it or of the run."""
        with closing(self._response):
            for frame in sse.frames(self._response.iter_bytes()):
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

    def _resume(self, broke: httpx.HTTPError | None) -> None:
        """Another connection, behind the last event. Raises what the last attempt failed with."""
        problem: CcapiError = _broken_off()
        if self._attempts and isinstance(broke, httpx.TimeoutException):  # there is somebody, who says nothing
            raise self._lost(_silent(self._base_url))
        parameters: dict[str, str | int] = {"stream": "true", "starting_after": self._decoder.sequence_number}
        request = self._client.build_request("GET", self._path, params=parameters)
        while self._attempts < len(self._pauses):
            time.sleep(self._pauses[self._attempts])
            self._attempts += 1
            try:
                with mapped(SERVICE, self._base_url):
                    self._response = self._client.send(request, stream=True)
                    _check(self._response, self._base_url)
            except CcapiError as error:
                self._response.close()
                problem = error
                if not _may_pass(error):
                    break
            else:
                return
        raise self._lost(problem)

    def _lost(self, problem: CcapiError) -> CcapiError:
        hints = [f"Known of it: {self._name}", f"What became of it: curl {self._base_url}{self._path}"]
        message = f"The connection broke, and the answer cannot be resumed: {problem.message}"
        return type(problem)(message, hint="\n".join([*hints, problem.hint] if problem.hint else hints))

    @property
    def _base_url(self) -> str:
        return str(self._client.base_url).rstrip("/")

    @property
    def _path(self) -> str:
        return f"/v1/responses/{quote(self.response_id, safe='')}"

    @property
    def _name(self) -> str:
        session = f", session {self.session_id}" if self.session_id else ""
        return f"response {self.response_id}{session}"


def _check(response: httpx.Response, base_url: str) -> None:
    """Raise unless this is the beginning of a streamed answer."""
    if response.status_code != httpx.codes.OK:
        response.read()
        raise _refusal(response, base_url)
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        raise _no_gateway(base_url)


def _may_pass(problem: CcapiError) -> bool:
    """Whether another attempt is worth it: it says nothing of the response that was asked for."""
    return not isinstance(problem, GatewaySilent) and (problem.status >= 500 or problem.status == 429)


def _refusal(response: httpx.Response, base_url: str) -> CcapiError:
    error = refusal(SERVICE, response, base_url)
    return KeyInvalid(error.message, hint=_NEW_KEY) if isinstance(error, KeyInvalid) else error


def _no_gateway(base_url: str) -> GatewayProtocol:
    hint = "Another program uses that port: name the gateway's with --port or the setting gateway.port."
    return GatewayProtocol(f"What answers at {base_url} is no ccapi gateway", hint=hint)


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
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
